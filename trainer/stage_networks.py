"""What a stage begins with and trains, where its networks lie, and all of them as the one module that accelerate wraps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import attrgetter

import torch

from animateanywhere.architectures import Components
from animateanywhere.models.background_motion_learner import background_motion_parameters
from animateanywhere.models.block_checkpointing import Checkpointing, set_checkpointing
from animateanywhere.models.fine_tune import fine_tune_parameters
from trainer.stages import Stage


class StageNetworks(torch.nn.Module):
    """The networks that a stage's gradients pass through; called with a function of them, it runs the function.

    So one wrapper holds them all, whatever methods of theirs are called in what order.
    """

    _no_split_modules = ["AnimateAnywhereBlock"]

    def __init__(self, components: Components, stage: Stage):
        super().__init__()
        for part in used_parts(stage):
            if part not in ("vae", "text_encoder") or stage.trains_in(part):
                self.add_module(part, getattr(components, part))

    def forward(self, function: Callable, *args):
        return function(*args)


def used_parts(stage: Stage) -> tuple[str, ...]:
    """Networks that a step of the stage runs."""
    if stage.objective == "autoencode":
        return ("vae",)
    branches = (("pose_controlnet", stage.uses_pose), ("reference_net", stage.uses_reference))
    return ("transformer", *(name for name, used in branches if used), "text_encoder", "vae")


def waiting_parts(stage: Stage, decodes: bool) -> tuple[str, ...]:
    """Networks that a step needs for a moment or not at all. `decodes`: gradients pass through the VAE's decoder."""
    busy = {part for part in used_parts(stage) if part not in ("vae", "text_encoder")}
    busy |= {"vae"} if decodes else set()
    names = ("transformer", "pose_controlnet", "reference_net", "text_encoder", "vae")
    return tuple(name for name in names if name not in busy and not stage.trains_in(name))


def place(components: Components, device: torch.device, waiting: tuple[str, ...] = ()) -> None:
    """Bring all networks to `device`, but those `waiting` to the CPU."""
    networks = {name: m for name, m in vars(components).items() if isinstance(m, torch.nn.Module)}
    # A borrowed branch moves the weights that it shares: those who stay there come last.
    for name in sorted(networks, key=lambda name: name not in waiting):
        networks[name].to("cpu" if name in waiting else device)


@contextmanager
def visiting(network, device: torch.device) -> Iterator[None]:
    """`network` on `device` for the time of a with block, then back where it was."""
    home = network.device
    if home == device:
        yield
        return
    network.to(device)
    try:
        yield
    finally:
        network.to(home)


def checkpoint_networks(components: Components, mode: Checkpointing) -> None:
    """Set the gradient checkpointing of transformer, control branches and VAE (whose attention is none)."""
    for network in (components.transformer, components.pose_controlnet, components.reference_net):
        if network is not None:
            set_checkpointing(network, mode)
    if mode == "off":
        components.vae.disable_gradient_checkpointing()
    else:
        components.vae.enable_gradient_checkpointing()


def stage_parameters(components: Components, stage: Stage) -> dict[str, torch.nn.Parameter]:
    """Parameters that a stage trains, by name; all others are frozen by this call."""
    for network in vars(components).values():
        if isinstance(network, torch.nn.Module):
            network.requires_grad_(False)
    parameters: dict[str, torch.nn.Parameter] = {}
    for part in stage.trains:
        if part == "fine_tune":
            parameters.update(fine_tune_parameters(components))
            continue
        home = "transformer" if part == "background_motion_learner" else part
        module = attrgetter(home)(components)
        if part == "background_motion_learner":
            chosen = background_motion_parameters(module)
        elif hasattr(module, "own_parameters"):
            chosen = module.own_parameters()
        else:
            chosen = list(module.parameters())
        ids = {id(p) for p in chosen}
        parameters.update({f"{home}.{n}": p for n, p in module.named_parameters() if id(p) in ids})
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    return parameters
