"""AdamW whose two averages take one byte per weight each, from torchao, which is installed only by those who want it."""

import torch

from animateanywhere.errors import InputError

VERSION = "0.18.0"
SIGNED = {"exp_avg": True, "exp_avg_sq": False}
INNER = ("codes", "scale", "qmap")


def make_adamw8bit(parameters: list[torch.nn.Parameter], **options) -> torch.optim.Optimizer:
    """Raises InputError saying what to install, or that this device cannot do it.

    Tensors of fewer than 4096 values, or not of a multiple of 256, keep averages of four bytes.
    """
    try:
        from torchao.optim import AdamW8bit
    except ImportError as error:
        raise InputError(f"optimizer adamw8bit needs torchao ({error}): pip install torchao=={VERSION}") from error
    _try_out(AdamW8bit, parameters[0].device)
    return AdamW8bit(parameters, **options)


def _try_out(kind, device: torch.device) -> None:
    """It compiles itself for the device; better to hear now that it cannot than after an hour of preparing."""
    weight = torch.nn.Parameter(torch.zeros(4096, device=device))
    weight.grad = torch.ones_like(weight)
    try:
        kind([weight]).step()
    except RuntimeError as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"optimizer adamw8bit cannot run on {device.type} here ({reason}): install a C++ compiler (CPU) or Triton "
            "(CUDA), or choose adamw"
        ) from error


def inner_tensors(average: torch.Tensor) -> dict[str, torch.Tensor] | None:
    """What a one-byte average is made of; None if it is a plain tensor."""
    return {name: getattr(average, name) for name in INNER} if hasattr(average, "codes") else None


def from_inner_tensors(name: str, inner: dict[str, torch.Tensor]) -> torch.Tensor:
    """The average `name`, exp_avg or exp_avg_sq, that `inner_tensors` took apart."""
    from torchao.optim.subclass_8bit import OptimState8bit

    return OptimState8bit(*(inner[part] for part in INNER), SIGNED[name])
