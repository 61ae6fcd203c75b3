"""Models on disk: a folder of safetensors and json per model. Nothing is ever unpickled.

animateanywhere.json        format version, ModelConfig, stage and step, the parts present
transformer/ vae/ ...       config.json and weights of one network each, in diffusers' and transformers' layout
background_motion_learner/  LoRA of the transformer
frame_refiner/              small network that draws decoded frames once more; its sizes are those of its tensors

A fine-tune by stage `lora` is the adapter alone and says which finished model it belongs to:

animateanywhere.json        as above, with that model's name and the fingerprint of its weights
fine_tune/                  LoRA of the transformer and both control branches
"""

import json
import re
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler
from huggingface_hub import constants
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, T5EncoderModel
from transformers.utils import logging as transformers_logging

from animateanywhere.architectures import Components
from animateanywhere.conditioning import tokenize_prompts
from animateanywhere.config import ModelConfig
from animateanywhere.errors import InputError
from animateanywhere.model_folder import (
    BASE_PARTS,
    REFINER,
    CheckpointInfo,
    FineTune,
    fetch_base,
    finished_model,
    read_info,
    write_settings,
)
from animateanywhere.models.background_motion_learner import (
    ADAPTER,
    add_background_motion_learner,
    background_motion_parameters,
    background_motion_state_dict,
    has_background_motion_learner,
)
from animateanywhere.models.fine_tune import ADAPTER as FINE_TUNE
from animateanywhere.models.fine_tune import add_fine_tune, fine_tune_state_dict
from animateanywhere.models.frame_refiner import FrameRefiner, widths_of
from animateanywhere.models.pose_controlnet import PoseControlNet
from animateanywhere.models.reference_net import ReferenceNet
from animateanywhere.models.text_encoder import OnDemandTextEncoder
from animateanywhere.models.transformer import AnimateAnywhereTransformer3DModel

WEIGHTS = "diffusion_pytorch_model.safetensors"
BRANCHES = {"pose_controlnet": PoseControlNet, "reference_net": ReferenceNet}
_READ_ERRORS = (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError, AttributeError)


def save_checkpoint(
    folder: Path,
    components: Components,
    model: ModelConfig,
    stage: str,
    step: int,
    dtype: torch.dtype | None = None,
    fine_tune: FineTune | None = None,
) -> None:
    """Write every present network into `folder` (made if missing), weights as `dtype` (kept if None).

    A base that comes from the Hub (`model.base_model`) is not written; of a model with a `fine_tune` only that adapter is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    info = CheckpointInfo(folder, model, stage, step, lora_rank=0, parts=(FINE_TUNE,), fine_tune=fine_tune)
    if fine_tune is not None:
        (folder / FINE_TUNE).mkdir(exist_ok=True)
        _save_tensors(folder / FINE_TUNE / WEIGHTS, fine_tune_state_dict(components), dtype)
    else:
        parts = _save_base(folder, components, dtype) if model.base_model is None else ()
        added, lora_rank = _save_added_parts(folder, components, dtype)
        info = replace(info, lora_rank=lora_rank, parts=(*parts, *added))
    write_settings(info)


def _save_base(folder: Path, components: Components, dtype) -> tuple[str, ...]:
    components.tokenizer.save_pretrained(folder / "tokenizer")
    components.scheduler.save_pretrained(folder / "scheduler")
    for name in ("text_encoder", "vae", "transformer"):
        module = getattr(components, name)
        weights = "model.safetensors" if name == "text_encoder" else WEIGHTS
        _save_network(folder / name, module.config, _plain_state_dict(module), dtype, weights)
    return BASE_PARTS


def _save_added_parts(folder: Path, components: Components, dtype) -> tuple[list[str], int]:
    """Branches, Background Motion Learner and frame refiner, as far as there are any: their names, and the second's rank."""
    parts, lora_rank = [], 0
    for name in BRANCHES:
        branch = getattr(components, name)
        if branch is not None:
            _save_network(folder / name, branch.config, branch.own_state_dict(), dtype, WEIGHTS)
            parts.append(name)
    if has_background_motion_learner(components.transformer):
        lora_rank = components.transformer.peft_config[ADAPTER].r
        (folder / ADAPTER).mkdir(exist_ok=True)
        _save_tensors(folder / ADAPTER / WEIGHTS, background_motion_state_dict(components.transformer), dtype)
        parts.append(ADAPTER)
    if components.frame_refiner is not None:
        (folder / REFINER).mkdir(exist_ok=True)
        _save_tensors(folder / REFINER / WEIGHTS, components.frame_refiner.state_dict(), dtype)
        parts.append(REFINER)
    return parts, lora_rank


def _plain_state_dict(module) -> dict[str, torch.Tensor]:
    """A network's own tensors under the names they have without LoRA."""
    state = {k.replace(".base_layer.", "."): v for k, v in module.state_dict().items() if "lora_" not in k}
    return {k: v for k, v in state.items() if k != "encoder.embed_tokens.weight"}


def _save_network(folder: Path, config, state, dtype, weights: str) -> None:
    folder.mkdir(exist_ok=True)
    text = config.to_json_string() if hasattr(config, "to_json_string") else json.dumps(_jsonable(config), indent=2)
    (folder / "config.json").write_text(text, encoding="utf-8")
    _save_tensors(folder / weights, state, dtype)


def _jsonable(config) -> dict:
    """A diffusers configuration, and those inside it, without what says where it was loaded from."""
    hidden = ("_name_or_path", "_use_default_values")
    return {k: _jsonable(v) if isinstance(v, dict) else v for k, v in dict(config).items() if k not in hidden}


def _save_tensors(path: Path, state, dtype) -> None:
    save_file({k: v.detach().to("cpu", dtype).contiguous().clone() for k, v in state.items()}, path, {"format": "pt"})


def load_components(folder: Path, dtype: torch.dtype = torch.float32) -> tuple[Components, CheckpointInfo]:
    """Load every network of a model folder, in evaluation mode. Raises InputError naming the part that is broken.

    A fine-tune brings the finished model that it belongs to; the result says its parts and rank.
    """
    info = read_info(folder)
    if info.fine_tune is not None:
        finished = finished_model(info)
        components, whole = load_components(finished.path, dtype)
        _load_fine_tune(components, info)
        info = replace(info, parts=(*whole.parts, *info.parts), lora_rank=whole.lora_rank)
        return _settled(components), info
    base_model = info.model.base_model
    components = _load_base(folder if base_model is None else fetch_base(base_model), base_model, dtype)
    for name, kind in BRANCHES.items():
        if name in info.parts:
            setattr(components, name, _load_branch(kind, folder / name, components.transformer, dtype))
    if ADAPTER in info.parts:
        _load_background_motion_learner(components.transformer, folder / ADAPTER, info.lora_rank, dtype)
    if REFINER in info.parts:
        components.frame_refiner = _load_refiner(folder / REFINER, dtype)
    return _settled(components), info


def load_base(base_model: str, dtype: torch.dtype = torch.float32) -> Components:
    """A plain base (Hub id or folder in diffusers' layout), in evaluation mode: no branches yet. Raises InputError."""
    return _settled(_load_base(fetch_base(base_model), base_model, dtype))


def _load_base(base: Path, base_model: str | None, dtype) -> Components:
    transformers_logging.disable_progress_bar()
    transformer = _load_diffusers(AnimateAnywhereTransformer3DModel, base / "transformer", dtype)
    tokenizer = _load(AutoTokenizer.from_pretrained, base / "tokenizer")
    return Components(
        tokenizer=tokenizer,
        text_encoder=_load_text_encoder(base, base_model, tokenizer, transformer, dtype),
        vae=_load_diffusers(AutoencoderKLCogVideoX, base / "vae", dtype),
        transformer=transformer,
        pose_controlnet=None,
        reference_net=None,
        scheduler=_load(CogVideoXDDIMScheduler.from_pretrained, base / "scheduler"),
    )


def _settled(components: Components) -> Components:
    for module in vars(components).values():
        if isinstance(module, torch.nn.Module):
            _own_memory(module.eval().requires_grad_(False))
    return components


def _load_text_encoder(base: Path, base_model: str | None, tokenizer, transformer, dtype):
    """A model's own text encoder is loaded with it; that of a base from the Hub only when there are words to read."""
    folder = base / "text_encoder"
    if base_model is None:
        return _load(T5EncoderModel.from_pretrained, folder, dtype=dtype, use_safetensors=True)
    cache = Path(constants.HF_ASSETS_CACHE) / "animateanywhere" / re.sub(r"[^\w.-]+", "--", base_model)
    empty = tokenize_prompts(tokenizer, [""], transformer.config.max_text_seq_length)
    return _load(OnDemandTextEncoder, folder, dtype=dtype, cache=cache, always_kept=empty)


def _own_memory(module) -> None:
    """Move tensors out of the mapped file into torch's own memory.

    There they are aligned as freshly made ones are, and matrix products round the same way: a resumed training run
    repeats an uninterrupted one bit for bit.
    """
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data = tensor.data.clone()


def _load(loader, folder: Path, **options):
    try:
        return loader(folder, **options)
    except _READ_ERRORS as error:
        raise _broken(folder, error) from error


def _broken(folder: Path, error: object) -> InputError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return InputError(f"{folder} is missing, damaged or of another model ({reason}): fetch or train the model again")


def _load_diffusers(cls, folder: Path, dtype):
    """A diffusers network whose every tensor came from the file; diffusers itself only warns about missing ones."""
    model, loading = _load(
        cls.from_pretrained, folder, torch_dtype=dtype, use_safetensors=True, output_loading_info=True
    )
    _require_complete(folder, loading["missing_keys"], loading["unexpected_keys"])
    return model


def _require_complete(folder, missing, unexpected) -> None:
    if missing or unexpected:
        raise _broken(folder, f"{len(missing)} tensors missing, {len(unexpected)} unknown")


def _load_branch(cls, folder: Path, transformer, dtype):
    if json.loads(_load(Path.read_text, folder / "config.json"))["kind"] == "copy":
        return _load_diffusers(cls, folder, dtype)
    config = _load(cls.load_config, folder)
    branch = cls.from_transformer(transformer, config["num_layers"], "lora", config["lora_rank"])
    _load_partial(branch, folder, branch.own_state_dict().keys())
    for parameter in branch.own_parameters():
        parameter.data = parameter.data.to(dtype)
    return branch


def _load_background_motion_learner(transformer, folder: Path, rank: int, dtype) -> None:
    add_background_motion_learner(transformer, rank, rank)
    _load_partial(transformer, folder, background_motion_state_dict(transformer).keys())
    for parameter in background_motion_parameters(transformer):
        parameter.data = parameter.data.to(dtype)


def _load_refiner(folder: Path, dtype) -> FrameRefiner:
    state = _load(load_file, folder / WEIGHTS)
    try:
        refiner = FrameRefiner(widths_of(state))
        refiner.load_state_dict(state)
    except (KeyError, IndexError, RuntimeError) as error:
        raise _broken(folder, error) from error
    return refiner.to(dtype)


def _load_fine_tune(components: Components, info: CheckpointInfo) -> None:
    add_fine_tune(components, info.fine_tune.rank, info.fine_tune.alpha)
    folder = info.path / FINE_TUNE
    state, own = _load(load_file, folder / WEIGHTS), fine_tune_state_dict(components)
    _require_complete(folder, own.keys() - state.keys(), state.keys() - own.keys())
    for name, tensor in own.items():
        if tensor.shape != state[name].shape:
            raise _broken(folder, f"{name} has shape {tuple(state[name].shape)}, expected {tuple(tensor.shape)}")
        tensor.copy_(state[name])


def _load_partial(module, folder: Path, expected) -> None:
    state = _load(load_file, folder / WEIGHTS)
    _require_complete(folder, expected - state.keys(), state.keys() - expected)
    try:
        module.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise _broken(folder, error) from error
