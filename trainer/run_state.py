"""How a run stands, from its folder alone: what a page or a person asks who did not start it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trainer.events import PhaseStarted, RunFinished, StepDone, StepSkipped, last_events
from trainer.process_lock import Holder, is_held, last_sign_s, read_holder
from trainer.run_folder import RunFolder

LOG_LINES = 20
_LOG_BYTES = 16384
_KILLED = (
    "the process was killed or its machine went down; --resume goes on from the last checkpoint. If nobody killed it, "
    "memory may have run out: see dmesg, and lower batch_size"
)


@dataclass(frozen=True)
class RunState:
    """How a run stands."""

    status: Literal["new", "running", "stopped", "failed", "finished", "dead"]
    """`new`: nothing has run yet. `dead`: it was running and its process is gone without a word."""
    message: str
    """What a failed or dead run needs, in one line; empty for others."""
    phase: str
    """Stage, or phase such as rendering, that it is in or ended in; empty before any."""
    step: int
    """Of the stage; 0 in other phases."""
    stopping: bool
    """It runs, and a stop was asked for."""
    holder: Holder | None
    """The process that runs it, or was killed."""
    silent_s: float | None
    """Seconds since a running process gave a sign of work; None if it does not run."""
    log_tail: tuple[str, ...]
    """Last lines of log.txt."""


def run_state(folder: RunFolder) -> RunState:
    """How the run in `folder` stands; takes milliseconds, whatever the run's length."""
    running = is_held(folder.process)
    events, holder = last_events(folder.events), read_holder(folder.process)
    status, message = _status(running, holder, events)
    phase, step = _position(events)
    return RunState(
        status=status,
        message=message,
        phase=phase,
        step=step,
        stopping=running and folder.stop_requested(),
        holder=holder,
        silent_s=last_sign_s(folder.process) if running else None,
        log_tail=log_tail(folder.log),
    )


def _position(events: list) -> tuple[str, int]:
    for event in reversed(events):
        if isinstance(event, PhaseStarted):
            return event.phase, 0
        if isinstance(event, StepDone | StepSkipped):
            return event.stage, event.step
    return "", 0


def _status(running: bool, holder: Holder | None, events: list) -> tuple[str, str]:
    if running:
        return "running", ""
    last = events[-1] if events else None
    if isinstance(last, RunFinished):
        return {"done": "finished", "stopped": "stopped", "failed": "failed"}[last.reason], last.message
    return ("dead", _KILLED) if holder is not None or events else ("new", "")


def log_tail(path: Path, lines: int = LOG_LINES) -> tuple[str, ...]:
    """The last lines of a text file, none if it is missing."""
    if not path.exists():
        return ()
    with open(path, "rb") as file:
        start = max(0, file.seek(0, os.SEEK_END) - _LOG_BYTES)
        file.seek(start)
        text = file.read().decode(errors="replace")
    return tuple(text.splitlines()[-lines:])
