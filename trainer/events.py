"""What a run says, as lines of json that anybody can follow while it runs."""

import dataclasses
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PhaseStarted:
    """A phase such as rendering, caching or a stage begins."""

    phase: str
    total: int


@dataclass(frozen=True)
class StepDone:
    """One optimizer step."""

    stage: str
    step: int
    total: float
    latent: float
    grad_norm: float
    learning_rate: float
    seconds: float
    perceptual: float | None = None
    """Unweighted; None: not part of this stage, or no clip of the batch was at a low enough timestep."""
    epipolar: float | None = None
    """Unweighted; None: not part of this stage, or no clip of the batch has cameras."""
    suppressed_share: float | None = None
    """Share of the keys of other frames in the suppression region, 0..1."""
    degenerate_share: float | None = None
    """Share of pairs of a query and another frame about which the cameras say nothing, 0..1."""
    latent_grad_norm: float | None = None
    """Of the latent loss on the Background Motion Learner's weights; measured every `log_every` steps."""
    perceptual_grad_norm: float | None = None
    """Of the weighted perceptual loss on the same."""
    epipolar_grad_norm: float | None = None
    """Of the weighted epipolar loss on the same."""


@dataclass(frozen=True)
class ValidationDone:
    """The loss on held-out clips, always with the same noise; step 0 is before the stage's first step."""

    stage: str
    step: int
    loss: float
    num_clips: int


@dataclass(frozen=True)
class CheckpointSaved:
    stage: str
    step: int
    path: str


@dataclass(frozen=True)
class RunFinished:
    """The run ended: `done`, `stopped` (asked for) or `failed` with a message."""

    reason: str
    message: str = ""


EVENTS = {cls.__name__: cls for cls in (PhaseStarted, StepDone, ValidationDone, CheckpointSaved, RunFinished)}


class EventWriter:
    """Appends events to a file; a line is written whole or not at all."""

    def __init__(self, path: Path):
        self._path = path
        _drop_torn_line(path)

    def write(self, event) -> None:
        line = json.dumps({"event": type(event).__name__, **dataclasses.asdict(event)}) + "\n"
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)


class NoEvents:
    """For the processes of a run that do not write."""

    def write(self, event) -> None:
        pass


def _drop_torn_line(path: Path) -> None:
    """A killed run may have left half a line, which the next one would be glued to."""
    if path.exists():
        with open(path, "r+b") as file:
            whole = file.read().rfind(b"\n") + 1
            file.truncate(whole)


def read_events(path: Path) -> Iterator[object]:
    """Events of a run so far, oldest first; a half-written last line is left for the next reading.

    Steps that a killed run had done after its last checkpoint come again after the resumption, with the same values.
    """
    if not path.exists():
        return
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                values = json.loads(line)
                yield EVENTS[values.pop("event")](**values)
