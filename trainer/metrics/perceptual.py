"""How far two clips are apart for the network that this project trained on stage world. It is neither LPIPS nor VGG."""

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F

from animateanywhere.conditioning import pixels_to_model
from animateanywhere.perceptual import STAGE_WORLD, PerceptualNetwork, load_perceptual_network

_AT_ONCE = 8
"""Frames."""


@cache
def _network() -> PerceptualNetwork:
    return load_perceptual_network(STAGE_WORLD)


@torch.no_grad()
def stage_world_distance(clip: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Equation 6 without hands: mean absolute difference of features, mean over blocks; 0 for equal clips.

    uint8 `[T, H, W, 3]`; only where `mask` bool `[T, H, W]` is set, NaN if that is nowhere.
    """
    inside = np.ones(clip.shape[:3], bool) if mask is None else mask
    if not inside.any():
        return float("nan")
    sums, weights = 0.0, 0.0
    for start in range(0, len(clip), _AT_ONCE):
        made, true = (
            _network()(pixels_to_model(video[start : start + _AT_ONCE, None])[:, :, 0]) for video in (clip, truth)
        )
        weight = torch.from_numpy(inside[start : start + _AT_ONCE]).float()[:, None]
        scaled = [F.adaptive_avg_pool2d(weight, block.shape[-2:]) for block in made]
        pairs = zip(made, true, scaled, strict=True)
        sums += torch.stack([((got - wanted).abs() * share).mean(1).sum() for got, wanted, share in pairs])
        weights += torch.stack([share.sum() for share in scaled])
    return float((sums / weights).mean())
