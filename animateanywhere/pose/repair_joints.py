"""Repairs that move joints: close gaps, drop what jumps, smooth, turn, crop."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from animateanywhere.errors import InputError
from animateanywhere.pose.faults import joint_jumps
from animateanywhere.pose.figure import Figure
from animateanywhere.pose.proportions import measure
from animateanywhere.pose.sequence import LEFT_HAND, RIGHT_HAND, SEEN_CONFIDENCE, PoseSequence
from animateanywhere.pose.skeleton import WRISTS
from animateanywhere.pose.smoothing import filter_known, one_euro, savitzky_golay
from animateanywhere.pose.tracks import runs_of

INTERPOLATED_CONFIDENCE = 0.5
"""A joint that was put between two found ones is never surer than this."""


@dataclass(frozen=True)
class Interpolate:
    """Close short gaps: a joint that is lost for a moment moves evenly between where it was and where it is found again."""

    longest_s: float = 0.5
    """Longer gaps stay open, in seconds."""


def interpolate(sequence: PoseSequence, given: Interpolate) -> PoseSequence:
    """Closed gaps get the lower confidence of both ends, at most 0.5: drawn, but known to be no find.

    Raises InputError on a negative length.
    """
    if not 0 <= given.longest_s <= 3600:
        raise InputError(f"interpolate gaps of {given.longest_s:g} s: expected 0 s or more")
    longest = int(given.longest_s * sequence.fps + 1e-6)
    joints, confidence = sequence.joints_px.copy(), sequence.confidence.copy()
    known = confidence >= SEEN_CONFIDENCE
    for person, joint in np.argwhere(~known.all(0) & known.any(0)):
        for gap in runs_of(~known[:, person, joint]):
            before, after = gap.start - 1, gap.stop
            if before < 0 or after >= len(known) or len(gap) > longest:
                continue
            share = ((np.arange(len(gap)) + 1) / (len(gap) + 1)).astype(np.float32)[:, None]
            ends = joints[[before, after], person, joint]
            joints[gap.start : gap.stop, person, joint] = ends[0] * (1 - share) + ends[1] * share
            lower = confidence[[before, after], person, joint].min()
            confidence[gap.start : gap.stop, person, joint] = min(lower, INTERPOLATED_CONFIDENCE)
    return replace(sequence, joints_px=joints, confidence=confidence)


@dataclass(frozen=True)
class DropJumps:
    """Forget joints that are somewhere else for a frame or two; interpolate closes the gaps."""


def drop_jumps(sequence: PoseSequence, given: DropJumps) -> PoseSequence:
    """A hand goes with its wrist. What is dropped has confidence 0."""
    joints, confidence = sequence.joints_px.copy(), sequence.confidence.copy()
    for person in range(sequence.num_people):
        if not sequence.seen()[:, person].any():
            continue
        dropped = np.zeros(confidence[:, person].shape, bool)
        dropped[:, :17] = joint_jumps(Figure.of(sequence, person))
        for wrist, hand in zip(WRISTS, (LEFT_HAND, RIGHT_HAND), strict=True):
            dropped[:, hand] = dropped[:, [wrist]]
        confidence[:, person][dropped] = 0
        joints[:, person][dropped] = 0
    return replace(sequence, joints_px=joints, confidence=confidence)


@dataclass(frozen=True)
class Smooth:
    """Take out trembling."""

    method: Literal["savitzky-golay", "one-euro"] = "savitzky-golay"
    """Savitzky-Golay keeps turns and speeds; One-Euro holds still joints stiller and is better below 12 frames a second."""
    cutoff_hz: float = 1.5
    """One-Euro: how fast a slow joint may tremble, 0.05 to 50; lower is calmer."""
    speed_factor: float = 8.0
    """One-Euro: Hertz more per standing height a second, 0 to 100; higher follows fast movements closer."""
    window_s: float = 0.4
    """Savitzky-Golay: seconds that one parabola spans, 0.05 to 5; longer is calmer."""


def smooth(sequence: PoseSequence, given: Smooth) -> PoseSequence:
    """Gaps stay gaps, confidences stay as they are. Raises InputError on a value out of range."""
    ranges = {"cutoff_hz": (0.05, 50), "speed_factor": (0, 100), "window_s": (0.05, 5)}
    for name, (low, high) in ranges.items():
        if not low <= getattr(given, name) <= high:
            raise InputError(f"smooth {name} {getattr(given, name):g}: expected {low:g} to {high:g}")
    fps = sequence.fps
    chosen = (
        one_euro(fps, given.cutoff_hz, given.speed_factor)
        if given.method == "one-euro"
        else savitzky_golay(fps, given.window_s)
    )
    joints, known = sequence.joints_px.copy(), sequence.confidence >= SEEN_CONFIDENCE
    for person in range(sequence.num_people):
        if known[:, person].any():
            height = float(np.median(measure(sequence, person).height_px))
            in_heights = sequence.joints_px[:, person].astype(np.float64) / height
            smoothed = filter_known(in_heights, known[:, person], chosen) * height
            joints[:, person] = np.where(known[:, person, :, None], smoothed, joints[:, person])
    return replace(sequence, joints_px=joints)


@dataclass(frozen=True)
class Turn:
    """Turn the picture: for videos that were filmed with the phone the wrong way round."""

    degrees: Literal["90", "180", "270"] = "180"
    """Clockwise."""


def turn(sequence: PoseSequence, given: Turn) -> PoseSequence:
    """A turn by 90 or 270 degrees exchanges the picture's width and height."""
    width, height = sequence.image_size
    x, y = sequence.joints_px[..., 0], sequence.joints_px[..., 1]
    turned, size = {
        "90": ((height - y, x), (height, width)),
        "180": ((width - x, height - y), (width, height)),
        "270": ((y, width - x), (height, width)),
    }[given.degrees]
    joints = np.where(sequence.confidence[..., None] > 0, np.stack(turned, axis=-1), 0)
    return replace(sequence, joints_px=joints, image_size=size)


@dataclass(frozen=True)
class Crop:
    """Crop the picture to one person's whole way through it, so that a tiny person becomes a large one."""

    person: int = 0
    """Who fills the picture."""
    room: float = 0.15
    """Free room on every side, of the cropped height or width, 0 to 1."""


def crop(sequence: PoseSequence, given: Crop) -> PoseSequence:
    """The picture keeps its proportions. Raises InputError if there is no such person or the person is never seen."""
    if not 0 <= given.room <= 1:
        raise InputError(f"crop room {given.room:g}: expected 0 to 1")
    one = sequence.person(given.person)
    known = (one.confidence[:, 0] >= SEEN_CONFIDENCE) & one.seen()
    if not known.any():
        raise InputError(f"crop: person {given.person} is never seen, choose another one")
    points = one.joints_px[:, 0][known].astype(np.float64)
    low, high = points.min(0), points.max(0)
    size = np.array(sequence.image_size, np.float64)
    share = float(((high - low) * (1 + 2 * given.room) / size).max())
    share = min(1.0, max(share, 16 / size.min()))
    wanted = np.maximum(np.rint(size * share), 1)
    corner = np.clip((low + high - wanted) / 2, 0, size - wanted)
    joints = np.where(sequence.confidence[..., None] > 0, sequence.joints_px - corner.astype(np.float32), 0)
    return replace(sequence, joints_px=joints, image_size=(int(wanted[0]), int(wanted[1])))
