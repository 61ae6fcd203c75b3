"""The Triton kernels against the chunked way: on a CUDA GPU, or in Triton's interpreter where TRITON_INTERPRET=1 is set."""

import os
from dataclasses import replace

import pytest
import torch

from animateanywhere.config import EpipolarConfig
from animateanywhere.epipolar_loss import epipolar_loss
from animateanywhere.epipolar_rows import AllowedByMask, QueryRows
from animateanywhere.errors import InputError
from animateanywhere.models.attention_probe import KeyLayout

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
if not INTERPRETED and not torch.cuda.is_available():
    pytest.skip("no CUDA GPU", allow_module_level=True)
pytest.importorskip("triton", reason="Triton is not installed")
DEVICE = "cpu" if INTERPRETED else "cuda"

LAYOUTS = {
    "no part fills a tile": KeyLayout(5, (3, 5, 7), 11),
    "no text, no reference, whole tiles": KeyLayout(0, (2, 4, 8), 0),
    "more than a word of keys": KeyLayout(20, (2, 6, 7), 40),
}


def case(layout, dtype=torch.float32, num_rows=21, num_heads=2, width=16):
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randperm(layout.num_video, generator=generator)[:num_rows].sort().values
    mask = torch.rand(num_rows, layout.token_shape[0], layout.frame_size, generator=generator) < 0.3
    rows = QueryRows(tokens, torch.rand(num_rows, generator=generator), layout.token_shape, AllowedByMask(mask))
    query = 1.5 * torch.randn(num_heads, num_rows, width, generator=generator)
    key = torch.randn(num_heads, layout.num_keys, width, generator=generator)
    return query.to(DEVICE, dtype), key.to(DEVICE, dtype), rows.to(DEVICE)


def value_and_gradients(query, key, rows, layout, config):
    query, key = query.clone().requires_grad_(), key.clone().requires_grad_()
    term = epipolar_loss(query, key, rows, layout, config)
    (3 * term.loss).backward()
    return term, query.grad, key.grad


@pytest.mark.parametrize("name", LAYOUTS)
def test_equals_chunked_in_float32(name):
    layout = LAYOUTS[name]
    query, key, rows = case(layout)
    for config in (
        EpipolarConfig(),
        EpipolarConfig(percentile=0.6, threshold_keys=13),
        EpipolarConfig(percentile=1.0),
        EpipolarConfig(percentile=0.0),
        EpipolarConfig(mode="outside"),
        EpipolarConfig(mode="off"),
    ):
        expected, *exact = value_and_gradients(query, key, rows, layout, replace(config, tier="chunked"))
        term, *gradients = value_and_gradients(query, key, rows, layout, replace(config, tier="triton"))
        assert float(term.suppressed_share) == pytest.approx(float(expected.suppressed_share), abs=1e-6), config
        assert float(term.loss) == pytest.approx(float(expected.loss), rel=1e-4, abs=1e-8), config
        for want, got in zip(exact, gradients, strict=True):
            assert (want - got).abs().max() <= 1e-4 * want.abs().max() + 1e-8, config


@pytest.mark.skipif(INTERPRETED, reason="Triton's interpreter multiplies the bits of bfloat16 as integers; no CUDA GPU")
def test_close_to_chunked_in_bfloat16():
    layout = LAYOUTS["more than a word of keys"]
    query, key, rows = case(layout, torch.bfloat16)
    expected, *exact = value_and_gradients(query, key, rows, layout, EpipolarConfig(tier="chunked"))
    term, *gradients = value_and_gradients(query, key, rows, layout, EpipolarConfig(tier="triton"))
    assert float(term.loss) == pytest.approx(float(expected.loss), rel=0.02)
    for want, got in zip(exact, gradients, strict=True):
        assert (want.float() - got.float()).abs().max() <= 0.03 * want.float().abs().max()


def test_value_alone_needs_no_gradient():
    layout = LAYOUTS["no part fills a tile"]
    query, key, rows = case(layout)
    expected, *_ = value_and_gradients(query, key, rows, layout, EpipolarConfig(tier="triton"))
    term = epipolar_loss(query, key, rows, layout, EpipolarConfig(tier="triton"))
    assert not term.loss.requires_grad and float(term.loss) == pytest.approx(float(expected.loss), rel=1e-6)


@pytest.mark.parametrize("config", [EpipolarConfig(scope="map"), EpipolarConfig(heads="mean")])
def test_refuses_what_its_kernels_do_not_do(config):
    layout = LAYOUTS["no part fills a tile"]
    query, key, rows = case(layout)
    with pytest.raises(InputError, match="choose chunked"):
        epipolar_loss(query, key, rows, layout, replace(config, tier="triton"))
