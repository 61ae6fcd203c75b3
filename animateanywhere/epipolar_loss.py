"""The epipolar constraint on attention (paper III-C, equation 4): which attention is suppressed, and by how much.

One interface, three ways to compute it, same values. `dense`: plain autograd over whole maps; the yardstick, for small
sizes. `chunked`: some rows at a time, the gradient computed along with the value, so that no map is ever kept.
`triton`: the same, tile by tile, on a CUDA GPU.

Legend: B batch, N heads, Q query tokens, K keys, E head width, F token frames, T tokens of one frame, S text tokens.
"""

import importlib.util
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch

from animateanywhere.config import EpipolarConfig
from animateanywhere.epipolar_rows import QueryRows, query_rows, sample_layers
from animateanywhere.errors import InputError
from animateanywhere.geometry.cameras import CameraPath
from animateanywhere.latent_grid import LatentGrid
from animateanywhere.models.attention_probe import KeyLayout, at_least_float32, attention_rows

CHUNK_ELEMENTS = {"cpu": 2**19, "cuda": 2**26}
"""Attention values in one chunk of rows: what fits a CPU's cache, what fills a GPU. Some seven buffers have this size."""


@dataclass(frozen=True)
class EpipolarTerm:
    """The loss of some attention, and what it looked like."""

    loss: torch.Tensor
    """0-d: attention that falls into the suppression region, 0 to 1, mean over rows, heads (and clips, layers)."""
    suppressed_share: torch.Tensor
    """0-d, no gradient: share of the keys of other frames that lie in the suppression region."""

    @classmethod
    def mean(cls, terms: list["EpipolarTerm"]) -> "EpipolarTerm":
        """Of several layers."""
        losses, shares = ([getattr(term, name) for term in terms] for name in ("loss", "suppressed_share"))
        return cls(torch.stack(losses).mean(), torch.stack(shares).mean())


@dataclass(frozen=True)
class EpipolarConstraint:
    """The constraint of one training step, as the transformer's `attention_loss`."""

    clips: tuple[QueryRows | None, ...]
    """One per clip of the batch; None: no camera known, nothing to learn from it."""
    layers: tuple[int, ...]
    config: EpipolarConfig

    @property
    def num_known(self) -> int:
        """Clips that there is something to learn from."""
        return sum(rows is not None for rows in self.clips)

    @property
    def degenerate_share(self) -> float:
        """Share of pairs of a query and another frame about which geometry says nothing; mean over known clips, 0..1."""
        return sum(rows.degenerate_share for rows in self.clips if rows is not None) / self.num_known

    def __call__(self, query: torch.Tensor, key: torch.Tensor, num_text: int) -> EpipolarTerm:
        """Term of one block, mean over clips. `query [B, S+L, N, E]`, `key [B, K, N, E]`, normalised and rotated."""
        loss = share = query.new_zeros((), dtype=at_least_float32(query).dtype)
        for clip_query, clip_key, rows in zip(query, key, self.clips, strict=True):
            if rows is None:
                continue
            layout = KeyLayout(num_text, rows.token_shape, key.shape[1] - query.shape[1])
            chosen = clip_query[num_text + rows.tokens].transpose(0, 1)  # [N, Q, E]
            term = epipolar_loss(chosen, clip_key.transpose(0, 1), rows, layout, self.config)
            loss, share = loss + term.loss, share + term.suppressed_share
        return EpipolarTerm(loss / len(self.clips), share / max(self.num_known, 1))


def draw_constraint(
    cameras: Sequence[CameraPath | None],
    backgrounds: Sequence[torch.Tensor | None],
    grid: LatentGrid,
    num_layers: int,
    config: EpipolarConfig,
    generator: torch.Generator,
    device="cpu",
) -> EpipolarConstraint | None:
    """Draw rows and layers for one training step of a model with `num_layers`.

    Per clip of the batch: its cameras (None: not known) and its `background_tokens` (None: somebody else's clip, for
    which a number is drawn but that is not part of the constraint). None if the loss is switched off or no clip has
    cameras and background: then the step costs nothing more. Raises InputError if cameras do not fit.
    """
    layers = sample_layers(num_layers, config, generator)
    drawn = [
        None if path is None else query_rows(path, grid, background, config, generator)
        for path, background in zip(cameras, backgrounds, strict=True)
    ]
    clips = [rows for rows, background in zip(drawn, backgrounds, strict=True) if background is not None]
    if config.mode == "off" or config.weight == 0 or not any(clips):
        return None
    return EpipolarConstraint(tuple(rows and rows.to(device) for rows in clips), layers, config)


def epipolar_loss(
    query: torch.Tensor, key: torch.Tensor, rows: QueryRows, layout: KeyLayout, config: EpipolarConfig
) -> EpipolarTerm:
    """Equation 4 for some rows of one attention layer: sum over rows of weight * mean over heads of sum(region * A).

    `query [N, Q, E]` of `rows`, `key [N, K, E]` in the order of `layout`; gradients reach both. The region counts as a
    constant. Text, reference and the query's own frame are never suppressed but share the softmax. Raises InputError
    if the shapes do not belong together or the tier cannot do what `config` asks for.
    """
    if query.shape[1] != len(rows.tokens) or key.shape[1] != layout.num_keys:
        raise InputError(
            f"epipolar loss: {query.shape[1]} queries and {key.shape[1]} keys, expected {len(rows.tokens)} and "
            f"{layout.num_keys} (text, {layout.token_shape} video tokens, reference)"
        )
    with torch.autocast(query.device.type, enabled=False):
        tier = _tier(query, layout, config)
        if tier == "dense":
            return _dense(query, key, rows, layout, config)
        compute = _triton_solution if tier == "triton" else _chunked_solution
        if torch.is_grad_enabled() and (query.requires_grad or key.requires_grad):
            return EpipolarTerm(*_GradientWithValue.apply(query, key, compute, (rows, layout, config)))
        solution = compute(query.detach(), key.detach(), rows, layout, config, with_gradient=False)
        return EpipolarTerm(solution.loss, solution.suppressed_share)


def _tier(query, layout, config) -> str:
    """`auto`: the kernels on a GPU that has Triton, where they can do what is asked for."""
    if config.tier != "auto":
        return config.tier
    if not query.is_cuda or importlib.util.find_spec("triton") is None:
        return "chunked"
    from animateanywhere.epipolar_loss_triton import unsupported

    return "chunked" if unsupported(query, layout, config) else "triton"


def suppression_region(
    attention: torch.Tensor, allowed: torch.Tensor, query_frames: torch.Tensor, config: EpipolarConfig, delta=None
) -> torch.Tensor:
    """The paper's Omega = (1 - M) and (A < delta): bool `[N, Q, F, T]`, True where attention is to be suppressed.

    `attention [N, Q, F, T]`: what all heads' rows give to the video; `allowed` bool `[Q, F, T]`: M; `query_frames [Q]`:
    a query's own frame is never suppressed. `delta` comes from `attention` itself unless given (broadcastable to it).
    The one definition for the loss and for pictures.
    """
    outside = ~allowed & other_frames(query_frames, attention.shape[2])[..., None]
    if config.mode == "off":
        outside = torch.zeros_like(outside)
    elif config.mode == "adaptive":
        compared = attention.mean(0, keepdim=True) if config.heads == "mean" else attention
        if delta is None:
            delta = low_attention_threshold(compared, query_frames, config)
        outside = outside & (compared < delta)
    return outside.expand_as(attention)


def low_attention_threshold(attention: torch.Tensor, query_frames: torch.Tensor, config: EpipolarConfig):
    """delta for `attention [N, Q, F, T]`: `[N, Q, F, 1]` per row and frame, or `[N, 1, 1, 1]` for all of a head.

    Exactly floor(percentile * n) of the n values it is measured on lie below it if no two are equal.
    """
    values = attention[..., threshold_columns(attention.shape[-1], config)]
    if config.scope == "map":
        values = values[:, other_frames(query_frames, attention.shape[2])].flatten(1)[:, None, None]
    rank = low_rank(values.shape[-1], config)
    if rank == values.shape[-1]:
        return values.new_full((*values.shape[:-1], 1), torch.inf)
    return values.kthvalue(rank + 1, dim=-1, keepdim=True).values


def threshold_columns(frame_size: int, config: EpipolarConfig):
    """The keys of a frame that delta is measured on: all (a slice), or `config.threshold_keys` scattered ones (int64)."""
    count = config.threshold_keys
    if not 0 < count < frame_size:
        return slice(None)
    step = max(1, round(frame_size * 0.618))  # golden ratio: even at every length, in step with no row of the picture
    while math.gcd(step, frame_size) > 1:
        step += 1
    return torch.arange(count) * step % frame_size


def low_rank(count: int, config: EpipolarConfig) -> int:
    """How many of `count` values lie below delta."""
    return math.floor(config.percentile * count + 1e-9)


def other_frames(query_frames, num_frames):
    """bool `[Q, F]`: True where the frame is not the query's own (the paper's i != j)."""
    return query_frames[:, None] != torch.arange(num_frames, device=query_frames.device)


def _dense(query, key, rows, layout, config) -> EpipolarTerm:
    attention = layout.by_frame(attention_rows(query, key))  # [N, Q, F, T]
    region = suppression_region(attention.detach(), rows.allowed.rows(slice(None)), rows.frames, config)
    mass = (attention * region).sum((-2, -1))  # [N, Q]
    loss = (mass.mean(0) * rows.weights.to(mass)).sum()
    return EpipolarTerm(loss, region.sum() / _num_candidates(query, rows, layout))


def _num_candidates(query, rows, layout):
    """Keys of other frames over all heads and rows; at least 1."""
    return max(1, query.shape[0] * len(rows.tokens) * (layout.token_shape[0] - 1) * layout.frame_size)


@dataclass(frozen=True)
class Solution:
    """A loss and its gradient."""

    loss: torch.Tensor
    suppressed_share: torch.Tensor
    query_gradient: torch.Tensor | None  # [N, Q, E]
    key_gradient: torch.Tensor | None  # [N, K, E]


class _GradientWithValue(torch.autograd.Function):
    """Gives autograd a loss whose gradient was computed along with it."""

    @staticmethod
    def forward(ctx, query, key, compute, inputs):
        solution = compute(query, key, *inputs, with_gradient=True)
        ctx.save_for_backward(solution.query_gradient, solution.key_gradient)
        ctx.dtypes = query.dtype, key.dtype
        ctx.mark_non_differentiable(solution.suppressed_share)
        return solution.loss, solution.suppressed_share

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, loss_gradient, _):
        gradients = zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        return *((loss_gradient * gradient).to(dtype) for gradient, dtype in gradients), None, None


def _chunked_solution(query, key, rows, layout, config, with_gradient) -> Solution:
    """Rows a few at a time, each whole, so that delta is exact.

    With A = softmax(s QKᵀ), mass = sum(region * A) and the region constant, the gradient of weight * mass by a logit is
    weight * A * (region - mass), for every key, text and reference included.
    """
    query, key = at_least_float32(query), at_least_float32(key)
    weights, scale = rows.weights.to(query) / len(query), query.shape[-1] ** -0.5
    loss, suppressed = query.new_zeros(()), torch.zeros((), dtype=torch.int64, device=query.device)
    query_gradient = torch.zeros_like(query) if with_gradient else None
    key_gradient = torch.zeros_like(key) if with_gradient else None
    parts = _parts(query, key)
    delta = None
    if config.mode == "adaptive" and config.scope == "map":
        delta = _streamed_threshold(query, key, rows, layout, config, parts)
    for part in parts:
        attention = attention_rows(query[:, part], key)  # [N, C, K]
        on_video = layout.by_frame(attention)  # [N, C, F, T], a view
        region = suppression_region(on_video, rows.allowed.rows(part), rows.frames[part], config, delta)
        low = on_video * region
        mass = low.sum((-2, -1))  # [N, C]
        loss += (mass * weights[part]).sum()
        suppressed += region.sum()
        if with_gradient:
            by_logit = attention.mul_(-mass[..., None])
            layout.by_frame(by_logit).add_(low)
            by_logit *= weights[part, None] * scale
            query_gradient[:, part] = by_logit @ key
            key_gradient.baddbmm_(by_logit.mT, query[:, part])
    share = suppressed / _num_candidates(query, rows, layout)
    return Solution(loss, share, query_gradient, key_gradient)


def _parts(query, key) -> list[slice]:
    """Runs of rows such that all heads' attention of one run stays within the chunk size."""
    budget = CHUNK_ELEMENTS.get(query.device.type, CHUNK_ELEMENTS["cuda"])
    step = max(1, budget // (key.shape[0] * key.shape[1]))
    return [slice(start, start + step) for start in range(0, query.shape[1], step)]


def _streamed_threshold(query, key, rows, layout, config, parts):
    """`low_attention_threshold` of scope "map", from one chunk of rows at a time."""
    frames = rows.frames
    columns = threshold_columns(layout.frame_size, config)
    num_pairs = int(other_frames(frames, layout.token_shape[0]).sum())
    count = num_pairs * len(torch.arange(layout.frame_size)[columns])
    rank = low_rank(count, config)
    num_maps = 1 if config.heads == "mean" else len(query)
    if rank == count:
        return query.new_full((num_maps, 1, 1, 1), torch.inf)

    def chunks():
        for part in parts:
            attention = layout.by_frame(attention_rows(query[:, part], key))
            if config.heads == "mean":
                attention = attention.mean(0, keepdim=True)
            other = other_frames(frames[part], layout.token_shape[0])
            yield attention[..., columns][:, other].flatten(1)

    return streamed_kth_smallest(chunks, rank, query.new_empty(num_maps)).view(-1, 1, 1, 1)


def streamed_kth_smallest(chunks: Callable[[], Iterable[torch.Tensor]], rank: int, like: torch.Tensor) -> torch.Tensor:
    """`[N]`: in each row of the chunks `[N, M]` taken together, the value that `rank` others lie below.

    The chunks are of the dtype (float32 or float64), device and N of `like [N]`, and hold no negative number. Exact, and
    no more than one chunk and a histogram is held: read as integers, the bit patterns of such numbers have the same
    order, so the answer is found 16 bits at a time, with one walk over the chunks for each.
    """
    found = torch.zeros(len(like), 1, dtype=torch.int64, device=like.device)
    left = torch.full_like(found, rank)
    histogram_start = torch.arange(len(like), device=like.device)[:, None] << 16
    as_integer = torch.int32 if like.dtype == torch.float32 else torch.int64
    for shift in range(8 * like.element_size() - 16, -1, -16):
        counts = torch.zeros(len(like) << 16, dtype=torch.int64, device=like.device)
        for chunk in chunks():
            code = chunk.view(as_integer).long() >> shift
            digits = (code & 0xFFFF) + histogram_start
            counts += torch.bincount(digits[code >> 16 == found], minlength=len(counts))
        below = torch.nn.functional.pad(counts.view(len(like), -1).cumsum(1), (1, 0))  # [N, 2^16 + 1]
        digit = (below[:, 1:] <= left).sum(1, keepdim=True)
        left -= below.gather(1, digit)
        found = (found << 16) + digit
    return found.to(as_integer).view(like.dtype)[:, 0]


def _triton_solution(query, key, rows, layout, config, with_gradient) -> Solution:
    # Imported here because most machines have no Triton.
    from animateanywhere.epipolar_loss_triton import triton_solution

    return triton_solution(query, key, rows, layout, config, with_gradient)
