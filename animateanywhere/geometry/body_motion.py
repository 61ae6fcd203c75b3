"""What a person's joints alone say about movement: size, place, facing, steps, and the ground under planted feet.

Everything is read in the picture; what it means for a camera is decided in camera_from_pose.py. Lengths are in standing
heights of the person, so that near and far people compare.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

SEEN = 0.3
"""Confidence from which on a joint counts, as in a PoseSequence."""
LEAST_JOINTS = 3

_ELBOWS, _WRISTS = (7, 8), (9, 10)
_EARS, _SHOULDERS, _HIPS, _KNEES, _ANKLES = (3, 4), (5, 6), (11, 12), (13, 14), (15, 16)
_NOSE, _TOES, _HEELS, _SOLES = 0, (17, 20), (19, 22), (17, 18, 19, 20, 21, 22)
# Pairs of joints and their distance as a share of the standing height (Drillis and Contini 1966, rounded).
_BONES = (
    (5, 7, 0.175), (6, 8, 0.175), (7, 9, 0.15), (8, 10, 0.15),
    (11, 13, 0.245), (12, 14, 0.245), (13, 15, 0.235), (14, 16, 0.235),
)  # fmt: skip
_TORSO, _SHOULDER_WIDTH, _HIP_WIDTH, _FOOT, _NOSE_REACH = 0.29, 0.215, 0.115, 0.13, 0.085
HIP_HEIGHT, _SHOULDER_HEIGHT = 0.52, 0.81
_LONGEST = 80
"""Percentile of the bones' estimates of the height: most bones look shorter than they are, none looks longer."""
_SMOOTH_S = 0.25
_GROUND = 0.012
"""Of the height: a sole this much higher than the lowest counts a third of it."""
_LEAST_FRAMES = 6
_SLOW_S = 0.35
"""Slower than this is no bounce of a step."""
_PACE_BINS = 256
"""Enough for a frequency of a few seconds to be told to a hundredth of a hertz or two."""
_RAISED_ELBOW, _RAISED_HAND = -0.045, -0.01
"""Heights above the shoulders from which on an arm is raised. Of stage world's people who walk one in a hundred raises one."""

GaitKind = Literal["runs", "glides", "steps on the spot", "walks", "stands", "cannot tell"]


@dataclass(frozen=True, eq=False)
class SeenBody:
    """One person's joints over time: the fields of a PoseSequence without its axis of people."""

    joints_px: np.ndarray
    """float [T, 133, 2]; (0, 0) is the corner of the first pixel."""
    confidence: np.ndarray
    """float [T, 133], 0..1."""
    image_size: tuple[int, int]
    """(W, H) in pixels."""
    fps: float

    @property
    def num_frames(self) -> int:
        return len(self.joints_px)

    def at(self, *joints: int) -> np.ndarray:
        """float64 [T, 2]: a joint, or the middle of several, in pixels; NaN where one of them is not seen."""
        seen = (self.confidence[:, joints] >= SEEN).all(1)
        return np.where(seen[:, None], self.joints_px[:, joints].astype(np.float64).mean(1), np.nan)

    def seen(self) -> np.ndarray:
        """bool [T]: enough of the body was found to speak of a pose."""
        return (self.confidence[:, :17] >= SEEN).sum(1) >= LEAST_JOINTS


@dataclass(frozen=True, eq=False)
class BodyMotion:
    """What `observe` finds. NaN: cannot be told in that frame."""

    height_px: np.ndarray
    """float64 [T]: how tall the person would be upright at this distance."""
    hips_px: np.ndarray
    """float64 [T, 2]: middle of the hips; worked out from the shoulders where the hips are not seen."""
    facing: np.ndarray
    """float64 [T], radians, unwrapped: 0 faces the camera, +pi/2 the picture's right, pi away from the camera."""
    ground_px: np.ndarray
    """float64 [T-1, 2]: movement of the ground under the standing foot from each frame to the next."""
    gait: GaitKind
    feet_seen: bool
    """In most frames."""
    bounce: float
    """Heights: root mean square of the shoulders' quick movements up and down; 0 where they are not seen."""
    arms_raised: bool
    """At some moment an elbow or a hand comes up to the shoulders: people dance, wave and stretch so, but do not walk."""
    shoulders_roll: float
    """Heights: how much one shoulder rises over the other and sinks again; every step rolls them. NaN where they are
    not seen."""
    roll_hz: float
    """How often it does so in a second. NaN where they are hardly seen."""
    elbows_together: float
    """-1..1: correlation of both elbows' movements across the picture, against their shoulders. Walking swings them against each
    other or towards and away from the camera; a body that turns or bows takes both along. 0 where they are not seen."""
    hands_uneven: float
    """Heights: how much farther one hand swings across the picture than the other; walkers' hands swing alike. 0 where one of
    them is not seen."""

    @property
    def mean_facing(self) -> float:
        """Radians, -pi..pi; NaN if it can never be told."""
        told = self.facing[np.isfinite(self.facing)]
        return float(np.angle(np.exp(1j * told).mean())) if len(told) else float("nan")

    @property
    def turned(self) -> float:
        """Radians: how much the facing varies (standard deviation); 0 if it can never be told."""
        return _spread(self.facing)


def observe(body: SeenBody) -> BodyMotion:
    """Look at one person's joints. A person never seen gives NaN everywhere and the gait "cannot tell"."""
    height = _height_px(body)
    facing = _facing(body, height)
    drop = np.stack([np.zeros_like(height), (_SHOULDER_HEIGHT - HIP_HEIGHT) * height], axis=1)
    hips = body.at(*_HIPS)
    hips = np.where(np.isfinite(hips), hips, body.at(*_SHOULDERS) + drop)
    feet_seen = bool((body.confidence[:, _ANKLES] >= SEEN).all(1).mean() > 0.5)
    raised = _arms_raised(body, height)
    gait = _gait(body, height, facing, raised)
    ground = _ground_px(body, height)
    roll = (body.at(_SHOULDERS[0]) - body.at(_SHOULDERS[1]))[:, 1] / height
    elbows, hands = _swings(body, height, _ELBOWS), _swings(body, height, _WRISTS)
    return BodyMotion(
        height,
        hips,
        facing,
        ground,
        gait,
        feet_seen,
        bounce=_bounce(body, height),
        arms_raised=raised,
        shoulders_roll=_spread(roll) if np.isfinite(roll).any() else float("nan"),
        roll_hz=_pace(roll, body.fps),
        elbows_together=_correlation(*elbows),
        hands_uneven=abs(_spread(hands[0]) - _spread(hands[1])) if np.isfinite(hands).any(1).all() else 0.0,
    )


def smoothed(values: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian average along the first axis, `sigma` in samples, NaN left out; still NaN where all around is."""
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-6)) ** 2)
    flat = values.reshape(len(values), -1)
    told = np.isfinite(flat)
    mean = np.empty_like(flat, dtype=np.float64)
    kept = slice(reach, reach + len(flat))
    for column in range(flat.shape[1]):
        weight = np.convolve(told[:, column].astype(float), kernel)[kept]
        total = np.convolve(np.where(told[:, column], flat[:, column], 0.0), kernel)[kept]
        mean[:, column] = np.where(weight > 1e-6, total / np.maximum(weight, 1e-6), np.nan)
    return mean.reshape(values.shape)


def _height_px(body: SeenBody) -> np.ndarray:
    """float64 [T]: the longer bones of a moment, each over its share of the height."""
    ends = [(body.at(a), body.at(b), share) for a, b, share in _BONES]
    ends.append((body.at(*_SHOULDERS), body.at(*_HIPS), _TORSO))
    tall = np.stack([np.linalg.norm(a - b, axis=1) / share for a, b, share in ends], axis=1)  # [T, bones]
    tall = np.where(tall > 1, tall, np.nan)
    reach = max(1, round(_SMOOTH_S * body.fps))
    height = np.full(len(tall), np.nan)
    for t in range(len(tall)):
        around = tall[max(0, t - reach) : t + reach + 1]
        if np.isfinite(around).any():
            height[t] = np.nanpercentile(around, _LONGEST)
    return height


def _facing(body: SeenBody, height: np.ndarray) -> np.ndarray:
    """float64 [T]: from the widths of shoulders and hips (front or back) and where toes, else the nose, point."""

    def across(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
        return (a - b)[:, 0] / (share * height)

    front = _mean_told(
        across(body.at(5), body.at(6), _SHOULDER_WIDTH), 0.9 * across(body.at(11), body.at(12), _HIP_WIDTH)
    )
    toes = _mean_told(*(across(body.at(toe), body.at(heel), _FOOT) for toe, heel in zip(_TOES, _HEELS, strict=True)))
    nose = across(body.at(_NOSE), body.at(*_EARS), _NOSE_REACH)
    bent = np.sign(_bends(body) / height) * np.sqrt(np.clip(1 - front**2, 0, 1))
    side = np.where(np.isfinite(toes), toes, np.where(np.isfinite(nose), nose, bent))
    facing = np.where(np.isfinite(front), np.arctan2(side, front), np.nan)
    told = np.isfinite(facing)
    facing[told] = np.unwrap(facing[told])
    return facing


def _bends(body: SeenBody) -> np.ndarray:
    """float64 [T]: pixels to the right by which knees stick out and hands reach out: both bend forward only."""
    knees = [body.at(knee) - (body.at(hip) + body.at(ankle)) / 2 for hip, knee, ankle in ((11, 13, 15), (12, 14, 16))]
    hands = [body.at(wrist) - body.at(elbow) for elbow, wrist in ((7, 9), (8, 10))]
    return np.nan_to_num(smoothed(_mean_told(*(part[:, 0] for part in knees + hands)), body.fps))


def _bounce(body: SeenBody, height: np.ndarray) -> float:
    up = body.at(*_SHOULDERS)[:, 1] / height
    return _spread(up - smoothed(up, _SLOW_S * body.fps))


def _pace(values: np.ndarray, fps: float) -> float:
    """Hertz: the strongest frequency of [T] about its straight line; NaN if too little of it is told."""
    frames, told = np.arange(len(values)), np.isfinite(values)
    if told.sum() < _LEAST_FRAMES:
        return float("nan")
    curve = np.interp(frames, frames[told], values[told])
    curve = (curve - np.polyval(np.polyfit(frames, curve, 1), frames)) * np.hanning(len(curve))
    spectrum = np.abs(np.fft.rfft(curve, max(_PACE_BINS, len(curve))))
    return float(np.fft.rfftfreq(max(_PACE_BINS, len(curve)), 1 / fps)[spectrum.argmax()])


def _swings(body: SeenBody, height: np.ndarray, joints: tuple[int, int]) -> np.ndarray:
    """float64 [2, T]: how far to the right of its shoulder this joint of either arm is, in heights."""
    arms = zip(joints, _SHOULDERS, strict=True)
    return np.stack([(body.at(joint) - body.at(shoulder))[:, 0] / height for joint, shoulder in arms])


def _arms_raised(body: SeenBody, height: np.ndarray) -> bool:
    shoulders = body.at(*_SHOULDERS)[:, 1]

    def highest(*joints: int) -> float:
        above = np.concatenate([(shoulders - body.at(joint)[:, 1]) / height for joint in joints])
        return float(np.max(above, initial=-np.inf, where=np.isfinite(above)))

    return highest(*_ELBOWS) > _RAISED_ELBOW or highest(*_WRISTS) > _RAISED_HAND


def _ground_px(body: SeenBody, height: np.ndarray) -> np.ndarray:
    """float64 [T-1, 2]: the lowest sole stands, so what it does in the picture the ground does."""
    soles = np.stack([body.at(joint) for joint in _SOLES], axis=1)  # [T, 6, 2]
    steps, middle = np.diff(soles, axis=0), (soles[1:] + soles[:-1]) / 2
    low = np.where(np.isfinite(middle[..., 1]), middle[..., 1] / height[:-1, None], -np.inf)
    lowest = low.max(1, keepdims=True)
    weight = np.where(np.isfinite(low), np.exp((low - np.where(np.isfinite(lowest), lowest, 0.0)) / _GROUND), 0.0)
    total = weight.sum(1, keepdims=True)
    return np.where(total > 0, np.nansum(weight[..., None] * steps, axis=1) / np.maximum(total, 1e-9), np.nan)


_CALM_KNEES = {"knee_lift": (0.0, 0.032)}
"""Seen from the front or from behind, who walks lifts the knees less than who marches, kicks or dances."""
# First row whose features all lie within their limits. Features are those of `_leg_features`.
_GAITS: tuple[tuple[GaitKind, dict[str, tuple[float, float]]], ...] = (
    ("stands", {"swing": (0.0, 0.025)}),
    ("runs", {"lift": (0.13, np.inf), "together": (-1.0, 0.0)}),
    ("glides", {"torso": (0.0, 0.253), "together": (-1.0, 0.8), "swing": (0.05, np.inf), "turn": (0.0, 0.45)}),
    ("steps on the spot", {"knee_lift": (0.05, np.inf)}),
    ("walks", {"apart": (-1.0, -0.6), "swing": (0.1, np.inf), "turn": (0.0, 0.45), "straddle": (0.0, 0.2)}),
    (
        "walks",
        {"lift": (0.06, np.inf), "together": (-1.0, -0.5), "straddle": (0.0, 0.17), "turn": (0.0, 0.35)} | _CALM_KNEES,
    ),
    ("walks", {"apart": (-1.0, -0.2), "lift": (0.03, np.inf), "turn": (0.0, 0.35), "straddle": (0.0, 0.19)}),
    ("steps on the spot", {}),
)
_KNEES_WALK = {"apart": (-1.0, -0.6), "swing": (0.04, np.inf), "lift": (0.0, 0.045), "turn": (0.0, 0.5)}
"""Where the picture ends above the ankles: what the knees do when somebody walks."""


def _gait(body: SeenBody, height: np.ndarray, facing: np.ndarray, arms_raised: bool) -> GaitKind:
    features = _leg_features(body, height, facing, _ANKLES)
    if features is not None:
        kind = next(kind for kind, limits in _GAITS if _within(features, limits))
        return "steps on the spot" if kind == "walks" and arms_raised else kind
    features = _leg_features(body, height, facing, _KNEES)
    walks = features is not None and _within(features, _KNEES_WALK) and not arms_raised
    return "walks" if walks else "cannot tell"


def _within(features: dict[str, float], limits: dict[str, tuple[float, float]]) -> bool:
    return all(low <= features[name] <= high for name, (low, high) in limits.items())


def _leg_features(
    body: SeenBody, height: np.ndarray, facing: np.ndarray, ends: tuple[int, int]
) -> dict[str, float] | None:
    """How the legs down to `ends` (ankles or knees) move, in heights; None where they are hardly seen."""
    scale = height[:, None]
    hips, shoulders = body.at(*_HIPS) / scale, body.at(*_SHOULDERS) / scale
    left, right = (body.at(joint) / scale for joint in ends)
    between, knees = left - right, (body.at(_KNEES[0]) - body.at(_KNEES[1])) / scale
    if np.isfinite(between[:, 0] + hips[:, 0]).sum() < _LEAST_FRAMES:
        return None
    swing, lift = _spread(between[:, 0]), _spread(between[:, 1])
    torso = (hips - shoulders)[:, 1]
    return {
        "swing": float(np.hypot(swing, lift)),
        "lift": lift,
        "knee_lift": _spread(knees[:, 1]),
        "together": _correlation((left - hips)[:, 1], (right - hips)[:, 1]),
        "apart": _correlation((left - hips)[:, 0], (right - hips)[:, 0]),
        "straddle": abs(float(np.nanmean(between[:, 0]))),
        "torso": float(np.nanmean(torso)) if np.isfinite(torso).any() else float("nan"),
        "turn": _spread(facing),
    }


def _spread(values: np.ndarray) -> float:
    told = values[np.isfinite(values)]
    return float(told.std()) if len(told) else 0.0


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    both = np.isfinite(a + b)
    if not both.any():
        return 0.0
    a, b = a[both] - a[both].mean(), b[both] - b[both].mean()
    power = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float(np.clip((a * b).sum() / power, -1.0, 1.0)) if power > 1e-9 else 0.0


def _mean_told(*values: np.ndarray) -> np.ndarray:
    """Mean of those that are finite; NaN where none is."""
    stack = np.stack(values)
    told = np.isfinite(stack)
    return np.where(told.any(0), np.where(told, stack, 0).sum(0) / np.maximum(told.sum(0), 1), np.nan)
