"""Photographers: cameras that react to the person they film."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_DOWN = np.array([0.0, 1.0, 0.0])


@dataclass(frozen=True)
class Subject:
    """What a photographer sees of the person; arrays per frame."""

    path: np.ndarray
    """float64 [T,3]: the pelvis, smoothed as a calm operator would, on the ground (y = 0)."""
    seconds: np.ndarray
    """float64 [T]"""


@dataclass(frozen=True)
class Framing:
    """Where the camera stands at first and how it frames."""

    view_yaw: float
    """Direction of view about the vertical; 0 looks along +z."""
    distance: float
    camera_height: float
    aim_height: float
    focal_px: float
    amount: float
    """0..1, how much of its own move the photographer makes."""
    side: float
    """-1 or 1: left or right, in or out."""
    noise_seed: int


@dataclass(frozen=True)
class CameraPath:
    """float64 arrays per frame: position [T,3], target [T,3], roll [T] (radians), focal_px [T]."""

    position: np.ndarray
    target: np.ndarray
    roll: np.ndarray
    focal_px: np.ndarray


@dataclass(frozen=True)
class Photographer:
    """One row of the table; the weights say how often with a travelling person and with one on the spot."""

    shoot: Callable[[Subject, Framing], CameraPath]
    sentences: tuple[str, str]
    """For side = +1 and -1."""
    travel_weight: float
    still_weight: float
    headings: tuple[float, ...] = (0.0, 0.5, -0.5, 1.0, -1.0)
    """Preferred directions of a travelling person, in half turns from walking towards the camera."""


def _base(
    subject: Subject, framing: Framing, anchor: np.ndarray, distance: float | np.ndarray, yaw: float | np.ndarray
):
    """Camera position and target around ground points `anchor` [T,3]."""
    distance, yaw = (np.broadcast_to(value, subject.seconds.shape) for value in (distance, yaw))
    away = np.stack([-np.sin(yaw), np.zeros_like(yaw), -np.cos(yaw)], axis=-1)
    position = anchor + distance[:, None] * away
    position[:, 1] = -framing.camera_height
    target = anchor.copy()
    target[:, 1] = -framing.aim_height
    return position, target


def _finish(subject, framing, position, target, roll=0.0, zoom=1.0) -> CameraPath:
    frames = subject.seconds.shape
    return CameraPath(
        position,
        target,
        np.broadcast_to(roll, frames).copy(),
        np.broadcast_to(framing.focal_px * np.asarray(zoom), frames).copy(),
    )


def _ease(subject: Subject) -> np.ndarray:
    """0 to 1 over the clip, gently at both ends."""
    s = subject.seconds / max(subject.seconds[-1], 1e-9)
    return 0.6 * s + 0.4 * s * s * (3 - 2 * s)


def _still_anchor(subject: Subject) -> np.ndarray:
    middle = 0.5 * (subject.path.min(axis=0) + subject.path.max(axis=0))
    return np.broadcast_to(middle, subject.path.shape).copy()


def _standing_back(subject: Subject, framing: Framing) -> float:
    """Distance from which the whole path stays in the picture of a camera that does not turn."""
    spread = subject.path - _still_anchor(subject)
    right = np.array([np.cos(framing.view_yaw), 0.0, -np.sin(framing.view_yaw)])
    forward = np.array([np.sin(framing.view_yaw), 0.0, np.cos(framing.view_yaw)])
    needed = framing.distance * 0.85 + np.abs(spread @ forward).max()
    return float(max(framing.distance, needed, np.abs(spread @ right).max() * 2.6))


def _wobble(subject: Subject, framing: Framing, channels: int) -> np.ndarray:
    """Smooth noise of about unit size, [T,channels], zero in the first frame."""
    rng = np.random.default_rng([framing.noise_seed, 77])
    hertz = np.array([0.35, 0.8, 1.7])
    size = np.array([1.0, 0.6, 0.25])
    phase = rng.uniform(0, 2 * np.pi, (channels, 3))
    wave = (size * np.sin(2 * np.pi * hertz * subject.seconds[:, None, None] + phase)).sum(axis=-1)
    return wave - wave[:1]


def follow(subject: Subject, framing: Framing) -> CameraPath:
    """Truck alongside: the camera travels as the person does and does not turn."""
    return _finish(subject, framing, *_base(subject, framing, subject.path, framing.distance, framing.view_yaw))


def lag(subject: Subject, framing: Framing) -> CameraPath:
    """Follow a little slower than the person."""
    anchor = subject.path[:1] + (0.65 + 0.25 * framing.amount) * (subject.path - subject.path[:1])
    return _finish(subject, framing, *_base(subject, framing, anchor, framing.distance * 1.15, framing.view_yaw))


def hold(subject: Subject, framing: Framing) -> CameraPath:
    """Stand on a tripod."""
    return _finish(
        subject,
        framing,
        *_base(subject, framing, _still_anchor(subject), _standing_back(subject, framing), framing.view_yaw),
    )


def pan(subject: Subject, framing: Framing) -> CameraPath:
    """Stand still and turn to keep the person framed."""
    position, _ = _base(
        subject, framing, _still_anchor(subject), 1.25 * _near_enough(subject, framing), framing.view_yaw
    )
    _, target = _base(subject, framing, subject.path, 1.0, framing.view_yaw)
    return _finish(subject, framing, position, target)


def _near_enough(subject: Subject, framing: Framing) -> float:
    forward = np.array([np.sin(framing.view_yaw), 0.0, np.cos(framing.view_yaw)])
    spread = (subject.path - _still_anchor(subject)) @ forward
    return float(max(framing.distance, 0.8 * framing.distance + np.abs(spread).max()))


def dolly(subject: Subject, framing: Framing) -> CameraPath:
    """Move closer (side +1) or away (side -1) while staying with the person."""
    change = (0.2 + 0.25 * framing.amount) * _ease(subject)
    distance = framing.distance * (1.2 - change if framing.side > 0 else 0.85 + 1.2 * change)
    return _finish(subject, framing, *_base(subject, framing, subject.path, distance, framing.view_yaw))


def orbit(subject: Subject, framing: Framing) -> CameraPath:
    """Circle around the person; side +1 moves the camera to its left."""
    angle = framing.side * (0.16 + 0.4 * framing.amount) * (_ease(subject) - 0.5)
    return _finish(subject, framing, *_base(subject, framing, subject.path, framing.distance, framing.view_yaw + angle))


def handheld(subject: Subject, framing: Framing) -> CameraPath:
    """Carry the camera by hand, walking along as far as the person walks."""
    noise = _wobble(subject, framing, 7)
    position, target = _base(subject, framing, subject.path, framing.distance * 1.05, framing.view_yaw)
    position = position + noise[:, :3] * np.array([0.05, 0.025, 0.05])
    target = target + noise[:, 3:6] * np.array([0.05, 0.035, 0.0])
    return _finish(subject, framing, position, target, roll=0.012 * noise[:, 6])


def zoom(subject: Subject, framing: Framing) -> CameraPath:
    """Stand still, turn with the person, and change the focal length: in (side +1) or out."""
    factor = 1 + (0.15 + 0.3 * framing.amount) * _ease(subject)
    path = pan(subject, framing)
    return _finish(
        subject, framing, path.position, path.target, zoom=factor * 0.9 if framing.side > 0 else 1.25 / factor
    )


def crane(subject: Subject, framing: Framing) -> CameraPath:
    """Rise (side +1) or sink while looking at the person."""
    position, target = _base(subject, framing, subject.path, framing.distance * 1.05, framing.view_yaw)
    lift = (0.4 + 0.7 * framing.amount) * _ease(subject)
    start = framing.camera_height - 0.2 if framing.side > 0 else framing.camera_height + 0.6
    position[:, 1] = -np.clip(start + framing.side * lift, 0.35, 3.0)
    return _finish(subject, framing, position, target)


PHOTOGRAPHERS: dict[str, Photographer] = {
    "follow": Photographer(
        follow, ("the camera follows",) * 2, 4.0, 0.15, (0.5, -0.5, 0.45, -0.55, 0.3, -0.3, 0.7, -0.7)
    ),
    "lead": Photographer(
        follow, ("the camera moves back in front of the person",) * 2, 2.2, 0.0, (0.0, 0.1, -0.1, 0.2, -0.2)
    ),
    "chase": Photographer(follow, ("the camera follows from behind",) * 2, 1.2, 0.0, (1.0, 0.9, -0.9, 0.85)),
    "lag": Photographer(lag, ("the camera follows slowly",) * 2, 0.8, 0.0, (0.5, -0.5, 0.4, -0.4)),
    "hold": Photographer(hold, ("the camera holds still",) * 2, 1.6, 2.6, (0.5, -0.5, 0.3, -0.3, 0.0, 1.0, 0.8)),
    "pan": Photographer(
        pan,
        ("the camera pans to keep the person in view",) * 2,
        1.3,
        0.15,
        (0.4, -0.4, 0.25, -0.25, 0.2, -0.15, 0.75, -0.8),
    ),
    "dolly": Photographer(dolly, ("the camera moves closer", "the camera moves away"), 0.7, 2.0),
    "orbit": Photographer(orbit, ("the camera orbits to the left", "the camera orbits to the right"), 0.8, 2.4),
    "handheld": Photographer(handheld, ("the camera is held by hand",) * 2, 0.9, 1.5),
    "zoom": Photographer(zoom, ("the camera zooms in", "the camera zooms out"), 0.3, 0.8, (0.3, -0.3, 0.0, 1.0)),
    "crane": Photographer(crane, ("the camera rises", "the camera sinks"), 0.3, 0.8),
}
CAMERA_SENTENCES: tuple[str, ...] = tuple(dict.fromkeys(s for p in PHOTOGRAPHERS.values() for s in p.sentences))


def choose_photographer(rng: np.random.Generator, travels: bool) -> str:
    """Draw a photographer who suits a travelling person or one on the spot."""
    weights = np.array([p.travel_weight if travels else p.still_weight for p in PHOTOGRAPHERS.values()])
    return list(PHOTOGRAPHERS)[rng.choice(len(weights), p=weights / weights.sum())]


# (share of the shots, person height / picture height, height of the aim / person height, most of it upright)
FRAMINGS = {
    "knees": (0.12, (1.0, 1.35), (0.66, 0.76), 1.1),  # from the knees up
    "hips": (0.12, (1.4, 2.3), (0.72, 0.95), 1.6),  # from the hips up, or head and shoulders
    "whole": (0.76, (0.52, 0.82), (0.48, 0.6), 0.82),
    # Head and shoulders, high or low in the picture: only if asked for.
    "shoulders": (0.0, (1.9, 3.0), (0.86, 1.12), 2.0),
}


def sample_framing(
    rng: np.random.Generator, person_height: float, width: int, height: int, framing: str | None = None
) -> Framing:
    """Draw a view: mostly the whole person at 50-80 % of the height, now and then a half body or head and shoulders.

    `framing`, a row of FRAMINGS, replaces the drawn one.
    """
    focal = float(rng.uniform(0.8, 1.15)) * max(width, height) * (1.0 if width >= height else 0.85)
    row = np.searchsorted(np.cumsum([share for share, *_ in FRAMINGS.values()]), rng.random(), side="right")
    drawn = list(FRAMINGS)[min(int(row), len(FRAMINGS) - 1)]
    _, fills, aims, most_upright = FRAMINGS[framing or drawn]
    fill = rng.uniform(*fills)
    if width < height:
        fill = min(fill, most_upright) * 0.92
    camera_height = float(np.clip(rng.normal(0.72, 0.2), 0.3, 1.15)) * person_height
    return Framing(
        view_yaw=float(rng.uniform(-0.45, 0.45)),
        distance=float(focal * person_height / (fill * height)),
        camera_height=camera_height,
        aim_height=float(person_height * rng.uniform(*aims)),
        focal_px=focal,
        amount=float(rng.uniform(0, 1)),
        side=float(rng.choice([-1, 1])),
        noise_seed=int(rng.integers(2**31)),
    )


def watch(root: np.ndarray, fps: float, calm_s: float = 0.35) -> Subject:
    """What the photographer reacts to: the root's ground path [T,3], smoothed over about `calm_s` seconds."""
    frames = len(root)
    margin = max(2, int(np.ceil(3 * calm_s * fps)))
    ground = root * np.array([1.0, 0.0, 1.0])
    if frames > 1:
        reach = min(frames - 1, max(1, int(round(fps))))
        first, last = (ground[reach] - ground[0]) / reach, (ground[-1] - ground[-1 - reach]) / reach
        before = ground[0] + np.arange(-margin, 0)[:, None] * first
        after = ground[-1] + np.arange(1, margin + 1)[:, None] * last
        padded = np.concatenate([before, ground, after])
        kernel = np.exp(-0.5 * (np.arange(-margin, margin + 1) / (calm_s * fps)) ** 2)
        kernel /= kernel.sum()
        ground = np.stack([np.convolve(padded[:, i], kernel, mode="valid") for i in range(3)], axis=1)
    return Subject(ground, np.arange(frames) / fps)


def look(path: CameraPath) -> np.ndarray:
    """camera_from_world [T,4,4] of a camera path."""
    forward = path.target - path.position
    forward /= np.linalg.norm(forward, axis=-1, keepdims=True)
    right = np.cross(_DOWN, forward)
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    down = np.cross(forward, right)
    cos, sin = np.cos(path.roll)[:, None], np.sin(path.roll)[:, None]
    rotation = np.stack([cos * right + sin * down, cos * down - sin * right, forward], axis=1)
    matrix = np.broadcast_to(np.eye(4), (len(forward), 4, 4)).copy()
    matrix[:, :3, :3] = rotation
    matrix[:, :3, 3] = -np.einsum("tij,tj->ti", rotation, path.position)
    return matrix
