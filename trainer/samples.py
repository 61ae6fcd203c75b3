"""Clips of the same few inputs, made now and then by the averaged weights: what a person looks at while a model trains.

Nothing here changes the training: weights come back bit for bit, and every random number has a generator of its own.
"""

import logging
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from animateanywhere.architectures import Components
from animateanywhere.cancel import CancelToken
from animateanywhere.conditioning import ConditionInputs, decode_latents, encode, encode_frames
from animateanywhere.epipolar_view import Readouts
from animateanywhere.errors import Cancelled
from animateanywhere.media import VideoFrames, write_video
from animateanywhere.pipeline import AnimateAnywherePipeline
from trainer.config import TrainConfig
from trainer.evaluate import sheet_row, write_sheet
from trainer.events import EventWriter, SamplesLeftOut, SamplesMade
from trainer.failures import LESS_MEMORY, MEMORY_ERRORS, free_memory, is_out_of_memory
from trainer.fixed_point import FixedPoint, choose_point, draw_attention, watched
from trainer.held_out import condition_inputs
from trainer.metrics import psnr
from trainer.optimizers import WeightAverage
from trainer.process_lock import give_sign
from trainer.run_folder import DRAFT, RunFolder, SampleScore, write_scores
from trainer.stages import Stage
from trainer.training_clip import TrainingClip

SEED = 0
"""Of every sample: what changes from step to step is the model alone."""
SCORES = ("psnr", "psnr_in_person", "psnr_in_background")

log = logging.getLogger("trainer")


@dataclass(frozen=True)
class FixedInputs:
    """What is sampled, the same through the whole run."""

    clips: tuple[Path, ...]
    held_out: bool
    point: FixedPoint | None
    """None: no clip's camera moves enough to say anything."""


def choose_inputs(
    held_out: list[Path], trained_on: list[Path], components: Components, config: TrainConfig
) -> FixedInputs:
    """`config.num_samples` clips spread evenly over those held out, or, where there are none, over those trained on."""
    paths = held_out or trained_on
    count = min(config.num_samples, len(paths))
    clips = tuple(paths[k * len(paths) // count] for k in range(count))
    return FixedInputs(clips, bool(held_out), choose_point(clips, components, config))


class Sampler:
    """When samples of one run are due, and their way into its folder."""

    def __init__(self, folder: RunFolder, config: TrainConfig, events: EventWriter, find: Callable[[], FixedInputs]):
        """`find` is called once, when the first samples are due."""
        self._folder, self._config, self._events, self._find = folder, config, events, find
        self._inputs: FixedInputs | None = None

    def is_due(self, step: int, num_steps: int) -> bool:
        """At a stage's beginning and end, every `sample_every` steps, and when asked for."""
        every = self._config.sample_every
        regular = every > 0 and (step % every == 0 or step == num_steps)
        return self._config.num_samples > 0 and (regular or self._folder.requested("sample"))

    def make(self, components: Components, average: WeightAverage, stage: Stage, stage_index: int, step: int) -> None:
        """Samples of the averaged weights after `step`. If there is no memory for them, that is said and training goes on."""
        pipeline = AnimateAnywherePipeline(**vars(components), model=self._config.model)
        final = self._folder.sample_set(stage_index, stage.name, step)
        trouble = None
        try:
            self._make(pipeline, average, stage, step, final)
        except MEMORY_ERRORS as error:
            if not is_out_of_memory(error):
                raise
            trouble = f"memory ran out: set sample_every to 0, or {LESS_MEMORY}"
        except Cancelled:
            trouble = "a stop was asked for"
        if trouble is not None:
            free_memory()  # here, where the error no longer holds what filled it
            log.warning("stage %s step %d: no samples, %s", stage.name, step, trouble)
            self._events.write(SamplesLeftOut(stage.name, step, trouble))
        self._folder.clear_request("sample")

    def _make(self, pipeline, average: WeightAverage, stage: Stage, step: int, final: Path) -> None:
        started = time.monotonic()
        self._inputs = self._inputs or self._find()
        draft = self._folder.samples / DRAFT
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            with average.applied():
                scores, seen = self._write(pipeline, stage, step, draft)
            self._folder.publish_samples(draft, final)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        event = SamplesMade(
            stage=stage.name,
            step=step,
            folder=final.name,
            clips=tuple(score.clip for score in scores),
            held_out=self._inputs.held_out,
            seconds=time.monotonic() - started,
            attention_in_mask=seen.inside_allowed if seen else None,
            attention_suppressed=seen.inside_suppressed if seen else None,
            **_means(scores),
        )
        self._events.write(event)
        words = "stage %s step %d: %d samples, %.2f dB (background repeated: %.2f dB), %.0f s"
        log.info(words, stage.name, step, len(scores), event.psnr, event.frozen_psnr, event.seconds)

    def _write(self, pipeline, stage: Stage, step: int, draft: Path) -> tuple[list[SampleScore], Readouts | None]:
        self._folder.targets.mkdir(exist_ok=True)
        point = self._inputs.point if "epipolar" in stage.losses and self._config.epipolar.mode != "off" else None
        scores, rows, seen = [], [], None
        for path in self._inputs.clips:
            clip = TrainingClip.load(path)
            target = self._folder.targets / f"{path.stem}.mp4"
            if not target.exists():
                write_video(VideoFrames(clip.video.numpy(), clip.fps), target)
            inputs = condition_inputs(clip, pipeline.model, clip.caption, SEED)
            here = point if point is not None and point.clip == path else None
            with watched(pipeline.transformer, here) as probe:
                frames = self._frames(pipeline, stage, clip, inputs)
            if here is not None:
                title = f"Stage {stage.name}, step {step}"
                seen = draw_attention(here, probe, frames, title, self._config.epipolar, draft / "epipolar.png")
            write_video(VideoFrames(frames, clip.fps), draft / target.name)
            scores.append(_score(path.stem, clip, frames))
            rows.append(sheet_row(inputs, clip.video.numpy(), frames))
        write_sheet(rows, draft / "sheet.jpg")
        write_scores(draft, scores)
        return scores, seen

    def _frames(self, pipeline, stage: Stage, clip: TrainingClip, inputs: ConditionInputs) -> np.ndarray:
        """uint8 [T, H, W, 3]: what the stage can make so far. The VAE gives the clip back; a base knows no person yet."""
        cancel = CancelToken()

        def on_progress(_) -> None:
            give_sign(self._folder.process)
            if self._folder.stop_requested():
                cancel.cancel()

        on_progress(None)
        cancel.raise_if_set()
        if stage.objective == "autoencode":
            return decode_latents(pipeline.vae, encode_frames(pipeline.vae, clip.video[None]))[0].numpy()
        conditions = encode(pipeline, inputs, pipeline.model)
        conditions = conditions.dropped(human=not stage.uses_reference, pose=not stage.uses_pose)
        steps = self._config.sample_steps
        return pipeline(conditions, num_inference_steps=steps, seed=SEED, on_progress=on_progress, cancel=cancel)


def _score(name: str, clip: TrainingClip, made: np.ndarray) -> SampleScore:
    truth, person = clip.video.numpy(), clip.human_mask.numpy()
    frozen = np.broadcast_to(clip.background.numpy(), truth.shape)
    values = {}
    for score, mask in zip(SCORES, (None, person, ~person), strict=True):
        for prefix, video in (("", made), ("frozen_", frozen)):
            value = psnr(video, truth, mask)
            values[prefix + score] = value if math.isfinite(value) else None
    return SampleScore(clip=name, caption=clip.caption, **values)


def _means(scores: list[SampleScore]) -> dict[str, float | None]:
    """By name, over the clips that have a number."""
    means = {}
    for name in (prefix + score for score in SCORES for prefix in ("", "frozen_")):
        told = [value for score in scores if (value := getattr(score, name)) is not None]
        means[name] = sum(told) / len(told) if told else None
    return means
