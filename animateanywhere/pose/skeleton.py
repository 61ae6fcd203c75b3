"""How the 133 joints hang together: which are left and right of each other, and which bones have a length."""

from dataclasses import dataclass

import numpy as np

from animateanywhere.pose.sequence import FACE, LEFT_HAND, NUM_JOINTS, RIGHT_HAND

NOSE = 0
EYES, EARS, SHOULDERS, ELBOWS, WRISTS, HIPS, KNEES, ANKLES = ((k, k + 1) for k in range(1, 17, 2))
"""(left, right) body joints, the person's own left first."""
HEAD = slice(0, 5)
LEFT_FOOT, RIGHT_FOOT = slice(17, 20), slice(20, 23)
"""Big toe, small toe and heel."""
FEET_OF = ((ANKLES[0], *range(17, 20)), (ANKLES[1], *range(20, 23)))
"""Joints of the left and the right foot, ankles included."""
UPPER_SIDES = (*range(5, 11), *range(91, NUM_JOINTS))
"""Joints of arms and hands, which a detector swaps together."""
LOWER_SIDES = tuple(range(11, 23))

# Face points that change places in a mirror, from FACE.start on: the iBUG scheme runs along jaw, brows, nose, eyes, lips.
_FACE_MIRRORED = (
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
)  # fmt: skip


def _swapped_joints() -> np.ndarray:
    swapped = np.arange(NUM_JOINTS)
    for left, right in zip(range(1, 17, 2), range(2, 17, 2), strict=True):
        swapped[[left, right]] = right, left
    swapped[LEFT_FOOT], swapped[RIGHT_FOOT] = np.r_[RIGHT_FOOT], np.r_[LEFT_FOOT]
    swapped[FACE] = FACE.start + np.array(_FACE_MIRRORED)
    swapped[LEFT_HAND], swapped[RIGHT_HAND] = np.r_[RIGHT_HAND], np.r_[LEFT_HAND]
    return swapped


SWAPPED = _swapped_joints()
"""int [133]: the joint that takes each joint's place in a mirror."""


@dataclass(frozen=True)
class Limb:
    """A length that a body has on both sides, or once."""

    name: str
    bones: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    """Both ends of each bone; an end of several joints lies in their middle. None: it is no single distance."""
    share: float
    """Of the standing height, in a grown person: what detectors of pictures find, between the joints they find."""


def _sides(a: tuple[int, int], b: tuple[int, int]) -> tuple:
    return tuple(((left,), (right,)) for left, right in zip(a, b, strict=True))


def _palms(finger: int) -> tuple:
    return tuple(((hand.start,), (hand.start + finger,)) for hand in (LEFT_HAND, RIGHT_HAND))


# Winter, Biomechanics and Motor Control of Human Movement (after Drillis and Contini, 1966), gives upper arm 0.186, forearm
# 0.146, thigh 0.245, shank 0.246 and trunk 0.288. Detectors put elbows, hips and ankles a little nearer: measured on photos.
LIMBS = {
    limb.name: limb
    for limb in (
        Limb("torso", ((SHOULDERS, HIPS),), 0.288),
        Limb("neck", ((SHOULDERS, EARS),), 0.120),
        Limb("shoulders", (((SHOULDERS[0],), (SHOULDERS[1],)),), 0.200),
        Limb("hips", (((HIPS[0],), (HIPS[1],)),), 0.110),
        Limb("upper arms", _sides(SHOULDERS, ELBOWS), 0.168),
        Limb("forearms", _sides(ELBOWS, WRISTS), 0.138),
        Limb("thighs", _sides(HIPS, KNEES), 0.245),
        Limb("shanks", _sides(KNEES, ANKLES), 0.236),
    )
}
"""Limbs of the body by name."""
PARTS = {
    "head": (
        Limb("across the head", (), 0.072),
        Limb("brow to chin", (((FACE.start + 27,), (FACE.start + 8,)),), 0.070),
    ),
    "hands": tuple(Limb(f"palm to finger {finger // 4 + 1}", _palms(finger), 0.050) for finger in (5, 9, 13, 17)),
}
"""Parts that are scaled as a whole, by lengths in them that do not bend."""
UPRIGHT = ("neck", "torso", "thighs", "shanks")
"""Limbs that make up the standing height, head and feet left out."""
UPRIGHT_SHARE = sum(LIMBS[name].share for name in UPRIGHT)


_NOSE_DEPTH = 1.2
"""Distance between the ears over that of the nose from the line between them."""


def across_head(joints: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Distance between the ears of a head that faces the camera, however far it is turned, [T] in pixels; NaN if unknown.

    What the ears lose by the turn, the nose gains: sideways of the neck, they go with its cosine and sine.
    """
    ears, shoulders = joints[:, list(EARS)], joints[:, list(SHOULDERS)].mean(1)
    seen = known[:, list(EARS)].all(1) & known[:, list(SHOULDERS)].all(1)
    middle = ears.mean(1)
    up = (middle - shoulders) / np.maximum(np.linalg.norm(middle - shoulders, axis=-1, keepdims=True), 1e-9)
    sideways = np.stack([-up[:, 1], up[:, 0]], axis=-1)
    turn = np.where(known[:, NOSE], ((joints[:, NOSE] - middle) * sideways).sum(-1), 0) * _NOSE_DEPTH
    return np.where(seen, np.hypot(((ears[:, 0] - ears[:, 1]) * sideways).sum(-1), turn), np.nan)


def ends_of(bone: tuple[tuple[int, ...], tuple[int, ...]], joints: np.ndarray, known: np.ndarray):
    """Both ends of a bone, [T, 2] each, and where both are known, bool [T], of joints [T, 133, 2] and known [T, 133]."""
    a, b = list(bone[0]), list(bone[1])
    return joints[:, a].mean(1), joints[:, b].mean(1), known[:, a].all(1) & known[:, b].all(1)
