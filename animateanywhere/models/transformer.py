"""The denoising transformer: CogVideoX's video DiT with places for pose features and reference keys inside each block.

Parameter names are those of diffusers' `CogVideoXTransformer3DModel`, so its checkpoints load unchanged; with no pose
features and no reference keys the output equals its output. Legend: B batch, F latent frames, C channels, H W latent
size, L video tokens, S text tokens, R reference tokens, N heads, D width, E head width.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.hooks._helpers import TransformerBlockMetadata, TransformerBlockRegistry
from diffusers.loaders import PeftAdapterMixin
from diffusers.models.attention import AttentionMixin
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.cache_utils import CacheMixin
from diffusers.models.embeddings import (
    CogVideoXPatchEmbed,
    TimestepEmbedding,
    Timesteps,
    apply_rotary_emb,
    get_1d_rotary_pos_embed,
)
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.normalization import AdaLayerNorm
from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXBlock
from torch import nn

from animateanywhere.models.block_checkpointing import run_checkpointed

OFS = 2.0
"""The constant that CogVideoX1.5's image-to-video model was trained with in its `ofs` embedding."""


@dataclass(frozen=True)
class ReferenceKeyValue:
    """Keys and values of the reference person for one block, `[B, R, N, E]` each, normalised and rotated."""

    key: torch.Tensor
    value: torch.Tensor


class AttentionLoss(Protocol):
    """A loss on the attention of some blocks, computed beside their output from the same queries and keys."""

    layers: tuple[int, ...]

    def __call__(self, query: torch.Tensor, key: torch.Tensor, num_text: int) -> Any:
        """`query [B, S+L, N, E]`, `key [B, S+L+R, N, E]`, normalised and rotated, text first, reference last."""


def rotary_embedding(head_dim, token_shape, first_frame=0, device=None):
    """Cosine and sine tables `[L, E]` of 3-D RoPE over (frames, height, width) tokens, E = `head_dim`.

    A quarter of the width turns with time, three eighths with each image axis; positions are plain integers (the
    1.5 model's "slice" grid), so both orientations are alike. `first_frame=-1` places the reference person's picture
    one step before the video.
    """
    frames, height, width = token_shape
    starts_sizes_dims = (
        (first_frame, frames, head_dim // 4),
        (0, height, head_dim // 8 * 3),
        (0, width, head_dim // 8 * 3),
    )
    tables = []
    for axis, (start, size, dim) in enumerate(starts_sizes_dims):
        positions = torch.arange(start, start + size, dtype=torch.float32, device=device)
        cos, sin = get_1d_rotary_pos_embed(dim, positions, theta=10000, use_real=True)  # [size, dim]
        shape = [1, 1, 1, dim]
        shape[axis] = size
        tables.append([t.view(shape).expand(frames, height, width, dim) for t in (cos, sin)])
    cos, sin = (torch.cat(parts, dim=-1).flatten(0, 2) for parts in zip(*tables, strict=True))  # [L, E]
    return cos, sin


class VideoAttnProcessor:
    """Joint attention over text, video and (as keys and values only) the reference person.

    Reference queries are dropped: their outputs would be thrown away by the paper's "preserving the original
    dimensions of the denoising DiT" (III-B). Takes part in diffusers' attention backends.
    """

    _attention_backend = None
    _parallel_config = None

    def __call__(
        self,
        attn,
        hidden_states,  # [B, L, D]
        encoder_hidden_states,  # [B, S, D]
        attention_mask=None,
        image_rotary_emb=None,
        reference_key_value=None,
        on_query_key: Callable[[torch.Tensor, torch.Tensor, int], None] | None = None,
    ):
        """`on_query_key` is shown the queries, the keys and the number of text tokens that this attention works with."""
        num_text = encoder_hidden_states.size(1)
        joint = torch.cat([encoder_hidden_states, hidden_states], dim=1)  # [B, S+L, D]
        query, key, value = (
            projection(joint).unflatten(2, (attn.heads, -1)) for projection in (attn.to_q, attn.to_k, attn.to_v)
        )  # [B, S+L, N, E]
        query = _normalise_and_rotate(query, attn.norm_q, image_rotary_emb, num_text)
        key = _normalise_and_rotate(key, attn.norm_k, image_rotary_emb, num_text)
        if reference_key_value is not None:
            key = torch.cat([key, reference_key_value.key], dim=1)  # [B, S+L+R, N, E]
            value = torch.cat([value, reference_key_value.value], dim=1)
        if on_query_key is not None:
            on_query_key(query, key, num_text)
        out = dispatch_attention_fn(
            query,
            key,
            value,
            attn_mask=attention_mask,
            backend=self._attention_backend,
            parallel_config=self._parallel_config,
        )
        out = attn.to_out[1](attn.to_out[0](out.flatten(2)))
        return out[:, num_text:], out[:, :num_text]


def _normalise_and_rotate(states, norm, rotary, num_text):
    if norm is not None:
        states = norm(states)
    if rotary is not None:
        rotated = apply_rotary_emb(states[:, num_text:], rotary, sequence_dim=1)
        states = torch.cat([states[:, :num_text], rotated], dim=1)
    return states


class AnimateAnywhereBlock(CogVideoXBlock):
    """CogVideoX's block with `h_pose` added on entry and reference keys in its attention (equation 2, figure 2).

    Both live inside the block, so that step caches, which skip whole blocks, stay exact.
    """

    def __init__(self, **sizes):
        super().__init__(**sizes)
        self.attn1.set_processor(VideoAttnProcessor())

    def forward(
        self,
        hidden_states,
        encoder_hidden_states,
        temb,
        image_rotary_emb=None,
        attention_kwargs=None,
        pose_features=None,
        reference_key_value=None,
        attention_loss=None,
    ):
        """One block. `hidden_states [B, L, D]`, `encoder_hidden_states [B, S, D]` -> the same two, updated.

        With an `attention_loss` (see `AttentionLoss`) its value is a third output.
        """
        if pose_features is not None:
            hidden_states = hidden_states + pose_features
        kwargs = dict(attention_kwargs or {})
        if reference_key_value is not None:
            kwargs["reference_key_value"] = reference_key_value
        # The loss leaves the block as an output: gradient checkpointing runs this call twice, and anything kept outside
        # it would be counted twice or lose its graph.
        losses = []
        if attention_loss is not None:
            kwargs["on_query_key"] = lambda *query_key: losses.append(attention_loss(*query_key))
        return (*super().forward(hidden_states, encoder_hidden_states, temb, image_rotary_emb, kwargs), *losses)

    def reference_key_value(self, reference_states, temb, image_rotary_emb):
        """Keys and values this block offers for the reference person's tokens `[B, R, D]`, modulated by `temb` (t=0)."""
        normed = self.norm1(reference_states, reference_states[:, :0], temb)[0]
        key, value = (f(normed).unflatten(2, (self.attn1.heads, -1)) for f in (self.attn1.to_k, self.attn1.to_v))
        return ReferenceKeyValue(_normalise_and_rotate(key, self.attn1.norm_k, image_rotary_emb, 0), value)


TransformerBlockRegistry.register(
    AnimateAnywhereBlock,
    TransformerBlockMetadata(return_hidden_states_index=0, return_encoder_hidden_states_index=1),
)


class VideoTrunk:
    """Embeddings and blocks that the denoiser and its control branches have in common, under diffusers' names."""

    def build_trunk(self, config, num_layers):
        """Attach `patch_embed`, `time_embedding`, `ofs_embedding` and `num_layers` blocks of `config` (a mapping)."""
        dim = config["num_attention_heads"] * config["attention_head_dim"]
        time_dim, ofs_dim = config["time_embed_dim"], config["ofs_embed_dim"]
        self.patch_embed = CogVideoXPatchEmbed(
            patch_size=config["patch_size"],
            patch_size_t=config["patch_size_t"],
            in_channels=config["in_channels"],
            embed_dim=dim,
            text_embed_dim=config["text_embed_dim"],
            bias=config["patch_bias"],
            sample_width=config["sample_width"],
            sample_height=config["sample_height"],
            sample_frames=config["sample_frames"],
            temporal_compression_ratio=config["temporal_compression_ratio"],
            max_text_seq_length=config["max_text_seq_length"],
            spatial_interpolation_scale=config["spatial_interpolation_scale"],
            temporal_interpolation_scale=config["temporal_interpolation_scale"],
            use_positional_embeddings=not config["use_rotary_positional_embeddings"],
            use_learned_positional_embeddings=config["use_learned_positional_embeddings"],
        )
        self.time_proj = Timesteps(dim, config["flip_sin_to_cos"], config["freq_shift"])
        self.time_embedding = TimestepEmbedding(dim, time_dim, config["timestep_activation_fn"])
        self.ofs_proj = self.ofs_embedding = None
        if ofs_dim:
            self.ofs_proj = Timesteps(ofs_dim, config["flip_sin_to_cos"], config["freq_shift"])
            self.ofs_embedding = TimestepEmbedding(ofs_dim, ofs_dim, config["timestep_activation_fn"])
        sizes = dict(
            dim=dim,
            num_attention_heads=config["num_attention_heads"],
            attention_head_dim=config["attention_head_dim"],
            time_embed_dim=time_dim,
            dropout=config["dropout"],
            activation_fn=config["activation_fn"],
            attention_bias=config["attention_bias"],
            norm_elementwise_affine=config["norm_elementwise_affine"],
            norm_eps=config["norm_eps"],
        )
        self.transformer_blocks = nn.ModuleList(AnimateAnywhereBlock(**sizes) for _ in range(num_layers))
        self.gradient_checkpointing = False
        self.checkpointing_keeps_attention = False

    def embed_time(self, timestep, ofs, dtype):
        """Time embedding `[B, time_embed_dim]` of `timestep [B]` (0..999) plus the constant `ofs` where there is one."""
        temb = self.time_embedding(self.time_proj(timestep).to(dtype))
        if self.ofs_embedding is not None:
            ofs = torch.full((1,), OFS, device=timestep.device) if ofs is None else ofs
            temb = temb + self.ofs_embedding(self.ofs_proj(ofs).to(dtype))
        return temb

    def embed_tokens(self, latents, prompt_embeds):
        """Latents `[B, F, C, H, W]` and text `[B, S, text_dim]` -> video tokens `[B, L, D]`, text tokens `[B, S, D]`."""
        joint = self.patch_embed(prompt_embeds, latents)
        num_text = prompt_embeds.shape[1]
        return joint[:, num_text:], joint[:, :num_text]

    def run_block(self, index, hidden_states, encoder_hidden_states, **inputs):
        """One block, recomputed in the backward pass if gradient checkpointing is on."""
        return self.run_part(self.transformer_blocks[index], hidden_states, encoder_hidden_states, **inputs)

    def run_part(self, part, *args, **named):
        """A block, or a method of one, under the network's gradient checkpointing."""
        if torch.is_grad_enabled() and self.gradient_checkpointing:
            return run_checkpointed(part, *args, keep_attention=self.checkpointing_keeps_attention, **named)
        return part(*args, **named)


class AnimateAnywhereTransformer3DModel(
    ModelMixin, AttentionMixin, ConfigMixin, PeftAdapterMixin, CacheMixin, VideoTrunk
):
    """CogVideoX's transformer with pose features and reference keys in its first blocks (paper III-B).

    The configuration is that of diffusers' `CogVideoXTransformer3DModel`.
    """

    _supports_gradient_checkpointing = True
    _no_split_modules = ["AnimateAnywhereBlock", "CogVideoXPatchEmbed"]
    _repeated_blocks = ["AnimateAnywhereBlock"]
    _skip_layerwise_casting_patterns = ["patch_embed", "norm"]

    @register_to_config
    def __init__(
        self,
        num_attention_heads: int = 48,
        attention_head_dim: int = 64,
        in_channels: int = 32,
        out_channels: int | None = 16,
        flip_sin_to_cos: bool = True,
        freq_shift: int = 0,
        time_embed_dim: int = 512,
        ofs_embed_dim: int | None = 512,
        text_embed_dim: int = 4096,
        num_layers: int = 42,
        dropout: float = 0.0,
        attention_bias: bool = True,
        sample_width: int = 170,
        sample_height: int = 96,
        sample_frames: int = 81,
        patch_size: int = 2,
        patch_size_t: int | None = 2,
        temporal_compression_ratio: int = 4,
        max_text_seq_length: int = 226,
        activation_fn: str = "gelu-approximate",
        timestep_activation_fn: str = "silu",
        norm_elementwise_affine: bool = True,
        norm_eps: float = 1e-5,
        spatial_interpolation_scale: float = 1.875,
        temporal_interpolation_scale: float = 1.0,
        use_rotary_positional_embeddings: bool = True,
        use_learned_positional_embeddings: bool = False,
        patch_bias: bool = False,
    ):
        super().__init__()
        self.build_trunk(self.config, num_layers)
        dim = num_attention_heads * attention_head_dim
        self.norm_final = nn.LayerNorm(dim, norm_eps, norm_elementwise_affine)
        self.norm_out = AdaLayerNorm(
            embedding_dim=time_embed_dim,
            output_dim=2 * dim,
            norm_elementwise_affine=norm_elementwise_affine,
            norm_eps=norm_eps,
            chunk_dim=1,
        )
        self.proj_out = nn.Linear(dim, patch_size * patch_size * (patch_size_t or 1) * out_channels)

    def reference_key_values(self, reference_states, image_rotary_emb):
        """Keys and values of the first blocks for the reference person: once per video, cached over all steps.

        `reference_states`: one `[B, R, D]` per block from `ReferenceNet`; `image_rotary_emb`: at time -1.
        """
        first = reference_states[0]
        temb = self.embed_time(torch.zeros(first.shape[0], device=first.device), None, first.dtype)
        return [
            self.run_part(block.reference_key_value, states, temb, image_rotary_emb)
            for block, states in zip(self.transformer_blocks, reference_states, strict=False)
        ]

    def forward(
        self,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        timestep: torch.Tensor,
        ofs: torch.Tensor | None = None,
        image_rotary_emb: tuple[torch.Tensor, torch.Tensor] | None = None,
        attention_kwargs: dict | None = None,
        pose_features: list[torch.Tensor] | None = None,
        reference_key_values: list[ReferenceKeyValue] | None = None,
        attention_loss: AttentionLoss | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, list]:
        """Predict the velocity.

        `hidden_states [B, F, C_in, H, W]` (noisy latents with the background's concatenated), text
        `encoder_hidden_states [B, S, text_dim]`, `timestep [B]`; `pose_features`: one `[B, L, D]` per control block,
        added before that block; `reference_key_values`: one per control block. Returns `[B, F, C_out, H, W]`; with an
        `attention_loss` also the list of its values, one for each of its layers in their order.
        """
        batch, num_frames, _, height, width = hidden_states.shape
        temb = self.embed_time(timestep, ofs, hidden_states.dtype)
        hidden_states, encoder_hidden_states = self.embed_tokens(hidden_states, encoder_hidden_states)
        watched = attention_loss.layers if attention_loss is not None else ()
        losses = []
        for index in range(len(self.transformer_blocks)):
            hidden_states, encoder_hidden_states, *loss = self.run_block(
                index,
                hidden_states,
                encoder_hidden_states,
                temb=temb,
                image_rotary_emb=image_rotary_emb,
                attention_kwargs=attention_kwargs,
                pose_features=_at(pose_features, index),
                reference_key_value=_at(reference_key_values, index),
                attention_loss=attention_loss if index in watched else None,
            )
            losses += loss
        hidden_states = self.proj_out(self.norm_out(self.norm_final(hidden_states), temb=temb))
        velocity = self._unpatchify(hidden_states, batch, num_frames, height, width)
        return velocity if attention_loss is None else (velocity, losses)

    def _unpatchify(self, tokens, batch, num_frames, height, width):
        p, p_t = self.config.patch_size, self.config.patch_size_t
        if p_t is None:
            grid = tokens.reshape(batch, num_frames, height // p, width // p, -1, p, p)
            return grid.permute(0, 1, 4, 2, 5, 3, 6).flatten(5, 6).flatten(3, 4)
        grid = tokens.reshape(batch, (num_frames + p_t - 1) // p_t, height // p, width // p, -1, p_t, p, p)
        return grid.permute(0, 1, 5, 4, 2, 6, 3, 7).flatten(6, 7).flatten(4, 5).flatten(1, 2)


def _at(values, index):
    return values[index] if values is not None and index < len(values) else None
