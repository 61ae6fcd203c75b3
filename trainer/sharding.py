"""Weights spread over processes (FSDP2): how they are spread, and how they become whole again for a checkpoint.

A checkpoint holds whole tensors, so a run may go on with another number of processes, or with one.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

import torch

from animateanywhere.architectures import Components
from animateanywhere.epipolar_loss import EpipolarTerm
from animateanywhere.errors import InputError
from animateanywhere.losses import LossTerms
from animateanywhere.models.transformer import AnimateAnywhereBlock, ReferenceKeyValue
from trainer.config import StageConfig, TrainConfig


def prepare_sharded(accelerator, networks, optimizer):
    """Spread the weights of `networks` over the processes and let `optimizer` know."""
    from torch.distributed.fsdp import FSDPModule, register_fsdp_forward_method

    _register_outputs()
    prepared, *_ = accelerator.prepare(networks, *optimizer.torch_optimizers)
    for module in prepared.modules():
        if isinstance(module, AnimateAnywhereBlock) and isinstance(module, FSDPModule):
            register_fsdp_forward_method(module, "reference_key_value")

    def call(function, *args):
        with accelerator.autocast():
            return prepared(function, *args)

    return call


@cache
def _register_outputs() -> None:
    """FSDP2 finds the tensors in what a module returns by torch's own means, which know a dataclass only if told."""
    for kind in (LossTerms, EpipolarTerm, ReferenceKeyValue):
        torch.export.register_dataclass(kind)


def require_shardable(config: TrainConfig, stage: StageConfig) -> None:
    """Raises InputError naming a setting that does not work with weights spread over processes."""
    memory = "FSDP keeps a share of it in each process; its own settings can offload it"
    refused = {
        "branch lora": (config.model.branch == "lora", "the branches share the base's weights: choose branch copy"),
        "optimizer adamw8bit": (stage.optimizer.name == "adamw8bit", "choose adamw or muon"),
        "optimizer offload": (stage.optimizer.offload, memory),
        "offload_frozen": (config.offload_frozen, memory),
    }
    for name, (is_set, advice) in refused.items():
        if is_set:
            raise InputError(f"{name} does not work with FSDP: {advice}")


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor without its spread; all processes must ask at the same time."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def spread_like(parameter: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """A whole tensor, spread as `parameter` is and on its device."""
    if not hasattr(parameter, "full_tensor"):
        return value.to(parameter.device)
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(parameter.device_mesh.device_type), parameter.device_mesh, parameter.placements)


class WholeModel:
    """Networks as they were before their weights were spread, without memory, to be filled for every checkpoint."""

    def __init__(self, components: Components):
        self._networks = {
            name: copy.deepcopy(module, {id(t): _without_memory(t) for t in _tensors(module)})
            for name, module in vars(components).items()
            if isinstance(module, torch.nn.Module)
        }

    @contextmanager
    def gathered(self, components: Components, wanted: bool) -> Iterator[Components | None]:
        """`components` with whole weights on the CPU; all processes must ask, those that do not want it get None."""
        filled = {}
        for name in self._networks:
            state = getattr(components, name).state_dict()
            if any(hasattr(tensor, "full_tensor") for tensor in state.values()):
                filled[name] = {}
                for key, tensor in state.items():
                    gathered = whole(tensor)
                    if wanted:
                        filled[name][key] = gathered.cpu()
        if not wanted:
            yield None
            return
        for name, state in filled.items():
            self._networks[name].load_state_dict(state, assign=True)
        yield replace(components, **{name: self._networks[name] for name in filled})
        for name in filled:
            self._networks[name].to("meta")


def _tensors(module: torch.nn.Module):
    return (*module.parameters(), *module.buffers())


def _without_memory(tensor: torch.Tensor) -> torch.Tensor:
    empty = torch.empty_like(tensor, device="meta")
    return torch.nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, torch.nn.Parameter) else empty
