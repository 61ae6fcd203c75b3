"""Attention to where a background point came from, taught with exact labels (an aid of `mini`'s, not of the paper's).

The only picture of the background that the model is given is frame 0's. A background token of a later frame shows a point
whose place in frame 0 stage world knows, so attention that looks there can be asked for directly, where the paper's
epipolar loss only asks not to look off a line.

Legend: B batch, N heads, Q query tokens, K keys, E head width, F token frames, h w token rows and columns.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from animateanywhere.epipolar_rows import systematic_sample
from animateanywhere.geometry.cameras import CameraPath
from animateanywhere.geometry.epipolar import token_centres
from animateanywhere.latent_grid import LatentGrid
from animateanywhere.models.attention_probe import KeyLayout, attention_rows

_RADIUS = 0.9
"""Tokens whose centre is that near, in tokens, count as the point's place: one to four of them."""
_HIDDEN_BY = 0.1
"""A point is hidden in frame 0 if what is seen there is nearer by more than this share of its distance."""
_LEAST = 1e-6
"""Attention below it counts as this much."""


@dataclass(frozen=True)
class Matches:
    """Background tokens of one clip whose point is seen in frame 0."""

    tokens: torch.Tensor
    """int64 [Q]: flat video tokens (k*h + y)*w + x, k > 0."""
    places: torch.Tensor
    """bool [Q, h*w]: the tokens of token frame 0 that show the same point."""
    token_shape: tuple[int, int, int]
    """(F, h, w)."""

    def some(self, share: float, phase: float) -> "Matches":
        """A `share` of them, at least one, evenly spread and shifted by `phase` in [0, 1)."""
        kept = systematic_sample(len(self.tokens), math.ceil(share * len(self.tokens)), phase)
        return Matches(self.tokens[kept], self.places[kept], self.token_shape)


@dataclass(frozen=True)
class CorrespondenceLoss:
    """The loss of one training step, as the transformer's `attention_loss`."""

    clips: tuple[Matches | None, ...]
    """One per clip of the batch; None: nothing is known of it."""
    layers: tuple[int, ...]

    def __call__(self, query: torch.Tensor, key: torch.Tensor, num_text: int) -> torch.Tensor:
        """0-d, mean over clips. `query [B, S+L, N, E]`, `key [B, K, N, E]`, normalised and rotated."""
        total = query.new_zeros((), dtype=torch.float32)
        for clip_query, clip_key, matches in zip(query, key, self.clips, strict=True):
            if matches is not None:
                layout = KeyLayout(num_text, matches.token_shape, key.shape[1] - query.shape[1])
                chosen = clip_query[num_text + matches.tokens].transpose(0, 1)
                total = total + correspondence_loss(chosen, clip_key.transpose(0, 1), matches, layout)
        return total / len(self.clips)


def correspondence_loss(query: torch.Tensor, key: torch.Tensor, matches: Matches, layout: KeyLayout) -> torch.Tensor:
    """-log of the attention that falls on a point's place in frame 0: mean over heads first, so that one head may do it
    alone, then over rows. `query [N, Q, E]` of `matches.tokens`, `key [N, K, E]` in the order of `layout` -> 0-d."""
    to_first_frame = layout.by_frame(attention_rows(query, key))[:, :, 0]  # [N, Q, h*w]
    mass = (to_first_frame * matches.places.to(query.device)).sum(-1).mean(0)  # [Q]
    return -mass.clamp_min(_LEAST).log().mean()


def find_matches(path: CameraPath, depth: np.ndarray, background: torch.Tensor, grid: LatentGrid) -> Matches | None:
    """Where the background tokens of a clip come from; None if no point of theirs is seen in frame 0.

    `depth` float `[T, H', W']`: z in the camera's frame of the scenery without the person, H' and W' any even division of
    the picture; `background` bool `[F*h*w]` from `background_tokens`. A token stands for its middle frame and centre.
    Raises InputError if the cameras are of another length.
    """
    path = path.matched_to(len(depth))
    frames, height, width = grid.token_shape
    step = grid.num_frames // frames
    centres = token_centres(grid)  # [h*w, 2], in tokens
    kept, places = [], []
    for k in range(1, frames):
        at, seen = _in_first_frame(path, depth, k * step + step // 2, centres * grid.token_stride_px, grid)
        flat = np.flatnonzero(seen & background[k * height * width :][: height * width].numpy())
        away = at[flat, None] / grid.token_stride_px - centres  # [Q, h*w, 2]
        kept.append(k * height * width + flat)
        places.append(np.square(away).sum(-1) < _RADIUS**2)
    tokens, near = torch.from_numpy(np.concatenate(kept)), torch.from_numpy(np.concatenate(places))
    return Matches(tokens, near, grid.token_shape) if len(tokens) else None


def _in_first_frame(path: CameraPath, depth: np.ndarray, frame: int, pixels: np.ndarray, grid: LatentGrid):
    """Where points seen at `pixels [Q, 2]` of a frame are in frame 0, [Q, 2], and whether they are seen there, bool [Q]."""
    rays = np.concatenate([pixels, np.ones((len(pixels), 1))], 1) @ np.linalg.inv(path.intrinsics_px[frame]).T
    motion = path.relative(frame, 0)
    points = rays * _at(depth[frame], pixels, grid)[:, None] @ motion[:3, :3].T + motion[:3, 3]
    ahead = points[:, 2] > 1e-3
    there = points @ path.intrinsics_px[0].T
    there = there[:, :2] / np.where(ahead, there[:, 2], 1)[:, None]
    inside = ahead & (there >= 0).all(1) & (there < (grid.width, grid.height)).all(1)
    there = np.where(inside[:, None], there, 0)
    # The farthest of the places around: at an edge a point may land on either side.
    farthest = cv2.dilate(depth[0].astype(np.float32), np.ones((3, 3), np.uint8))
    return there, inside & (points[:, 2] <= _at(farthest, there, grid) * (1 + _HIDDEN_BY))


def _at(depth: np.ndarray, pixels: np.ndarray, grid: LatentGrid) -> np.ndarray:
    """Depth [H', W'] at pixels [Q, 2] of the whole picture."""
    rows, columns = (
        (pixels[:, axis] * count // length).astype(int).clip(0, count - 1)
        for axis, count, length in ((1, depth.shape[0], grid.height), (0, depth.shape[1], grid.width))
    )
    return depth[rows, columns].astype(np.float64)
