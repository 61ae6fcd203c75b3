"""Clips encoded by a model's VAE, once, in files beside the clips."""

import hashlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from animateanywhere.conditioning import encode_frames
from animateanywhere.config import ModelConfig
from animateanywhere.pose.neck import MOST_BENT
from trainer.filmed_background import film_fingerprint, truly_filmed_background
from trainer.training_clip import TrainingClip, write_whole
from trainer.workers import in_processes

LATENTS = ("video", "pose", "reference", "first_frame")
MOVED = "moved_background"
"""Names of tensors in a file of latents; MOVED is there for models that are shown it, `background_pixels` always."""


def vae_fingerprint(vae) -> str:
    """Short hash of all of a VAE but its decoder: cached latents are only good for the encoder that made them."""
    digest = hashlib.sha256()
    for name, tensor in sorted(vae.state_dict().items()):
        if name.startswith(("decoder.", "post_quant_conv.")):
            continue
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().float().numpy().tobytes())
    return digest.hexdigest()[:12]


def cache_latents(
    paths: list[Path], vae, model: ModelConfig, on_done: Callable[[int], None], num_processes: int = 1
) -> list[Path]:
    """Encode every clip once; files are keyed by clip, VAE weights, how poses are drawn, kind of background, autocast's precision.

    `on_done(n)` is called after each. `num_processes`: how many draw poses and move backgrounds for the VAE, which stays in
    this one; worth more than one where the VAE is on a GPU. Raises InputError as `in_processes` does, or if a clip is damaged.
    """
    kind = vae.device.type
    precision = str(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else ""
    moved = MOVED + film_fingerprint() if model.background_padding == "moved" else ""
    drawn = f"{model.pose_style} {MOST_BENT}"
    key = hashlib.sha256((vae_fingerprint(vae) + drawn + precision + moved).encode()).hexdigest()[:12]
    cached = {path: path.parent / f"latents-{key}" / path.name for path in paths}
    for folder in {target.parent for target in cached.values()}:
        folder.mkdir(exist_ok=True)
    missing = [path for path, target in cached.items() if not target.exists()]
    on_done(len(cached) - len(missing))
    with closing(in_processes(partial(_pictures_of, model=model), missing, num_processes)) as ready:
        for done, (path, pictures) in enumerate(zip(missing, ready, strict=True), len(cached) - len(missing) + 1):
            latents = {
                name: encode_frames(vae, frames[None])[0].half().cpu() for name, frames in pictures.frames.items()
            }
            latents["background_pixels"] = torch.from_numpy(pictures.background)
            write_whole(cached[path], latents, {"caption": pictures.caption})
            on_done(done)
    return list(cached.values())


@dataclass(frozen=True)
class _Pictures:
    frames: dict[str, np.ndarray]  # uint8 [T, H, W, 3] each
    background: np.ndarray  # uint8 [H, W, 3]
    caption: str


def _pictures_of(path: Path, model: ModelConfig) -> _Pictures:
    clip = TrainingClip.load(path)
    pose, reference = clip.pose_frames(model.pose_style), clip.reference[None].numpy()
    video = clip.video.numpy()
    frames = dict(zip(LATENTS, (video, pose, reference, video[:1]), strict=True))
    if model.background_padding == "moved":
        frames[MOVED] = truly_filmed_background(clip, model)
    return _Pictures(frames, clip.background.numpy(), clip.caption)
