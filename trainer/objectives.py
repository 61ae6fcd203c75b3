"""What a stage minimises: one function per objective, from a batch to loss terms."""

from pathlib import Path

import torch
import torch.nn.functional as F

from animateanywhere.architectures import Components
from animateanywhere.conditioning import (
    Conditions,
    RawLatents,
    assemble,
    encode_frames,
    encode_prompts,
    grid_of,
    pixels_to_model,
)
from animateanywhere.denoiser import Denoiser
from animateanywhere.epipolar_loss import EpipolarConstraint, EpipolarTerm, draw_constraint
from animateanywhere.epipolar_rows import background_tokens
from animateanywhere.losses import LossTerms, latent_loss, one_step_clean, velocity_target
from animateanywhere.perceptual import PerceptualNetwork, perceptual_loss
from trainer.config import TrainConfig
from trainer.dataset import TrainingBatch, read_window
from trainer.shares import Share
from trainer.stage_networks import visiting
from trainer.stages import Stage
from trainer.training_clip import TrainingClip

COLOUR = torch.tensor([[1 / 3, 1 / 3, 1 / 3], [1.0, -1.0, 0.0], [-0.5, -0.5, 1.0]])
"""Brightness, red against green, blue against both: in pictures these are nearly uncorrelated."""
LOSS_GAIN = torch.tensor([1.0, 1.5, 1.5])
START_GAIN = torch.tensor([1.5, 4.0, 4.0])
"""Colour differences are a fourth as strong as brightness; unweighted, a small VAE learns grey pictures for thousands of steps."""
LATENT_WEIGHT = 1e-3
"""On mean squared latents: keeps them near unit size."""
_MOST_PARTS = 8
"""Of a caption: what comes after is lost or kept with the last of them."""
WINDOW_FRAMES = 8
"""Decoded for the perceptual loss: a whole clip would cost more than everything else together."""
LATENT_NOISE = 0.05
"""Added to latents before decoding, so that the decoder bears small errors of the denoiser."""


@torch.no_grad()
def start_with_colour(vae) -> None:
    """Let an untrained encoder's first layer see whitened colours."""
    weight = vae.encoder.conv_in.conv.weight  # [C, 3, kt, kh, kw]
    mixing = (COLOUR * START_GAIN[:, None]).to(weight)
    weight.copy_(torch.einsum("oithw,ic->octhw", weight, mixing))


def autoencoding_loss(
    vae, crops: torch.Tensor, generator: torch.Generator, share: Share, perceptual: PerceptualNetwork | None = None
) -> LossTerms:
    """Squared and absolute error in whitened colours, absolute error of differences to neighbours, small latents; beside them
    equation 6 on every frame if there is a network for it.

    `crops`: uint8 `[B, 8, H, W, 3]`, the share's; the result is its part of the batch's loss. The latents are the
    distribution's mode, as everywhere else in this program.
    """
    pixels = pixels_to_model(crops).to(vae.device)
    latents = vae.encode(pixels).latent_dist.mode()
    noise = share.normal(latents.shape[1:], generator, latents.device).to(latents)
    decoded = vae.decode(latents + LATENT_NOISE * noise).sample
    mixing = (COLOUR * LOSS_GAIN[:, None]).to(pixels)
    got, truth = (torch.einsum("oc,bcthw->bothw", mixing, clip) for clip in (decoded, pixels))
    loss = F.mse_loss(got, truth) + 0.5 * F.l1_loss(got, truth) + LATENT_WEIGHT * latents.square().mean()
    for dim in (-1, -2, -3):
        loss = loss + 0.25 * F.l1_loss(got.diff(dim=dim), truth.diff(dim=dim))
    if perceptual is None:
        return LossTerms(latent=loss).times(share.fraction)
    made, wanted = (clip.transpose(1, 2).flatten(0, 1) for clip in (decoded, pixels))  # [B T, 3, H, W]
    no_hands = torch.zeros(len(made), *made.shape[2:], dtype=torch.bool, device=made.device)
    seen = perceptual_loss(perceptual, made.float(), wanted.float(), no_hands)
    return LossTerms(latent=loss, perceptual=seen).times(share.fraction)


def denoising_loss(
    components: Components,
    batch: TrainingBatch,
    stage: Stage,
    config: TrainConfig,
    generator: torch.Generator,
    perceptual: PerceptualNetwork | None = None,
) -> LossTerms:
    """Equation 7 on a share of a batch, with condition dropout and image-noise augmentation: its part of the batch's loss."""
    share = batch.share
    device, scaling = components.transformer.device, components.vae.config.scaling_factor
    conditions = _conditions(components, batch, stage, config, generator)
    clean = batch.video.to(device) * scaling
    timestep = share.integers(1000, generator)
    noise = share.normal(clean.shape[1:], generator, device)
    noisy, velocity = velocity_target(clean, noise, components.scheduler.alphas_cumprod, timestep)
    denoiser = Denoiser(components.transformer, components.pose_controlnet, components.reference_net)
    inputs = (noisy, timestep.to(device), conditions, denoiser.control_features(conditions))
    constraint = _epipolar_constraint(components, batch, config, generator) if "epipolar" in stage.losses else None
    if constraint is None:
        predicted, seen = denoiser.velocity(*inputs), {}
    else:
        predicted, by_layer = denoiser.velocity_and_attention_loss(*inputs, constraint)
        term = EpipolarTerm.mean(by_layer)
        seen = {"epipolar": term.loss, "suppressed_share": term.suppressed_share}
        seen |= {"degenerate_share": constraint.degenerate_share, "constrained_clips": constraint.num_known}
    if perceptual is not None and "perceptual" in stage.losses:
        guess = one_step_clean(noisy, predicted, components.scheduler.alphas_cumprod, timestep)
        seen["perceptual"] = _perceptual_term(components.vae, perceptual, batch, guess, timestep, config, generator)
    latent = latent_loss(predicted, velocity, *_weights(batch, clean, config))
    return LossTerms(latent=latent, **seen).times(share.fraction)


def _weights(batch: TrainingBatch, clean: torch.Tensor, config: TrainConfig) -> tuple:
    """Of every place of the share's latents in their loss, and the mean over the whole batch."""
    if config.human_weight == 1:
        return None, None
    cells = torch.stack([labels.person_cells(clean.shape[1:]) for labels in batch.drawn]).to(clean.device)
    weights = 1 + (config.human_weight - 1) * cells.float()
    return batch.share.of(weights), weights.mean()


def _perceptual_term(vae, network, batch, guess, timestep, config, generator) -> torch.Tensor | None:
    """Equation 6 on 8 decoded frames of every clip at a low timestep; clips at higher ones count as 0. None: none is."""
    compression = batch.human_mask.shape[1] // guess.shape[1]
    frames = WINDOW_FRAMES // compression
    starts = batch.share.integers(guess.shape[1] // frames, generator) * frames
    places = batch.share.uniform(generator).tolist()
    terms = []
    for k in (timestep < config.perceptual_below).nonzero().flatten().tolist():
        video, hands = read_window(batch.clips[k], int(starts[k]) * compression, WINDOW_FRAMES)
        person = batch.human_mask[k, int(starts[k]) * compression :][:WINDOW_FRAMES]
        stride = video.shape[1] // guess.shape[3]
        top, left, height, width = crop_window(hands, person, config.perceptual_crop_px, stride, places[k])
        latents = guess[k : k + 1, starts[k] : starts[k] + frames]
        latents = latents[..., top // stride : (top + height) // stride, left // stride : (left + width) // stride]
        decoded = vae.decode((latents / vae.config.scaling_factor).to(vae.dtype).transpose(1, 2)).sample
        box = (slice(None), slice(top, top + height), slice(left, left + width))
        truth = pixels_to_model(video[box][None]).to(decoded)
        made, wanted = (clip[0].transpose(0, 1).float() for clip in (decoded, truth))  # [8, 3, H, W]
        terms.append(perceptual_loss(network, made, wanted, hands[box].to(made.device)))
    return torch.stack(terms).sum() / len(guess) if terms else None


def crop_window(
    hands: torch.Tensor, person: torch.Tensor, side: int, stride: int, place: float
) -> tuple[int, int, int, int]:
    """(top, left, height, width) in pixels, multiples of `stride`: around a pixel of a hand, else of the person, else any.

    Masks bool [T, H, W]; `place` in [0, 1) chooses the pixel.
    """
    _, height, width = hands.shape
    seen = next((mask for mask in (hands, person) if mask.any()), torch.ones_like(hands))
    pixels = seen.any(0).nonzero()
    middle = pixels[min(int(place * len(pixels)), len(pixels) - 1)].tolist()
    sizes = [min(side, length) // stride * stride for length in (height, width)]
    corners = [
        max(0, min(at - size // 2, length - size)) // stride * stride
        for at, size, length in zip(middle, sizes, (height, width), strict=True)
    ]
    return (*corners, *sizes)


def _epipolar_constraint(components, batch, config, generator) -> EpipolarConstraint | None:
    vae, transformer = components.vae, components.transformer
    num_frames, height, width = batch.human_mask.shape[1:]
    grid = grid_of(vae, transformer, num_frames, width, height)
    backgrounds: list[torch.Tensor | None] = [None] * batch.share.total
    backgrounds[batch.share.start : batch.share.stop] = [
        background_tokens(mask, grid, config.epipolar.person_margin) for mask in batch.human_mask
    ]
    cameras = [labels.camera for labels in batch.drawn]
    num_layers, device = transformer.config.num_layers, transformer.device
    return draw_constraint(cameras, backgrounds, grid, num_layers, config.epipolar, generator, device)


def _conditions(components, batch, stage, config, generator) -> Conditions:
    """Conditions of one step. Dropout is drawn per step, not per clip: sequence lengths differ without a person."""
    draw = float(torch.rand((), generator=generator))
    dropped = dropped_conditions(draw, config.drop_all, config.drop_each) & set(stage.drops)
    from_video = float(torch.rand((), generator=generator)) < stage.first_frame_share
    background = batch.first_frame if from_video else _background(components, batch, generator)
    prompts = shortened_captions(batch.captions, config.drop_caption_part, batch.share, generator)
    prompts = ["" if "prompt" in dropped else prompt for prompt in prompts]
    conditions = _assembled(components, batch, background, prompts, config)
    human = "human" in dropped or not stage.uses_reference
    pose = "pose" in dropped or not stage.uses_pose
    return conditions.dropped(human=human, background="background" in dropped, pose=pose)


def clean_conditions(components: Components, batch: TrainingBatch, stage: Stage, config: TrainConfig) -> Conditions:
    """What inference would give: nothing dropped that the stage uses, the background without noise."""
    background = _background(components, batch, None)
    conditions = _assembled(components, batch, background, batch.captions, config)
    return conditions.dropped(human=not stage.uses_reference, pose=not stage.uses_pose)


def _assembled(components, batch, background, prompts, config) -> Conditions:
    transformer = components.transformer
    device = transformer.device
    with visiting(components.text_encoder, device):
        prompt_embeds = encode_prompts(
            components.tokenizer, components.text_encoder, prompts, transformer.config.max_text_seq_length
        )
    raw = RawLatents(batch.pose.to(device), batch.reference.to(device), background.to(device))
    return assemble(
        raw,
        prompt_embeds,
        components.vae.config.scaling_factor,
        config.model,
        transformer.config.patch_size_t,
    )


def dropped_conditions(draw: float, drop_all: float, drop_each: float) -> set[str]:
    """One uniform draw in 0..1 decides: all four conditions, one of them, or none is dropped."""
    names = ("human", "background", "pose", "prompt")
    if draw < drop_all:
        return set(names)
    alone = int((draw - drop_all) / drop_each) if drop_each else len(names)
    return set(names[alone : alone + 1])


def shortened_captions(captions: list[str], drop: float, share: Share, generator: torch.Generator) -> list[str]:
    """The share's captions without some of their parts between commas; each is lost with probability `drop`."""
    if not drop:
        return captions
    lost = share.of(torch.rand(share.total, _MOST_PARTS, generator=generator)) < drop
    return [
        ", ".join(part for part, gone in zip(caption.split(", ", _MOST_PARTS - 1), row, strict=False) if not gone)
        for caption, row in zip(captions, lost.tolist(), strict=True)
    ]


@torch.no_grad()
def _background(components: Components, batch: TrainingBatch, generator: torch.Generator | None) -> torch.Tensor:
    """Background latents: cached ones of a background that was moved, else of one picture; with a generator, that one has the
    base model's image-noise augmentation: sigma = exp(N(-3, 0.5)) on pixels in [-1, 1]."""
    if batch.moved_background is not None:
        return batch.moved_background
    vae = components.vae
    with visiting(vae, components.transformer.device):
        pixels = pixels_to_model(batch.background_pixels[:, None].to(vae.device))  # [B, 3, 1, H, W]
        if generator is not None:
            sigma = torch.exp(batch.share.normal((1, 1, 1, 1), generator).to(pixels) * 0.5 - 3.0)
            pixels = pixels + sigma * batch.share.normal(pixels.shape[1:], generator, pixels.device)
        return vae.encode(pixels.to(vae.dtype)).latent_dist.mode().transpose(1, 2)


@torch.no_grad()
def set_scaling_factor(vae, clips: list[Path], num_clips: int = 16) -> None:
    """Set the VAE's `scaling_factor` so that scaled video latents have unit standard deviation."""
    latents = [encode_frames(vae, TrainingClip.load(path).video[None]).flatten() for path in clips[:num_clips]]
    vae.register_to_config(scaling_factor=round(1.0 / float(torch.cat(latents).std()), 4))
