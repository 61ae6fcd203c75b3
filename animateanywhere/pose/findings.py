"""What a check-up says: findings with frames, severity, one sentence and the repairs that fit."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from animateanywhere.pose.others import PersonCard
from animateanywhere.pose.repairs import RepairStep
from animateanywhere.pose.tracks import runs_of

Severity = Literal["info", "warning", "error"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error")
"""Good to know; the video will look wrong there; there is no pose to follow."""

_BARS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Stretch:
    """Frames of a clip, both ends included."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True)
class Finding:
    """One thing that the check-up noticed."""

    kind: str
    """Name of the check's row, such as 'gap' or 'jitter'."""
    severity: Severity
    sentence: str
    """For a person; ends with a full stop."""
    stretches: tuple[Stretch, ...]
    """The frames it is about, in order; at least one."""
    repairs: tuple[RepairStep, ...] = ()
    """What would help, ready to be done, the best first."""

    @property
    def num_frames(self) -> int:
        return sum(len(stretch) for stretch in self.stretches)


@dataclass(frozen=True, eq=False)
class CheckUp:
    """What is known of one person's pose before anything is made of it."""

    person: int
    num_frames: int
    fps: float
    confidence: np.ndarray  # float32 [T], 0..1: mean over the body joints that the clip shows
    seen: np.ndarray  # bool [T]
    people_per_frame: np.ndarray  # int [T]
    people: tuple[PersonCard, ...]
    findings: tuple[Finding, ...]
    """The gravest first, then by time."""

    @property
    def severity(self) -> Severity | None:
        """That of the gravest finding; None if there is none."""
        return self.findings[0].severity if self.findings else None

    def marks(self) -> np.ndarray:
        """int8 [T]: the gravest finding of each frame, 0 none, 1 info, 2 warning, 3 error; whole-clip remarks left out."""
        marks = np.zeros(self.num_frames, np.int8)
        for finding in self.findings:
            if finding.num_frames < self.num_frames or finding.severity == "error":
                for stretch in finding.stretches:
                    part = marks[stretch.first : stretch.last + 1]
                    np.maximum(part, SEVERITIES.index(finding.severity) + 1, out=part)
        return marks

    def summary(self) -> str:
        """One line for a person."""
        count = {name: sum(f.severity == name for f in self.findings) for name in SEVERITIES}
        words = [
            f"{count[name]} {name}{'s' if count[name] > 1 and name != 'info' else ''}" for name in SEVERITIES[::-1]
        ]
        found = ", ".join(word for word in words if not word.startswith("0 ")) or "nothing to repair"
        return f"person {self.person}, {self.num_frames} frames, {self.num_frames / self.fps:.1f} s: {found}"

    def bars(self, width: int = 60) -> str:
        """Confidence over time as a line of at most `width` block characters; a blank where nobody is seen."""
        count = min(width, self.num_frames)
        parts = np.array_split(np.where(self.seen, self.confidence, 0), count)
        return "".join(_BARS[round(float(part.mean()) * (len(_BARS) - 1))] for part in parts)

    def lines(self) -> tuple[str, ...]:
        """The whole check-up as lines of text, repairs as the command line takes them."""
        rows = [self.summary(), f"confidence |{self.bars()}|"]
        for finding in self.findings:
            rows.append(f"{finding.severity}: {finding.sentence}")
            if finding.repairs:
                rows.append("    " + " or ".join(f"--repair {repair}" for repair in finding.repairs))
        return tuple(rows)


def stretches_of(flags: np.ndarray) -> tuple[Stretch, ...]:
    """Stretches of True in bool [T]."""
    return tuple(Stretch(run.start, run.stop - 1) for run in runs_of(flags))


def when(stretches: tuple[Stretch, ...], num_frames: int, fps: float) -> str:
    """'from 0.5 to 1.2 s', 'at 0.5 s and 2 more times', 'throughout'."""
    if sum(len(stretch) for stretch in stretches) == num_frames:
        return "throughout"
    first = stretches[0]
    start, end = first.first / fps, first.last / fps
    words = f"at {start:.1f} s" if f"{start:.1f}" == f"{end:.1f}" else f"from {start:.1f} to {end:.1f} s"
    others = len(stretches) - 1
    return words + (f" and {others} more time{'s' if others > 1 else ''}" if others else "")
