"""How the program's small convolutional networks are trained: one loop, two optimizers."""

import time
from collections.abc import Callable
from typing import Protocol

import torch

from trainer.camera_regressor import up_and_down
from trainer.muon import Muon

_WARMUP_STEPS = 50


class StepSizes(Protocol):
    """The settings of such a training that this loop reads."""

    num_steps: int
    learning_rate: float
    kernel_learning_rate: float


def minimise(
    network: torch.nn.Module, loss_of: Callable[[], torch.Tensor], config: StepSizes, say: Callable[[str], None]
) -> None:
    """Take `config.num_steps` steps down `loss_of()`, which draws a batch of its own at each call."""
    started = time.monotonic()
    kernels, others = kernels_and_others(network)
    optimizers = (
        (Muon(kernels, config.kernel_learning_rate), config.kernel_learning_rate),
        (torch.optim.AdamW(others, config.learning_rate, weight_decay=0.0), config.learning_rate),
    )
    for step in range(config.num_steps):
        loss = loss_of()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for optimizer, rate in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * up_and_down(step, config.num_steps, _WARMUP_STEPS)
            optimizer.step()
            optimizer.zero_grad()
        if (step + 1) % 50 == 0 or step + 1 == config.num_steps:
            say(f"step {step + 1}/{config.num_steps}  loss {loss.item():.4f}  {time.monotonic() - started:.0f} s")


def kernels_and_others(network: torch.nn.Module) -> tuple[list, list]:
    """Kernels between the first and the last convolution are Muon's: it learns them several times as fast as AdamW."""
    kernels = [p for p in network.parameters() if p.ndim == 4][1:-1]
    ids = {id(p) for p in kernels}
    return kernels, [p for p in network.parameters() if id(p) not in ids]
