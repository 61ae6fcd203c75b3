"""The probe's rows against a dense twin written out in float64, and against what the attention itself did with them."""

import numpy as np
import pytest
import torch
from diffusers.models.embeddings import apply_rotary_emb

from animateanywhere.errors import InputError
from animateanywhere.models.attention_probe import AttentionProbe, KeyLayout, ProbeRequest
from tests.tiny import random_inputs, tiny_pipeline

TOKENS = (0, 5, 31, 32, 63)
"""Of two token frames of 4 x 8 tokens."""


@pytest.fixture(scope="module")
def pipeline():
    return tiny_pipeline()


@pytest.fixture(scope="module")
def inputs():
    return random_inputs(16)


class Seen:
    """What went into one block's attention, and its output before the last projection, at every call."""

    def __init__(self, attention):
        self.inputs, self.values, self.outputs = [], [], []
        self._hooks = [
            attention.register_forward_pre_hook(lambda _, args, kw: self.inputs.append(kw), with_kwargs=True),
            attention.to_v.register_forward_hook(lambda _, args, out: self.values.append(out)),
            attention.to_out[0].register_forward_pre_hook(lambda _, args: self.outputs.append(args[0])),
        ]

    def remove(self):
        for hook in self._hooks:
            hook.remove()


def dense_twin(attention, given):
    """The whole map in float64, from the block's inputs: [N, S+L, S+L+R]."""
    joint = torch.cat([given["encoder_hidden_states"], given["hidden_states"]], 1)
    num_text = given["encoder_hidden_states"].shape[1]
    states = []
    for project, norm in ((attention.to_q, attention.norm_q), (attention.to_k, attention.norm_k)):
        state = norm(project(joint).unflatten(2, (attention.heads, -1)))
        video = apply_rotary_emb(state[:, num_text:], given["image_rotary_emb"], sequence_dim=1)
        states.append(torch.cat([state[:, :num_text], video], 1))
    query, key = states
    if given.get("reference_key_value") is not None:
        key = torch.cat([key, given["reference_key_value"].key], 1)
    query, key = (t[0].transpose(0, 1).double() for t in (query, key))
    return torch.softmax(query @ key.mT / query.shape[-1] ** 0.5, -1)


@torch.no_grad()
@pytest.mark.parametrize("layer", [0, 2])
@pytest.mark.parametrize("unconditional", [False, True])
def test_rows_equal_a_dense_twin_and_explain_the_attentions_output(pipeline, inputs, layer, unconditional):
    """Layer 0 has reference keys, layer 2 has none, the unconditional branch has none anywhere."""
    attention = pipeline.transformer.transformer_blocks[layer].attn1
    seen = Seen(attention)
    request = ProbeRequest((layer,), (1,), query_tokens=TOKENS, unconditional=unconditional)
    with AttentionProbe(pipeline.transformer, request) as probe:
        pipeline(inputs, num_inference_steps=3)
    seen.remove()
    assert len(seen.inputs) == 6  # three steps, two branches
    call = 2 + unconditional
    sample = probe.at(layer, step=1).rows()
    num_reference = 32 if layer == 0 and not unconditional else 0
    assert sample.layout == KeyLayout(8, (2, 4, 8), num_reference) and len(probe.held) == 1
    twin = dense_twin(attention, seen.inputs[call])[:, [8 + t for t in TOKENS]]
    assert sample.weights.shape == (1, *twin.shape)
    assert (sample.weights[0] - twin).abs().max() < 1e-6 < twin.std()
    own_values = [v for v in seen.values if v.shape[1] == 8 + 64]  # to_v also makes the reference's values, once
    value = own_values[call].unflatten(2, (2, -1))
    if num_reference:
        value = torch.cat([value, seen.inputs[call]["reference_key_value"].value], 1)
    out = (sample.weights[0] @ value[0].transpose(0, 1)).transpose(0, 1).flatten(1)  # [Q, D]
    assert (out - seen.outputs[call][0, [8 + t for t in TOKENS]]).abs().max() < 1e-5


def test_watching_changes_nothing_and_leaves_nothing_behind(pipeline, inputs):
    expected = pipeline(inputs, num_inference_steps=2)
    with AttentionProbe(pipeline.transformer, ProbeRequest((0, 1, 2), (0, 1))) as probe:
        watched = pipeline(inputs, num_inference_steps=2)
    assert np.array_equal(watched, expected)
    assert [(h.layer, h.step) for h in probe.held] == [(k, s) for s in (0, 1) for k in (0, 1, 2)]
    assert probe.held[0].timestep > probe.held[3].timestep
    pipeline(inputs, num_inference_steps=2)
    assert len(probe.held) == 6
    modules = [pipeline.transformer, *(block.attn1 for block in pipeline.transformer.transformer_blocks)]
    assert not any(m._forward_pre_hooks for m in modules)


def test_any_token_and_head_can_be_asked_for_later(pipeline, inputs):
    with AttentionProbe(pipeline.transformer, ProbeRequest((1,), (0,))) as probe:
        pipeline(inputs, num_inference_steps=1, guidance_scale=1.0)
    held = probe.at(1, 0)
    everything = held.rows()
    some = held.rows([40, 7], heads=(1,))
    assert torch.equal(some.query_tokens, torch.tensor([40, 7])) and some.heads == (1,)
    assert torch.allclose(some.weights, everything.weights[:, 1:, [40, 7]], atol=1e-7)
    assert torch.allclose(everything.weights.sum(-1), torch.ones(1, 2, 64), atol=1e-5)
    on_frames = some.on_frames()
    assert on_frames.shape == (1, 1, 2, 2, 4, 8)
    column = 8 + 1 * 32 + 2 * 8 + 3
    assert held.layout.name(column) == ("video", 1, 2, 3)
    assert torch.equal(on_frames[..., 1, 2, 3], some.weights[..., column])
    assert held.layout.name(3) == ("text", 3) and held.layout.name(8 + 64 + 5) == ("reference", 5)


def test_request_narrows_what_is_held(pipeline, inputs):
    request = ProbeRequest((1,), (0,), query_tokens=(3, 9), heads=(1,))
    with AttentionProbe(pipeline.transformer, request) as probe:
        pipeline(inputs, num_inference_steps=1)
    held = probe.at(1, 0)
    assert held.query.shape == (1, 1, 2, 16) and held.key.shape == (1, 1, 8 + 64 + 32, 16)


def test_refuses_what_is_not_there(pipeline, inputs):
    with pytest.raises(InputError, match="layers 0 to 2"):
        AttentionProbe(pipeline.transformer, ProbeRequest((3,), (0,)))
    with AttentionProbe(pipeline.transformer, ProbeRequest((1,), (0, 9), (3, 9))) as probe:
        pipeline(inputs, num_inference_steps=1)
    with pytest.raises(InputError, match=r"step 9: held .* \[\(1, 0\)\]"):
        probe.at(1, 9)
    with pytest.raises(InputError, match="query token 4"):
        probe.at(1, 0).rows([4])
    with pytest.raises(InputError, match="head 2"):
        probe.at(1, 0).rows(heads=(2,))
    with pytest.raises(InputError, match="query token 64"):
        with AttentionProbe(pipeline.transformer, ProbeRequest((1,), (0,), (64,))):
            pipeline(inputs, num_inference_steps=1)
    assert not pipeline.transformer._forward_pre_hooks
