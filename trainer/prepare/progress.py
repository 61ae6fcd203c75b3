"""How far a run is, how fast, and how long it still takes."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

_QUIET_S = 2.0
"""Between two lines where nobody looks at a terminal."""
_REWRITE_S = 0.2


@dataclass(frozen=True)
class PrepareProgress:
    """A moment of a run."""

    doing: str
    done: int
    """Frames finished, those of earlier runs included."""
    total: int
    """Frames of all videos, by their headers."""
    frames_per_s: float
    """Of this run; 0 before the first."""
    remaining_s: float | None
    """None before it can be told."""

    def line(self) -> str:
        """Such as '120/960 frames, 4.1 frames/s, 3 min 25 s left: juggle.mp4'."""
        speed = f", {self.frames_per_s:.{1 if self.frames_per_s >= 1 else 2}f} frames/s" if self.frames_per_s else ""
        left = "" if self.remaining_s is None else f", {_duration(self.remaining_s)} left"
        return f"{self.done}/{self.total} frames{speed}{left}: {self.doing}"


class FrameMeter:
    """Counts frames through a run and reports."""

    def __init__(self, total: int, report: Callable[[PrepareProgress], None] | None, clock=time.monotonic):
        self.total = total
        self._report, self._clock = report, clock
        self._worked, self._skipped, self._started = 0.0, 0.0, clock()
        self.doing = ""

    def skip(self, frames: float) -> None:
        """Frames that an earlier run finished, or that need no work: they say nothing about this run's speed."""
        self._skipped += frames
        self._tell()

    def work(self, frames: float) -> None:
        """Frames, or parts of them, worked on now."""
        self._worked += frames
        self._tell()

    def _tell(self) -> None:
        if self._report is None:
            return
        elapsed = self._clock() - self._started
        speed = self._worked / elapsed if self._worked > 0 and elapsed > 0 else 0.0
        done = min(self.total, int(self._worked + self._skipped + 1e-6))
        remaining = (self.total - done) / speed if speed else None
        self._report(PrepareProgress(self.doing, done, self.total, speed, remaining))


class ProgressLine:
    """Progress on standard error: one line that rewrites itself on a terminal, elsewhere a line now and then."""

    def __init__(self):
        self._last = -float("inf")

    def __call__(self, progress: PrepareProgress) -> None:
        self._write(progress.line(), progress.done == progress.total)

    def encoded(self, done: int, total: int) -> None:
        """Such as '3/12 clips encoded'."""
        self._write(f"{done}/{total} clips encoded", done in (0, total))

    def _write(self, text: str, at_any_rate: bool) -> None:
        terminal = sys.stderr.isatty()
        now = time.monotonic()
        if not at_any_rate and now - self._last < (_REWRITE_S if terminal else _QUIET_S):
            return
        self._last = now
        sys.stderr.write(f"\r\033[K{text}" if terminal else f"{text}\n")
        sys.stderr.flush()

    def end(self) -> None:
        """Leave the rewritten line behind."""
        if sys.stderr.isatty() and self._last > -float("inf"):
            sys.stderr.write("\n")


def _duration(seconds: float) -> str:
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
