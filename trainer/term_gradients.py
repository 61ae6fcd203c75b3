"""What each loss term alone would do to some weights: the norm of its own gradient, over all shares of a step."""

from collections.abc import Callable

import torch


class TermGradients:
    """Gradients of single terms on `parameters`, added up share by share."""

    def __init__(self, parameters: list[torch.nn.Parameter]):
        self._parameters = parameters
        self._sums: dict[str, list[torch.Tensor | None]] = {}

    def add(self, terms: dict[str, torch.Tensor]) -> None:
        """Of one share. The graph is kept for the backward pass that follows."""
        for name, term in terms.items():
            gradients = torch.autograd.grad(term, self._parameters, retain_graph=True, allow_unused=True)
            before = self._sums.get(name, [None] * len(gradients))
            self._sums[name] = [_added(a, b) for a, b in zip(before, gradients, strict=True)]

    def norms(self, names: list[str], add_up: Callable[[list], list] = list) -> dict[str, float]:
        """2-norm of each named term's gradient; one that no share had, or that reaches no parameter, has 0.

        `add_up`: turns tensors into their sums over processes; with several of them all must ask for the same names.
        """
        norms = {}
        for name in names:
            found = self._sums.get(name, [None] * len(self._parameters))
            pairs = zip(found, self._parameters, strict=True)
            summed = add_up([torch.zeros_like(p) if gradient is None else gradient for gradient, p in pairs])
            norms[name] = float(torch.stack([gradient.float().square().sum() for gradient in summed]).sum().sqrt())
        return norms

    def norm_facts(self, names: list[str], add_up: Callable) -> dict[str, float]:
        """`norms` under the names that events have; nothing unless there is a term beside the latent loss."""
        if len(names) == 1:
            return {}
        return {f"{name}_grad_norm": norm for name, norm in self.norms(names, add_up).items()}


def _added(a: torch.Tensor | None, b: torch.Tensor | None) -> torch.Tensor | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b
