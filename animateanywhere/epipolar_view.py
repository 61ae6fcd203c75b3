"""What geometry, and a model's attention, say about one point of one frame: the numbers behind the pictures.

The mask and the suppression region are those of training, from the same functions. Importing this needs no torch.

Legend: F token frames, h w token rows and columns.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from animateanywhere.config import EpipolarConfig
from animateanywhere.errors import InputError
from animateanywhere.geometry.cameras import CameraPath
from animateanywhere.geometry.epipolar import (
    epipolar_lines,
    epipolar_lines_for_queries,
    epipolar_mask,
    fundamental_matrix,
)
from animateanywhere.latent_grid import LatentGrid

if TYPE_CHECKING:
    from animateanywhere.models.attention_probe import HeldAttention

_TURNS_DEG = 0.01
_ZOOMS = 1e-3
"""Smaller changes of direction, and of focal length, are rounding."""


@dataclass(frozen=True)
class PointQuery:
    """A point of frame i, to be looked for in frame j. Frames are video frames from 0."""

    frame_i: int
    frame_j: int
    point_px: tuple[float, float]
    """(x, y) in pixels of the clip; (0, 0) is the corner of the first pixel."""
    thickness: float = EpipolarConfig.half_thickness
    """Distance from the line, in tokens, that still counts as on it."""


@dataclass(frozen=True, eq=False)
class GeometryView:
    """Where cameras alone allow the point to be."""

    query: PointQuery
    grid: LatentGrid
    line_px: np.ndarray
    """float64 [3]: the point's line in frame j, (a, b, c) with a² + b² = 1; zeros where there is none."""
    allowed: np.ndarray
    """bool [F, h, w]: the paper's M for the point's token."""
    note: str
    """Why geometry rules out nothing, or everything, here; empty if it does neither."""

    @property
    def token_frames(self) -> tuple[int, int]:
        """Token frames that video frames i and j lie in."""
        length = len(self.grid.frames_of_token(0))
        return self.query.frame_i // length, self.query.frame_j // length

    @property
    def cell(self) -> tuple[int, int]:
        """(row, column) of the point's token."""
        x, y = self.query.point_px
        stride = self.grid.token_stride_px
        return int(y // stride), int(x // stride)

    @property
    def token(self) -> int:
        """The point's token as a flat number (k*h + y)*w + x."""
        _, height, width = self.grid.token_shape
        row, column = self.cell
        return (self.token_frames[0] * height + row) * width + column

    @property
    def allowed_in_j(self) -> np.ndarray:
        """bool [h, w]"""
        return self.allowed[self.token_frames[1]]


@dataclass(frozen=True, eq=False)
class AttentionView:
    """Where the point's token looks, in one block, head and denoising step."""

    attention: np.ndarray
    """float [F, h, w]: shares of the row, which sums to 1 with text and person."""
    suppressed: np.ndarray
    """bool [F, h, w]: the paper's Omega."""
    delta: np.ndarray
    """float [F]: attention below it counts as weak."""
    text_share: float
    person_share: float | None
    """None: this layer has no keys of the reference person."""
    layer: int
    head: int | None
    """None: the mean over heads."""
    step: int
    timestep: float
    percentile: float

    @property
    def target(self) -> np.ndarray:
        """float [F, h, w]: what the loss asks for; the loss is the difference between attention and this."""
        return np.where(self.suppressed, 0, self.attention)


@dataclass(frozen=True)
class Readouts:
    """Numbers beside the pictures. Shares are 0..1."""

    allowed_tokens: float
    """Share of frame j's tokens inside M."""
    frame_share: float | None = None
    """Of the whole row: what goes to frame j's token frame. None, as all below: no attention held."""
    inside_allowed: float | None = None
    """Of that: what lies inside M."""
    inside_suppressed: float | None = None
    """Of that: what lies inside Omega."""
    suppressed_tokens: float | None = None
    """Share of frame j's tokens inside Omega."""
    entropy_bits: float | None = None
    """Of the attention within frame j: 0 if one token takes all of it."""
    largest_entropy_bits: float | None = None
    """Were it spread evenly."""
    own_frame_share: float | None = None
    text_share: float | None = None
    person_share: float | None = None
    """None also where the layer has no keys of the reference person."""

    def rows(self) -> list[tuple[str, str]]:
        """Names and values for a person."""
        rows = [("M covers", f"{percent(self.allowed_tokens)} of frame j")]
        if self.frame_share is None:
            return rows
        times = f", {self.inside_allowed / self.allowed_tokens:.1f} times its area" if self.allowed_tokens else ""
        return [
            *rows,
            ("Attention inside M", f"{percent(self.inside_allowed)}{times}"),
            ("Attention inside Omega", f"{percent(self.inside_suppressed)}, on {percent(self.suppressed_tokens)}"),
            ("Entropy in frame j", f"{self.entropy_bits:.2f} of {self.largest_entropy_bits:.2f} bits"),
            ("Frame j gets", f"{percent(self.frame_share)} of all attention"),
            ("Own token frame", percent(self.own_frame_share)),
            ("Words", percent(self.text_share)),
            ("Person's picture", "unknown to this layer" if self.person_share is None else percent(self.person_share)),
        ]


def geometry_view(cameras: CameraPath, grid: LatentGrid, query: PointQuery) -> GeometryView:
    """The line of the point in frame j, and M of the point's token in all frames.

    Raises InputError if the point lies outside the picture, there is no such frame, or cameras and grid do not fit.
    """
    cameras.checked_frames([query.frame_i, query.frame_j])
    x, y = query.point_px
    if not (0 <= x < grid.width and 0 <= y < grid.height):
        raise InputError(
            f"point {x:g},{y:g} lies outside the picture: x goes from 0 to {grid.width}, y from 0 to {grid.height}"
        )
    fundamental = fundamental_matrix(cameras, query.frame_i, query.frame_j)
    line = epipolar_lines(fundamental, np.array([query.point_px]))[0]
    view = GeometryView(query, grid, line, np.ones(grid.token_shape, bool), "")
    mask = epipolar_mask(cameras, grid, np.array([view.token]), thickness=query.thickness)
    view = replace(view, allowed=mask.reshape(grid.token_shape))
    return replace(view, note=_note(view, cameras, bool(fundamental.any())))


def _note(view: GeometryView, cameras: CameraPath, has_baseline: bool) -> str:
    i, j = view.query.frame_i, view.query.frame_j
    anywhere = view.allowed_in_j.all()
    if i == j:
        return f"frame i and frame j are both frame {i}: every place is possible, choose another frame j"
    if not has_baseline:
        what = f"the camera {_without_baseline(cameras, i, j)} between these frames"
        return f"{what}: every place is possible" if anywhere else f"{what}; M is that of the tokens' other frames"
    if view.token_frames[0] == view.token_frames[1]:
        return f"frames {i} and {j} share one token frame, where M allows every place: choose frames farther apart"
    if not view.line_px.any():
        what = "the point is the epipole, where all lines meet"
        return f"{what}: every place is possible" if anywhere else f"{what}; M is that of its token's centre"
    if anywhere:
        lines = epipolar_lines_for_queries(cameras, view.grid, np.array([view.token]))[0, view.token_frames[1]]
        if (lines != 0).any(-1).all():
            return "lines this thick cover all of frame j: M allows every place"
        return "between some frames of the two tokens the camera stays on its spot: M allows every place"
    if not view.allowed_in_j.any():
        return "the line passes outside frame j: what the point shows cannot be seen there"
    return ""


def _without_baseline(cameras: CameraPath, i: int, j: int) -> str:
    rotation = cameras.relative(i, j)[:3, :3]
    turns = np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))) > _TURNS_DEG
    focal = cameras.intrinsics_px[[i, j], 0, 0]
    zooms = abs(np.log(focal[1] / focal[0])) > _ZOOMS
    if turns:
        return "only turns and zooms" if zooms else "only turns"
    return "only zooms" if zooms else "stands still"


def attention_view(
    held: "HeldAttention", geometry: GeometryView, head: int | None, percentile: float = EpipolarConfig.percentile
) -> AttentionView:
    """The row of the point's token, and what training would suppress in it; `head` None: the mean over heads.

    Raises InputError if the held run has another grid than the geometry, or holds no such token or head.
    """
    import torch

    from animateanywhere.epipolar_loss import low_attention_threshold, suppression_region

    if held.layout.token_shape != geometry.grid.token_shape:
        raise InputError(
            f"attention of {held.layout.token_shape} tokens, cameras of {geometry.grid.token_shape}: run the model again"
        )
    config = EpipolarConfig(percentile=percentile, heads="mean" if head is None else "each")
    row = held.rows([geometry.token], None if head is None else (head,)).weights[0]  # [N, 1, K]
    on_video = held.layout.by_frame(row)  # [N, 1, F, h*w]
    mean = on_video.mean(0, keepdim=True)
    frame = torch.tensor([geometry.token_frames[0]])
    allowed = torch.from_numpy(geometry.allowed).flatten(1)[None]
    suppressed = suppression_region(on_video, allowed, frame, config)[0, 0]
    delta = low_attention_threshold(mean, frame, config)[0, 0, :, 0]
    shape = geometry.grid.token_shape
    return AttentionView(
        attention=mean[0, 0].reshape(shape).numpy(),
        suppressed=suppressed.reshape(shape).numpy(),
        delta=delta.numpy(),
        text_share=float(row[..., held.layout.text].sum(-1).mean()),
        person_share=float(row[..., held.layout.reference].sum(-1).mean()) if held.layout.num_reference else None,
        layer=held.layer,
        head=head,
        step=held.step,
        timestep=held.timestep,
        percentile=percentile,
    )


def readouts(geometry: GeometryView, attention: AttentionView | None = None) -> Readouts:
    """Numbers for frame j."""
    inside = geometry.allowed_in_j
    if attention is None:
        return Readouts(float(inside.mean()))
    own, other = geometry.token_frames
    values, suppressed = attention.attention[other].astype(np.float64), attention.suppressed[other]
    total = values.sum()
    shares = values / total if total > 0 else np.zeros_like(values)
    positive = shares[shares > 0]
    return Readouts(
        allowed_tokens=float(inside.mean()),
        frame_share=float(total),
        inside_allowed=float(shares[inside].sum()),
        inside_suppressed=float(shares[suppressed].sum()),
        suppressed_tokens=float(suppressed.mean()),
        entropy_bits=float(-(positive * np.log2(positive)).sum()),
        largest_entropy_bits=float(np.log2(values.size)),
        own_frame_share=float(attention.attention[own].sum()),
        text_share=attention.text_share,
        person_share=attention.person_share,
    )


def percent(share: float) -> str:
    """A share 0..1 for a person: 12 %, 4.9 %, 0.18 %."""
    return f"{100 * share:.0f} %" if share >= 0.0995 or share == 0 else f"{100 * share:.2g} %"
