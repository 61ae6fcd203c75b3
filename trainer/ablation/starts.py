"""What rows of an ablation start from: the named model, or that model with some of its parts made anew."""

from dataclasses import replace
from pathlib import Path

import torch
from diffusers.utils.peft_utils import recurse_remove_peft_layers
from peft.tuners.lora import LoraLayer

from animateanywhere.architectures import Components, add_control_branches
from animateanywhere.checkpoint import load_components, save_checkpoint
from animateanywhere.config import ModelConfig
from animateanywhere.model_folder import read_info, resolve_model
from animateanywhere.models.background_motion_learner import ADAPTER
from trainer.ablation.tables import Start
from trainer.new_folder import new_folder

_SEED = 0
"""All rows and trainings of a table begin with the same new weights."""
_BACKGROUNDS = ("background stands", "background moved")
"""What changes no weight, only what the model is shown."""
_BRANCHES = {"copied branches anew": "copy", "lora branches anew": "lora"}


def start_model(start: Start, model: str, folder: Path) -> str:
    """Folder of what a row goes on from, made below `folder` if it is not there yet. Raises InputError."""
    found = resolve_model(model)
    shown = read_info(found).model
    if start == "as it is" or (start in _BACKGROUNDS and shown_by(start, shown) == shown):
        return str(found)
    made = folder / start.replace(" ", "-")
    if made.exists():
        return str(made)
    components, info = load_components(found)
    config = shown_by(start, info.model)
    torch.manual_seed(_SEED)
    if start == "motion learner anew":
        forget_motion(components)
    elif start in _BRANCHES:
        config = restart_branches(components, config, _BRANCHES[start], info.lora_rank)
    with new_folder(made) as draft:
        save_checkpoint(draft, components, config, info.stage, info.step)
    return str(made)


def shown_by(start: Start, model: ModelConfig) -> ModelConfig:
    """The background moved where a row says so; all others find out for themselves how it moves, as in the paper."""
    if start == "background moved":
        return replace(model, background_padding="moved")
    return replace(model, background_padding="repeat") if model.background_padding == "moved" else model


def forget_motion(components: Components) -> None:
    """Give the Background Motion Learner the weights of a new one, which changes nothing yet."""
    for layer in components.transformer.modules():
        if isinstance(layer, LoraLayer) and ADAPTER in layer.lora_A:
            layer.reset_lora_parameters(ADAPTER, init_lora_weights=True)


def restart_branches(components: Components, model, branch: str, rank: int):
    """Begin both branches and the Background Motion Learner anew from the base's first blocks; the model's new config."""
    num_layers = components.pose_controlnet.config.num_layers
    transformer = recurse_remove_peft_layers(components.transformer)
    del transformer.peft_config
    transformer._hf_peft_config_loaded = False
    transformer.requires_grad_(False)
    components.transformer = transformer
    add_control_branches(components, branch, num_layers, rank)
    return type(model)(**{**vars(model), "branch": branch})
