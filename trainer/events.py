"""What a run says, as lines of json that anybody can follow while it runs."""

import dataclasses
import errno
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class RunStarted:
    """A process takes the run up, anew or after a stop: what comes before it was said by another."""

    pid: int
    host: str


@dataclass(frozen=True)
class PhaseStarted:
    """A phase such as rendering, caching or a stage begins."""

    phase: str
    total: int


@dataclass(frozen=True)
class PhaseDone:
    """Rendering or caching is done; what an earlier process had made took no time."""

    phase: str
    total: int
    seconds: float


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
    memory_gb: float | None = None
    """GiB that the writing process holds: the most so far of its GPU, else of the machine now. None: an older run."""
    data_seconds: float | None = None
    """Of `seconds`, those in which the writing process built its batch and encoded backgrounds. None: an older run."""


@dataclass(frozen=True)
class StepSkipped:
    """A step that changed nothing, because its loss or its gradient was not a finite number."""

    stage: str
    step: int
    part: Literal["loss", "gradient"]
    in_a_row: int
    """Skipped steps up to this one without any between them that counted."""


@dataclass(frozen=True)
class SamplesMade:
    """Clips of the run's fixed inputs by the averaged weights, in samples/`folder`; their targets are in samples/targets.

    Means over the clips, PSNR in dB; None where it cannot be told. `frozen`: the background picture repeated.
    """

    stage: str
    step: int
    folder: str
    clips: tuple[str, ...]
    """Names: CLIP.mp4 is in the folder, its target samples/targets/CLIP.mp4."""
    held_out: bool
    """False: the dataset is too small to hold any clip out, these are trained on."""
    psnr: float
    frozen_psnr: float
    psnr_in_person: float | None
    frozen_psnr_in_person: float | None
    psnr_in_background: float | None
    frozen_psnr_in_background: float | None
    seconds: float
    attention_in_mask: float | None = None
    """Share of the fixed point's attention to one other frame that lies where geometry allows it, 0..1; None: this stage
    has no epipolar loss, or no clip's camera moves. Its picture is epipolar.png."""
    attention_suppressed: float | None = None
    """The same of the region that the epipolar loss suppresses."""


@dataclass(frozen=True)
class SamplesLeftOut:
    """Samples that were due and could not be made; training goes on."""

    stage: str
    step: int
    message: str


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


EVENTS = {
    cls.__name__: cls
    for cls in (
        RunStarted,
        PhaseStarted,
        PhaseDone,
        StepDone,
        StepSkipped,
        SamplesMade,
        SamplesLeftOut,
        ValidationDone,
        CheckpointSaved,
        RunFinished,
    )
}


class EventWriter:
    """Appends events to a file; a line is written whole or not at all (OSError: the disk is full)."""

    def __init__(self, path: Path):
        self._path = path
        _drop_torn_line(path)

    def write(self, event) -> None:
        line = (json.dumps({"event": type(event).__name__, **dataclasses.asdict(event)}) + "\n").encode()
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(handle).st_size
            if os.write(handle, line) < len(line):  # the last block of a disk takes only part of it
                os.ftruncate(handle, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        finally:
            os.close(handle)


class NoEvents:
    """For the processes of a run that do not write."""

    def write(self, event) -> None:
        """Nothing happens: the main process tells the same event."""


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
                yield _read_event(line)


class EventTail:
    """Reads the events of a run as they come. `new` costs what is new, however long the run is."""

    def __init__(self, path: Path):
        self._path = path
        self._offset = 0

    def new(self) -> list[object]:
        """Events that were not given yet, oldest first; a half-written last line is left for the next call.

        Raises EventsReplacedError if the file is not the one that was read before: it has become shorter.
        """
        if not self._path.exists():
            if self._offset:
                raise EventsReplacedError
            return []
        with open(self._path, "rb") as file:
            if file.seek(0, os.SEEK_END) < self._offset:
                raise EventsReplacedError
            file.seek(self._offset)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [_read_event(line) for line in whole.decode().splitlines()]


class EventsReplacedError(Exception):
    """Another run has taken the place of the one that was followed: it must be read from its beginning."""


def last_events(path: Path, most_bytes: int = 65536) -> list[object]:
    """The newest events of a run, oldest first: those in the last `most_bytes` of the file, however long it is."""
    if not path.exists():
        return []
    with open(path, "rb") as file:
        start = max(0, file.seek(0, os.SEEK_END) - most_bytes)
        file.seek(start)
        text = file.read()
    begin = text.find(b"\n") + 1 if start else 0  # neither a line cut at its start nor one still being written
    return [_read_event(line) for line in text[begin : text.rfind(b"\n") + 1].decode().splitlines()]


def _read_event(line: str) -> object:
    values = json.loads(line)
    kind = EVENTS[values.pop("event")]
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
