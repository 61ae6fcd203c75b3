"""Camera moves by name, for the debugger, the tests and whoever has no camera file."""

from dataclasses import dataclass

import numpy as np

from animateanywhere.errors import InputError
from animateanywhere.geometry.cameras import CameraPath, intrinsics_from_fov, look_from

_SWAYS = 5
"""Sine waves per axis of a hand-held camera: enough that no rhythm shows."""
_SWAY_HZ = (0.25, 1.6)
"""Slowest and fastest of them: breathing to steps."""
_SWAY_DEG = np.array([0.9, 0.9, 0.5])
"""Typical turn about x, y, z."""
_SWAY_SHARE = np.array([0.012, 0.012, 0.008])
"""Typical shift along x, y, z, as a share of the distance to what is filmed."""


@dataclass(frozen=True)
class CameraPreset:
    """What one move adds up to over a clip, at amount 1. The camera starts at the world's origin and looks along +z."""

    help: str
    """The move in a person's words."""
    turn_deg: tuple[float, float, float] = (0, 0, 0)
    """Turn about the camera's x (looks up), y (looks right) and z (leans clockwise)."""
    travel: tuple[float, float, float] = (0, 0, 0)
    """Way right, down and ahead, as a share of the distance to what is filmed."""
    orbit_deg: float = 0
    """Way around what is filmed, to the right, looking at it all the time."""
    zoom: float = 1
    """Factor on the focal length."""
    hand_held: bool = False
    """Sway by chance, smooth in time."""


PRESETS = {
    "still": CameraPreset("does not move"),
    "pan_left": CameraPreset("turns to the left on the spot", turn_deg=(0, -25, 0)),
    "pan_right": CameraPreset("turns to the right on the spot", turn_deg=(0, 25, 0)),
    "tilt_up": CameraPreset("turns upwards on the spot", turn_deg=(18, 0, 0)),
    "tilt_down": CameraPreset("turns downwards on the spot", turn_deg=(-18, 0, 0)),
    "roll": CameraPreset("leans clockwise", turn_deg=(0, 0, 20)),
    "dolly_in": CameraPreset("moves ahead", travel=(0, 0, 0.35)),
    "dolly_out": CameraPreset("moves back", travel=(0, 0, -0.35)),
    "truck_left": CameraPreset("moves to the left without turning", travel=(-0.35, 0, 0)),
    "truck_right": CameraPreset("moves to the right without turning", travel=(0.35, 0, 0)),
    "pedestal_up": CameraPreset("moves up without turning", travel=(0, -0.25, 0)),
    "pedestal_down": CameraPreset("moves down without turning", travel=(0, 0.25, 0)),
    "orbit_left": CameraPreset("circles to the left around what it films", orbit_deg=-35),
    "orbit_right": CameraPreset("circles to the right around what it films", orbit_deg=35),
    "zoom_in": CameraPreset("stays and makes things larger", zoom=1.6),
    "zoom_out": CameraPreset("stays and makes things smaller", zoom=1 / 1.6),
    "hand_held": CameraPreset("is held by hand: it sways", hand_held=True),
}


def camera_preset(
    name: str,
    num_frames: int,
    image_size: tuple[int, int],
    *,
    amount: float = 1.0,
    seed: int = 0,
    fov_deg: float = 55.0,
    distance: float = 4.0,
    fps: float = 8.0,
) -> CameraPath:
    """A named move at even speed from the first frame to the last.

    amount: how much of it, -5 to 5; 0 stays, negative goes the other way. seed: the sway of `hand_held`; the same seed
    sways alike in clips of any length. fov_deg: across the longer side, before any zoom. distance: from the camera to
    what it films, in world units. Raises InputError on an unknown name or a number out of range.
    """
    preset = _checked(name, num_frames, amount, seed, distance)
    share = np.linspace(0, amount, num_frames) if num_frames > 1 else np.zeros(1)  # [T]
    turn = np.radians(preset.turn_deg) * share[:, None]  # [T, 3]
    centres = np.array(preset.travel) * distance * share[:, None]
    if preset.orbit_deg:
        angle = np.radians(preset.orbit_deg) * share
        turn = turn - angle[:, None] * [0, 1, 0]
        centres = centres + distance * np.stack([np.sin(angle), 0 * angle, 1 - np.cos(angle)], 1)
    if preset.hand_held:
        sway = amount * _sway(np.arange(num_frames) / fps, seed)  # [T, 6]
        turn = turn + np.radians(_SWAY_DEG) * sway[:, :3]
        centres = centres + distance * _SWAY_SHARE * sway[:, 3:]
    intrinsics = intrinsics_from_fov(fov_deg, image_size, num_frames)
    intrinsics[:, [0, 1], [0, 1]] *= preset.zoom ** share[:, None]
    return CameraPath(intrinsics, look_from(centres, _turned(turn)), image_size, fps)


def _checked(name: str, num_frames: int, amount: float, seed: int, distance: float) -> CameraPreset:
    if name not in PRESETS:
        raise InputError(f"camera move {name!r}: expected one of {', '.join(PRESETS)}")
    if not -5 <= amount <= 5:
        raise InputError(f"amount {amount}: expected -5 to 5")
    if not 1 <= num_frames <= 100_000 or not 0 < distance < np.inf or seed < 0:
        raise InputError(
            f"{num_frames} frames, distance {distance}, seed {seed}: expected at least 1 frame, a distance above 0 "
            "and a seed of 0 or more"
        )
    return PRESETS[name]


def _turned(rotation_vectors: np.ndarray) -> np.ndarray:
    """[T, 3, 3] camera_from_world of a camera turned in the world by these rotation vectors [T, 3]."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(-rotation_vectors).as_matrix()


def _sway(seconds: np.ndarray, seed: int) -> np.ndarray:
    """[T, 6] smooth noise of size about 1 per axis that starts at 0: slow waves are large, fast ones small."""
    rng = np.random.default_rng(seed)
    hertz = np.exp(rng.uniform(*np.log(_SWAY_HZ), (_SWAYS, 6)))
    phase = rng.uniform(0, 2 * np.pi, (_SWAYS, 6))
    size = hertz**-1.0
    size /= np.sqrt((size**2).sum(0) / 2)
    waves = np.sin(2 * np.pi * hertz * seconds[:, None, None] + phase) - np.sin(phase)  # [T, sways, 6]
    return (size * waves).sum(1)
