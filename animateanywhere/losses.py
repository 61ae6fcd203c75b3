"""The training objective, one function per equation of the paper."""

from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True)
class LossTerms:
    """Losses of one step, 0-d tensors; None: the stage does not use that term."""

    latent: torch.Tensor
    perceptual: torch.Tensor | None = None
    epipolar: torch.Tensor | None = None
    suppressed_share: torch.Tensor | None = None
    """Share of the keys of other frames that the epipolar loss suppresses (Omega), 0..1; no gradient."""
    degenerate_share: float | None = None
    """Share of pairs of a query and another frame about which the cameras say nothing, 0..1."""
    constrained_clips: int = 0
    """Clips that the two shares are means over."""

    def times(self, factor: float) -> "LossTerms":
        """The same with every loss multiplied."""
        losses = {name: getattr(self, name) for name in ("latent", "perceptual", "epipolar")}
        return replace(self, **{name: factor * loss for name, loss in losses.items() if loss is not None})

    def weighted(self, perceptual_weight: float, epipolar_weight: float) -> dict[str, torch.Tensor]:
        """The summands of equation 7 that there are, by name."""
        weights = {"perceptual": perceptual_weight, "epipolar": epipolar_weight}
        others = {
            name: weight * getattr(self, name) for name, weight in weights.items() if getattr(self, name) is not None
        }
        return {"latent": self.latent, **others}

    def total(self, perceptual_weight: float, epipolar_weight: float) -> torch.Tensor:
        """Equation 7: latent + lambda_vgg * perceptual + lambda_epipolar * epipolar."""
        return sum(self.weighted(perceptual_weight, epipolar_weight).values())


def velocity_target(clean, noise, alphas_cumprod, timestep):
    """v = sqrt(abar) * noise - sqrt(1 - abar) * clean, and the noisy latents sqrt(abar) * clean + sqrt(1 - abar) * noise.

    `clean`, `noise` `[B, F, C, h, w]`; `timestep [B]`. Returns (noisy latents, velocity) in float32.
    """
    abar = alphas_cumprod.to(clean.device)[timestep].float().view(-1, 1, 1, 1, 1)
    clean, noise = clean.float(), noise.float()
    return abar.sqrt() * clean + (1 - abar).sqrt() * noise, abar.sqrt() * noise - (1 - abar).sqrt() * clean


def one_step_clean(noisy, velocity, alphas_cumprod, timestep) -> torch.Tensor:
    """The clean latents that a velocity implies: sqrt(abar) * noisy - sqrt(1 - abar) * velocity (paper III-D, one step).

    `noisy`, `velocity` `[B, F, C, h, w]`; `timestep [B]`; float32.
    """
    abar = alphas_cumprod.to(noisy.device)[timestep].float().view(-1, 1, 1, 1, 1)
    return abar.sqrt() * noisy.float() - (1 - abar).sqrt() * velocity.float()


def latent_loss(velocity_pred, velocity, weight: torch.Tensor | None = None, mean_weight=None) -> torch.Tensor:
    """Equation 5 in velocity form (what the base model was trained with), mean squared error in float32.

    `weight [B, F, 1, h, w]`: how much each place counts, relative to the others; None: all alike, as in the paper.
    `mean_weight`: what the weights are relative to, if these are not all clips of the batch; None: their own mean.
    """
    error = (velocity_pred.float() - velocity.float()).square()
    if weight is None:
        return error.mean()
    return (error * (weight / (weight.mean() if mean_weight is None else mean_weight))).mean()


def person_cells(human_mask: torch.Tensor, latent_shape: tuple[int, int, int, int]) -> torch.Tensor:
    """Latents in which the person is seen in any pixel.

    `human_mask` bool `[T, H, W]`, `latent_shape` (F, C, h, w) of the same clip -> bool `[F, 1, h, w]`.
    """
    frames, _, height, width = latent_shape
    seen = torch.nn.functional.adaptive_max_pool3d(human_mask[None].float(), (frames, height, width))
    return seen.transpose(0, 1) > 0
