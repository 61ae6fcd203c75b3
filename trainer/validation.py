"""The latent loss on clips that are never trained on, with the same noise every time: a curve that can be compared."""

import torch

from animateanywhere.architectures import Components
from animateanywhere.denoiser import Denoiser
from animateanywhere.losses import latent_loss, velocity_target
from trainer.config import TrainConfig
from trainer.dataset import LatentClips
from trainer.objectives import clean_conditions
from trainer.stages import Stage

TIMESTEPS = (100, 350, 600, 850)
"""Of 1000; the loss of one clip is the mean over them."""


@torch.no_grad()
def held_out_loss(components: Components, clips: LatentClips, stage: Stage, config: TrainConfig) -> float:
    """Equation 5 on every clip at fixed timesteps with fixed noise: no dropout, no augmentation, captions given."""
    device, scaling = components.transformer.device, components.vae.config.scaling_factor
    denoiser = Denoiser(components.transformer, components.pose_controlnet, components.reference_net)
    losses = []
    for number, batch in enumerate(clips.one_by_one()):
        conditions = clean_conditions(components, batch, stage, config)
        features = denoiser.control_features(conditions)
        clean = batch.video.to(device) * scaling
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(number)).to(device)
        for moment in TIMESTEPS:
            timestep = torch.tensor([moment])
            noisy, velocity = velocity_target(clean, noise, components.scheduler.alphas_cumprod, timestep)
            predicted = denoiser.velocity(noisy, timestep.to(device), conditions, features)
            losses.append(float(latent_loss(predicted, velocity)))
    return sum(losses) / len(losses)
