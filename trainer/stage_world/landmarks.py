"""The 133 COCO-WholeBody joints of a posed person: 17 body, 6 feet, 68 face, 21 left hand, 21 right hand."""

import numpy as np

from trainer.stage_world.skeleton import BodyShape, Bones

NUM_JOINTS = 133
FACE = slice(23, 91)
LEFT_HAND, RIGHT_HAND = slice(91, 112), slice(112, 133)
HEAD_FRONT = (0, 1, 2, *range(23, 91))
"""Joints on the front of the head, which the head itself hides from behind: nose, eyes, face."""


def body_joints(shape: BodyShape, bones: Bones) -> np.ndarray:
    """All joints in the body frame, float64 [N,133,3]."""
    face = _face_points(shape)
    nose = face[30] + np.array([0.0, 0.0, 0.02])
    eyes = [face[42:48].mean(axis=0), face[36:42].mean(axis=0)]
    ears = [np.array([sign * 0.36 * shape.head, 0.02 * shape.head, -0.01]) for sign in (1, -1)]
    head = np.stack([nose, *eyes, *ears, *face])
    head_world = bones.origin["head"][:, None] + np.einsum("nij,kj->nki", bones.rotation["head"], head)
    limbs = [
        bones.origin[f"{bone}_{side}"]
        for bone in ("upper_arm", "forearm", "hand", "thigh", "shank", "foot")
        for side in "lr"
    ]
    sole = -0.06 * shape.height / 1.7
    feet = [
        bones.point(f"foot_{side}", (sign * x * shape.foot, sole, z * shape.foot))
        for side, sign in (("l", 1), ("r", -1))
        for x, z in ((-0.1, 0.72), (0.2, 0.62), (0.0, -0.24))
    ]
    hands = [_hand_points(shape, bones, side, sign) for side, sign in (("l", 1.0), ("r", -1.0))]
    return np.concatenate([head_world[:, :5], np.stack(limbs + feet, axis=1), head_world[:, 5:], *hands], axis=1)


def head_forward(bones: Bones) -> np.ndarray:
    """Direction of the gaze in the body frame, [N,3]."""
    return bones.rotation["head"][:, :, 2]


def _face_points(shape: BodyShape) -> np.ndarray:
    """The 68 face points in the head's frame, [68,3]; the person's right side comes first."""
    a = np.linspace(0, np.pi, 17)
    jaw = np.stack([-0.86 * np.cos(a), 0.05 - 0.85 * np.sin(a)], axis=1)
    s = np.linspace(-1, 1, 5)
    brow = np.stack([-0.38 + 0.22 * s, 0.42 - 0.06 * s**2], axis=1)
    bridge = np.stack([np.zeros(4), np.linspace(0.22, -0.08, 4)], axis=1)
    nostrils = np.stack([0.15 * s, -0.16 - 0.03 * (1 - s**2)], axis=1)
    b = np.pi - np.arange(6) * np.pi / 3
    eye = np.stack([-0.34 + 0.13 * np.cos(b), 0.2 + 0.06 * np.sin(b)], axis=1)
    c, d = np.pi - np.arange(12) * np.pi / 6, np.pi - np.arange(8) * np.pi / 4
    mouth = np.stack([0.28 * np.cos(c), -0.45 + 0.1 * np.sin(c)], axis=1)
    inner = np.stack([0.22 * np.cos(d), -0.45 + 0.04 * np.sin(d)], axis=1)
    mirror = np.array([-1.0, 1.0])
    left_eye = (eye * mirror)[[3, 2, 1, 0, 5, 4]]
    flat = np.concatenate([jaw, brow, brow[::-1] * mirror, bridge, nostrils, eye, left_eye, mouth, inner])
    depth = np.sqrt(np.clip(1 - (flat**2).sum(axis=1), 0.02, 1))
    return np.column_stack([flat[:, 0] * 0.36, flat[:, 1] * 0.5, depth * 0.42]) * shape.head


def _hand_points(shape: BodyShape, bones: Bones, side: str, sign: float) -> np.ndarray:
    """21 hand joints, [N,21,3]: wrist, thumb, index, middle, ring, little finger, from the palm outwards."""
    scale = shape.hand
    hand, fingers = bones.rotation[f"hand_{side}"], bones.rotation[f"fingers_{side}"]
    wrist = bones.origin[f"hand_{side}"]
    points = [wrist]
    points += [wrist + hand @ (scale * np.array([-0.05 * sign, -0.12 - 0.12 * k, 0.1 + 0.08 * k])) for k in range(4)]
    for z, length in ((0.15, 0.46), (0.05, 0.5), (-0.05, 0.46), (-0.14, 0.38)):
        knuckle = wrist + hand @ (scale * np.array([0.0, -0.5, z]))
        middle = knuckle + (0.5 * hand + 0.5 * fingers) @ (scale * length * np.array([0.0, -0.45, 0.0]))
        points += [
            knuckle,
            middle,
            middle + fingers @ (scale * length * np.array([0.0, -0.3, 0.0])),
            middle + fingers @ (scale * length * np.array([0.0, -0.55, 0.0])),
        ]
    return np.stack(points, axis=1)
