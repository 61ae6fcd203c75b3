"""The background that a model was shown, laid back into its clip where the clip still shows it.

A small VAE takes the detail out of every picture that passes through it, and all movement within one latent's frames. What
the clip kept of the shown background gets both back; what it shows otherwise (the person, a shadow, another view) stays its own.
"""

import cv2
import numpy as np

from animateanywhere.config import ModelConfig
from animateanywhere.latent_grid import LatentGrid

_ALIKE = 22.0
"""Levels (root mean square over colours) at which two smoothed pictures are alike by 1/e."""
_SMOOTH = 0.625
"""Gaussian sigma in latent cells: finer than that, a VAE's copy of a picture differs from the picture."""
_PERSON_REACH = 0.05
"""Of the drawn skeleton's height: how far around it the person is, of whose pixels none are touched."""
_PERSON_EDGE = 0.375
"""Gaussian sigma in latent cells of the border between person and background."""
_DRAWN = 32
"""Levels above which a pixel of a pose picture is drawn: compressed pose videos are not wholly black."""


def blend_background(
    clip: np.ndarray, shown: np.ndarray, pose_frames: np.ndarray, strength: float, grid: LatentGrid
) -> np.ndarray:
    """The clip with `strength` (0 to 1) of the shown background where both look alike and nobody is; all uint8 [T, H, W, 3].

    Alike: after smoothing over what one latent of `grid` stands for, in pixels and frames.
    """
    share = strength * _likeness(clip, shown, grid) * (1 - _person(pose_frames, grid))
    own = clip.astype(np.float32)
    mixed = own + share[..., None] * (shown - own)
    return (mixed + 0.5).astype(np.uint8)


def blend_share(model: ModelConfig, chosen: float | None) -> float:
    """What a clip of this model is blended with, 0 to 1, if a person chose that (None: nothing)."""
    share = model.background_blend if chosen is None else chosen
    return share if model.background_padding == "moved" else 0.0


def blend_notes(model: ModelConfig, chosen: float | None) -> tuple[str, ...]:
    """What there is to say about it to the person."""
    share = blend_share(model, chosen)
    if share:
        return (
            f"where the clip shows this background, {share:.0%} of it is laid back in (background blend; 0: nothing)",
        )
    return (f"background blend {chosen:g} is left out: {model.name} moves its background itself",) if chosen else ()


def _likeness(clip: np.ndarray, shown: np.ndarray, grid: LatentGrid) -> np.ndarray:
    """float32 [T, H, W], 0 to 1."""
    frames = grid.temporal_compression
    difference = (clip.astype(np.float32) - shown).reshape(-1, frames, *clip.shape[1:]).mean(1)
    smooth = _smoothed(difference, _SMOOTH * grid.spatial_compression)
    return np.repeat(np.exp(-np.square(smooth).mean(-1) / _ALIKE**2), frames, axis=0)


def _person(pose_frames: np.ndarray, grid: LatentGrid) -> np.ndarray:
    """float32 [T, H, W]: 1 around the drawn skeleton, 0 elsewhere, a soft border between."""
    around = []
    for drawn in (pose_frames.max(-1) > _DRAWN).astype(np.uint8):
        rows = np.flatnonzero(drawn.any(1))
        reach = max(2, round(_PERSON_REACH * (rows[-1] - rows[0] + 1))) if len(rows) else 2
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        around.append(cv2.dilate(drawn, disc).astype(np.float32))
    return _smoothed(np.stack(around), _PERSON_EDGE * grid.spatial_compression)


def _smoothed(pictures: np.ndarray, sigma: float) -> np.ndarray:
    return np.stack([cv2.GaussianBlur(picture, (0, 0), sigma) for picture in pictures])
