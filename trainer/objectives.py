"""What a stage minimises: one function per objective, from a batch to loss terms."""

import torch
import torch.nn.functional as F

from animateanywhere.architectures import Components
from animateanywhere.conditioning import Conditions, RawLatents, assemble, encode_prompts, pixels_to_model
from animateanywhere.denoiser import Denoiser
from animateanywhere.losses import LossTerms, latent_loss, velocity_target
from trainer.config import TrainConfig
from trainer.dataset import TrainingBatch
from trainer.stages import Stage

KL_WEIGHT = 3e-4
"""Per latent element: keeps latents near unit size, which the tiny denoiser needs more than the last bit of sharpness."""


def autoencoding_loss(vae, crops: torch.Tensor, generator: torch.Generator) -> LossTerms:
    """Absolute error of pixels and of their differences to neighbours (edges), plus a light KL term.

    `crops`: uint8 `[B, 8, H, W, 3]`.
    """
    pixels = pixels_to_model(crops).to(vae.device)
    posterior = vae.encode(pixels).latent_dist
    noise = torch.randn(posterior.mean.shape, generator=generator).to(pixels)
    decoded = vae.decode(posterior.mean + posterior.std * noise).sample
    kl = 0.5 * (posterior.mean**2 + posterior.var - 1.0 - posterior.logvar).mean()
    loss = F.l1_loss(decoded, pixels) + KL_WEIGHT * kl
    for dim in (-1, -2, -3):
        loss = loss + F.l1_loss(decoded.diff(dim=dim), pixels.diff(dim=dim))
    return LossTerms(latent=loss)


def denoising_loss(
    components: Components, batch: TrainingBatch, stage: Stage, config: TrainConfig, generator: torch.Generator
) -> LossTerms:
    """Equation 5 on one batch, with condition dropout and image-noise augmentation."""
    device, scaling = components.transformer.device, components.vae.config.scaling_factor
    conditions = _conditions(components, batch, stage, config, generator)
    clean = (batch.video * scaling).to(device)
    timestep = torch.randint(0, 1000, (clean.shape[0],), generator=generator)
    noise = torch.randn(clean.shape, generator=generator).to(device)
    noisy, velocity = velocity_target(clean, noise, components.scheduler.alphas_cumprod, timestep)
    denoiser = Denoiser(components.transformer, components.pose_controlnet, components.reference_net)
    predicted = denoiser.velocity(noisy, timestep.to(device), conditions, denoiser.control_features(conditions))
    return LossTerms(latent=latent_loss(predicted, velocity))


def _conditions(components, batch, stage, config, generator) -> Conditions:
    """Conditions of one step. Dropout is drawn per step, not per clip: sequence lengths differ without a person."""
    draw = float(torch.rand((), generator=generator))
    dropped = dropped_conditions(draw, config.drop_all, config.drop_each) & set(stage.drops)
    from_video = float(torch.rand((), generator=generator)) < stage.first_frame_share
    background = batch.first_frame if from_video else _augmented_background(components.vae, batch, generator)
    prompts = ["" if "prompt" in dropped else caption for caption in batch.captions]
    transformer = components.transformer
    device = transformer.device
    prompt_embeds = encode_prompts(
        components.tokenizer, components.text_encoder, prompts, transformer.config.max_text_seq_length
    )
    raw = RawLatents(batch.pose.to(device), batch.reference.to(device), background.to(device))
    conditions = assemble(
        raw,
        prompt_embeds,
        components.vae.config.scaling_factor,
        config.model.image_latent_scale,
        transformer.config.patch_size_t,
    )
    human = "human" in dropped or not stage.uses_reference
    pose = "pose" in dropped or not stage.uses_pose
    return conditions.dropped(human=human, background="background" in dropped, pose=pose)


def dropped_conditions(draw: float, drop_all: float, drop_each: float) -> set[str]:
    """One uniform draw in 0..1 decides: all four conditions, one of them, or none is dropped."""
    names = ("human", "background", "pose", "prompt")
    if draw < drop_all:
        return set(names)
    alone = int((draw - drop_all) / drop_each) if drop_each else len(names)
    return set(names[alone : alone + 1])


@torch.no_grad()
def _augmented_background(vae, batch: TrainingBatch, generator: torch.Generator) -> torch.Tensor:
    """Background latents with the base model's image-noise augmentation: sigma = exp(N(-3, 0.5)) on pixels in [-1, 1]."""
    pixels = pixels_to_model(batch.background_pixels[:, None])  # [B, 3, 1, H, W]
    sigma = torch.exp(torch.randn((len(pixels), 1, 1, 1, 1), generator=generator) * 0.5 - 3.0)
    pixels = pixels + sigma * torch.randn(pixels.shape, generator=generator)
    return vae.encode(pixels.to(vae.device, vae.dtype)).latent_dist.mode().transpose(1, 2)
