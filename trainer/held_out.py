"""Stage-world clips that no training saw, with all that a model is asked and all that its answer is held against."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from animateanywhere.conditioning import ConditionInputs
from animateanywhere.config import ModelConfig
from animateanywhere.errors import InputError
from animateanywhere.filmed_background import filmed_background
from animateanywhere.geometry.cameras import CameraPath
from animateanywhere.moved_person import moved_person
from animateanywhere.pose.sequence import PoseSequence
from trainer.config import DataConfig
from trainer.dataset import clip_size, render_training_clip, render_training_person
from trainer.metrics.table import Truth
from trainer.stage_world.reference import ReferencePicture
from trainer.stage_world.seeds import split_seeds
from trainer.stage_world.take import film, plan_take
from trainer.training_clip import TrainingClip, read_tensors, write_whole

_DEPTH = "background_depth"


@dataclass(frozen=True, eq=False)
class HeldOutClip:
    """A clip of the validation or test split at a model's size."""

    seed: int
    model: ModelConfig
    """At whose size it is."""
    clip: TrainingClip
    background_depth: np.ndarray
    """float32 [T, H, W], metres, without the person."""

    @classmethod
    def render(cls, seed: int, model: ModelConfig) -> "HeldOutClip":
        """Photographs depend on what is installed; without them the same clips come out on every machine."""
        stage = render_training_clip(seed, DataConfig(), model, textures="procedural")
        return cls(seed, model, TrainingClip.from_stage(stage), stage.background_depth)

    @cached_property
    def person(self) -> ReferencePicture:
        """The picture of the person as a visitor gives it: larger than the model is shown it, its joints found."""
        return render_training_person(self.seed, DataConfig(), self.model, textures="procedural")

    @property
    def video(self) -> np.ndarray:
        """uint8 [T, H, W, 3]"""
        return self.clip.video.numpy()

    @property
    def frozen(self) -> np.ndarray:
        """uint8 [T, H, W, 3]: the background picture repeated."""
        return np.ascontiguousarray(np.broadcast_to(self.clip.background.numpy(), self.video.shape))

    @property
    def cameras(self) -> CameraPath:
        return self.clip.cameras

    @property
    def pose(self) -> PoseSequence:
        return self.clip.pose

    def truth(self, prompt: str = "") -> Truth:
        """For clips that were made with these words."""
        person = self.clip.human_mask.numpy()
        return Truth(self.video, person, self.cameras, self.background_depth, prompt, self.clip.caption)


def condition_inputs(
    clip: TrainingClip, model: ModelConfig, prompt: str = "", seed: int = 0, person: ReferencePicture | None = None
) -> ConditionInputs:
    """The clip's own person, background and pose as a model takes them, and words.

    `seed`: the one that makes the clip. `person`: the picture that a frame refiner is to know them from; None: it does not.
    """
    background, num_frames = clip.background.numpy(), len(clip.video)
    moved, _ = filmed_background(background, clip.pose, model, num_frames=num_frames, prompt=prompt, seed=seed)
    drawn = clip.pose_frames(model.pose_style)
    seen = None if person is None else person_frames(person.rgba, person.joints, clip)
    return ConditionInputs(clip.reference.numpy(), background, drawn, prompt, moved, seen)


def person_frames(rgba: np.ndarray, joints: np.ndarray, clip: TrainingClip) -> np.ndarray | None:
    """uint8 [T, H, W, 4]: a picture of the person moved by the clip's pose; None where nobody is seen whose size can be told."""
    try:
        return moved_person(rgba, joints, clip.pose, clip.size, len(clip.video), clip.fps)
    except InputError:
        return None


def kept_clip(seed: int, model: ModelConfig, folder: Path) -> HeldOutClip:
    """The clip of a seed, rendered once and kept in `folder`. Raises InputError if it is damaged or the disk is full."""
    path, depth = folder / f"{seed:010d}.safetensors", folder / f"{seed:010d}-depth.safetensors"
    if not depth.exists():
        made = HeldOutClip.render(seed, model)
        made.clip.save(path)
        write_whole(depth, {_DEPTH: torch.as_tensor(made.background_depth)}, {})
    return HeldOutClip(seed, model, TrainingClip.load(path), read_tensors(depth)[0][_DEPTH].numpy())


def high_motion_seeds(model: ModelConfig, split: str, num_clips: int) -> list[int]:
    """The clips with much camera motion among the first `num_clips` of a split, chosen as the paper does (IV-C).

    First and last camera are compared: those whose way or whose turn is longer than the one at rank 10 of 100 (of another
    number of clips, at a tenth of it).
    """
    seeds = list(split_seeds(split, 0, num_clips))
    moved = np.array([_end_to_end(seed, model) for seed in seeds])
    rank = max(1, round(num_clips / 10))
    thresholds = np.sort(moved, axis=0)[-rank]
    return [seed for seed, one in zip(seeds, moved, strict=True) if (one > thresholds).any()]


def _end_to_end(seed: int, model: ModelConfig) -> tuple[float, float]:
    """How far the camera gets (metres) and turns (radians) from first to last frame. Nothing is rendered."""
    width, height = clip_size(seed, DataConfig(), model)
    take = plan_take(seed, num_frames=model.num_frames, width=width, height=height, fps=model.fps)
    cameras = film(take, width=width, height=height, fps=model.fps).cameras
    motion = cameras.relative(0, cameras.num_frames - 1)
    cosine = (np.trace(motion[:3, :3]) - 1) / 2
    return float(np.linalg.norm(motion[:3, 3])), float(np.arccos(np.clip(cosine, -1, 1)))
