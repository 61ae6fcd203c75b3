"""What optimizers remember of every weight: as plain tensors for a checkpoint, and kept in CPU memory between steps."""

import torch

from trainer.adamw8bit import from_inner_tensors, inner_tensors
from trainer.sharding import spread_like, whole


class InCpuMemory:
    """An optimizer whose memory lies on the CPU; at a step, one weight's at a time is brought to the weight's device.

    Every number is what it would be without.
    """

    def __init__(self, optimizer: torch.optim.Optimizer):
        self._optimizer = optimizer

    @property
    def param_groups(self) -> list[dict]:
        return self._optimizer.param_groups

    @property
    def state(self) -> dict:
        return self._optimizer.state

    def zero_grad(self, set_to_none: bool = True) -> None:
        self._optimizer.zero_grad(set_to_none)

    def step(self) -> None:
        """One update of every parameter that has a gradient."""
        (group,) = self._optimizer.param_groups
        parameters = group["params"]
        try:
            for parameter in parameters:
                if parameter.grad is not None:
                    group["params"] = [parameter]
                    self._move(parameter, parameter.device)
                    self._optimizer.step()
                    self._move(parameter, torch.device("cpu"))
        finally:
            group["params"] = parameters

    def _move(self, parameter: torch.nn.Parameter, device: torch.device) -> None:
        memory = self._optimizer.state[parameter]
        memory |= {key: value.to(device) for key, value in memory.items() if _is_large(value)}


def _is_large(value) -> bool:
    """Counters stay where the optimizer put them."""
    return isinstance(value, torch.Tensor) and value.ndim > 0


def memory_tensors(optimizer) -> dict[str, torch.Tensor]:
    """INDEX.NAME of every tensor, whole and in parts that a file can hold. With FSDP all processes must ask."""
    tensors = {}
    for index, parameter in enumerate(_parameters(optimizer)):
        for key, value in optimizer.state.get(parameter, {}).items():
            value = whole(torch.as_tensor(value))
            inner = inner_tensors(value)
            parts = {key: value} if inner is None else {f"{key}.{name}": part for name, part in inner.items()}
            tensors |= {f"{index}.{name}": part for name, part in parts.items()}
    return tensors


def load_memory_tensors(optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """Restore what `memory_tensors` gave."""
    found: dict[int, dict] = {}
    for name, value in tensors.items():
        index, key, *part = name.split(".")
        memory = found.setdefault(int(index), {})
        mine = value.clone()  # out of a mapped file, as weights are when they are loaded
        if part:
            memory.setdefault(key, {})[part[0]] = mine
        else:
            memory[key] = mine
    parameters = _parameters(optimizer)
    for index, memory in found.items():
        parameter = parameters[index]
        optimizer.state[parameter] = {key: _placed(optimizer, parameter, key, value) for key, value in memory.items()}


def _placed(optimizer, parameter, key: str, value):
    value = from_inner_tensors(key, value) if isinstance(value, dict) else value
    if not _is_large(value) or isinstance(optimizer, InCpuMemory):
        return value
    return spread_like(parameter, value)


def _parameters(optimizer) -> list[torch.nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
