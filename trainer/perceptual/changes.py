"""Changes of a picture that matter little to a person who looks at it: light, colour, noise."""

import torch


def relit(pictures: list[torch.Tensor], generator: torch.Generator) -> list[torch.Tensor]:
    """Several versions `[N, 3, S, S]` in 0..1 of the same pictures, in one other light for each picture."""
    count = len(pictures[0])
    gain = (0.25 * _normal(generator, count, 1, 1, 1) + 0.08 * _normal(generator, count, 3, 1, 1)).exp()
    lift = 0.06 * _normal(generator, count, 1, 1, 1) + 0.03 * _normal(generator, count, 3, 1, 1)
    return [(version - 0.5) * gain + 0.5 + lift for version in pictures]


def harmless_change(pictures: torch.Tensor, energy: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """`pictures` `[N, 3, S, S]` with other brightness, contrast, colour and noise, mixed at random.

    `energy` `[N]`: the mean squared change of each picture. Values may leave 0..1.
    """
    count = len(pictures)
    lift = _unit(_normal(generator, count, 1, 1, 1) + 0.5 * _normal(generator, count, 3, 1, 1)).expand_as(pictures)
    gain = _normal(generator, count, 1, 1, 1) + 0.3 * _normal(generator, count, 3, 1, 1)
    contrast = _unit((pictures - pictures.mean((2, 3), keepdim=True)) * gain)
    noise = _unit(_normal(generator, *pictures.shape))
    shares = torch.rand((3, count, 1, 1, 1), generator=generator).square() + 1e-3
    change = _unit((shares * torch.stack([lift, contrast, noise])).sum(0))
    return pictures + change * energy.sqrt().view(-1, 1, 1, 1)


def _normal(generator: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=generator)


def _unit(change: torch.Tensor) -> torch.Tensor:
    """Scaled to a mean square of 1 in each picture."""
    return change / change.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-6)
