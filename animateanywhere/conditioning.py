"""Pictures and words to the tensors the networks are conditioned on; the pipeline and the trainer both come through here.

Legend: B batch, T video frames, F latent frames, C latent channels, h w latent size, S text tokens.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from animateanywhere.config import ModelConfig
from animateanywhere.errors import InputError
from animateanywhere.latent_grid import LatentGrid


@dataclass(frozen=True)
class ConditionInputs:
    """One clip's inputs, ready at the model's size."""

    reference_image: np.ndarray  # uint8 [H, W, 3], the person on the flat canvas
    background_image: np.ndarray  # uint8 [H, W, 3]
    pose_frames: np.ndarray  # uint8 [T, H, W, 3], the drawn pose
    prompt: str = ""
    background_frames: np.ndarray | None = None  # uint8 [T, H, W, 3], as the camera sees it; None: it stands
    person_frames: np.ndarray | None = None  # uint8 [T, H, W, 4], the person's picture moved by the pose

    def __post_init__(self):
        size = self.pose_frames.shape[1:]
        for name, channels in (("background_frames", 3), ("person_frames", 4)):
            frames, expected = getattr(self, name), (*self.pose_frames.shape[:3], channels)
            if frames is not None and frames.shape != expected:
                raise InputError(
                    f"{name} are {frames.shape}, pose frames {self.pose_frames.shape}: expected {expected}"
                )
        for name in ("reference_image", "background_image"):
            if getattr(self, name).shape != size:
                raise InputError(
                    f"{name} is {getattr(self, name).shape}, pose frames are {size}: bring all three to the model's size"
                )


@dataclass(frozen=True)
class RawLatents:
    """VAE latents of one batch before any scaling: what a training cache stores."""

    pose: torch.Tensor  # [B, F, C, h, w]
    reference: torch.Tensor  # [B, 1, C, h, w]
    background: torch.Tensor  # [B, 1, C, h, w]; of a background that was moved [B, F, C, h, w]


@dataclass(frozen=True)
class Conditions:
    """What the denoiser is conditioned on. None for pose or reference: that condition is dropped."""

    prompt_embeds: torch.Tensor  # [B, S, text_dim]
    pose_latents: torch.Tensor | None  # [B, F, C, h, w]
    reference_latents: torch.Tensor | None  # [B, patch_size_t, C, h, w]
    background_latents: torch.Tensor  # [B, F, C, h, w], padded after frame 0 as the model says; all zero: dropped

    def dropped(self, human=False, background=False, pose=False) -> "Conditions":
        """The same conditions without the named ones."""
        return replace(
            self,
            pose_latents=None if pose else self.pose_latents,
            reference_latents=None if human else self.reference_latents,
            background_latents=torch.zeros_like(self.background_latents) if background else self.background_latents,
        )


def grid_of(vae, transformer, num_frames: int, width: int, height: int) -> LatentGrid:
    """How these networks cut a clip into latents and tokens. Raises InputError if it does not divide."""
    return LatentGrid(
        num_frames,
        height,
        width,
        spatial_compression=2 ** (len(vae.config.block_out_channels) - 1),
        temporal_compression=int(vae.config.temporal_compression_ratio),
        patch_size=transformer.config.patch_size,
        patch_size_t=transformer.config.patch_size_t or 1,
    )


def pixels_to_model(frames: np.ndarray | torch.Tensor) -> torch.Tensor:
    """uint8 `[B, T, H, W, 3]` -> float32 in [-1, 1], `[B, 3, T, H, W]`."""
    return torch.as_tensor(frames).permute(0, 4, 1, 2, 3).float() / 127.5 - 1.0


def pixels_from_model(frames: torch.Tensor) -> torch.Tensor:
    """float `[B, 3, T, H, W]` in [-1, 1] -> uint8 `[B, T, H, W, 3]`."""
    return ((frames.float() + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 4, 1)


@torch.no_grad()
def encode_frames(vae, frames: np.ndarray | torch.Tensor) -> torch.Tensor:
    """uint8 `[B, T, H, W, 3]`, T a multiple of 8 or 1 -> unscaled latents `[B, F, C, h, w]` (the distribution's mode)."""
    pixels = pixels_to_model(frames).to(vae.device, vae.dtype)
    return vae.encode(pixels).latent_dist.mode().transpose(1, 2)


@torch.no_grad()
def decode_latents(vae, latents: torch.Tensor) -> torch.Tensor:
    """Unscaled latents `[B, F, C, h, w]` -> uint8 `[B, T, H, W, 3]` on the CPU."""
    return pixels_from_model(vae.decode(latents.transpose(1, 2).to(vae.dtype)).sample).cpu()


def tokenize_prompts(tokenizer, prompts: list[str], max_length: int) -> torch.Tensor:
    """Token numbers `[B, max_length]`; longer prompts are cut, shorter ones padded."""
    tokens = tokenizer(prompts, padding="max_length", max_length=max_length, truncation=True, return_tensors="pt")
    return tokens.input_ids


def encode_prompts(tokenizer, text_encoder, prompts: list[str], max_length: int) -> torch.Tensor:
    """Text embeddings `[B, max_length, text_dim]`; padding is attended to as in pre-training."""
    return text_encoder(tokenize_prompts(tokenizer, prompts, max_length).to(text_encoder.device))[0]


def assemble(raw: RawLatents, prompt_embeds, scaling_factor, model: ModelConfig, patch_size_t) -> Conditions:
    """Scale and pad raw latents as the networks expect them.

    Pose and person carry the VAE's `scaling_factor`; the background is at raw scale times `image_latent_scale` (1.0),
    followed in latent space by zeros, as the base model was pre-trained, by itself, or by its own later frames
    (`background_padding`).
    """
    background = torch.zeros_like(raw.pose)
    filled = background[:, :1] if model.background_padding == "zeros" else background
    filled.copy_((raw.background * model.image_latent_scale).expand_as(filled))
    return Conditions(
        prompt_embeds=prompt_embeds,
        pose_latents=raw.pose * scaling_factor,
        reference_latents=(raw.reference * scaling_factor).repeat(1, patch_size_t or 1, 1, 1, 1),
        background_latents=background,
    )


@torch.no_grad()
def encode(components, inputs: ConditionInputs, model: ModelConfig) -> Conditions:
    """Encode one clip's inputs with the model's own VAE and text encoder."""
    transformer, vae = components.transformer, components.vae
    raw = RawLatents(
        pose=encode_frames(vae, inputs.pose_frames[None]),
        reference=encode_frames(vae, inputs.reference_image[None, None]),
        background=encode_frames(vae, shown_background(inputs, model)[None]),
    )
    prompt_embeds = encode_prompts(
        components.tokenizer, components.text_encoder, [inputs.prompt], transformer.config.max_text_seq_length
    )
    return assemble(
        raw,
        prompt_embeds.to(raw.pose),
        vae.config.scaling_factor,
        model,
        transformer.config.patch_size_t,
    )


def shown_background(inputs: ConditionInputs, model: ModelConfig) -> np.ndarray:
    """uint8 [T or 1, H, W, 3]: what the model's background latents are made of."""
    if model.background_padding != "moved":
        return inputs.background_image[None]
    if inputs.background_frames is not None:
        return inputs.background_frames
    return np.repeat(inputs.background_image[None], len(inputs.pose_frames), axis=0)
