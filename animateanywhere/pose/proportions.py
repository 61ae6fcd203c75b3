"""How long a person's limbs are, from a clip or one picture, although pictures show limbs shorter than they are.

A limb that points towards the camera or away from it looks shorter, never longer. So a length is a high percentile over
all frames and both sides, of lengths divided by the person's size in each frame.
"""

from dataclasses import dataclass, replace

import numpy as np

from animateanywhere.pose.sequence import SEEN_CONFIDENCE, PoseSequence
from animateanywhere.pose.skeleton import ELBOWS, LIMBS, PARTS, SHOULDERS, UPRIGHT, Limb, across_head, ends_of
from animateanywhere.pose.tracks import rolling_median

_FULL_LENGTH = 0.85
"""Percentile that stands for a limb's full length: a few joints in wrong places must not decide."""
_SIZE_BY = ("torso", "neck", "shoulders", "hips", "upper arms", "forearms", "thighs", "shanks")
_SIZE_PERCENTILE = 0.9
"""Of the sizes that single bones speak for: most are foreshortened a little, some joints are wrong."""
_CALM_S = 0.5
"""A person's size changes slowly; a median over this long takes out bent and hidden limbs."""
_ROUNDS = 3
_SHORTEST_PART_S = 1.0

_RAISED_WITH_ARMS = ("torso", "neck")
"""Raised arms lift the shoulders: frames with arms down tell these lengths, if there are any."""

_NEARER_WHEN_BENT, _UNBENT = ("neck", "shoulders", "hips"), 0.92

_TOLD = {"torso": 0.75, "neck": 0.86, "shoulders": 0.8, "hips": 0.8}
_TOLD_LIMB, _TOLD_STRAIGHT = 0.9, 0.65
"""Of a grown person's share: an arm or leg this long is surely seen in full; a shorter one only where it is straight."""
_TOLD_HEAD = 0.85
_TOLD_ACROSS = 0.75
"""Of the largest size that any length across a part speaks for."""
_STRAIGHT_COSINE, _ALIKE = 0.96, 1.17
_STRAIGHT = {"upper arms": "forearms", "forearms": "upper arms", "thighs": "shanks", "shanks": "thighs"}
_WHY = {
    "torso": "bent towards the camera",
    "neck": "bent towards the camera",
    "shoulders": "turned to the side",
    "hips": "turned to the side",
}


@dataclass(frozen=True)
class Length:
    """A limb or part of one person."""

    name: str
    share: float | None
    """Of the standing height; None if it is never seen."""
    told: bool
    """It is seen in full, so that the share is the limb's and not the view's."""
    why: str = ""
    """Why it cannot be told."""


@dataclass(frozen=True, eq=False)
class Proportions:
    """One person's lengths, and the person's size in every frame."""

    lengths: tuple[Length, ...]
    height_px: np.ndarray
    """float64 [T]: how tall the person would stand in each frame, head's top and soles included, in pixels."""

    def of(self, name: str) -> Length:
        return next(length for length in self.lengths if length.name == name)


def measure(sequence: PoseSequence, person: int = 0) -> Proportions:
    """Lengths and sizes of one person. Raises InputError if there is no such person."""
    one = sequence.person(person)
    joints = one.joints_px[:, 0].astype(np.float64)
    known = one.confidence[:, 0] >= SEEN_CONFIDENCE
    lengths_px = {name: _lengths_px(limb, joints, known) for name, limb in LIMBS.items()}
    for name in _RAISED_WITH_ARMS:
        lengths_px[name] = _with_arms_down(lengths_px[name], joints, known)
    shares, height_px = _calibrated(lengths_px, one.fps)
    limbs = [_told_limb(LIMBS[name], shares, joints, known) for name in LIMBS]
    frames = _unbent(lengths_px["torso"][0])
    across = [length for part in PARTS for length in _told_across(part, joints, known, height_px, frames)]
    return Proportions((*limbs, *across), height_px)


def windows_shares(sequence: PoseSequence, person: int = 0) -> list[dict[str, float]]:
    """Told limbs' shares of the standing height in successive parts of a clip; nothing of parts of under a second.

    Shoulders and hips are left out: how wide they look is a matter of the view.
    """
    count = min(4, int(sequence.num_frames / sequence.fps / _SHORTEST_PART_S))
    if count < 2:
        return []
    one, parts = sequence.person(person), []
    for frames in np.array_split(np.arange(sequence.num_frames), count):
        part = replace(one, joints_px=one.joints_px[frames], confidence=one.confidence[frames])
        told = [length for length in measure(part).lengths if length.told and length.name in LIMBS]
        parts.append({length.name: length.share for length in told if length.name not in ("shoulders", "hips")})
    return parts


def _lengths_px(limb: Limb, joints: np.ndarray, known: np.ndarray) -> np.ndarray:
    """float64 [bones, T]; NaN where an end is not known."""
    if not limb.bones:
        return across_head(joints, known)[None]
    rows = []
    for bone in limb.bones:
        a, b, both = ends_of(bone, joints, known)
        rows.append(np.where(both, np.linalg.norm(a - b, axis=-1), np.nan))
    return np.stack(rows)


def _with_arms_down(lengths: np.ndarray, joints: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The same [bones, T] with NaN where an elbow is above its shoulder, unless nothing would be left."""
    raised = np.zeros(len(joints), bool)
    for shoulder, elbow in zip(SHOULDERS, ELBOWS, strict=True):
        raised |= known[:, shoulder] & known[:, elbow] & (joints[:, elbow, 1] < joints[:, shoulder, 1])
    return _in_frames(lengths, ~raised)


def _unbent(trunk: np.ndarray) -> np.ndarray:
    """bool [T]: the trunk, in pixels [T], looks about as long as ever; all frames if it is never known.

    In pixels, because a bent body's standing height is hard to tell. Shoulders, hips and head come nearer to the camera
    as the trunk bends forward, and look larger then.
    """
    longest = _full_length(trunk)
    return np.ones(len(trunk), bool) if longest is None else trunk >= _UNBENT * longest


def _in_frames(lengths: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """[bones, T] with NaN elsewhere; the same if nothing would be left."""
    chosen = np.where(frames, lengths, np.nan)
    return chosen if np.isfinite(chosen).any() else lengths


def _full_length(values: np.ndarray) -> float | None:
    """The percentile over the known ones; of one or two, the larger."""
    values = values[np.isfinite(values)]
    return float(_upper(values[:, None], _FULL_LENGTH)[0]) if len(values) else None


def _upper(values: np.ndarray, percentile: float) -> np.ndarray:
    """Percentile, 0..1, of the known ones of [K, T] in each column, rounded up to one of them; at least one is known."""
    rank = np.ceil(percentile * (np.isfinite(values).sum(0) - 1) - 1e-9).astype(int)
    return np.sort(values, axis=0)[rank, np.arange(values.shape[1])]  # NaN is sorted to the end


def _calibrated(lengths_px: dict[str, np.ndarray], fps: float) -> tuple[dict[str, float | None], np.ndarray]:
    """Shares of each limb, and heights in pixels [T]: each is measured with the other, starting from a grown person's."""
    shares: dict[str, float | None] = {name: LIMBS[name].share for name in lengths_px}
    height_px = np.ones(1)
    for _ in range(_ROUNDS):
        height_px = _heights_px(lengths_px, shares, fps)
        frames = _unbent(lengths_px["torso"][0])
        in_heights = {name: lengths / height_px for name, lengths in lengths_px.items()}
        in_heights |= {name: _in_frames(in_heights[name], frames) for name in _NEARER_WHEN_BENT}
        shares = {name: _full_length(lengths) for name, lengths in in_heights.items()}
        upright = [name for name in UPRIGHT if shares[name]] or [name for name in _SIZE_BY if shares[name]]
        if not upright:
            return shares, height_px
        scale = sum(LIMBS[name].share for name in upright) / sum(shares[name] for name in upright)
        shares = {name: None if share is None else share * scale for name, share in shares.items()}
        height_px = height_px / scale
    return shares, height_px


def _heights_px(lengths_px: dict[str, np.ndarray], shares: dict[str, float | None], fps: float) -> np.ndarray:
    """float64 [T], calm over time; frames in which nothing is known take the nearest ones' size, 1 if there is none."""
    said = np.concatenate([lengths_px[name] / (shares[name] or np.nan) for name in _SIZE_BY])
    known = np.flatnonzero(np.isfinite(said).any(0))
    if not len(known):
        return np.ones(said.shape[1])
    heights = np.interp(np.arange(said.shape[1]), known, _upper(said[:, known], _SIZE_PERCENTILE))
    return np.maximum(rolling_median(heights, round(_CALM_S * fps / 2)), 1e-3)


def _told_limb(limb: Limb, shares: dict[str, float | None], joints: np.ndarray, known: np.ndarray) -> Length:
    share = shares[limb.name]
    if share is None:
        return Length(limb.name, None, False, "not seen")
    if limb.name in _TOLD:
        told = share >= _TOLD[limb.name] * limb.share
        return Length(limb.name, share, told, "" if told else _WHY[limb.name])
    told = share >= _TOLD_LIMB * limb.share or _is_truly_short(limb, shares, joints, known)
    return Length(limb.name, share, told, "" if told else "bent or pointing at the camera")


def _is_truly_short(limb: Limb, shares: dict[str, float | None], joints: np.ndarray, known: np.ndarray) -> bool:
    """Whether a limb is short because the body is made so: its neighbour is as short, and both lie on one line."""
    other = LIMBS[_STRAIGHT[limb.name]]
    short, neighbour = shares[limb.name] / limb.share, (shares[other.name] or 0.0) / other.share
    alike = short / _ALIKE < neighbour < short * _ALIKE
    return short >= _TOLD_STRAIGHT and alike and _is_straight(limb, joints, known)


def _is_straight(limb: Limb, joints: np.ndarray, known: np.ndarray) -> bool:
    """Whether this limb and its neighbour lie on one line at some time: a bent one may point anywhere."""
    for bone, other in zip(limb.bones, LIMBS[_STRAIGHT[limb.name]].bones, strict=True):
        a, b, both = ends_of(bone, joints, known)
        c, d, others = ends_of(other, joints, known)
        along, beside = b - a, d - c
        lengths = np.linalg.norm(along, axis=-1) * np.linalg.norm(beside, axis=-1)
        cosine = (along * beside).sum(-1) / np.maximum(lengths, 1e-9)
        if (both & others & (cosine >= _STRAIGHT_COSINE)).mean() >= 0.1:
            return True
    return False


def _told_across(part: str, joints: np.ndarray, known: np.ndarray, height_px, frames: np.ndarray) -> list[Length]:
    shares = {}
    for limb in PARTS[part]:
        lengths = _lengths_px(limb, joints, known) / height_px
        shares[limb.name] = _full_length(_in_frames(lengths, frames) if part == "head" else lengths)
    largest = max((shares[limb.name] / limb.share for limb in PARTS[part] if shares[limb.name]), default=0.0)
    least = max(_TOLD_LIMB, _TOLD_ACROSS * largest) if part == "hands" else max(_TOLD_HEAD, _TOLD_ACROSS * largest)
    lengths = []
    for limb in PARTS[part]:
        share = shares[limb.name]
        told = share is not None and share >= least * limb.share
        why = "" if told else "not seen" if share is None else "turned away"
        lengths.append(Length(limb.name, share, told, why))
    return lengths
