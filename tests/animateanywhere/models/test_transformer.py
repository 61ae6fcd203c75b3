"""Our transformer against diffusers' own, and what the injections do."""

import pytest
import torch
from diffusers import CogVideoXTransformer3DModel
from diffusers.hooks import FirstBlockCacheConfig
from diffusers.models.attention_dispatch import attention_backend

from animateanywhere.models.background_motion_learner import add_background_motion_learner
from animateanywhere.models.transformer import AnimateAnywhereTransformer3DModel, rotary_embedding
from tests.tiny import tiny_components

COMMON = dict(
    num_attention_heads=2,
    attention_head_dim=16,
    in_channels=8,
    out_channels=4,
    time_embed_dim=16,
    text_embed_dim=12,
    num_layers=3,
    sample_width=12,
    sample_height=8,
    sample_frames=13,
    max_text_seq_length=5,
)
STYLES = {
    "1.0-2b": dict(ofs_embed_dim=None, patch_size_t=None, patch_bias=True, use_rotary_positional_embeddings=False),
    "1.0-5b": dict(ofs_embed_dim=None, patch_size_t=None, patch_bias=True, use_rotary_positional_embeddings=True),
    "1.5": dict(ofs_embed_dim=16, patch_size_t=2, patch_bias=False, use_rotary_positional_embeddings=True),
}


def pair(style):
    torch.manual_seed(0)
    theirs = CogVideoXTransformer3DModel(**COMMON, **STYLES[style]).eval()
    ours = AnimateAnywhereTransformer3DModel(**COMMON, **STYLES[style]).eval()
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def inputs(style, height=8, width=12):
    torch.manual_seed(1)
    p_t = STYLES[style]["patch_size_t"] or 1
    rotary = None
    if STYLES[style]["use_rotary_positional_embeddings"]:
        rotary = rotary_embedding(16, (4 // p_t, height // 2, width // 2))
    latents, text = torch.randn(2, 4, 8, height, width), torch.randn(2, 5, 12)
    return latents, text, torch.tensor([7, 900]), rotary


@torch.no_grad()
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("size", [(8, 12), (12, 8)])
def test_equals_diffusers_without_injections(style, size):
    theirs, ours = pair(style)
    latents, text, timestep, rotary = inputs(style, *size)
    ofs = torch.tensor([2.0]) if style == "1.5" else None
    expected = theirs(latents, text, timestep, ofs=ofs, image_rotary_emb=rotary).sample
    got = ours(latents, text, timestep, image_rotary_emb=rotary)
    assert (expected - got).abs().max() < 1e-5
    assert expected.abs().max() > 0.1


@torch.no_grad()
def test_pose_features_are_added_before_their_block():
    _, ours = pair("1.5")
    latents, text, timestep, rotary = inputs("1.5")
    feature = torch.randn(2, 48, 32)
    seen = []
    hook = ours.transformer_blocks[1].norm1.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    ours(latents, text, timestep, image_rotary_emb=rotary)
    ours(latents, text, timestep, image_rotary_emb=rotary, pose_features=[torch.zeros_like(feature), feature])
    hook.remove()
    assert torch.allclose(seen[1] - seen[0], feature, atol=1e-5)


@torch.no_grad()
def test_reference_tokens_give_keys_and_values_only():
    """Attention with reference keys equals dense attention over [text, video, reference], reference queries dropped."""
    _, ours = pair("1.5")
    block = ours.transformer_blocks[0]
    rotary, reference_rotary = rotary_embedding(16, (2, 4, 6)), rotary_embedding(16, (1, 4, 6), first_frame=-1)
    hidden, text, reference = torch.randn(1, 48, 32), torch.randn(1, 5, 32), torch.randn(1, 24, 32)
    temb = torch.randn(1, 16)
    offered = block.reference_key_value(reference, temb, reference_rotary)
    video_out, text_out = block.attn1(
        hidden, encoder_hidden_states=text, image_rotary_emb=rotary, reference_key_value=offered
    )
    normed = block.norm1(reference, reference[:, :0], temb)[0]
    joint = torch.cat([text, hidden, normed], dim=1)
    cos, sin = (torch.cat([a, b]) for a, b in zip(rotary, reference_rotary, strict=True))
    dense_video, dense_text = block.attn1(joint[:, 5:], encoder_hidden_states=text, image_rotary_emb=(cos, sin))
    assert torch.allclose(video_out, dense_video[:, :48], atol=1e-5)
    assert torch.allclose(text_out, dense_text, atol=1e-5)


def test_rotary_positions_are_relative_in_time():
    """Shifting both query and key by one frame leaves their product unchanged; the reference sits one step before."""
    from diffusers.models.embeddings import apply_rotary_emb

    query, key = torch.randn(1, 1, 1, 16), torch.randn(1, 1, 1, 16)

    def product(t_query, t_key):
        q = apply_rotary_emb(query, rotary_embedding(16, (1, 1, 1), t_query), sequence_dim=1)
        k = apply_rotary_emb(key, rotary_embedding(16, (1, 1, 1), t_key), sequence_dim=1)
        return float((q * k).sum())

    assert product(0, -1) == pytest.approx(product(5, 4), abs=1e-4)
    assert product(0, -1) != pytest.approx(product(0, 0), abs=1e-3)


@torch.no_grad()
def test_motion_learner_changes_nothing_at_first_and_something_once_trained():
    _, ours = pair("1.5")
    latents, text, timestep, rotary = inputs("1.5")
    before = ours(latents, text, timestep, image_rotary_emb=rotary)
    add_background_motion_learner(ours, rank=4, alpha=4)
    assert torch.equal(ours(latents, text, timestep, image_rotary_emb=rotary), before)
    for name, parameter in ours.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    assert not torch.allclose(ours(latents, text, timestep, image_rotary_emb=rotary), before, atol=1e-3)


def test_attention_backends_and_regional_compile_reach_our_blocks():
    _, ours = pair("1.5")
    with attention_backend():  # the setting below outlives the model, for all others
        ours.set_attention_backend("_native_math")
    assert all(b.attn1.processor._attention_backend == "_native_math" for b in ours.transformer_blocks)
    assert ours._repeated_blocks == [type(ours.transformer_blocks[0]).__name__]


@torch.no_grad()
def test_first_block_cache_is_exact_when_it_never_skips():
    """A step cache that looks up our block class and, at threshold 0, must change nothing, injections included."""
    components = tiny_components()
    transformer = components.transformer
    latents, text = torch.randn(1, 2, 8, 8, 16), torch.randn(1, 8, 16)
    rotary = rotary_embedding(16, (1, 4, 8))
    pose = [torch.randn(1, 32, 32) for _ in range(2)]
    call = dict(image_rotary_emb=rotary, pose_features=pose)
    expected = [transformer(latents, text, torch.tensor([t]), **call) for t in (900, 500)]
    transformer.enable_cache(FirstBlockCacheConfig(threshold=0.0))
    with transformer.cache_context("cond"):
        got = [transformer(latents, text, torch.tensor([t]), **call) for t in (900, 500)]
    for a, b in zip(expected, got, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_gradient_checkpointing_gives_the_same_gradients():
    components = tiny_components()
    transformer = components.transformer.requires_grad_(True)
    latents, text = torch.randn(1, 2, 8, 8, 16), torch.randn(1, 8, 16)
    pose = [torch.randn(1, 32, 32) for _ in range(2)]

    def gradient():
        transformer.zero_grad()
        out = transformer(
            latents, text, torch.tensor([5]), image_rotary_emb=rotary_embedding(16, (1, 4, 8)), pose_features=pose
        )
        out.square().sum().backward()
        return transformer.patch_embed.proj.weight.grad.clone()

    plain = gradient()
    transformer.gradient_checkpointing = True
    assert torch.allclose(gradient(), plain, rtol=1e-5, atol=1e-6)
