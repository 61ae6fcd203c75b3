"""Gradient checkpointing of blocks: what of the forward pass is kept, and what the backward pass computes again.

Gradients are those without it. Kept attention outputs spare the backward pass the dearest part of a long clip's forward
pass; queries, keys and values, which are three times as large, are computed again.
"""

import re
from collections.abc import Callable
from typing import Literal

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.checkpoint import checkpoint

Checkpointing = Literal["off", "blocks", "keep_attention"]
"""Everything is kept; of each block its inputs only; these and the outputs of its attention."""

_ATTENTION = re.compile(r"(scaled_dot_product|flash|efficient|cudnn).*(attention|attn)(?!.*backward)")


def is_attention(operation) -> bool:
    """True for one call of a fused attention kernel, torch's or another's, forward only.

    Attention that a backend spells out in matrix products is not one operation; it is computed again.
    """
    return _ATTENTION.search(operation.name()) is not None


def run_checkpointed(function: Callable, *args, keep_attention: bool = False, **named):
    """`function(*args, **named)`, of which autograd keeps the inputs, and attention outputs if wanted."""
    options = {"context_fn": _keeping_attention} if keep_attention else {}
    return checkpoint(function, *args, use_reentrant=False, **options, **named)


def set_checkpointing(network, mode: Checkpointing) -> None:
    """Of a transformer or a control branch."""
    network.gradient_checkpointing = mode != "off"
    network.checkpointing_keeps_attention = mode == "keep_attention"


def _keeping_attention() -> tuple[TorchDispatchMode, TorchDispatchMode]:
    kept: list = []
    return _Keep(kept), _Replay(kept)


class _Keep(TorchDispatchMode):
    """Around the forward pass: remembers what attention gave."""

    def __init__(self, kept: list):
        super().__init__()
        self._kept = kept

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if is_attention(func):
            self._kept.append(_aliases(out))
        return out


class _Replay(TorchDispatchMode):
    """Around the second forward pass: gives it again. Torch's own selective checkpointing does so once; gradients of
    single loss terms are measured before the step's, so here it may happen again."""

    def __init__(self, kept: list):
        super().__init__()
        self._kept = kept

    def __enter__(self):
        self._left = iter(self._kept)
        return super().__enter__()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if is_attention(func):
            return _aliases(next(self._left))
        return func(*args, **(kwargs or {}))


def _aliases(out):
    """The same memory under new tensors: autograd writes its history onto what an operation returns."""
    return tree_map_only(torch.Tensor, torch.Tensor.detach, out)
