"""The smallest real model of every kind, with weights that do something in every branch."""

from pathlib import Path

import numpy as np
import torch

from animateanywhere.architectures import Components, build_components
from animateanywhere.checkpoint import save_checkpoint
from animateanywhere.conditioning import ConditionInputs
from animateanywhere.config import ModelConfig, PoseStyle
from animateanywhere.models.fine_tune import add_fine_tune, fine_tune_parameters
from animateanywhere.pipeline import AnimateAnywherePipeline
from trainer.architectures import TINY
from trainer.stage_world.captions import CAPTION_WORDS

TINY_MODEL = ModelConfig(
    name="tiny",
    limits="anything at all: its weights are random",
    width=64,
    height=32,
    num_frames=8,
    max_num_frames=16,
    num_inference_steps=3,
    pose_style=PoseStyle(0.06),
)


def tiny_components(branch: str = "copy", seed: int = 0) -> Components:
    """Random tiny networks whose zero-initialised layers are made non-zero, so that no branch is silent."""
    torch.manual_seed(seed)
    components = build_components(TINY, branch, CAPTION_WORDS)
    networks = (components.transformer, components.pose_controlnet, components.reference_net)
    for network in networks:
        for name, parameter in network.named_parameters():
            if "zero_linears" in name or "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.2)
        network.requires_grad_(False).eval()
    return components


def add_tiny_fine_tune(components: Components, rank: int = 3, alpha: int = 6, seed: int = 1) -> None:
    """A fine-tune that does something in all three networks."""
    torch.manual_seed(seed)
    add_fine_tune(components, rank, alpha)
    for name, parameter in fine_tune_parameters(components).items():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
        parameter.requires_grad_(False)


def tiny_pipeline(branch: str = "copy", seed: int = 0) -> AnimateAnywherePipeline:
    model = ModelConfig(**{**vars(TINY_MODEL), "branch": branch})
    return AnimateAnywherePipeline(**vars(tiny_components(branch, seed)), model=model)


def make_tiny_model(folder: Path, branch: str = "copy", seed: int = 0) -> Path:
    """A tiny model on disk, as `--model FOLDER` takes it."""
    model = ModelConfig(**{**vars(TINY_MODEL), "branch": branch})
    save_checkpoint(folder, tiny_components(branch, seed), model, "joint", 0)
    return folder


def random_inputs(num_frames: int = 8, width: int = 64, height: int = 32, seed: int = 0) -> ConditionInputs:
    """Noise pictures of the right shapes."""
    random = np.random.default_rng(seed)

    def picture(*shape):
        return random.integers(0, 256, (*shape, height, width, 3), dtype=np.uint8)

    return ConditionInputs(picture(), picture(), picture(num_frames), "the camera follows")
