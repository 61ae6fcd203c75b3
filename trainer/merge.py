"""`python -m trainer merge`: a fine-tune's adapter folded into its finished model, file by file; no network is built.

Every update is a product of two narrow matrices, B A. Where the model has a LoRA of its own in that place (the Background Motion
Learner, a borrowed branch's), the two are laid side by side, [B1 B2] [A1; A2], so the frozen base stays as it is and may lie
elsewhere; a copied branch's own weights take B A up.
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from animateanywhere.checkpoint import BRANCHES, WEIGHTS
from animateanywhere.errors import InputError
from animateanywhere.model_folder import CheckpointInfo, finished_model, read_info, resolve_model, write_settings
from animateanywhere.models.background_motion_learner import ADAPTER as LEARNER
from animateanywhere.models.fine_tune import ADAPTER as FINE_TUNE
from trainer.model_card import copy_run_config
from trainer.new_folder import new_folder

Tensors = dict[str, torch.Tensor]
ATTENTION = re.compile(r"(.+\.attn1\.(?:to_q|to_k|to_v|to_out\.0))(?:\.lora_A\.\w+)?\.weight")
"""Names of what the adapter updates, in a network's own weights or in a LoRA of its own."""


@dataclass(frozen=True)
class Update:
    """What is added to one linear layer's weight `[out, in]`: `up @ down`."""

    down: torch.Tensor  # [r, in]
    up: torch.Tensor  # [out, r], the adapter's scale included


def merge(model: str, output: Path) -> CheckpointInfo:
    """Write the fine-tune `model` into the new folder `output` as a finished model that needs no adapter.

    Layers that change are written as float32, so that nothing of a small update is rounded away. Raises InputError if `model`
    is no fine-tune, its finished model is missing or another one, or `output` cannot be written.
    """
    info = read_info(resolve_model(model))
    if info.fine_tune is None:
        raise InputError(f"{model} is no fine-tune but a model of its own: there is nothing to merge, use it as it is")
    with new_folder(output) as draft:
        write_merged(info, draft)
    return read_info(Path(output))


def write_merged(info: CheckpointInfo, folder: Path) -> None:
    """Fill `folder`, which is there and empty, with the merged model of the fine-tune `info`."""
    finished, rank = finished_model(info), info.fine_tune.rank
    with _damage_of(info.path / FINE_TUNE):
        updates = read_updates(load_file(info.path / FINE_TUNE / WEIGHTS), rank, info.fine_tune.alpha)
    for part in finished.parts:
        if part in (LEARNER, *BRANCHES):
            network = "transformer" if part == LEARNER else part
            _merge_part(finished.path / part, folder / part, updates.get(network, {}), rank)
        else:
            shutil.copytree(finished.path / part, folder / part)
    copy_run_config(info.path, folder)
    model = replace(info.model, base_model=finished.model.base_model)
    lora_rank = finished.lora_rank + rank
    write_settings(replace(info, path=folder, model=model, lora_rank=lora_rank, parts=finished.parts, fine_tune=None))


def _merge_part(source: Path, target: Path, updates: Mapping[str, Update], rank: int) -> None:
    target.mkdir()
    with _damage_of(source):
        state, adapter, config = load_file(source / WEIGHTS), LEARNER, {}
        if source.name in BRANCHES:
            adapter = BRANCHES[source.name].adapter_name
            config = json.loads((source / "config.json").read_text(encoding="utf-8"))
        attention = {found[1] for found in map(ATTENTION.fullmatch, state) if found}
        if attention != updates.keys():
            raise ValueError(f"{len(attention)} layers of attention, {len(updates)} of the adapter for them")
        if config.get("kind") == "copy":
            merged = folded(state, updates)
        else:
            merged = beside(state, adapter, updates, rank)
        if config.get("kind") == "lora":
            config["lora_rank"] += rank
    save_file(merged, target / WEIGHTS, {"format": "pt"})
    if config:
        (target / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


@contextmanager
def _damage_of(folder: Path) -> Iterator[None]:
    """Whatever goes wrong while reading `folder` is one line about it."""
    try:
        yield
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{folder} is missing, damaged or of another model ({reason}): make it again") from error


def read_updates(state: Tensors, rank: int, alpha: int) -> dict[str, dict[str, Update]]:
    """The adapter's tensors as updates: by network, then by the layer's name in it. Raises ValueError on another rank."""
    found: dict[str, dict[str, Update]] = {}
    for name, down in state.items():
        parts = re.fullmatch(rf"(\w+)\.(.+)\.lora_A\.{FINE_TUNE}\.weight", name)
        if parts:
            up = state[name.replace(".lora_A.", ".lora_B.")].float() * (alpha / rank)
            if down.shape[0] != rank or up.shape[1] != rank:
                raise ValueError(f"{name} has rank {down.shape[0]}, expected {rank}")
            found.setdefault(parts[1], {})[parts[2]] = Update(down.float(), up)
    return found


def folded(state: Tensors, updates: Mapping[str, Update]) -> Tensors:
    """Weights with their updates added."""
    changed = {f"{layer}.weight": update.up @ update.down for layer, update in updates.items()}
    return {**state, **{name: state[name].float() + delta for name, delta in changed.items()}}


def beside(state: Tensors, adapter: str, updates: Mapping[str, Update], rank: int) -> Tensors:
    """The LoRA `adapter` (scale 1), wider by `rank`, doing in each layer what it did and what that layer's update does.

    Layers without an update are widened by one that changes nothing yet and can learn, as a fresh LoRA is: PEFT gives
    all layers of an adapter one rank.
    """
    merged, generator = {}, torch.Generator().manual_seed(0)
    for name in (name for name in state if ".lora_A." in name):
        layer = name.removesuffix(f".lora_A.{adapter}.weight")
        other = name.replace(".lora_A.", ".lora_B.")
        down, up = state[name].float(), state[other].float()
        bound = down.shape[1] ** -0.5
        fresh = torch.empty(rank, down.shape[1]).uniform_(-bound, bound, generator=generator)
        update = updates.get(layer, Update(fresh, torch.zeros(up.shape[0], rank)))
        merged[name], merged[other] = torch.cat([down, update.down]), torch.cat([up, update.up], dim=1)
    return {name: merged.get(name, tensor) for name, tensor in state.items()}
