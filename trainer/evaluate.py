"""A model against the truth on stage-world clips that no training saw, beside the frozen background."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from animateanywhere.conditioning import ConditionInputs
from animateanywhere.errors import InputError
from animateanywhere.pipeline import AnimateAnywherePipeline, load_pipeline
from trainer.config import DataConfig
from trainer.dataset import TrainingClip, render_training_clip
from trainer.metrics import psnr
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
    clips: tuple[ClipScore, ...]


def evaluate(
    model: str, split: str, num_clips: int, output: Path, seeds: int, prompted: bool, sheet: Path | None
) -> Report:
    """Score `model` and write `output` (json) and, if asked for, a contact sheet (png). Raises InputError."""
    for path in (output, sheet):
        if path is not None and not path.resolve().parent.is_dir():
            raise InputError(f"folder {path.resolve().parent} is missing: make it or choose another place")
    pipeline = load_pipeline(model)
    scores, rows, started = [], [], time.monotonic()
    for seed in split_seeds(split, 0, num_clips):
        # Photographs depend on what is installed; without them the same clips come out on every machine.
        stage_clip = render_training_clip(seed, DataConfig(), pipeline.model, textures="procedural")
        clip = TrainingClip.from_stage(stage_clip)
        inputs = condition_inputs(clip, pipeline, prompted)
        made = [pipeline(inputs, seed=draw) for draw in range(seeds)]
        scores.append(_score(seed, clip, made))
        rows.append(_sheet_row(inputs, clip, made[0]))
        print(f"{len(scores)}/{num_clips} seed {seed}: {scores[-1].model:.2f} dB, frozen {scores[-1].frozen:.2f} dB")
    seconds = (time.monotonic() - started) / num_clips / seeds
    numbers = [n for n, kind in ClipScore.__annotations__.items() if kind is float]
    mean = {name: round(float(np.nanmean([getattr(s, name) for s in scores])), 3) for name in numbers}
    above = float(np.mean([s.model > s.frozen for s in scores]))
    report = Report(pipeline.model.name, split, num_clips, seeds, seconds, mean, above, tuple(scores))
    output.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")
    if sheet is not None:
        write_sheet(rows, sheet)
    return report


def condition_inputs(clip: TrainingClip, pipeline: AnimateAnywherePipeline, prompted: bool) -> ConditionInputs:
    """The clip's own person, background and pose as the model takes them, with its caption or without words."""
    pose = clip.pose_frames(pipeline.model.pose_style)
    return ConditionInputs(clip.reference.numpy(), clip.background.numpy(), pose, clip.caption if prompted else "")


def _score(seed: int, clip: TrainingClip, made: list[np.ndarray]) -> ClipScore:
    truth, person = clip.video.numpy(), clip.human_mask.numpy()
    frozen = np.broadcast_to(clip.background.numpy(), truth.shape)
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
    )


def _sheet_row(inputs: ConditionInputs, clip: TrainingClip, made: np.ndarray) -> np.ndarray:
    """Person, background, pose, then true frames above generated ones."""
    last = len(made) - 1
    picks = [0, last // 3, 2 * last // 3, last]
    pose = inputs.pose_frames[last]
    top = np.concatenate([inputs.reference_image, pose, *clip.video.numpy()[picks]], axis=1)
    bottom = np.concatenate([inputs.background_image, np.full_like(pose, 255), *made[picks]], axis=1)
    return np.concatenate([top, bottom], axis=0)


def write_sheet(rows: list[np.ndarray], path: Path) -> None:
    """Rows of pictures of any orientation, one above the other, twice their size."""
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(r, ((2, 6), (0, width - r.shape[1]), (0, 0)), constant_values=255) for r in rows]
    sheet = np.concatenate(padded)
    cv2.imwrite(str(path), cv2.resize(sheet[..., ::-1], None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))
