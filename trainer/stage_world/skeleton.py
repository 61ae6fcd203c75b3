"""Forward kinematics of the person: joint angles to bone frames.

Body frame: x to the person's left, y up, z forward (right-handed). Angles in radians; 0 is standing, arms hanging.
"""

from dataclasses import dataclass

import numpy as np

_SIDED = (
    "shoulder_flex", "shoulder_abduct", "shoulder_twist", "elbow", "wrist", "curl",
    "hip_flex", "hip_abduct", "hip_twist", "knee", "toe",
)  # fmt: skip
CHANNELS = (
    "pelvis_pitch", "pelvis_roll", "pelvis_yaw", "spine_pitch", "spine_roll", "spine_yaw",
    "head_pitch", "head_yaw", "head_roll",
    *(f"{name}_{side}" for side in "lr" for name in _SIDED),
)  # fmt: skip
"""Names of the joint angles. `toe` is the foot's pitch against the ground (toes down positive), the ankle follows."""

BODY_TO_WORLD = np.diag([1.0, -1.0, -1.0])
"""A person with heading 0 faces -z, towards a camera that looks along +z."""


@dataclass(frozen=True)
class BodyShape:
    """Lengths in metres."""

    height: float
    leg: float
    thigh: float
    shank: float
    foot: float
    hip_width: float
    spine: float
    shoulder_width: float
    upper_arm: float
    forearm: float
    hand: float
    neck: float
    head: float
    """Head's height; its width is 0.72 of it."""
    girth: float
    """Factor on all radii."""


@dataclass(frozen=True)
class Bones:
    """Bone frames: `origin[name]` [N,3], `rotation[name]` [N,3,3], columns are the bone's x (left), y, z axes."""

    origin: dict[str, np.ndarray]
    rotation: dict[str, np.ndarray]

    def point(self, bone: str, local: tuple[float, float, float]) -> np.ndarray:
        """A point given in a bone's frame, [N,3]."""
        return self.origin[bone] + self.rotation[bone] @ np.asarray(local, dtype=np.float64)


def rotation_about(axis: str, angle: np.ndarray) -> np.ndarray:
    """Rotations by `angle` [N] about x, y or z, [N,3,3]."""
    cos, sin = np.cos(angle), np.sin(angle)
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.zeros((*np.shape(angle), 3, 3))
    matrix[..., 3 - i - j, 3 - i - j] = 1.0
    matrix[..., i, i] = matrix[..., j, j] = cos
    matrix[..., j, i], matrix[..., i, j] = sin, -sin
    return matrix


def pose_bones(shape: BodyShape, angles: dict[str, np.ndarray]) -> Bones:
    """Bone frames in the body frame, pelvis at the origin. `angles`: one [N] array per name of `CHANNELS`."""
    about = rotation_about
    pelvis = (
        about("y", angles["pelvis_yaw"]) @ about("x", angles["pelvis_pitch"]) @ about("z", angles["pelvis_roll"])
    )  # [N,3,3]
    half_spine = (
        about("y", angles["spine_yaw"] / 2)
        @ about("x", angles["spine_pitch"] / 2)
        @ about("z", angles["spine_roll"] / 2)
    )
    origin = {"pelvis": np.zeros((len(pelvis), 3))}
    rotation = {"pelvis": pelvis, "belly": pelvis @ half_spine}
    origin["belly"] = rotation["pelvis"] @ np.array([0.0, 0.12 * shape.spine, 0.0])
    rotation["chest"] = rotation["belly"] @ half_spine
    origin["chest"] = origin["belly"] + rotation["belly"] @ np.array([0.0, 0.33 * shape.spine, 0.0])
    origin["neck"] = origin["chest"] + rotation["chest"] @ np.array([0.0, 0.55 * shape.spine, 0.0])
    rotation["neck"] = rotation["chest"]
    rotation["head"] = (
        rotation["chest"]
        @ about("y", angles["head_yaw"])
        @ about("x", angles["head_pitch"])
        @ about("z", angles["head_roll"])
    )
    origin["head"] = (
        origin["neck"]
        + rotation["chest"] @ np.array([0.0, shape.neck, 0.01])
        + rotation["head"] @ np.array([0.0, 0.42 * shape.head, 0.015])
    )
    for side, sign in (("l", 1.0), ("r", -1.0)):
        _pose_arm(shape, angles, side, sign, origin, rotation)
        _pose_leg(shape, angles, side, sign, origin, rotation)
    return Bones(origin, rotation)


def _pose_arm(shape, angles, side, sign, origin, rotation):
    about = rotation_about
    shoulder = f"upper_arm_{side}"
    lift = np.clip(angles[f"shoulder_abduct_{side}"] - 1.2, 0.0, 2.0) * 0.05
    offset = np.stack(
        [np.full_like(lift, sign * shape.shoulder_width / 2), 0.46 * shape.spine + lift, 0 * lift], axis=-1
    )
    origin[shoulder] = origin["chest"] + np.einsum("nij,nj->ni", rotation["chest"], offset)
    rotation[shoulder] = (
        rotation["chest"]
        @ about("z", sign * angles[f"shoulder_abduct_{side}"])
        @ about("x", -angles[f"shoulder_flex_{side}"])
        @ about("y", sign * angles[f"shoulder_twist_{side}"])
    )
    origin[f"forearm_{side}"] = origin[shoulder] + rotation[shoulder] @ np.array([0.0, -shape.upper_arm, 0.0])
    rotation[f"forearm_{side}"] = rotation[shoulder] @ about("x", -angles[f"elbow_{side}"])
    origin[f"hand_{side}"] = origin[f"forearm_{side}"] + rotation[f"forearm_{side}"] @ np.array(
        [0.0, -shape.forearm, 0.0]
    )
    rotation[f"hand_{side}"] = rotation[f"forearm_{side}"] @ about("z", -sign * angles[f"wrist_{side}"])
    origin[f"fingers_{side}"] = origin[f"hand_{side}"] + rotation[f"hand_{side}"] @ np.array(
        [0.0, -0.5 * shape.hand, 0.0]
    )
    rotation[f"fingers_{side}"] = rotation[f"hand_{side}"] @ about("z", -sign * angles[f"curl_{side}"])


def _pose_leg(shape, angles, side, sign, origin, rotation):
    about = rotation_about
    flex, knee = angles[f"hip_flex_{side}"], angles[f"knee_{side}"]
    origin[f"thigh_{side}"] = rotation["pelvis"] @ np.array([sign * shape.hip_width / 2, -0.02, 0.0])
    rotation[f"thigh_{side}"] = (
        rotation["pelvis"]
        @ about("z", sign * angles[f"hip_abduct_{side}"])
        @ about("x", -flex)
        @ about("y", sign * angles[f"hip_twist_{side}"])
    )
    origin[f"shank_{side}"] = origin[f"thigh_{side}"] + rotation[f"thigh_{side}"] @ np.array([0.0, -shape.thigh, 0.0])
    rotation[f"shank_{side}"] = rotation[f"thigh_{side}"] @ about("x", knee)
    origin[f"foot_{side}"] = origin[f"shank_{side}"] + rotation[f"shank_{side}"] @ np.array([0.0, -shape.shank, 0.0])
    ankle = np.clip(flex - knee - angles["pelvis_pitch"] + angles[f"toe_{side}"], -0.7, 0.9)
    level = about("z", -sign * angles[f"hip_abduct_{side}"] - angles["pelvis_roll"])
    rotation[f"foot_{side}"] = rotation[f"shank_{side}"] @ about("x", ankle) @ level


def contact_points(shape: BodyShape, bones: Bones) -> np.ndarray:
    """Heel and ball of both feet on the sole, [N,4,3]: left heel, left ball, right heel, right ball."""
    sole = -0.075 * shape.height / 1.7
    return np.stack(
        [bones.point(f"foot_{side}", (0.0, sole, z)) for side in "lr" for z in (-0.2 * shape.foot, 0.6 * shape.foot)],
        axis=1,
    )
