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

from animateanywhere.background_blend import blend_share
from animateanywhere.conditioning import ConditionInputs
from animateanywhere.errors import InputError
from animateanywhere.pipeline import AnimateAnywherePipeline, load_pipeline
from trainer.beside import BESIDE, choose_beside
from trainer.evaluate_settings import EvaluateConfig
from trainer.held_out import HeldOutClip, condition_inputs
from trainer.metrics import psnr
from trainer.metrics.scoring import MetricSummary, Scoreboard, Scores
from trainer.metrics.table import choose_metrics
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
    num_inference_steps: int
    guidance_scale: float
    background_blend: float
    refined: bool
    prompted: bool
    prompt: str
    seconds_per_clip: float
    """Of making one video."""
    mean: dict[str, float]
    share_above_frozen: float
    metrics: tuple[MetricSummary, ...]
    clips: tuple[ClipScore, ...]


def evaluate(
    config: EvaluateConfig, output: Path, sheet: Path | None = None, weights: Mapping[str, str] | None = None
) -> Report:
    """Score a model and write `output` (json) and, if asked for, a contact sheet (png).

    `weights`: as in `load_networks`. Raises InputError.
    """
    for path in (output, sheet):
        if path is not None and not path.resolve().parent.is_dir():
            raise InputError(f"folder {path.resolve().parent} is missing: make it or choose another place")
    metrics, others = choose_metrics(config.metrics, weights or {}), choose_beside(config.beside)
    networks = load_networks(weights or {}, "cuda" if torch.cuda.is_available() else "cpu")
    board = Scoreboard(metrics, networks, tuple(row.name for row in others))
    pipeline = load_pipeline(config.model)
    scores, rows, seconds = [], [], 0.0
    for seed in split_seeds(config.split, 0, config.num_clips):
        held_out = HeldOutClip.render(seed, pipeline.model)
        prompt = held_out.clip.caption if config.prompted else config.prompt
        started = time.monotonic()
        person = held_out.person if pipeline.refines(config.refine) else None
        inputs = [condition_inputs(held_out.clip, pipeline.model, prompt, draw, person) for draw in range(config.seeds)]
        made = [_make(pipeline, one, config, draw) for draw, one in enumerate(inputs)]
        seconds += time.monotonic() - started
        beside = {row.name: row.make(held_out, pipeline, prompt) for row in others}
        scores.append(_score(held_out, prompt, made, beside, board))
        rows.append(sheet_row(inputs[0], held_out.video, made[0]))
        text = f"seed {seed}: {scores[-1].model:.2f} dB, frozen {scores[-1].frozen:.2f} dB"
        print(f"{len(scores)}/{config.num_clips} {text}")
    report = _report(pipeline, config, seconds / config.num_clips / config.seeds, board, scores)
    output.write_text(json.dumps(without_nan(asdict(report)), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    if sheet is not None:
        write_sheet(rows, sheet)
    return report


def _make(pipeline: AnimateAnywherePipeline, inputs: ConditionInputs, config: EvaluateConfig, seed: int) -> np.ndarray:
    return pipeline(
        inputs,
        num_inference_steps=config.num_inference_steps,
        guidance_scale=config.guidance_scale,
        background_blend=config.background_blend,
        refine=config.refine,
        seed=seed,
    )


def _report(
    pipeline: AnimateAnywherePipeline,
    config: EvaluateConfig,
    seconds: float,
    board: Scoreboard,
    scores: list[ClipScore],
) -> Report:
    model = pipeline.model
    numbers = [n for n, kind in ClipScore.__annotations__.items() if kind is float]
    told = {name: [v for s in scores if math.isfinite(v := getattr(s, name))] for name in numbers}
    return Report(
        model=model.name,
        split=config.split,
        num_clips=len(scores),
        seeds_per_clip=config.seeds,
        num_inference_steps=config.num_inference_steps or model.num_inference_steps,
        guidance_scale=model.guidance_scale if config.guidance_scale is None else config.guidance_scale,
        background_blend=blend_share(model, config.background_blend),
        refined=pipeline.refines(config.refine),
        prompted=config.prompted,
        prompt=config.prompt,
        seconds_per_clip=seconds,
        mean={name: round(float(np.mean(values)), 3) if values else math.nan for name, values in told.items()},
        share_above_frozen=float(np.mean([s.model > s.frozen for s in scores])),
        metrics=board.summary(),
        clips=tuple(scores),
    )


def without_nan(value):
    """JSON knows no NaN: what cannot be told is null."""
    if isinstance(value, dict):
        return {name: without_nan(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def metrics_table(report: Report) -> str:
    """The report's metrics as lines of text: the model beside the frozen background and the others."""
    name = Path(report.model).name or report.model
    others = [beside.name for beside in report.metrics[0].beside] if report.metrics else []
    width = max([12, *(len(m.name) for m in report.metrics)])
    lines = [f"{name} on {report.num_clips} {report.split} clips, means; frozen: the background picture repeated"]
    lines += [f"  {other}: {BESIDE[other].meaning}" for other in others]
    heads = " ".join(f"{head[:12]:>12}" for head in (name, "frozen", *others))
    lines.append(f"  {'metric':<{width}} {heads}  clips  better  unit, what is better, what it is")
    for m in report.metrics:
        better = "" if math.isnan(m.better_than_frozen) else f"{m.better_than_frozen:.0%}"
        means = (m.model, m.frozen, *(beside.mean for beside in m.beside))
        values = " ".join(f"{'cannot tell' if math.isnan(v) else format(v, '.4g'):>12}" for v in means)
        way = "higher" if m.higher_is_better else "lower"
        lines.append(f"  {m.name:<{width}} {values}  {m.num_clips:>5}  {better:>6}  {m.unit}, {way}: {m.meaning}")
    return "\n".join(lines)


def _score(
    held_out: HeldOutClip, prompt: str, made: list[np.ndarray], beside: dict[str, np.ndarray], board: Scoreboard
) -> ClipScore:
    truth, person, frozen = held_out.video, held_out.clip.human_mask.numpy(), held_out.frozen
    return ClipScore(
        seed=held_out.seed,
        caption=held_out.clip.caption,
        model=psnr(made[0], truth),
        frozen=psnr(frozen, truth),
        model_in_person=psnr(made[0], truth, person),
        frozen_in_person=psnr(frozen, truth, person),
        model_in_background=psnr(made[0], truth, ~person),
        frozen_in_background=psnr(frozen, truth, ~person),
        best_of_seeds=max(psnr(m, truth) for m in made),
        metrics=board.add(held_out.truth(prompt), made[0], frozen, beside),
    )


def sheet_row(inputs: ConditionInputs, truth: np.ndarray, made: np.ndarray) -> np.ndarray:
    """Person, background, pose, then true frames above generated ones."""
    last = len(made) - 1
    picks = [0, last // 3, 2 * last // 3, last]
    pose = inputs.pose_frames[last]
    top = np.concatenate([inputs.reference_image, pose, *truth[picks]], axis=1)
    bottom = np.concatenate([inputs.background_image, np.full_like(pose, 255), *made[picks]], axis=1)
    return np.concatenate([top, bottom], axis=0)


def write_sheet(rows: list[np.ndarray], path: Path) -> None:
    """Rows of pictures of any orientation, one above the other, twice their size. Raises InputError if it cannot write."""
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(r, ((2, 6), (0, width - r.shape[1]), (0, 0)), constant_values=255) for r in rows]
    sheet = np.concatenate(padded)
    enlarged = cv2.resize(sheet[..., ::-1], None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    write_bytes(path, cv2.imencode(path.suffix, enlarged)[1].tobytes())
