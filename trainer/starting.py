"""What a run begins with: networks from scratch, a plain base, or a finished model; and whether its stages can run on them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from animateanywhere.architectures import Components, add_control_branches, build_components
from animateanywhere.checkpoint import load_base, load_components
from animateanywhere.conditioning import encode_prompts
from animateanywhere.config import ModelConfig
from animateanywhere.errors import InputError
from animateanywhere.model_folder import (
    BRANCH_PARTS,
    FineTune,
    is_plain_base,
    read_info,
    refer_to,
    refuse_fine_tune,
    resolve_model,
)
from animateanywhere.models.fine_tune import add_fine_tune
from animateanywhere.models.text_encoder import OnDemandTextEncoder
from trainer.architectures import ARCHITECTURES
from trainer.config import DataConfig, TrainConfig
from trainer.objectives import start_with_colour
from trainer.stage_world.captions import CAPTION_WORDS
from trainer.stages import Stage, get_stage


@dataclass(frozen=True)
class Beginning:
    """Networks before their first step, what they are called, and for stage `lora` what its adapter belongs to."""

    components: Components
    model: ModelConfig
    fine_tune: FineTune | None = None


def begin(config: TrainConfig) -> Beginning:
    """Build or load what `config` starts from. Raises InputError if its stages cannot run on that."""
    name, stages = config.start_from, [get_stage(settings.stage) for settings in config.stages]
    adapts = any("fine_tune" in stage.trains for stage in stages)
    if adapts and (len(stages) > 1 or not name):
        raise InputError(
            f"stage lora needs a finished model and a run of its own: got {len(stages)} stages and start_from {name!r}; "
            "name the model with --start-from"
        )
    if not name:
        return _from_scratch(config, stages)
    folder = resolve_model(name)
    if is_plain_base(folder):
        return _from_base(config, stages)
    info = read_info(folder)
    refuse_fine_tune(name, info)
    _require_branches(stages, set(BRANCH_PARTS) <= set(info.parts))
    fine_tune = refer_to(name, config.adapter.rank, config.adapter.alpha) if adapts else None
    components, _ = load_components(folder)
    return Beginning(components, finetuned(info.model, config.data), fine_tune)


def _from_scratch(config: TrainConfig, stages: Sequence) -> Beginning:
    _require_branches(stages, False)
    if config.architecture == "cogvideox1.5-5b":
        raise InputError(
            "architecture cogvideox1.5-5b is trained from its base: name its Hub id or folder as --start-from"
        )
    torch.manual_seed(config.seed)
    return Beginning(build_components(ARCHITECTURES[config.architecture], None, CAPTION_WORDS), config.model)


def _from_base(config: TrainConfig, stages: Sequence) -> Beginning:
    """The base stays where it is; what is trained refers to it."""
    if any(stage.trains_in(network) for stage in stages for network in ("vae", "transformer", "text_encoder")):
        raise InputError(
            f"{config.start_from} is a base that stays frozen: expected stages from pose on, not one that trains it"
        )
    _require_branches(stages, False)
    is_folder = Path(config.start_from).is_dir()
    base_model = str(Path(config.start_from).resolve()) if is_folder else config.start_from
    components = load_base(base_model)
    wanted, found = ARCHITECTURES[config.architecture].num_control_layers, components.transformer.config.num_layers
    if wanted > found:
        raise InputError(
            f"{config.start_from} has {found} blocks, the branches of architecture {config.architecture} have {wanted}: "
            "choose the architecture that fits"
        )
    made = f"branches trained on {config.data.describe()}, on the frozen base {Path(base_model).name}"
    return Beginning(components, replace(config.model, base_model=base_model, trained_on=made))


def _require_branches(stages: Sequence, present: bool) -> None:
    for stage in stages:
        present = present or "control_branches" in stage.restarts
        if stage.uses_pose and not present:
            raise InputError(
                f"stage {stage.name} goes on with control branches: begin with stage pose, or name a model that has them "
                "with --start-from"
            )


def finetuned(model: ModelConfig, data: DataConfig) -> ModelConfig:
    """What a model that goes on training is called, and what it says of itself."""
    name = model.name if model.name.endswith("-finetuned") else f"{model.name}-finetuned"
    return replace(model, name=name, trained_on=f"{model.trained_on}; then trained on {data.describe()}")


@torch.no_grad()
def read_captions(components: Components, captions: Sequence[str]) -> None:
    """Let a text encoder that is loaded on demand read everything at once: else it is loaded again for every new caption."""
    if isinstance(components.text_encoder, OnDemandTextEncoder):
        length = components.transformer.config.max_text_seq_length
        encode_prompts(components.tokenizer, components.text_encoder, sorted({"", *captions}), length)


def restart_parts(
    components: Components, stage: Stage, config: TrainConfig, stage_index: int, fine_tune: FineTune | None
) -> None:
    """Prepare what begins with the stage. `fine_tune`: what stage `lora` adds its adapter to."""
    if "colour" in stage.restarts:
        start_with_colour(components.vae)
    if "control_branches" in stage.restarts:
        architecture = ARCHITECTURES[config.architecture]
        torch.manual_seed(config.seed + stage_index)
        branch, layers, rank = config.model.branch, architecture.num_control_layers, architecture.lora_rank
        add_control_branches(components, branch, layers, rank)
    if "fine_tune" in stage.restarts:
        torch.manual_seed(config.seed + stage_index)
        add_fine_tune(components, fine_tune.rank, fine_tune.alpha)
