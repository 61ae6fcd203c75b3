"""A prepared dataset's clips, encoded for a model before anybody waits for its training."""

from collections.abc import Callable
from pathlib import Path

import torch

from animateanywhere.cancel import CancelToken
from animateanywhere.checkpoint import load_components
from trainer.latent_cache import cache_latents
from trainer.prepare.reading import prepared_clips


@torch.no_grad()
def encode_dataset(
    dataset: Path,
    model: Path,
    on_done: Callable[[int, int], None],
    cancel: CancelToken,
    num_processes: int = 1,
) -> int:
    """Encode all kept clips as a training of that model without mixed precision would; returns how many there are.

    `on_done(done, total)`. Raises InputError as `load_components` and `cache_latents` do, Cancelled; what is encoded is kept.
    """
    components, info = load_components(model)
    vae = components.vae.to("cuda" if torch.cuda.is_available() else "cpu")
    clips = [path for split in ("train", "val") for path in prepared_clips(dataset, split)]

    def told(done: int) -> None:
        on_done(done, len(clips))
        cancel.raise_if_set()

    cache_latents(clips, vae, info.model, told, num_processes if vae.device.type == "cuda" else 1)
    return len(clips)
