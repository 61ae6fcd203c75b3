"""Where the frames of a repaired pose come from: which picture of the video lies under each, and how it is turned.

Nobody has to tell the repairs about pictures: marks are sent through them as one more person, and come out where the
picture's corners went and at the time that each frame has now.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from animateanywhere.pose.repairs import RepairStep, apply_repairs
from animateanywhere.pose.sequence import NUM_JOINTS, PoseSequence

_CORNER, _RIGHT, _BELOW, _TIME = 0, 31, 50, 51
"""Nose, chin and two points of the bridge of the nose: joints that a mirror leaves their names. Too few of them are of
the body for anybody to be seen there, so no check looks at them."""


@dataclass(frozen=True, eq=False)
class SourceFrames:
    """For each of T frames, the frame it was before any repair, and the way from its pixels to the repaired pose's."""

    index: np.ndarray  # int [T]
    to_pose: np.ndarray  # float64 [2, 3]: x, y, 1 before -> x, y now


def repaired_with_source(sequence: PoseSequence, steps: Iterable[RepairStep]) -> tuple[PoseSequence, SourceFrames]:
    """`apply_repairs`, and where its frames come from. A `choose` among the steps must name a person it keeps.

    Between two frames the nearer one counts; in a crossfade the mean of both. Raises InputError as `apply_repairs` does.
    """
    marked = _with_marks(sequence)
    for step in steps:
        marked = _do(marked, step)
    points = marked.joints_px[:, -1].astype(np.float64)
    corner, right, below = (points[0, joint] for joint in (_CORNER, _RIGHT, _BELOW))
    width, height = sequence.image_size
    linear = np.stack([(right - corner) / width, (below - corner) / height], axis=-1)
    times = np.linalg.solve(linear, (points[:, _TIME] - corner).T)[0]
    index = np.clip(np.rint(times), 0, sequence.num_frames - 1).astype(int)
    repaired = replace(marked, joints_px=marked.joints_px[:, :-1], confidence=marked.confidence[:, :-1])
    return repaired, SourceFrames(index, np.column_stack([linear, corner]))


def _do(marked: PoseSequence, step: RepairStep) -> PoseSequence:
    """One step; people that it drops leave the marks behind."""
    if step.name != "choose":
        return apply_repairs(marked, [step])
    apply_repairs(replace(marked, joints_px=marked.joints_px[:, :-1], confidence=marked.confidence[:, :-1]), [step])
    kept = [step.parameters.person, marked.num_people - 1]
    return replace(marked, joints_px=marked.joints_px[:, kept], confidence=marked.confidence[:, kept])


def _with_marks(sequence: PoseSequence) -> PoseSequence:
    count = sequence.num_frames
    joints = np.zeros((count, 1, NUM_JOINTS, 2), np.float32)
    confidence = np.zeros((count, 1, NUM_JOINTS), np.float32)
    width, height = sequence.image_size
    joints[:, 0, _RIGHT], joints[:, 0, _BELOW] = (width, 0), (0, height)
    joints[:, 0, _TIME, 0] = np.arange(count)
    confidence[:, 0, [_CORNER, _RIGHT, _BELOW, _TIME]] = 1
    return replace(
        sequence,
        joints_px=np.concatenate([sequence.joints_px, joints], axis=1),
        confidence=np.concatenate([sequence.confidence, confidence], axis=1),
    )
