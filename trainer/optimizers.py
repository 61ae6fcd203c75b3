"""Optimizers, step-size schedule and weight averaging of one stage, and their state as plain tensors."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from trainer.config import OptimizerConfig, StageConfig
from trainer.muon import Muon


def is_hidden_matrix(name: str, parameter: torch.nn.Parameter) -> bool:
    """True for what Muon is made for: weights inside transformer blocks, and kernels inside the VAE.

    First and last layers, norms, modulations and LoRA are left to AdamW.
    """
    if name.startswith("vae."):
        return parameter.ndim >= 2 and "conv_in" not in name and "conv_out" not in name
    return parameter.ndim == 2 and "transformer_blocks" in name and "norm" not in name and "lora_" not in name


class StageOptimizer:
    """One or two torch optimizers over a stage's parameters, stepped together."""

    def __init__(self, parameters: dict[str, torch.nn.Parameter], stage: StageConfig):
        config = stage.optimizer
        matrices = [p for n, p in parameters.items() if config.name == "muon" and is_hidden_matrix(n, p)]
        ids = {id(p) for p in matrices}
        others = [p for p in parameters.values() if id(p) not in ids]
        self._optimizers = []
        if matrices:
            rate = config.matrix_learning_rate
            self._optimizers.append(Muon(matrices, lr=rate, weight_decay=config.weight_decay))
        if others:
            self._optimizers.append(
                torch.optim.AdamW(others, lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=config.weight_decay)
            )
        self._base_rates = [group["lr"] for opt in self._optimizers for group in opt.param_groups]
        self._parameters = list(parameters.values())
        self._stage = stage

    def step(self, step: int) -> tuple[float, float]:
        """Clip gradients, update, clear. `step` counts from 1. Returns (gradient norm, AdamW-side step size).

        Where the norm is not finite, no weight changes: one such update and every weight is NaN.
        """
        config = self._stage.optimizer
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, config.max_grad_norm)
        factor = learning_rate_factor(step, self._stage.num_steps, config)
        groups = [group for opt in self._optimizers for group in opt.param_groups]
        for group, base in zip(groups, self._base_rates, strict=True):
            group["lr"] = base * factor
        if torch.isfinite(norm):
            for optimizer in self._optimizers:
                optimizer.step()
        self.forget_gradients()
        return float(norm), config.learning_rate * factor

    def forget_gradients(self) -> None:
        """Free the gradients."""
        for optimizer in self._optimizers:
            optimizer.zero_grad(set_to_none=True)

    def state_tensors(self) -> dict[str, torch.Tensor]:
        """Everything the optimizers remember, as a flat dict of tensors."""
        tensors = {}
        for i, optimizer in enumerate(self._optimizers):
            for index, state in optimizer.state_dict()["state"].items():
                for key, value in state.items():
                    tensors[f"{i}.{index}.{key}"] = torch.as_tensor(value)
        return tensors

    def load_state_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        """Restore what `state_tensors` gave."""
        for i, optimizer in enumerate(self._optimizers):
            state_dict = optimizer.state_dict()
            state: dict[int, dict] = {}
            for name, value in tensors.items():
                owner, index, key = name.split(".", 2)
                if int(owner) == i:
                    state.setdefault(int(index), {})[key] = value
            optimizer.load_state_dict({**state_dict, "state": state})


def learning_rate_factor(step: int, num_steps: int, config: OptimizerConfig) -> float:
    """Linear warm-up to 1, then flat, then a cosine down to 1/20 over the last `decay_share` of the stage."""
    warmup = min(1.0, step / max(1, config.warmup_steps))
    decay_steps = config.decay_share * num_steps
    if decay_steps == 0 or step <= num_steps - decay_steps:
        return warmup
    progress = (step - (num_steps - decay_steps)) / decay_steps
    return warmup * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


class WeightAverage:
    """Exponential moving average of trained weights; early steps weigh more, so that a short stage is not stuck at its start."""

    def __init__(self, parameters: dict[str, torch.nn.Parameter], decay: float):
        self._decay = decay
        self._parameters = parameters
        self.averaged = {name: p.detach().clone() for name, p in parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        decay = min(self._decay, (1 + step) / (10 + step))
        for name, parameter in self._parameters.items():
            self.averaged[name].lerp_(parameter, 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange live and averaged weights; called in pairs, or once at a stage's end."""
        for name, parameter in self._parameters.items():
            live = parameter.detach().clone()
            parameter.copy_(self.averaged[name])
            self.averaged[name].copy_(live)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The averaged weights in place of the live ones, which come back bit for bit."""
        self.swap()
        try:
            yield
        finally:
            self.swap()
