"""Optimizers, step-size schedule and weight averaging of one stage, and their state as plain tensors."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from trainer.adamw8bit import make_adamw8bit
from trainer.config import OptimizerConfig, StageConfig
from trainer.muon import Muon
from trainer.optimizer_memory import InCpuMemory, load_memory_tensors, memory_tensors
from trainer.sharding import whole

ADAMS = {"adamw": torch.optim.AdamW, "adamw8bit": make_adamw8bit, "muon": torch.optim.AdamW}
"""By `OptimizerConfig.name`: what updates the weights that are not Muon's."""


def is_hidden_matrix(name: str, parameter: torch.nn.Parameter) -> bool:
    """True for what Muon is made for: weights inside transformer blocks, and kernels inside the VAE.

    First and last layers, norms, modulations and LoRA are left to AdamW.
    """
    if name.startswith("vae."):
        return parameter.ndim >= 2 and "conv_in" not in name and "conv_out" not in name
    return parameter.ndim == 2 and "transformer_blocks" in name and "norm" not in name and "lora_" not in name


class StageOptimizer:
    """One or two torch optimizers over a stage's parameters, stepped together."""

    def __init__(
        self,
        parameters: dict[str, torch.nn.Parameter],
        stage: StageConfig,
        scaler: torch.amp.GradScaler | None = None,
    ):
        """`scaler`: of fp16 gradients. Raises InputError if the optimizer is not installed or cannot run here."""
        config = stage.optimizer
        matrices = [p for n, p in parameters.items() if config.name == "muon" and is_hidden_matrix(n, p)]
        ids = {id(p) for p in matrices}
        others = [p for p in parameters.values() if id(p) not in ids]
        made = []
        if matrices:
            rate = config.matrix_learning_rate
            made.append((Muon(matrices, lr=rate, weight_decay=config.weight_decay), rate))
        if others:
            make, rate = ADAMS[config.name], config.learning_rate
            options = dict(betas=(0.9, 0.99), eps=config.epsilon, weight_decay=config.weight_decay)
            made.append((make(others, lr=rate, **options), rate))
        self.torch_optimizers = [optimizer for optimizer, _ in made]
        self._optimizers = [InCpuMemory(each) if config.offload else each for each in self.torch_optimizers]
        self._base_rates = [rate for _, rate in made]
        self._stage, self._scaler = stage, scaler

    def step(self, step: int) -> tuple[float, float]:
        """Clip gradients, update, clear. `step` counts from 1. Returns (gradient norm, AdamW-side step size).

        Where the norm is not finite, no weight changes: one such update and every weight is NaN. With a scaler that happens
        now and then, when gradients are too large for fp16.
        """
        config = self._stage.optimizer
        if self._scaler is not None:
            for optimizer in self._optimizers:
                self._scaler.unscale_(optimizer)
        groups = [group for optimizer in self._optimizers for group in optimizer.param_groups]
        norm = torch.nn.utils.clip_grad_norm_([p for group in groups for p in group["params"]], config.max_grad_norm)
        factor = learning_rate_factor(step, self._stage.num_steps, config)
        for group, base in zip(groups, self._base_rates, strict=True):
            _set_rate(group, base * factor)
        norm = float(whole(norm))
        if self._scaler is not None or math.isfinite(norm):
            for optimizer in self._optimizers:
                self._update(optimizer)
        self.forget_gradients()
        if self._scaler is not None:
            self._scaler.update()
        return norm, config.learning_rate * factor

    def forget_gradients(self) -> None:
        """Free the gradients."""
        for optimizer in self._optimizers:
            optimizer.zero_grad(set_to_none=True)

    @property
    def is_scaled(self) -> bool:
        """Whether gradients that are no finite numbers are part of the way, as in fp16."""
        return self._scaler is not None

    def _update(self, optimizer) -> None:
        if self._scaler is None:
            optimizer.step()
        elif any(p.grad is not None for group in optimizer.param_groups for p in group["params"]):
            self._scaler.step(optimizer)

    def state_tensors(self) -> dict[str, torch.Tensor]:
        """Everything the optimizers remember, as a flat dict of tensors. With FSDP all processes must ask."""
        tensors = {}
        for i, optimizer in enumerate(self._optimizers):
            tensors |= {f"{i}.{name}": tensor for name, tensor in memory_tensors(optimizer).items()}
        if self._scaler is not None:
            tensors |= {f"scaler.{key}": torch.tensor(float(value)) for key, value in self._scaler.state_dict().items()}
        return tensors

    def load_state_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        """Restore what `state_tensors` gave."""
        by_owner: dict[str, dict] = {}
        for name, value in tensors.items():
            owner, rest = name.split(".", 1)
            by_owner.setdefault(owner, {})[rest] = value
        for i, optimizer in enumerate(self._optimizers):
            load_memory_tensors(optimizer, by_owner.get(str(i), {}))
        if self._scaler is not None and "scaler" in by_owner:
            kinds = {key: type(value) for key, value in self._scaler.state_dict().items()}
            self._scaler.load_state_dict({key: kinds[key](value) for key, value in by_owner["scaler"].items()})


def _set_rate(group: dict, rate: float) -> None:
    if isinstance(group["lr"], torch.Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate


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

    def __init__(self, parameters: dict[str, torch.nn.Parameter], decay: float, on_cpu: bool = False):
        """`on_cpu`: keep the average there, wherever the weights are."""
        self._decay = decay
        self._parameters = parameters
        copied = {
            name: p.detach().to("cpu", copy=True) if on_cpu else p.detach().clone() for name, p in parameters.items()
        }
        self.averaged = copied

    @torch.no_grad()
    def update(self, step: int) -> None:
        decay = min(self._decay, (1 + step) / (10 + step))
        for name, parameter in self._parameters.items():
            self.averaged[name].lerp_(parameter.to(self.averaged[name].device), 1 - decay)

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
