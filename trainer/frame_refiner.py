"""Trains a model's frame refiner on stage world: on true clips as that model would have made them, beside the true ones.

Legend: N crops, S their side.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_file

from animateanywhere.checkpoint import WEIGHTS
from animateanywhere.errors import InputError
from animateanywhere.model_folder import REFINER, read_info, resolve_model, write_settings
from animateanywhere.models.frame_refiner import FrameRefiner, person_input
from animateanywhere.perceptual import STAGE_WORLD, PerceptualNetwork, load_perceptual_network, perceptual_loss
from animateanywhere.pipeline import load_pipeline
from trainer.config import DataConfig, FrameRefinerConfig
from trainer.dataset import CROP_PX, render_training_person, stage_world_clips
from trainer.latent_cache import cache_latents
from trainer.new_folder import new_folder
from trainer.perceptual.changes import relit
from trainer.small_training import minimise
from trainer.spoilt_clips import SpoiltClip, spoilt_clips

_LIKE_MINI = dict(near_share=0.2, bowed_share=0.3)
"""People as near and as bowed as in the data of the preset mini-onwards."""
_ON_PERSON = 0.75
"""Share of crops around a person: the background is nearly right already."""
_OFF_CENTRE_PX = 12
_WITHOUT_PICTURE = 0.08
"""Share of crops that do not show the person's moved picture: where a pose does not tell their size, it is missing in inference."""
_SMALLEST = 0.02
"""Of the range -1 to 1: differences below it count by their squares."""


def train_frame_refiner(config: FrameRefinerConfig, output: Path, say: Callable[[str], None]) -> None:
    """Train, and write the model with its refiner to the folder `output`, which must not be there yet.

    Raises InputError if the model is a fine-tune or is not shown its background moved, or on trouble with files.
    """
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    info = read_info(resolve_model(config.model))
    if info.fine_tune is not None:
        raise InputError(
            f"{config.model} is a fine-tune: train a refiner for its finished model, {info.fine_tune.finished_model}"
        )
    if info.model.background_padding != "moved":
        raise InputError(
            f"{config.model} finds out for itself how its background moves: a refiner needs one that it was shown"
        )
    with new_folder(output) as draft:
        pipeline = load_pipeline(config.model)
        data = DataConfig(
            num_clips=config.num_clips, first_clip=config.first_clip, folder=config.data_folder, **_LIKE_MINI
        )
        every = lambda what: lambda done: say(f"{what} {done}/{config.num_clips}") if done % 25 == 0 else None  # noqa: E731
        clips = stage_world_clips(data, info.model, "train", every("render"), os.cpu_count() or 1)
        latents = cache_latents(clips, pipeline.vae, info.model, every("encode"))
        person_of = partial(render_training_person, data=data, model=info.model)
        spoilt = spoilt_clips(pipeline, info, clips, latents, person_of, every("spoil"))
        refiner = fit(spoilt, config, say)
        for part in info.parts:
            if part != REFINER:
                shutil.copytree(info.path / part, draft / part)
        (draft / REFINER).mkdir()
        save_file(
            {k: v.half().contiguous() for k, v in refiner.state_dict().items()},
            draft / REFINER / WEIGHTS,
            {"format": "pt"},
        )
        parts = (*(part for part in info.parts if part != REFINER), REFINER)
        write_settings(replace(info, path=draft, parts=parts))


def fit(clips: list[SpoiltClip], config: FrameRefinerConfig, say: Callable[[str], None]) -> FrameRefiner:
    network = load_perceptual_network(STAGE_WORLD)
    torch.manual_seed(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    refiner = FrameRefiner()

    def loss() -> torch.Tensor:
        return refiner_loss(refiner, network, crops(clips, config.batch_size, generator), config.perceptual_weight)

    minimise(refiner, loss, config, say)
    return refiner.eval()


@dataclass(frozen=True)
class Crops:
    """Crops of `SpoiltClip`s, float32 in [-1, 1]."""

    frames: torch.Tensor  # [N, 3, S, S], and so the next three
    shown: torch.Tensor
    pose: torch.Tensor
    truth: torch.Tensor
    moved: torch.Tensor  # [N, 4, S, S], colour multiplied by alpha


def refiner_loss(
    refiner: FrameRefiner, network: PerceptualNetwork, crop: Crops, perceptual_weight: float
) -> torch.Tensor:
    """How far off the refined crops are; 0-d."""
    refined = refiner(crop.frames, crop.shown, crop.pose, crop.moved)
    off = ((refined - crop.truth).square() + _SMALLEST**2).sqrt().mean()
    nowhere = torch.zeros_like(crop.truth[:, 0], dtype=torch.bool)
    return off + perceptual_weight * perceptual_loss(network, refined, crop.truth, nowhere)


def crops(clips: list[SpoiltClip], count: int, generator: torch.Generator) -> Crops:
    """`count` of them, from anywhere; light and side vary."""
    side = min(CROP_PX, *(length for clip in clips for length in clip.person.shape[1:]))
    chosen = []
    for _ in range(count):
        clip = clips[_draw(len(clips), generator)]
        t = _draw(len(clip.truth), generator)
        top, left = _corner(clip.person[t], side, generator)
        window = (t, slice(None), slice(top, top + side), slice(left, left + side))
        moved = clip.moved[window] * (torch.rand((), generator=generator) >= _WITHOUT_PICTURE)
        crop = torch.cat([clip.frames[window], clip.shown[window], clip.pose[window], clip.truth[window], moved])
        chosen.append(crop.flip(-1) if _draw(2, generator) else crop)
    frames, shown, pose, truth, colour, alpha = torch.stack(chosen).float().div(255).split([3, 3, 3, 3, 3, 1], dim=1)
    frames, shown, truth, colour = (part.clamp(0, 1) for part in relit([frames, shown, truth, colour], generator))
    moved = person_input(torch.cat([colour, alpha], dim=1))
    return Crops(*(part * 2 - 1 for part in (frames, shown, pose, truth)), moved)


def _corner(person: torch.Tensor, side: int, generator: torch.Generator) -> tuple[int, int]:
    """Upper left corner of a crop, around one of the person's pixels or anywhere."""
    highest = [length - side for length in person.shape]
    where = person.nonzero()
    if len(where) and torch.rand((), generator=generator) < _ON_PERSON:
        centre = where[_draw(len(where), generator)].tolist()
        aside = [_draw(2 * _OFF_CENTRE_PX + 1, generator) - _OFF_CENTRE_PX for _ in centre]
        corner = [c + a - side // 2 for c, a in zip(centre, aside, strict=True)]
    else:
        corner = [_draw(most + 1, generator) for most in highest]
    # Even, as the refiner folds pairs of pixels.
    return tuple(min(max(place, 0), most) // 2 * 2 for place, most in zip(corner, highest, strict=True))


def _draw(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))
