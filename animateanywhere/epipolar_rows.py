"""Which attention rows one training step of the epipolar loss looks at, and where geometry lets each of them look.

Legend: Q query tokens, F token frames, h w token rows and columns, S pairs of sub-poses.
"""

import math
from dataclasses import dataclass, replace
from typing import Protocol

import torch

from animateanywhere.config import EpipolarConfig
from animateanywhere.errors import InputError
from animateanywhere.geometry.cameras import CameraPath
from animateanywhere.geometry.epipolar import epipolar_lines_for_queries, mask_from_lines, token_centres
from animateanywhere.latent_grid import LatentGrid


class AllowedRegion(Protocol):
    """The paper's M for a set of queries."""

    def rows(self, part: slice) -> torch.Tensor:
        """bool `[C, F, h*w]` for the queries of `part`: True where geometry allows the key."""

    def to(self, device) -> "AllowedRegion":
        """The same on another device."""


@dataclass(frozen=True)
class AllowedByLines:
    """M from lines, worked out for the rows asked for and not kept: memory grows with queries times frames."""

    lines: torch.Tensor
    """[Q, F, S, 3] in tokens, from `epipolar_lines_for_queries`."""
    key_centres: torch.Tensor
    """[h*w, 2]."""
    half_thickness: float

    def rows(self, part: slice) -> torch.Tensor:
        return mask_from_lines(self.lines[part], self.key_centres, self.half_thickness)

    def to(self, device) -> "AllowedByLines":
        return AllowedByLines(self.lines.to(device), self.key_centres.to(device), self.half_thickness)


@dataclass(frozen=True)
class AllowedByMask:
    """M held whole."""

    mask: torch.Tensor
    """bool [Q, F, h*w]."""

    def rows(self, part: slice) -> torch.Tensor:
        return self.mask[part]

    def to(self, device) -> "AllowedByMask":
        return AllowedByMask(self.mask.to(device))


@dataclass(frozen=True)
class QueryRows:
    """The background tokens of one clip that a step looks at."""

    tokens: torch.Tensor
    """int64 [Q]: flat video tokens (k*h + y)*w + x."""
    weights: torch.Tensor
    """[Q]: of each row in the loss; 1/Q for a mean."""
    token_shape: tuple[int, int, int]
    """(F, h, w)."""
    allowed: AllowedRegion
    degenerate_share: float = 0.0
    """Share of pairs of a query and another frame about which geometry says nothing, 0..1."""

    @property
    def frames(self) -> torch.Tensor:
        """int64 [Q]: the token frame each query stands in."""
        return self.tokens // (self.token_shape[1] * self.token_shape[2])

    def to(self, device) -> "QueryRows":
        """The same on another device."""
        return replace(
            self, tokens=self.tokens.to(device), weights=self.weights.to(device), allowed=self.allowed.to(device)
        )


def systematic_sample(total: int, count: int, phase: float) -> torch.Tensor:
    """int64 [count]: numbers below `total`, evenly spread, shifted by `phase` in [0, 1).

    With a uniform phase each number is drawn with probability count/total exactly, so a mean over the sample is an
    unbiased mean over all. Where neighbours are alike, the spread makes it about twice as precise as free draws.
    """
    places = (torch.arange(count, dtype=torch.float64) + phase) * (total / count)
    return places.long().clamp(max=total - 1)


def sample_layers(num_layers: int, config: EpipolarConfig, generator: torch.Generator) -> tuple[int, ...]:
    """The blocks that one step looks at, of a model with `num_layers`."""
    count = min(config.num_layers, num_layers)
    return tuple(systematic_sample(num_layers, count, _uniform(generator)).tolist())


def background_tokens(human_mask, grid: LatentGrid, margin: int = 1) -> torch.Tensor:
    """bool `[num_tokens]`: tokens without a pixel of the person in any of their frames, nor within `margin` tokens.

    `human_mask`: bool [T, H, W], array or tensor, at the grid's size. Raises InputError if it has another shape.
    """
    mask = torch.as_tensor(human_mask, dtype=torch.bool)
    if tuple(mask.shape) != (grid.num_frames, grid.height, grid.width):
        raise InputError(
            f"human mask {list(mask.shape)}: expected [{grid.num_frames}, {grid.height}, {grid.width}] as the clip"
        )
    frames, height, width = grid.token_shape
    stride = grid.token_stride_px
    cells = mask.view(frames, -1, height, stride, width, stride).permute(0, 2, 4, 1, 3, 5).flatten(3)
    person = cells.any(-1)[:, None].float()  # [F, 1, h, w]
    person = torch.nn.functional.max_pool2d(person, 2 * margin + 1, stride=1, padding=margin)
    return person.flatten() == 0


def query_rows(
    path: CameraPath,
    grid: LatentGrid,
    background: torch.Tensor | None,
    config: EpipolarConfig,
    generator: torch.Generator,
) -> QueryRows | None:
    """Draw `config.row_share` of the clip's background tokens, at least one; None if it has none or the share is 0.

    `background`: bool `[num_tokens]` from `background_tokens`, on the CPU, as the answer is; None: none is wanted.
    Raises InputError if path and grid do not fit.
    """
    phase = _uniform(generator)  # drawn whatever the clip holds, so that the run's later draws do not depend on it
    if background is None:
        return None
    candidates = background.nonzero().flatten()
    count = math.ceil(config.row_share * len(candidates))
    if count == 0:
        return None
    tokens = candidates[systematic_sample(len(candidates), count, phase)]
    lines = epipolar_lines_for_queries(path, grid, tokens.numpy(), sub_poses=config.sub_poses)
    region = AllowedByLines(
        torch.from_numpy(lines).float(), torch.from_numpy(token_centres(grid)).float(), config.half_thickness
    )
    rows = QueryRows(tokens, torch.full((count,), 1 / count), grid.token_shape, region)
    elsewhere = rows.frames[:, None] != torch.arange(grid.token_shape[0])
    silent = (region.lines == 0).all(-1).any(-1) & elsewhere  # one zero line allows every key
    return replace(rows, degenerate_share=float(silent.sum() / elsewhere.sum().clamp(min=1)))


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator, dtype=torch.float64))
