"""One place of one clip whose attention is drawn again and again while a model trains."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from animateanywhere.architectures import Components
from animateanywhere.conditioning import grid_of
from animateanywhere.config import EpipolarConfig
from animateanywhere.epipolar_rows import background_tokens
from animateanywhere.epipolar_view import (
    GeometryView,
    PointQuery,
    Readouts,
    attention_view,
    geometry_view,
    percent,
    readouts,
)
from animateanywhere.geometry.epipolar import epipolar_mask, token_centres
from animateanywhere.models.attention_probe import AttentionProbe, ProbeRequest
from animateanywhere.overlay import SHEET_BOX_PX, attention_panels, line_panel, overlay_sheet, point_panel, save_png
from trainer.config import TrainConfig
from trainer.dataset import ClipLabels

LARGEST_SHARE = 0.5
"""A place whose line leaves more of the last frame open than this says little."""
_CANDIDATES = 64


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """A background token of a clip's first frame that is looked for in its last."""

    clip: Path
    view: GeometryView
    layer: int
    """The block whose attention is drawn: the middle one."""
    step: int
    """The denoising step at which it is drawn: the middle one."""


def choose_point(clips: tuple[Path, ...], components: Components, config: TrainConfig) -> FixedPoint | None:
    """The token whose line allows the smallest part of the last frame, in the first clip that has such tokens.

    None if no clip has trusted cameras that move between its first and last frame.
    """
    for path in clips:
        labels = ClipLabels.read(path)
        if labels.camera is None:
            continue
        num_frames, height, width = labels.mask_shape
        grid = grid_of(components.vae, components.transformer, num_frames, width, height)
        free = background_tokens(labels.human_mask(), grid, config.epipolar.person_margin).numpy()
        tokens = np.flatnonzero(free[: grid.token_shape[1] * grid.token_shape[2]])
        tokens = tokens[:: max(1, -(-len(tokens) // _CANDIDATES))]
        if not len(tokens):
            continue
        thickness = config.epipolar.half_thickness
        allowed = epipolar_mask(labels.camera, grid, tokens, thickness=thickness)
        shares = allowed.reshape(len(tokens), grid.token_shape[0], -1)[:, -1].mean(-1)
        shares[shares == 0] = 1.0  # its line passes outside
        best = int(np.argmin(shares))
        if shares[best] <= LARGEST_SHARE:
            centre = token_centres(grid)[tokens[best]] * grid.token_stride_px
            query = PointQuery(0, num_frames - 1, tuple(centre.tolist()), thickness)
            middle = components.transformer.config.num_layers // 2
            return FixedPoint(path, geometry_view(labels.camera, grid, query), middle, config.sample_steps // 2)
    return None


@contextmanager
def watched(transformer, point: FixedPoint | None) -> Iterator[AttentionProbe | None]:
    """A probe that holds the point's attention while the model runs inside; None without a point."""
    if point is None:
        yield None
        return
    with AttentionProbe(transformer, ProbeRequest((point.layer,), (point.step,), (point.view.token,))) as probe:
        yield probe


def draw_attention(
    point: FixedPoint, probe: AttentionProbe, frames: np.ndarray, title: str, config: EpipolarConfig, path: Path
) -> Readouts:
    """Draw the point, its line and its attention over `frames` uint8 [T, H, W, 3] into the PNG `path`; the numbers."""
    view = point.view
    attention = attention_view(probe.at(point.layer, point.step), view, None, config.percentile)
    numbers = readouts(view, attention)
    i, j = frames[view.query.frame_i], frames[view.query.frame_j]
    panels = [point_panel(i, view, SHEET_BOX_PX), line_panel(j, view, SHEET_BOX_PX)]
    panels += attention_panels(view, attention, SHEET_BOX_PX)
    facts = [*numbers.rows(), ("Layer, step", f"{point.layer}, {point.step}: mean over heads")]
    facts += [("Percentile", percent(config.percentile))]
    save_png(overlay_sheet(panels, title, facts, columns=3), path, title)
    return numbers
