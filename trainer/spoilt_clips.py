"""True clips as a model would have made them: half dissolved in noise and denoised again, so that they match pixel by pixel.

What a frame refiner learns to mend are these faults: what the VAE loses, and what the denoiser guesses. Beside each clip goes
the picture of its person, moved by the pose as in inference.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import CogVideoXDDIMScheduler

from animateanywhere.background_blend import blend_background
from animateanywhere.conditioning import RawLatents, assemble, decode_latents, encode_prompts, grid_of
from animateanywhere.fingerprint import weights_fingerprint
from animateanywhere.model_folder import REFINER, CheckpointInfo
from animateanywhere.pipeline import AnimateAnywherePipeline
from trainer.filmed_background import film_fingerprint, truly_filmed_background
from trainer.held_out import person_frames
from trainer.latent_cache import MOVED
from trainer.stage_world.reference import ReferencePicture
from trainer.training_clip import TrainingClip, read_tensors, write_whole

_STEPS = 10
_FIRST, _LAST = 2, 7
"""Of the steps of a whole denoising: where it begins, drawn for each clip. At the first steps nothing of the clip would be left,
and what the model makes of nothing is another clip."""
_PROMPTED = 0.5
_AS_DECODED = 0.2
"""Share of clips that are kept as they are decoded; into the others the background is blended as in inference."""
_HALF_BODY = 0.2
"""Share of persons' pictures that end between waist and knees, as many photographs do."""
_JOINTS_OFF = 0.008
"""Of the person's height in their picture: how far its joints are off, as a detector's are."""


@dataclass(frozen=True)
class SpoiltClip:
    """One clip as the refiner sees it, and the truth; uint8 `[T, 3, H, W]` each."""

    frames: torch.Tensor
    shown: torch.Tensor  # the background that the model was shown
    pose: torch.Tensor
    truth: torch.Tensor
    moved: torch.Tensor  # uint8 [T, 4, H, W], the person's picture moved by the pose; all zero where it cannot be
    person: torch.Tensor  # bool [T, H, W]


def spoilt_clips(
    pipeline: AnimateAnywherePipeline,
    info: CheckpointInfo,
    clips: list[Path],
    latents: list[Path],
    person_of: Callable[[int], ReferencePicture],
    on_done: Callable[[int], None],
) -> list[SpoiltClip]:
    """Of clips and their cached latents; what the model makes of them is kept in files beside the latents.

    `person_of`: the picture of the person of a seed's clip. `on_done(n)` is called after each.
    Raises InputError if a file is damaged or the disk is full.
    """
    marks = weights_fingerprint(info.path, [part for part in info.parts if part != REFINER]), film_fingerprint()
    key = hashlib.sha256("-".join(marks).encode()).hexdigest()[:12]
    made = []
    for done, (path, latent) in enumerate(zip(clips, latents, strict=True), 1):
        kept = path.parent / f"spoilt-{key}" / path.name
        if not kept.exists():
            kept.parent.mkdir(exist_ok=True)
            write_whole(kept, {"frames": torch.from_numpy(spoil(pipeline, latent, int(path.stem)))}, {})
        frames, seed = read_tensors(kept)[0]["frames"].numpy(), int(path.stem)
        made.append(_spoilt_clip(pipeline, TrainingClip.load(path), frames, person_of(seed), seed))
        on_done(done)
    return made


@torch.no_grad()
def spoil(pipeline: AnimateAnywherePipeline, latent: Path, seed: int) -> np.ndarray:
    """uint8 `[T, H, W, 3]` from a file of cached latents: noised to a step that the seed draws, and denoised from there."""
    generator = torch.Generator().manual_seed(seed)
    tensors, words = read_tensors(latent)
    whole = {
        name: tensors[name].to(pipeline.device, pipeline.transformer.dtype)[None]
        for name in ("video", "pose", "reference", MOVED)
    }
    prompt = words["caption"] if torch.rand((), generator=generator) < _PROMPTED else ""
    length = pipeline.transformer.config.max_text_seq_length
    embeds = encode_prompts(pipeline.tokenizer, pipeline.text_encoder, [prompt], length)
    scale = pipeline.vae.config.scaling_factor
    raw = RawLatents(whole["pose"], whole["reference"], whole[MOVED])
    conditions = assemble(raw, embeds.to(raw.pose), scale, pipeline.model, pipeline.transformer.config.patch_size_t)

    scheduler = CogVideoXDDIMScheduler.from_config(pipeline.scheduler.config)
    scheduler.set_timesteps(_STEPS, device=pipeline.device)
    first = int(torch.randint(_FIRST, _LAST + 1, (), generator=generator))
    true = whole["video"].float() * scale
    noise = torch.randn(true.shape, generator=generator).to(true)
    noisy = scheduler.add_noise(true, noise, scheduler.timesteps[first : first + 1])
    velocity_of = pipeline.guided_velocity(conditions, pipeline.model.guidance_scale)
    for timestep in scheduler.timesteps[first:]:
        noisy = scheduler.step(velocity_of(noisy, timestep), timestep, noisy, return_dict=False)[0]
    return decode_latents(pipeline.vae, noisy / scale)[0].numpy()


def _spoilt_clip(
    pipeline: AnimateAnywherePipeline, clip: TrainingClip, frames: np.ndarray, person: ReferencePicture, seed: int
) -> SpoiltClip:
    shown, pose = truly_filmed_background(clip, pipeline.model), clip.pose_frames(pipeline.model.pose_style)
    rng = np.random.default_rng(seed)
    if rng.random() >= _AS_DECODED:
        grid = grid_of(pipeline.vae, pipeline.transformer, len(frames), *frames.shape[2:0:-1])
        frames = blend_background(frames, shown, pose, pipeline.model.background_blend, grid)
    moved = person_frames(*_as_found(person, rng), clip)
    if moved is None:
        moved = np.zeros((*frames.shape[:3], 4), np.uint8)
    pictures = (torch.from_numpy(part).permute(0, 3, 1, 2) for part in (frames, shown, pose, clip.video.numpy(), moved))
    return SpoiltClip(*(part.contiguous() for part in pictures), clip.human_mask)


def _as_found(person: ReferencePicture, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Cut-out and joints of a person's picture as a visitor's would be: a detector's joints, not always the whole body."""
    rgba, joints, height = person.rgba, person.joints.copy(), np.ptp(np.nonzero(person.mask)[0])
    joints[:, :2] += rng.normal(0, _JOINTS_OFF * height, (len(joints), 2))
    if rng.random() < _HALF_BODY:
        waist, knees = (joints[list(pair), 1].mean() for pair in ((5, 6, 11, 12), (13, 14)))
        end = waist + rng.random() * (knees - waist)
        rgba[int(end) :, :, 3] = 0
        joints[joints[:, 1] >= end, 2] = 0
    return rgba, joints
