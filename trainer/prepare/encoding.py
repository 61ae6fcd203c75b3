"""Prepared clips, encoded for a model before anybody waits for its training."""

from collections.abc import Callable
from pathlib import Path

import torch

from animateanywhere.cancel import CancelToken
from animateanywhere.checkpoint import load_components
from trainer.latent_cache import cache_latents


@torch.no_grad()
def encode_clips(clips: list[Path], model: Path, on_done: Callable[[int, int], None], cancel: CancelToken) -> None:
    """Encode clips as a training of that model without mixed precision would, on the CPU: a GPU may be busy with others.

    `on_done(done, total)`. Raises InputError as `load_components` and `cache_latents` do, Cancelled; what is encoded is kept.
    """
    components, info = load_components(model)

    def told(done: int) -> None:
        on_done(done, len(clips))
        cancel.raise_if_set()

    cache_latents(clips, components.vae, info.model, told)
