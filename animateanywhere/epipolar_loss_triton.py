"""The epipolar loss on a CUDA GPU, tile by tile (tier "triton" of `epipolar_loss`). Importing this needs Triton.

Three kernels, and what each adds to one walk over all query-key pairs of a head:
  thresholds  delta per row and frame, from the logits of `threshold_columns` only
  rows        softmax, suppressed mass and the queries' gradient: attention whose values are the keys themselves
  keys        the keys' gradient, from the rows' softmax and mass
Logits are in base 2 (times log2 e): softmax is then a power of two. A < delta within a row is logit < theta.
"""

import math
import os

import torch
import triton
import triton.language as tl

from animateanywhere.config import EpipolarConfig
from animateanywhere.epipolar_loss import Solution, low_rank, other_frames, threshold_columns
from animateanywhere.epipolar_rows import QueryRows
from animateanywhere.errors import InputError
from animateanywhere.models.attention_probe import KeyLayout

MOST_THRESHOLD_KEYS = 512
"""The threshold kernel holds one logit per threshold key and row in registers."""

BISECTIONS = 28
"""Halvings of the interval that holds theta: enough for float32."""

WORD = 32
"""Keys per integer of the candidate bits."""


@triton.jit
def _tile(number, num_keys, num_text, num_frames, frame_size, BLOCK: tl.constexpr):
    """First key, end and token frame (text, reference: 0) of key tile `number`; a tile straddles none of these parts."""
    text_tiles = tl.cdiv(num_text, BLOCK)
    frame_tiles = tl.cdiv(frame_size, BLOCK)
    is_text = number < text_tiles
    after_text = tl.maximum(number - text_tiles, 0)
    frame = after_text // frame_tiles
    is_reference = frame >= num_frames
    frame_start = num_text + frame * frame_size
    start = frame_start + (after_text - frame * frame_tiles) * BLOCK
    end = frame_start + frame_size
    reference_start = num_text + num_frames * frame_size
    start = tl.where(is_reference, reference_start + (after_text - num_frames * frame_tiles) * BLOCK, start)
    end = tl.where(is_reference, num_keys, end)
    start = tl.where(is_text, number * BLOCK, start)
    end = tl.where(is_text, num_text, end)
    return start, end, tl.where(is_text | is_reference, 0, frame)


@triton.jit
def _matrix(base, rows, columns, ok, WIDTH: tl.constexpr):
    """Rows `rows` of a row-major matrix of WIDTH columns, zero where not `ok`."""
    return tl.load(base + rows[:, None] * WIDTH + columns[None, :], mask=ok[:, None], other=0.0)


@triton.jit
def _suppressed(scores, bits, theta, rows, row_ok, keys, key_ok, frame, num_text, num_frames, frame_size, words):
    """The suppression region of one tile: candidate bit set, and logit below the row's theta for this frame."""
    on_video = (keys >= num_text) & (keys < num_text + num_frames * frame_size)
    ok = row_ok[:, None] & (key_ok & on_video)[None, :]
    pair = rows * num_frames + frame
    cell = keys - num_text - frame * frame_size
    word = tl.load(bits + pair[:, None] * words + (cell // 32)[None, :], mask=ok, other=0)
    candidate = ((word >> (cell % 32)[None, :]) & 1) != 0
    limit = tl.load(theta + pair, mask=row_ok, other=float("-inf"))
    return candidate & (scores < limit[:, None]) & ok


@triton.jit
def _threshold_kernel(
    query, key, columns, theta,
    num_query, num_keys, num_text, num_frames, frame_size, num_columns, rank, scale,
    BLOCK_Q: tl.constexpr, COLUMNS: tl.constexpr, WIDTH: tl.constexpr, ROUNDS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    frame = tl.program_id(1)
    head = tl.program_id(2)
    rows = tl.program_id(0) * BLOCK_Q + tl.arange(0, BLOCK_Q)
    row_ok = rows < num_query
    dims = tl.arange(0, WIDTH)
    places = tl.arange(0, COLUMNS)
    ok = places < num_columns
    cells = tl.load(columns + places, mask=ok, other=0)
    q = _matrix(query, head * num_query + rows, dims, row_ok, WIDTH)
    k = _matrix(key, head * num_keys + num_text + frame * frame_size + cells, dims, ok, WIDTH)
    scores = tl.dot(q, tl.trans(k), input_precision=PRECISION) * scale
    low = tl.min(tl.where(ok[None, :], scores, float("inf")), 1)
    high = tl.max(tl.where(ok[None, :], scores, float("-inf")), 1)
    high = high + tl.abs(high) * 1e-5 + 1e-5
    # At most `rank` logits lie below `low`, more than `rank` below `high`.
    for _ in range(ROUNDS):
        middle = 0.5 * (low + high)
        below = tl.sum(tl.where(ok[None, :] & (scores < middle[:, None]), 1, 0), 1)
        low = tl.where(below <= rank, middle, low)
        high = tl.where(below <= rank, high, middle)
    # A little below the logit at the rank, but above the one before: another kernel rounds the same logits in another
    # way, and must not move either across.
    inside = ok[None, :] & (scores < low[:, None])
    last_below = tl.max(tl.where(inside, scores, float("-inf")), 1)
    first_above = tl.min(tl.where(ok[None, :] & (scores >= low[:, None]), scores, float("inf")), 1)
    limit = tl.maximum(0.5 * (last_below + first_above), first_above - 1e-4)
    tl.store(theta + (head * num_query + rows) * num_frames + frame, limit, mask=row_ok)


@triton.jit
def _rows_kernel(
    query, key, bits, theta, log_sum, mass, chosen, query_gradient,
    num_query, num_keys, num_text, num_frames, frame_size, words, num_tiles, scale,
    BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, WIDTH: tl.constexpr, PRECISION: tl.constexpr,
    WITH_GRADIENT: tl.constexpr,
):  # fmt: skip
    head = tl.program_id(1)
    rows = tl.program_id(0) * BLOCK_Q + tl.arange(0, BLOCK_Q)
    row_ok = rows < num_query
    dims = tl.arange(0, WIDTH)
    q = _matrix(query, head * num_query + rows, dims, row_ok, WIDTH)
    highest = tl.full([BLOCK_Q], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK_Q], tl.float32)
    suppressed = tl.zeros([BLOCK_Q], tl.float32)
    count = tl.zeros([BLOCK_Q], tl.float32)
    all_keys = tl.zeros([BLOCK_Q, WIDTH], tl.float32)
    suppressed_keys = tl.zeros([BLOCK_Q, WIDTH], tl.float32)
    for number in range(0, num_tiles):
        start, end, frame = _tile(number, num_keys, num_text, num_frames, frame_size, BLOCK_K)
        keys = start + tl.arange(0, BLOCK_K)
        key_ok = keys < end
        k = _matrix(key, head * num_keys + keys, dims, key_ok, WIDTH)
        scores = tl.dot(q, tl.trans(k), input_precision=PRECISION) * scale
        region = _suppressed(
            scores, bits, theta + head * num_query * num_frames, rows, row_ok, keys, key_ok, frame,
            num_text, num_frames, frame_size, words,
        )  # fmt: skip
        scores = tl.where(key_ok[None, :], scores, float("-inf"))
        new_highest = tl.maximum(highest, tl.max(scores, 1))
        shrink = tl.exp2(highest - new_highest)
        weights = tl.exp2(scores - new_highest[:, None])
        low = tl.where(region, weights, 0.0)
        total = total * shrink + tl.sum(weights, 1)
        suppressed = suppressed * shrink + tl.sum(low, 1)
        count += tl.sum(tl.where(region, 1.0, 0.0), 1)
        if WITH_GRADIENT:
            all_keys = all_keys * shrink[:, None] + tl.dot(weights.to(k.dtype), k, input_precision=PRECISION)
            suppressed_keys = suppressed_keys * shrink[:, None] + tl.dot(low.to(k.dtype), k, input_precision=PRECISION)
        highest = new_highest
    share = suppressed / total
    at = head * num_query + rows
    tl.store(log_sum + at, highest + tl.log2(total), mask=row_ok)
    tl.store(mass + at, share, mask=row_ok)
    tl.store(chosen + at, count, mask=row_ok)
    if WITH_GRADIENT:
        gradient = (suppressed_keys - share[:, None] * all_keys) / total[:, None]
        tl.store(query_gradient + at[:, None] * WIDTH + dims[None, :], gradient, mask=row_ok[:, None])


@triton.jit
def _keys_kernel(
    query, key, bits, theta, log_sum, mass, weight, key_gradient,
    num_query, num_keys, num_text, num_frames, frame_size, words, scale,
    BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, WIDTH: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    head = tl.program_id(1)
    start, end, frame = _tile(tl.program_id(0), num_keys, num_text, num_frames, frame_size, BLOCK_K)
    keys = start + tl.arange(0, BLOCK_K)
    key_ok = keys < end
    dims = tl.arange(0, WIDTH)
    k = _matrix(key, head * num_keys + keys, dims, key_ok, WIDTH)
    gradient = tl.zeros([BLOCK_K, WIDTH], tl.float32)
    for first in range(0, num_query, BLOCK_Q):
        rows = first + tl.arange(0, BLOCK_Q)
        row_ok = rows < num_query
        at = head * num_query + rows
        q = _matrix(query, at, dims, row_ok, WIDTH)
        scores = tl.dot(q, tl.trans(k), input_precision=PRECISION) * scale
        region = _suppressed(
            scores, bits, theta + head * num_query * num_frames, rows, row_ok, keys, key_ok, frame,
            num_text, num_frames, frame_size, words,
        )  # fmt: skip
        attention = tl.exp2(scores - tl.load(log_sum + at, mask=row_ok, other=0.0)[:, None])
        row_weight = tl.load(weight + rows, mask=row_ok, other=0.0)
        row_mass = tl.load(mass + at, mask=row_ok, other=0.0)
        by_logit = row_weight[:, None] * attention * (tl.where(region, 1.0, 0.0) - row_mass[:, None])
        gradient += tl.dot(tl.trans(by_logit.to(q.dtype)), q, input_precision=PRECISION)
    tl.store(key_gradient + (head * num_keys + keys)[:, None] * WIDTH + dims[None, :], gradient, mask=key_ok[:, None])


def triton_solution(
    query: torch.Tensor,
    key: torch.Tensor,
    rows: QueryRows,
    layout: KeyLayout,
    config: EpipolarConfig,
    with_gradient: bool,
) -> Solution:
    """Loss and gradients of `epipolar_loss` for `query [N, Q, E]`, `key [N, K, E]`, bfloat16 or float32.

    Deterministic. Memory: one bit per query and video key, shared by all heads, a few numbers per row, the gradients.
    Raises InputError for what these kernels do not do: another device, delta over heads or maps, odd head widths.
    """
    columns = _checked(query, layout, config)
    operand = torch.bfloat16 if query.dtype == torch.bfloat16 else torch.float32
    query, key = query.to(operand).contiguous(), key.to(operand).contiguous()
    num_heads, num_query, width = query.shape
    natural_scale = width**-0.5
    scale = natural_scale * math.log2(math.e)
    frames, frame_size = layout.token_shape[0], layout.frame_size
    sizes = (num_query, layout.num_keys, layout.num_text, frames, frame_size)
    bits = candidate_bits(rows, layout)
    theta = _thresholds(query, key, columns, sizes, scale, config)
    log_sum, mass, chosen = (torch.empty(num_heads, num_query, device=query.device) for _ in range(3))
    query_gradient = torch.empty(query.shape, device=query.device) if with_gradient else None
    key_gradient = torch.empty(key.shape, device=key.device) if with_gradient else None
    # float32 products without tensor cores need many registers.
    block_q, block_k, num_warps = (128, 64, 8) if operand == torch.bfloat16 else (32, 32, 4)
    parts = (layout.num_text, *[frame_size] * frames, layout.num_reference)
    num_tiles = sum(triton.cdiv(size, block_k) for size in parts)
    weights = (rows.weights / num_heads).to(query.device, torch.float32)
    constants = dict(BLOCK_Q=block_q, BLOCK_K=block_k, WIDTH=width, PRECISION="ieee", num_warps=num_warps)
    _rows_kernel[triton.cdiv(num_query, block_q), num_heads](
        query, key, bits, theta, log_sum, mass, chosen, query_gradient,
        *sizes, bits.shape[-1], num_tiles, scale, WITH_GRADIENT=with_gradient, **constants,
    )  # fmt: skip
    if with_gradient:
        query_gradient *= weights[:, None] * natural_scale
        _keys_kernel[num_tiles, num_heads](
            query, key, bits, theta, log_sum, mass, weights, key_gradient,
            *sizes, bits.shape[-1], scale, **constants,
        )  # fmt: skip
        key_gradient *= natural_scale
    share = chosen.double().sum() / max(1, num_heads * num_query * (frames - 1) * frame_size)
    return Solution((mass * weights).sum(), share.float(), query_gradient, key_gradient)


def candidate_bits(rows: QueryRows, layout: KeyLayout) -> torch.Tensor:
    """int32 `[Q, F, ceil(T/32)]`: bit b of word w set where key 32w+b of another frame lies outside M."""
    other = other_frames(rows.frames, layout.token_shape[0])
    words = triton.cdiv(layout.frame_size, WORD)
    places = torch.arange(WORD, dtype=torch.int32, device=other.device)
    step = max(1, 2**24 // layout.num_video)
    packed = torch.empty(len(other), layout.token_shape[0], words, dtype=torch.int32, device=other.device)
    for start in range(0, len(other), step):
        part = slice(start, start + step)
        outside = (~rows.allowed.rows(part) & other[part, :, None]).int()
        outside = torch.nn.functional.pad(outside, (0, words * WORD - layout.frame_size))
        packed[part] = (outside.unflatten(-1, (words, WORD)) << places).sum(-1, dtype=torch.int32)
    return packed


def unsupported(query: torch.Tensor, layout: KeyLayout, config: EpipolarConfig) -> str:
    """What the kernels cannot do of this; empty if they can."""
    width, adaptive = query.shape[-1], config.mode == "adaptive"
    if not query.is_cuda and os.environ.get("TRITON_INTERPRET") != "1":
        return f"tensors on {query.device}, expected CUDA; choose chunked"
    if adaptive and (config.scope != "row" or config.heads != "each"):
        return f"scope {config.scope}, heads {config.heads}; expected row, each; or choose chunked"
    if width not in (16, 32, 64, 128):
        return f"head width {width}, expected 16, 32, 64 or 128; or choose chunked"
    count = len(_columns(layout, config))
    if adaptive and count > MOST_THRESHOLD_KEYS:
        return f"delta over {count} keys, expected at most {MOST_THRESHOLD_KEYS}: set threshold_keys, or choose chunked"
    return ""


def _columns(layout, config) -> torch.Tensor:
    return torch.arange(layout.frame_size)[threshold_columns(layout.frame_size, config)]


def _checked(query, layout, config) -> torch.Tensor:
    """The threshold's columns, after refusing what the kernels cannot do."""
    if trouble := unsupported(query, layout, config):
        raise InputError(f"epipolar tier triton: {trouble}")
    return _columns(layout, config).to(query.device, torch.int32)


def _thresholds(query, key, columns, sizes, scale, config):
    """theta `[N, Q, F]` in base-2 logits: +inf where everything outside M is suppressed, -inf where nothing is."""
    num_query, _, _, frames, _ = sizes
    rank = low_rank(len(columns), config)
    everything = config.mode == "outside" or rank == len(columns)
    limit = torch.inf if everything and config.mode != "off" else -torch.inf
    theta = torch.full((len(query), num_query, frames), limit, device=query.device)
    if config.mode == "adaptive" and not everything:
        block_q = 16
        _threshold_kernel[triton.cdiv(num_query, block_q), frames, len(query)](
            query, key, columns, theta, *sizes, len(columns), rank, scale,
            BLOCK_Q=block_q, COLUMNS=max(16, triton.next_power_of_2(len(columns))), WIDTH=query.shape[-1],
            ROUNDS=BISECTIONS, PRECISION="ieee", num_warps=4,
        )  # fmt: skip
    return theta
