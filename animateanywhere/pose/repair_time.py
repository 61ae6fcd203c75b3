"""Repairs that change when things happen: trim, speed, frame rate, loop."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from animateanywhere.errors import InputError
from animateanywhere.pose.sequence import PoseSequence

LONGEST_FRAMES = 100_000
"""A repair that would make more frames is refused: its result would not fit into memory."""


@dataclass(frozen=True)
class Trim:
    """Keep a stretch of the clip."""

    first_frame: int = 0
    """The first frame to keep, from 0."""
    last_frame: int | None = None
    """The last frame to keep (the clip's last if left empty)."""


def trim(sequence: PoseSequence, given: Trim) -> PoseSequence:
    """Raises InputError unless 0 <= first <= last < number of frames."""
    last = sequence.num_frames - 1 if given.last_frame is None else given.last_frame
    if not 0 <= given.first_frame <= last < sequence.num_frames:
        raise InputError(
            f"trim to frames {given.first_frame} to {last}: the pose has frames 0 to {sequence.num_frames - 1}, "
            "and the first must not come after the last"
        )
    kept = slice(given.first_frame, last + 1)
    return replace(sequence, joints_px=sequence.joints_px[kept], confidence=sequence.confidence[kept])


@dataclass(frozen=True)
class Speed:
    """Make the movement faster or slower; the frame rate stays."""

    factor: float = 2.0
    """2 is twice as fast and half as long, 0.5 half as fast and twice as long; 0.05 to 20."""


def speed(sequence: PoseSequence, given: Speed) -> PoseSequence:
    """Raises InputError on a factor out of range, or if the result would be too long."""
    if not 0.05 <= given.factor <= 20:
        raise InputError(f"speed {given.factor:g}: expected a factor from 0.05 to 20")
    rate = sequence.fps / given.factor
    _check_length(sequence.num_frames_at(rate))
    return replace(sequence.resampled(rate), fps=sequence.fps)


@dataclass(frozen=True)
class Resample:
    """Change the frame rate; the movement takes as long as before."""

    fps: float = 30.0
    """Frames per second, 1 to 240."""


def resample(sequence: PoseSequence, given: Resample) -> PoseSequence:
    """Raises InputError on a rate out of range, or if the result would be too long."""
    if not 1 <= given.fps <= 240:
        raise InputError(f"resample to {given.fps:g} frames per second: expected 1 to 240")
    _check_length(sequence.num_frames_at(given.fps))
    return sequence.resampled(given.fps)


@dataclass(frozen=True)
class Loop:
    """Play the clip again and again."""

    method: Literal["pingpong", "crossfade"] = "pingpong"
    """Forwards and backwards in turn; or always forwards, the end fading into the beginning."""
    times: int = 2
    """How often the clip is played, 2 to 100; forwards and backwards count as two."""
    fade_s: float = 0.4
    """Seconds that the crossfade takes; fits movements that end about as they began, in the same place."""


def loop(sequence: PoseSequence, given: Loop) -> PoseSequence:
    """Raises InputError on a clip of one frame, a number of times out of range, or a fade longer than half the clip."""
    count = sequence.num_frames
    if count < 2:
        raise InputError("loop: the pose has 1 frame, expected at least 2: a still person needs no loop")
    if not 2 <= given.times <= 100:
        raise InputError(f"loop {given.times} times: expected 2 to 100")
    _check_length(count * given.times)
    if given.method == "pingpong":
        there, back = np.arange(count), np.arange(count - 2, -1, -1)
        turns = [there, *(back if turn % 2 else there[1:] for turn in range(1, given.times))]
        order = np.concatenate(turns)
        return replace(sequence, joints_px=sequence.joints_px[order], confidence=sequence.confidence[order])
    return _crossfaded(sequence, given)


def _crossfaded(sequence: PoseSequence, given: Loop) -> PoseSequence:
    fade = max(1, round(given.fade_s * sequence.fps))
    if given.fade_s < 0 or 2 * fade > sequence.num_frames:
        longest = sequence.num_frames // 2 / sequence.fps
        raise InputError(f"loop with a crossfade of {given.fade_s:g} s: expected 0 to {longest:.2g} s, half the clip")
    share = ((np.arange(fade) + 1) / (fade + 1)).astype(np.float32)[:, None, None]
    joints, confidence = sequence.joints_px, sequence.confidence
    ending, beginning = slice(-fade, None), slice(0, fade)
    both = (confidence[ending] > 0) & (confidence[beginning] > 0)
    weight = np.where(both, share, confidence[beginning] > 0).astype(np.float32)  # known in one only: that one
    seam_joints = joints[ending] * (1 - weight[..., None]) + joints[beginning] * weight[..., None]
    lower = np.minimum(confidence[ending], confidence[beginning])
    seam = np.where(both, lower, confidence[ending] * (1 - weight) + confidence[beginning] * weight)
    middle = slice(fade, -fade) if 2 * fade < sequence.num_frames else slice(0, 0)
    head = [joints[beginning], joints[middle]], [confidence[beginning], confidence[middle]]
    again = [seam_joints, joints[middle]], [seam, confidence[middle]]
    tail = [joints[ending]], [confidence[ending]]
    parts = [head, *[again] * (given.times - 1), tail]
    return replace(
        sequence,
        joints_px=np.concatenate([piece for part in parts for piece in part[0]]),
        confidence=np.concatenate([piece for part in parts for piece in part[1]]),
    )


def _check_length(frames: int) -> None:
    if frames > LONGEST_FRAMES:
        raise InputError(f"the pose would have {frames} frames, expected at most {LONGEST_FRAMES}: trim it first")
