"""Muon: momentum whose matrix is replaced by its nearest semi-orthogonal one, so that every direction learns at one pace."""

from collections import defaultdict

import torch

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic Newton-Schulz iteration; chosen by Muon's author for speed, not for exact orthogonality."""


def orthogonalise(update: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Roughly U V^T of every matrix U S V^T in `[..., m, n]`: singular values end within about 0.7 and 1.2.

    Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks".
    """
    a, b, c = _COEFFICIENTS
    tall = update.shape[-2] > update.shape[-1]
    x = update.mT if tall else update
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum over matrices and convolution kernels (flattened to `[out, rest]`).

    torch has one for matrices alone; the VAE's kernels gain most from it.
    """

    def __init__(self, parameters, lr: float, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(parameters, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure=None):
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            alike = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[parameter.flatten(1).shape, parameter.device].append(parameter)
            for parameters in alike.values():
                self._update(parameters, group)

    def _update(self, parameters, group) -> None:
        """Parameters of one shape, side by side: by itself, a small matrix leaves a GPU idle."""
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters]
        momenta = [self.state[parameter]["momentum"] for parameter in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        ahead = torch._foreach_lerp(gradients, momenta, group["momentum"])
        update = orthogonalise(torch.stack([each.flatten(1) for each in ahead]))
        scale = max(1.0, update.shape[-2] / update.shape[-1]) ** 0.5
        torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
        changes = [change.view_as(parameter) for change, parameter in zip(update, parameters, strict=True)]
        torch._foreach_add_(parameters, changes, alpha=-group["lr"] * scale)
