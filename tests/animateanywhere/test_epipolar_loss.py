"""The epipolar loss: its region by hand, the chunked way against the dense one, gradients, precision, memory."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from animateanywhere import epipolar_loss as module
from animateanywhere.config import EpipolarConfig, field_help
from animateanywhere.epipolar_loss import (
    EpipolarConstraint,
    epipolar_loss,
    streamed_kth_smallest,
    suppression_region,
)
from animateanywhere.epipolar_rows import AllowedByMask, QueryRows, systematic_sample
from animateanywhere.errors import InputError
from animateanywhere.models.attention_probe import KeyLayout, attention_rows

SHAPE = (3, 3, 4)
LAYOUT = KeyLayout(num_text=4, token_shape=SHAPE, num_reference=5)
EVERY_OPTION = [
    EpipolarConfig(mode=mode, percentile=percentile, scope=scope, heads=heads, threshold_keys=keys)
    for mode, percentile, scope, heads, keys in itertools.product(
        ("off", "outside", "adaptive"), (0.0, 0.3, 0.77, 1.0), ("row", "map"), ("each", "mean"), (0, 5)
    )
    if mode == "adaptive" or (percentile, scope, heads, keys) == (0.3, "row", "each", 0)
]


def case(num_rows=10, seed=0, dtype=torch.float64, allowed=None, num_heads=3):
    """Random queries and keys with sharp attention, random M, unequal row weights."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randperm(LAYOUT.num_video, generator=generator)[:num_rows].sort().values
    mask = torch.rand(num_rows, 3, 12, generator=generator) < 0.3 if allowed is None else torch.full((1,), allowed)
    weights = torch.rand(num_rows, generator=generator, dtype=torch.float64)
    rows = QueryRows(tokens, weights, SHAPE, AllowedByMask(mask.expand(num_rows, 3, 12)))
    query = torch.randn(num_heads, num_rows, 8, generator=generator, dtype=torch.float64) * 2
    key = torch.randn(num_heads, LAYOUT.num_keys, 8, generator=generator, dtype=torch.float64)
    return query.to(dtype), key.to(dtype), rows


def value_and_gradients(query, key, rows, config):
    query, key = query.clone().requires_grad_(), key.clone().requires_grad_()
    term = epipolar_loss(query, key, rows, LAYOUT, config)
    if term.loss.requires_grad:
        (3 * term.loss).backward()
    return term, query.grad, key.grad


@pytest.fixture
def small_chunks(monkeypatch):
    """Three rows per chunk, so that ten rows make four unequal chunks."""
    monkeypatch.setitem(module.CHUNK_ELEMENTS, "cpu", 3 * 3 * LAYOUT.num_keys)


def test_chunked_equals_dense_with_every_option(small_chunks):
    query, key, rows = case()
    losses = set()
    for config in EVERY_OPTION:
        dense, *dense_gradients = value_and_gradients(query, key, rows, replace(config, tier="dense"))
        chunked, *gradients = value_and_gradients(query, key, rows, replace(config, tier="chunked"))
        assert (dense.loss - chunked.loss).abs() < 1e-12, config
        assert dense.suppressed_share == pytest.approx(float(chunked.suppressed_share)), config
        for expected, got in zip(dense_gradients, gradients, strict=True):
            assert (expected - got).abs().max() < 1e-9, config
        losses.add(round(float(dense.loss), 12))
    assert len(losses) >= 16  # the options do differ from each other


def test_gradients_agree_with_finite_differences():
    query, key, rows = case(4)
    for config in (EpipolarConfig(), EpipolarConfig(scope="map", heads="mean"), EpipolarConfig(mode="outside")):

        def loss(q, k, config=config):
            return epipolar_loss(q, k, rows, LAYOUT, replace(config, tier="chunked")).loss

        assert torch.autograd.gradcheck(loss, (query.requires_grad_(), key.requires_grad_()), fast_mode=True)


@pytest.mark.parametrize("heads", ["each", "mean"])
@pytest.mark.parametrize("scope", ["row", "map"])
def test_region_is_the_papers_by_hand(scope, heads):
    """Omega entry by entry: outside M, another frame, and among the lowest 30 % of its row towards that frame (or map)."""
    query, key, rows = case()
    attention = LAYOUT.by_frame(attention_rows(query, key))
    allowed, frames = rows.allowed.mask, rows.frames
    config = EpipolarConfig(scope=scope, heads=heads, threshold_keys=0)
    region = suppression_region(attention, allowed, frames, config).numpy()
    values = attention.numpy()
    if heads == "mean":
        values = np.broadcast_to(values.mean(0), values.shape)
    for n, q, j in np.ndindex(3, 10, 3):
        across = [values[n, r, i] for r in range(10) for i in range(3) if i != frames[r]]
        compared = values[n, q, j] if scope == "row" else np.concatenate(across)
        delta = np.sort(compared)[int(0.3 * len(compared))]
        for t in range(12):
            expected = not allowed[q, j, t] and j != frames[q] and values[n, q, j, t] < delta
            assert region[n, q, j, t] == expected
    assert 0 < region.mean() < 0.3


def test_loss_is_the_papers_sum_over_the_region():
    query, key, rows = case()
    config = EpipolarConfig(tier="chunked")
    attention = LAYOUT.by_frame(attention_rows(query, key))
    region = suppression_region(attention, rows.allowed.mask, rows.frames, config)
    expected = sum(rows.weights[q] * (attention[:, q] * region[:, q]).sum() / 3 for q in range(10))
    assert epipolar_loss(query, key, rows, LAYOUT, config).loss == pytest.approx(float(expected), rel=1e-12)


def test_more_percentile_suppresses_more_and_all_of_it_is_the_outside():
    query, key, rows = case()
    shares = [
        float(epipolar_loss(query, key, rows, LAYOUT, EpipolarConfig(percentile=p)).suppressed_share)
        for p in (0, 0.1, 0.3, 0.5, 1)
    ]
    outside = epipolar_loss(query, key, rows, LAYOUT, EpipolarConfig(mode="outside")).suppressed_share
    assert shares == sorted(shares) and shares[0] == 0 and 0 < shares[1] < shares[-1] == outside


@pytest.mark.parametrize("tier", ["dense", "chunked"])
@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("mode", ["outside", "adaptive"])
def test_empty_and_full_regions_give_numbers(tier, allowed, mode):
    query, key, rows = case(allowed=allowed)
    config = EpipolarConfig(mode=mode, percentile=1.0, tier=tier)
    term, *gradients = value_and_gradients(query, key, rows, config)
    assert all(g.isfinite().all() for g in gradients)
    assert term.suppressed_share == (0 if allowed else 1)
    assert (term.loss == 0) == allowed and all((g == 0).all() == allowed for g in gradients)


@pytest.mark.parametrize("tier", ["dense", "chunked"])
def test_extreme_logits_give_numbers(tier):
    query, key, rows = case(dtype=torch.float32)
    for scope in ("row", "map"):
        config = EpipolarConfig(tier=tier, scope=scope)
        term, *gradients = value_and_gradients(300 * query, key, rows, config)
        assert term.loss.isfinite() and all(g.isfinite().all() for g in gradients)


def test_single_frame_has_nothing_to_suppress():
    layout = KeyLayout(2, (1, 3, 4))
    rows = QueryRows(torch.tensor([3, 7]), torch.ones(2), (1, 3, 4), AllowedByMask(torch.zeros(2, 1, 12).bool()))
    query, key = torch.randn(2, 2, 8, requires_grad=True), torch.randn(2, 14, 8)
    for config in (EpipolarConfig(tier=t, scope=s) for t in ("dense", "chunked") for s in ("row", "map")):
        assert epipolar_loss(query, key, rows, layout, config).loss == 0


def test_text_reference_and_own_frame_share_the_softmax_but_are_never_suppressed():
    query, key, rows = case(allowed=False)
    config = EpipolarConfig(mode="outside", tier="chunked")
    attention = attention_rows(query, key)
    own = torch.stack([LAYOUT.by_frame(attention)[:, q, f].sum(-1) for q, f in enumerate(rows.frames)], 1)
    others = 1 - attention[..., LAYOUT.text].sum(-1) - attention[..., LAYOUT.reference].sum(-1) - own
    loss = epipolar_loss(query, key, rows, LAYOUT, config).loss
    assert float(loss) == pytest.approx(float((others.mean(0) * rows.weights).sum()), rel=1e-9)


@pytest.mark.parametrize("share", [4, 3])
def test_mean_over_sampling_phases_is_the_loss_over_all_rows(share):
    """Value and gradient of the subsampled loss are unbiased: exactly, when every phase is taken once."""
    query, key, rows = case(12, num_heads=2)
    full = replace(rows, weights=torch.full((12,), 1 / 12, dtype=torch.float64))
    config = EpipolarConfig(tier="chunked")
    expected, *gradients = value_and_gradients(query, key, full, config)
    losses, sums = [], [torch.zeros_like(query), torch.zeros_like(key)]
    for phase in range(share):
        chosen = systematic_sample(12, 12 // share, (phase + 0.5) / share)
        part = QueryRows(
            rows.tokens[chosen],
            torch.full((len(chosen),), 1 / len(chosen), dtype=torch.float64),
            SHAPE,
            AllowedByMask(rows.allowed.mask[chosen]),
        )
        term, query_gradient, key_gradient = value_and_gradients(query[:, chosen], key, part, config)
        losses.append(float(term.loss))
        sums[0][:, chosen] += query_gradient / share
        sums[1] += key_gradient / share
    assert np.mean(losses) == pytest.approx(float(expected.loss), rel=1e-12) and np.std(losses) > 0
    assert all((a - b).abs().max() < 1e-12 for a, b in zip(sums, gradients, strict=True))


@pytest.mark.parametrize("tier", ["dense", "chunked"])
def test_computes_in_float32_from_bfloat16_under_autocast(tier):
    query, key, rows = case(dtype=torch.bfloat16)
    config = EpipolarConfig(tier=tier)
    expected, *exact = value_and_gradients(query.float(), key.float(), rows, config)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        term, *gradients = value_and_gradients(query, key, rows, config)
    assert term.loss.dtype == torch.float32
    assert float(term.loss) == pytest.approx(float(expected.loss), rel=1e-5)
    assert all(g.dtype == torch.bfloat16 for g in gradients)
    assert all((g - e).abs().max() < 0.01 * e.abs().max() for g, e in zip(gradients, exact, strict=True))


def test_batch_is_the_mean_over_clips_and_a_clip_without_camera_counts_zero():
    query, key, rows = case()
    states = torch.zeros(3, LAYOUT.num_text + LAYOUT.num_video, 3, 8, dtype=torch.float64)
    states[:, LAYOUT.num_text + rows.tokens] = query.transpose(0, 1)
    keys = key.transpose(0, 1).expand(3, -1, -1, -1)
    config = EpipolarConfig()
    single = epipolar_loss(query, key, rows, LAYOUT, config)
    some = EpipolarConstraint((rows, None, rows), (0,), config)(states, keys, LAYOUT.num_text)
    assert float(some.loss) == pytest.approx(2 / 3 * float(single.loss))
    assert float(some.suppressed_share) == pytest.approx(float(single.suppressed_share))
    assert EpipolarConstraint((None,) * 3, (0,), config)(states, keys, LAYOUT.num_text).loss == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_streamed_order_statistic_is_exact(dtype):
    torch.manual_seed(0)
    values = torch.rand(3, 1000, dtype=dtype) ** 8
    values[0, :50] = 0
    for rank in (0, 1, 49, 50, 300, 999):
        got = streamed_kth_smallest(lambda: values.split(170, 1), rank, values.new_empty(3))
        assert torch.equal(got, values.sort(1).values[:, rank])


class LargestTensor(TorchDispatchMode):
    """The most elements that any single operation inside gave back."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return out


def test_no_map_is_ever_made(monkeypatch):
    """With 120 rows the largest tensor is one chunk's attention; the dense way makes all rows'."""
    monkeypatch.setitem(module.CHUNK_ELEMENTS, "cpu", 6 * 729)
    layout = KeyLayout(4, (5, 9, 16), 5)
    rows = QueryRows(torch.arange(0, 720, 6), torch.ones(120), (5, 9, 16), AllowedByMask(torch.rand(120, 5, 144) < 0.2))
    largest = {}
    for tier, scope in itertools.product(("dense", "chunked"), ("row", "map")):
        query, key = torch.randn(1, 120, 8, requires_grad=True), torch.randn(1, 729, 8, requires_grad=True)
        with LargestTensor() as largest[tier, scope]:
            epipolar_loss(query, key, rows, layout, EpipolarConfig(tier=tier, scope=scope)).loss.backward()
    assert largest["dense", "row"].elements >= 120 * 720
    assert largest["chunked", "row"].elements <= 729 * 8
    assert largest["chunked", "map"].elements <= 2**16 + 1


def test_refuses_what_does_not_fit_together():
    query, key, rows = case()
    with pytest.raises(InputError, match="45"):
        epipolar_loss(query, key[:, 1:], rows, LAYOUT, EpipolarConfig())
    with pytest.raises(InputError, match="percentile 30"):
        EpipolarConfig(percentile=30)
    with pytest.raises(InputError, match="mode 'none'"):
        EpipolarConfig(mode="none")
    assert set(field_help(EpipolarConfig)) == set(EpipolarConfig.__dataclass_fields__)
