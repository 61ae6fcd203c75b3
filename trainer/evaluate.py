"""A model against the truth on stage-world clips that no training saw, beside the frozen background."""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from animateanywhere.conditioning import ConditionInputs
from animateanywhere.config import PoseStyle
from animateanywhere.errors import InputError
from animateanywhere.geometry.cameras import CameraPath
from animateanywhere.pipeline import load_pipeline
from trainer.config import DataConfig
from trainer.dataset import TrainingClip, render_training_clip
from trainer.metrics import psnr
from trainer.metrics.scoring import MetricSummary, Scoreboard, Scores
from trainer.metrics.table import Truth, choose_metrics
from trainer.metrics.weights import load_networks
from trainer.prepare.records import write_bytes
from trainer.stage_world.seeds import split_seeds


@dataclass(frozen=True)
class ClipScore:
    """PSNR in dB of one clip over the whole frame, inside and outside the person; `frozen`: first background repeated."""

    seed: int
    caption: str
    model: float
    frozen: float
    model_in_person: float
    frozen_in_person: float
    model_in_background: float
    frozen_in_background: float
    best_of_seeds: float
    metrics: dict[str, Scores]
    """Every measured metric by its name."""


@dataclass(frozen=True)
class Report:
    """Scores of a model on a split; means over clips."""

    model: str
    split: str
    num_clips: int
    seeds_per_clip: int
    seconds_per_clip: float
    mean: dict[str, float]
    share_above_frozen: float
    metrics: tuple[MetricSummary, ...]
    clips: tuple[ClipScore, ...]


def evaluate(
    model: str,
    split: str,
    num_clips: int,
    output: Path,
    seeds: int,
    prompted: bool,
    sheet: Path | None,
    metrics: str | None = None,
    weights: Mapping[str, str] | None = None,
) -> Report:
    """Score `model` and write `output` (json) and, if asked for, a contact sheet (png).

    `metrics`: as in `choose_metrics`; `weights`: as in `load_networks`. Raises InputError.
    """
    for path in (output, sheet):
        if path is not None and not path.resolve().parent.is_dir():
            raise InputError(f"folder {path.resolve().parent} is missing: make it or choose another place")
    rows_of_table = choose_metrics(metrics, weights or {})
    board = Scoreboard(rows_of_table, load_networks(weights or {}, "cuda" if torch.cuda.is_available() else "cpu"))
    pipeline = load_pipeline(model)
    scores, rows, started = [], [], time.monotonic()
    for seed in split_seeds(split, 0, num_clips):
        # Photographs depend on what is installed; without them the same clips come out on every machine.
        stage_clip = render_training_clip(seed, DataConfig(), pipeline.model, textures="procedural")
        clip = TrainingClip.from_stage(stage_clip)
        inputs = condition_inputs(clip, pipeline.model.pose_style, prompted)
        made = [pipeline(inputs, seed=draw) for draw in range(seeds)]
        scores.append(_score(seed, clip, made, board))
        rows.append(sheet_row(inputs, clip, made[0]))
        print(f"{len(scores)}/{num_clips} seed {seed}: {scores[-1].model:.2f} dB, frozen {scores[-1].frozen:.2f} dB")
    seconds = (time.monotonic() - started) / num_clips / seeds
    report = _report(pipeline.model.name, split, seeds, seconds, board, scores)
    output.write_text(json.dumps(_without_nan(asdict(report)), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    if sheet is not None:
        write_sheet(rows, sheet)
    return report


def _report(model: str, split: str, seeds: int, seconds: float, board: Scoreboard, scores: list[ClipScore]) -> Report:
    numbers = [n for n, kind in ClipScore.__annotations__.items() if kind is float]
    told = {name: [v for s in scores if math.isfinite(v := getattr(s, name))] for name in numbers}
    mean = {name: round(float(np.mean(values)), 3) if values else math.nan for name, values in told.items()}
    above = float(np.mean([s.model > s.frozen for s in scores]))
    return Report(model, split, len(scores), seeds, seconds, mean, above, board.summary(), tuple(scores))


def _without_nan(value):
    """JSON knows no NaN: what cannot be told is null."""
    if isinstance(value, dict):
        return {name: _without_nan(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def metrics_table(report: Report) -> str:
    """The report's metrics as lines of text: the model beside the frozen background."""
    name = Path(report.model).name or report.model
    width = max([12, *(len(m.name) for m in report.metrics)])
    lines = [
        f"{name} on {report.num_clips} {report.split} clips, means; frozen: the background picture repeated",
        f"  {'metric':<{width}} {name[:12]:>12} {'frozen':>12}  clips  better  unit, what is better, what it is",
    ]
    for m in report.metrics:
        better = "" if math.isnan(m.better_than_frozen) else f"{m.better_than_frozen:.0%}"
        values = " ".join(f"{'cannot tell' if math.isnan(v) else format(v, '.4g'):>12}" for v in (m.model, m.frozen))
        way = "higher" if m.higher_is_better else "lower"
        lines.append(f"  {m.name:<{width}} {values}  {m.num_clips:>5}  {better:>6}  {m.unit}, {way}: {m.meaning}")
    return "\n".join(lines)


def condition_inputs(clip: TrainingClip, style: PoseStyle, prompted: bool) -> ConditionInputs:
    """The clip's own person, background and pose as the model takes them, with its caption or without words."""
    pose = clip.pose_frames(style)
    return ConditionInputs(clip.reference.numpy(), clip.background.numpy(), pose, clip.caption if prompted else "")


def _score(seed: int, clip: TrainingClip, made: list[np.ndarray], board: Scoreboard) -> ClipScore:
    truth, person = clip.video.numpy(), clip.human_mask.numpy()
    frozen = np.ascontiguousarray(np.broadcast_to(clip.background.numpy(), truth.shape))
    return ClipScore(
        seed=seed,
        caption=clip.caption,
        model=psnr(made[0], truth),
        frozen=psnr(frozen, truth),
        model_in_person=psnr(made[0], truth, person),
        frozen_in_person=psnr(frozen, truth, person),
        model_in_background=psnr(made[0], truth, ~person),
        frozen_in_background=psnr(frozen, truth, ~person),
        best_of_seeds=max(psnr(m, truth) for m in made),
        metrics=board.add(Truth(truth, person, _cameras(clip)), made[0], frozen),
    )


def _cameras(clip: TrainingClip) -> CameraPath | None:
    if clip.camera_confidence <= 0:
        return None
    height, width = clip.background.shape[:2]
    return CameraPath(clip.intrinsics_px.numpy(), clip.camera_from_world.numpy(), (width, height), clip.fps)


def sheet_row(inputs: ConditionInputs, clip: TrainingClip, made: np.ndarray) -> np.ndarray:
    """Person, background, pose, then true frames above generated ones."""
    last = len(made) - 1
    picks = [0, last // 3, 2 * last // 3, last]
    pose = inputs.pose_frames[last]
    top = np.concatenate([inputs.reference_image, pose, *clip.video.numpy()[picks]], axis=1)
    bottom = np.concatenate([inputs.background_image, np.full_like(pose, 255), *made[picks]], axis=1)
    return np.concatenate([top, bottom], axis=0)


def write_sheet(rows: list[np.ndarray], path: Path) -> None:
    """Rows of pictures of any orientation, one above the other, twice their size. Raises InputError if it cannot write."""
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(r, ((2, 6), (0, width - r.shape[1]), (0, 0)), constant_values=255) for r in rows]
    sheet = np.concatenate(padded)
    enlarged = cv2.resize(sheet[..., ::-1], None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    write_bytes(path, cv2.imencode(path.suffix, enlarged)[1].tobytes())
