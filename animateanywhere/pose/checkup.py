"""Whether a pose can be followed, before anything is made of it: who is seen how well, what is wrong, what helps."""

import numpy as np

from animateanywhere.errors import InputError
from animateanywhere.pose.checks import CHECKS, Clip
from animateanywhere.pose.figure import Figure
from animateanywhere.pose.findings import SEVERITIES, CheckUp
from animateanywhere.pose.others import person_cards
from animateanywhere.pose.sequence import BODY, SEEN_CONFIDENCE, PoseSequence

_SHOWN_SHARE = 0.1
"""Of the frames with the person: a joint seen in fewer belongs to a limb that the clip does not show."""


def check_up(sequence: PoseSequence, person: int = 0) -> CheckUp:
    """Look for everything that goes wrong with poses. Other people in the sequence are looked at, too.

    A pure function of the joints; 48 frames take some ten milliseconds. Raises InputError if there is no such person.
    """
    clip = Clip(sequence, person, Figure.of(sequence, person), person_cards(sequence))
    found = [finding for check in CHECKS if (finding := check(clip)) is not None]
    found.sort(key=lambda finding: (-SEVERITIES.index(finding.severity), finding.stretches[0].first))
    return CheckUp(
        person=person,
        num_frames=sequence.num_frames,
        fps=sequence.fps,
        confidence=_confidence(clip.figure),
        seen=clip.figure.seen.copy(),
        people_per_frame=sequence.seen().sum(1),
        people=clip.people,
        findings=tuple(found),
    )


def require_pose(sequence: PoseSequence, person: int = 0, name: str = "the pose") -> None:
    """Raises InputError with the reason and a way out if no frame shows this person's body: it would be drawn black."""
    if sequence.person(person).seen().any():
        return
    gravest = [finding for finding in check_up(sequence, person).findings if finding.severity == "error"]
    reason = gravest[0].sentence if gravest else "No body is seen in any frame; give a video that shows a person."
    raise InputError(f"{name}: {reason[0].lower()}{reason[1:].rstrip('.')}")


def _confidence(figure: Figure) -> np.ndarray:
    """float32 [T]: mean over the body joints that the clip shows; 0 where the person is not seen."""
    known = figure.confidence[:, BODY] >= SEEN_CONFIDENCE
    shown = known[figure.seen].mean(0) >= _SHOWN_SHARE if figure.seen.any() else np.zeros(17, bool)
    if not shown.any():
        return np.zeros(figure.num_frames, np.float32)
    return np.where(figure.seen, figure.confidence[:, BODY][:, shown].mean(1), 0).astype(np.float32)
