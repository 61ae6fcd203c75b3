"""From a pose file to the pose that a video is made of: found, repaired, aligned to the person, and looked over.

The command line, the page and the preview come through here.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from animateanywhere.cancel import CancelToken
from animateanywhere.config import PoseStyle
from animateanywhere.errors import InputError
from animateanywhere.pose.checkup import check_up, require_pose
from animateanywhere.pose.detector import PoseDetector, PoseInput, extract_pose
from animateanywhere.pose.figure import Figure
from animateanywhere.pose.findings import CheckUp
from animateanywhere.pose.neck import hanging, raise_head
from animateanywhere.pose.repairs import RepairStep, apply_repairs
from animateanywhere.pose.retarget import RetargetAccount, retarget
from animateanywhere.pose.sequence import PoseSequence

_TOLD_ELSEWHERE = ("too short", "few frames per second", "many frames per second", "several people")
"""Findings that a run says in its own words."""


@dataclass(frozen=True)
class PoseRequest:
    """One pose to find or read, and what to do with it."""

    source: Path
    """Video or picture with people in it, or pose json."""
    detector: str | PoseDetector = "mediapipe"
    fps: float | None = None
    """Frames per second to sample; None: the file's own."""
    repairs: tuple[RepairStep, ...] = ()
    """Done one after the other."""
    human: Path | None = None
    """Picture of the person whose proportions the pose takes over."""
    strength: float = 1.0
    """How far it does, 0 to 1."""


@dataclass(frozen=True, eq=False)
class PreparedPose:
    """A pose with everything done that was asked for."""

    sequence: PoseSequence
    checkup: CheckUp
    """Of person 0, after the repairs."""
    account: RetargetAccount | None
    """None: it was not aligned to anybody."""


def prepare_pose(
    request: PoseRequest,
    on_progress: Callable[[int, int], None] | None = None,
    cancel: CancelToken | None = None,
) -> PreparedPose:
    """Find or read, repair, align, look over. Raises InputError on unusable input, Cancelled once `cancel` is set."""
    if request.source.suffix.lower() == ".json":
        sequence = PoseSequence.from_json(request.source)
        sequence = sequence if request.fps is None else sequence.resampled(request.fps)
    else:
        sequence = extract_pose(
            request.source, detector=request.detector, fps=request.fps, on_progress=on_progress, cancel=cancel
        )
    sequence, account = apply_repairs(sequence, request.repairs), None
    if request.human is not None:
        require_pose(sequence, 0, request.source.name)
        skeleton = reference_skeleton(request.human, request.detector, cancel)
        aligned = retarget(sequence, skeleton, strength=request.strength)
        sequence, account = aligned.sequence, aligned.account
    return PreparedPose(sequence, check_up(sequence), account)


def reference_skeleton(
    human: Path, detector: str | PoseDetector = "mediapipe", cancel: CancelToken | None = None
) -> PoseSequence:
    """Joints of the largest person in a picture, one frame. Raises InputError if no body is found in it."""
    found = extract_pose(human, detector=detector, cancel=cancel)
    return replace(found.person(0), joints_px=found.joints_px[:1, :1], confidence=found.confidence[:1, :1])


def pose_for_person(
    pose: PoseInput,
    human: Path | PoseSequence,
    person: int,
    strength: float,
    style: PoseStyle,
    detector: str | PoseDetector = "mediapipe",
    cancel: CancelToken | None = None,
) -> tuple[PoseInput, tuple[str, ...]]:
    """A pose as its video gets it, and notes on what was done: heads raised that hang lower than a neck allows, and one person with
    the limb lengths of the person in a picture.

    `human`: the picture, or what `reference_skeleton` found in it.
    Where a model of this `style` is shown a drawing itself, the pose comes back as it is. At strength 0 it keeps its proportions;
    where no body is found in the picture, it does too, and the note says why. Raises InputError if there is no such person in
    the pose.
    """
    if pose.is_used_as_drawn(style):
        return pose, ("a drawn skeleton is not aligned to the person's proportions",) if strength else ()
    pose, notes = _with_head_raised(pose, person)
    if strength == 0:
        return pose, notes
    try:
        skeleton = human if isinstance(human, PoseSequence) else reference_skeleton(human, detector, cancel)
    except InputError as error:
        return pose, (*notes, f"the pose keeps its own proportions, the person's cannot be measured: {error}")
    aligned = retarget(pose.sequence, skeleton, person, strength)
    return replace(pose, sequence=aligned.sequence), (*notes, *aligned.account.lines())


def _with_head_raised(pose: PoseInput, person: int) -> tuple[PoseInput, tuple[str, ...]]:
    raised = raise_head(pose.sequence)
    if raised is pose.sequence:
        return pose, ()
    share = float(hanging(Figure.of(pose.sequence, person)).mean())
    note = f"the head is found lower than a neck allows in {share:.0%} of the frames, and raised"
    return replace(pose, sequence=raised), (note,) if share else ()


def notes_on(sequence: PoseSequence, person: int) -> tuple[str, ...]:
    """What a check-up finds wrong with the part of a pose that is used, as one sentence each.

    Raises InputError if the person is never seen in it.
    """
    require_pose(sequence, person, f"the pose's first {sequence.duration_s:.1f} s")
    findings = check_up(sequence, person).findings
    return tuple(f.sentence for f in findings if f.severity != "info" and f.kind not in _TOLD_ELSEWHERE)
