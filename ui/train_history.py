"""What a run has said so far, kept up to date line by line, and thinned for drawing. No Gradio.

Legend: `x` is the step counted over all stages of the run, so that curves of several stages lie side by side.
"""

import bisect
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from animateanywhere.errors import InputError
from trainer.config import TrainConfig
from trainer.estimate import Measured
from trainer.events import (
    CheckpointSaved,
    EventsReplacedError,
    EventTail,
    PhaseDone,
    PhaseStarted,
    RunFinished,
    RunStarted,
    SamplesLeftOut,
    SamplesMade,
    StepDone,
    StepSkipped,
    ValidationDone,
)
from trainer.run_folder import RunFolder

STEP_SERIES = (
    "latent",
    "perceptual",
    "epipolar",
    "learning_rate",
    "seconds",
    "data_seconds",
    "memory_gb",
    "suppressed_share",
    "grad_norm",
)
"""Fields of StepDone that are kept of every step."""
SMOOTHING = 0.95
"""Share of the smoothed value that each new one leaves in place."""
_BLOCK = 64
_RECENT_STEPS = 50
"""Over which the time of a step is told."""


@dataclass
class Series:
    """One curve: places, values, and the values' exponential mean, corrected for its beginning at zero."""

    xs: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    smooth: list[float] = field(default_factory=list)
    _mean: float = 0.0
    _lows: list[float] = field(default_factory=list)
    _highs: list[float] = field(default_factory=list)
    """Of every whole block of values: what a long stretch is asked for again and again."""

    def add(self, x: int, value: float) -> None:
        self.xs.append(x)
        self.values.append(value)
        self._mean = SMOOTHING * self._mean + (1 - SMOOTHING) * value
        self.smooth.append(self._mean / (1 - SMOOTHING ** len(self.values)))
        if len(self.values) % _BLOCK == 0:
            block = self.values[-_BLOCK:]
            self._lows.append(min(block))
            self._highs.append(max(block))

    def low(self, start: int, stop: int) -> float:
        """The least of the values from `start` to before `stop`."""
        return self._extreme(min, self._lows, start, stop)

    def high(self, start: int, stop: int) -> float:
        """The largest of them."""
        return self._extreme(max, self._highs, start, stop)

    def _extreme(self, of, blocks: list[float], start: int, stop: int) -> float:
        first, last = -(-start // _BLOCK), stop // _BLOCK
        if first >= last:
            return of(self.values[start:stop])
        ends = self.values[start : first * _BLOCK] + self.values[last * _BLOCK : stop]
        return of(blocks[first:last] + ends)

    def cut(self, x: int) -> None:
        """Forget what lies at `x` and later: it is done again."""
        keep = bisect.bisect_left(self.xs, x)
        if keep == len(self.xs):
            return
        values = self.values[:keep]
        xs = self.xs[:keep]
        self.xs, self.values, self.smooth, self._mean, self._lows, self._highs = [], [], [], 0.0, [], []
        for place, value in zip(xs, values, strict=True):
            self.add(place, value)


@dataclass(frozen=True)
class Thinned:
    """A curve as it is drawn: at most so many places, and what lies between them as its least and largest value."""

    xs: list[int]
    smooth: list[float]
    low: list[float]
    high: list[float]


def thinned(series: Series, first_x: int, most: int) -> Thinned:
    """The part of a curve from `first_x` on in at most `most` places; no value that stands out is lost."""
    start = bisect.bisect_left(series.xs, first_x)
    count = len(series.xs) - start
    edges = sorted({start + k * count // min(most, count) for k in range(min(most, count) + 1)}) if count else [start]
    spans = list(zip(edges, edges[1:], strict=False))
    return Thinned(
        xs=[series.xs[b - 1] for _, b in spans],
        smooth=[series.smooth[b - 1] for _, b in spans],
        low=[series.low(a, b) for a, b in spans],
        high=[series.high(a, b) for a, b in spans],
    )


class RunHistory:
    """Everything the page shows of one run's events. `refresh` costs what is new."""

    def __init__(self, folder: RunFolder):
        self._folder = folder
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._tail = EventTail(self._folder.events)
        self.series = {name: Series() for name in STEP_SERIES}
        self.held_out = Series()
        self.samples: list[SamplesMade] = []
        self.left_out: SamplesLeftOut | None = None
        self.checkpoints: dict[tuple[str, int], CheckpointSaved] = {}
        self.losses: dict[tuple[str, int], float] = {}
        self.skipped = 0
        self.phase: PhaseStarted | None = None
        self.prepared_s: dict[str, float] = {}
        self.finished: RunFinished | None = None
        self.last: StepDone | None = None
        self.count = 0
        self.config: TrainConfig | None = None

    def refresh(self) -> "RunHistory":
        """Read what is new."""
        with self._lock:
            try:
                events = self._tail.new()
            except EventsReplacedError:
                self._begin()
                events = self._tail.new()
            if events and self.config is None:
                self.config = read_settings(self._folder)
            for event in events:
                self._take(event)
            self.count += len(events)
        return self

    def _take(self, event: object) -> None:
        take = _TAKERS.get(type(event))
        if take is not None:
            take(self, event)

    def place(self, stage: str, step: int) -> int:
        """`x` of a stage's step."""
        before = 0
        for settings in self.config.stages if self.config else ():
            if settings.stage == stage:
                break
            before += settings.num_steps
        return before + step

    @property
    def num_steps(self) -> int:
        return sum(settings.num_steps for settings in self.config.stages) if self.config else 0

    @property
    def x(self) -> int:
        """The last finished step."""
        return self.place(self.last.stage, self.last.step) if self.last else 0

    def step_s(self) -> float | None:
        """Seconds of a typical step lately."""
        recent = self.series["seconds"].values[-_RECENT_STEPS:]
        return median(recent) if recent else None

    def data_share(self) -> float | None:
        """Of the time of the steps lately, 0..1: what building batches and encoding backgrounds took. None: an older run."""
        data = self.series["data_seconds"].values[-_RECENT_STEPS:]
        return sum(data) / sum(self.series["seconds"].values[-len(data) :]) if data else None

    def remaining_s(self) -> float | None:
        """Of the steps that are left, at the pace of late; None before the first."""
        step_s = self.step_s()
        return None if step_s is None else step_s * max(0, self.num_steps - self.x)

    def _take_start(self, event: RunStarted) -> None:
        self.finished, self.config = None, read_settings(self._folder)

    def _take_phase(self, event: PhaseStarted) -> None:
        self.phase = event

    def _take_phase_end(self, event: PhaseDone) -> None:
        self.prepared_s[event.phase] = self.prepared_s.get(event.phase, 0.0) + event.seconds

    def _take_step(self, event: StepDone) -> None:
        x = self.place(event.stage, event.step)
        again = self.last is not None and x <= self.x
        for name, series in self.series.items():
            if again:
                series.cut(x)
            value = getattr(event, name)
            if value is not None:
                series.add(x, value)
        self.last = event

    def _take_skip(self, event: StepSkipped) -> None:
        self.skipped += 1

    def _take_samples(self, event: SamplesMade) -> None:
        self.samples = [*(made for made in self.samples if made.folder != event.folder), event]
        self.left_out = None

    def _take_left_out(self, event: SamplesLeftOut) -> None:
        self.left_out = event

    def _take_validation(self, event: ValidationDone) -> None:
        x = self.place(event.stage, event.step)
        self.held_out.cut(x)
        self.held_out.add(x, event.loss)
        self.losses[event.stage, event.step] = event.loss

    def _take_checkpoint(self, event: CheckpointSaved) -> None:
        self.checkpoints[event.stage, event.step] = event

    def _take_end(self, event: RunFinished) -> None:
        self.finished = event


_TAKERS: dict[type, Callable[[RunHistory, object], None]] = {
    RunStarted: RunHistory._take_start,
    PhaseStarted: RunHistory._take_phase,
    PhaseDone: RunHistory._take_phase_end,
    StepDone: RunHistory._take_step,
    StepSkipped: RunHistory._take_skip,
    SamplesMade: RunHistory._take_samples,
    SamplesLeftOut: RunHistory._take_left_out,
    ValidationDone: RunHistory._take_validation,
    CheckpointSaved: RunHistory._take_checkpoint,
    RunFinished: RunHistory._take_end,
}


class Histories:
    """One history for each run, shared by all pages. Safe to use from any thread."""

    def __init__(self):
        self._held: dict[Path, RunHistory] = {}
        self._lock = threading.Lock()

    def of(self, folder: RunFolder) -> RunHistory:
        """Up to date."""
        with self._lock:
            history = self._held.setdefault(folder.path, RunHistory(folder))
        return history.refresh()

    def forget(self, folder: RunFolder) -> None:
        with self._lock:
            self._held.pop(folder.path, None)


def read_settings(folder: RunFolder) -> TrainConfig | None:
    """A run's settings; None as long as it has none that can be read."""
    for path in (folder.config, folder.asked):
        try:
            return TrainConfig.from_json(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, InputError, TypeError):
            continue
    return None


def measured(histories: list[RunHistory]) -> dict[tuple[str, str], Measured]:
    """What the last stage of each run took, by (architecture, stage); of several runs the last one given counts."""
    found = {}
    for history in histories:
        last, step_s = history.last, history.step_s()
        if last is None or step_s is None or history.config is None:
            continue
        settings = next((s for s in history.config.stages if s.stage == last.stage), None)
        if settings is not None:
            key = (history.config.architecture, last.stage)
            found[key] = Measured(step_s, settings.batch_size, last.memory_gb)
    return found
