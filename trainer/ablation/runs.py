"""One training of one row, and the numbers of its clips: each is done once and found again."""

import json
import math
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from animateanywhere.cancel import CancelToken
from animateanywhere.config import EpipolarConfig
from animateanywhere.errors import Cancelled, InputError
from animateanywhere.model_folder import read_info
from animateanywhere.pipeline import AnimateAnywherePipeline, load_pipeline
from trainer.ablation.settings import AblationConfig
from trainer.ablation.tables import Render, Row, train_config
from trainer.beside import BESIDE
from trainer.config import DataConfig, TrainConfig
from trainer.events import StepDone, ValidationDone, read_events
from trainer.failures import RecordedRun
from trainer.held_out import HeldOutClip, condition_inputs
from trainer.loop import Trainer
from trainer.metrics.scoring import Tally
from trainer.metrics.table import Comparison, Metric, choose_metrics
from trainer.metrics.weights import Networks
from trainer.prepare.records import write_text
from trainer.run_folder import RunFolder

SCORES = "scores.json"


@dataclass(frozen=True)
class Measured:
    """What one training of one row came to."""

    metrics: dict[str, list[float | None]]
    """By metric: a number per clip, in the clips' order; None where it cannot be told."""
    seconds_per_clip: float
    """Of making one video, the mean."""
    train_seconds: float
    """Of its steps; 0 where nothing is trained."""
    held_out_loss: tuple[float, float] | None = None
    """Loss of the validation clips before and after the training."""

    @classmethod
    def read(cls, path: Path) -> "Measured":
        """Raises InputError if the file is damaged."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"cannot read {path}: {error}; delete it and it will be made again") from error


def common_settings(config: AblationConfig, start: str, seed: int) -> TrainConfig:
    """What all rows of a table share in their training number `seed`."""
    info = read_info(Path(start))
    data = DataConfig(num_clips=config.train_clips, num_val_clips=config.val_clips, folder=config.data_folder)
    return TrainConfig(
        start_from=start,
        model=info.model,
        data=data,
        epipolar=EpipolarConfig(weight=config.epipolar_weight),
        perceptual_crop_px=min(TrainConfig.perceptual_crop_px, 2 * info.model.height // 3 // 8 * 8),
        seed=seed,
        save_every=max(config.steps, 1),
        keep_last=1,
        num_samples=0,
        num_threads=config.num_threads,
    )


def train_row(row: Row, config: AblationConfig, start: str, seed: int, folder: Path, stop: "Stop") -> RunFolder:
    """Train the row in `folder`, or go on with it. Raises Cancelled if it was stopped before its last step."""
    run = RunFolder(folder)
    settings = train_config(row, common_settings(config, start, seed), config.steps, config.batch_size)
    resumes = run.config.exists()
    run.create(resumes)
    with stop.asks(run), RecordedRun(run):
        Trainer(settings, run, resumes).train()
    done = [path.name for path in run.list_checkpoints()]
    if not done or not done[-1].endswith(f"-{config.steps:06d}"):
        raise Cancelled(f"stopped in {folder}; the same command goes on there")
    return run


class Stop:
    """A person's wish to end, passed on to the training that runs just then."""

    def __init__(self):
        self.token, self._run = CancelToken(), None

    def __call__(self) -> None:
        self.token.cancel()
        if self._run is not None:
            self._run.request_stop()

    def asks(self, run: RunFolder) -> "Stop":
        self._run = run
        return self

    def __enter__(self) -> None:
        self.token.raise_if_set()

    def __exit__(self, *error) -> None:
        self._run = None


def measure(
    clips: Iterable[HeldOutClip],
    make: Callable[[HeldOutClip], np.ndarray],
    metrics: tuple[Metric, ...],
    cancel: CancelToken,
) -> tuple[dict[str, list[float | None]], float]:
    """Numbers by metric, one per clip, and the mean seconds that making one took."""
    tally, found, seconds = Tally(metrics, Networks()), {metric.name: [] for metric in metrics}, []
    for clip in clips:
        cancel.raise_if_set()
        started = time.monotonic()
        made = make(clip)
        seconds.append(time.monotonic() - started)
        for name, value in tally.add(Comparison(made, clip.truth())).items():
            found[name].append(float(value) if math.isfinite(value) else None)
    return found, float(np.mean(seconds))


def measured_row(
    row: Row,
    config: AblationConfig,
    start: str,
    seed: int,
    folder: Path,
    clips: Iterable[HeldOutClip],
    stop: Stop,
) -> Measured:
    """Train and measure one row once; what is in `folder` already is not done again. Raises Cancelled, InputError."""
    kept = folder / SCORES
    if kept.exists():
        return Measured.read(kept)
    folder.mkdir(parents=True, exist_ok=True)
    metrics = tuple(metric for metric in choose_metrics(config.metrics) if isinstance(metric, Metric))
    run = train_row(row, config, start, seed, folder / "run", stop) if row.stage else None
    if row.beside:
        make = lambda clip: BESIDE[row.beside].make(clip, None, "")  # noqa: E731
    else:
        pipeline = load_pipeline(str(run.last / "pretrained_model") if run else start)
        make = _maker(pipeline, row.render, config, seed)
    numbers, seconds = measure(clips, make, metrics, stop.token)
    measured = Measured(numbers, seconds, 0.0)
    if run is not None:
        measured = replace(measured, **_told_by(run))
    write_text(kept, json.dumps(asdict(measured)) + "\n")
    if run is not None:
        shutil.rmtree(run.checkpoints)  # its settings and seeds make it again; hundreds of MB a row do not add up
    return measured


def _told_by(run: RunFolder) -> dict[str, object]:
    """How long the steps took, and the loss of the validation clips at both ends."""
    events = list(read_events(run.events))
    seconds = {event.step: event.seconds for event in events if isinstance(event, StepDone)}  # a step may come twice
    losses = [event.loss for event in events if isinstance(event, ValidationDone)]
    return {"train_seconds": sum(seconds.values()), "held_out_loss": (losses[0], losses[-1]) if losses else None}


def _maker(pipeline: AnimateAnywherePipeline, render: Render, config: AblationConfig, seed: int):
    steps = render.steps or config.render_steps
    guidance = render.guidance_scale if render.guidance_scale is not None else config.guidance_scale

    def make(clip: HeldOutClip) -> np.ndarray:
        inputs = condition_inputs(clip.clip, pipeline.model, seed=seed)
        # Rows differ in their networks: what is done to the clip after them would hide it.
        own = dict(background_blend=0.0, refine=False)
        return pipeline(inputs, num_inference_steps=steps, guidance_scale=guidance, seed=seed, **own)

    return make
