"""Models on disk: a folder of safetensors and json per model. Nothing is ever unpickled.

animateanywhere.json        format version, ModelConfig, stage and step, the parts present
transformer/ vae/ ...       config.json and weights of one network each, in diffusers' and transformers' layout
background_motion_learner/  LoRA of the transformer
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler
from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, T5EncoderModel
from transformers.utils import logging as transformers_logging

from animateanywhere.architectures import Components
from animateanywhere.conditioning import tokenize_prompts
from animateanywhere.config import ModelConfig, dataclass_from_json
from animateanywhere.errors import InputError
from animateanywhere.models.background_motion_learner import (
    ADAPTER,
    add_background_motion_learner,
    background_motion_parameters,
    background_motion_state_dict,
    has_background_motion_learner,
)
from animateanywhere.models.pose_controlnet import PoseControlNet
from animateanywhere.models.reference_net import ReferenceNet
from animateanywhere.models.text_encoder import OnDemandTextEncoder
from animateanywhere.models.transformer import AnimateAnywhereTransformer3DModel

FORMAT = 1
SETTINGS = "animateanywhere.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
BRANCHES = {"pose_controlnet": PoseControlNet, "reference_net": ReferenceNet}
BASE_PARTS = ("tokenizer", "text_encoder", "vae", "transformer", "scheduler")
EMBEDDED_MODEL = Path(__file__).resolve().parents[1] / "assets" / "mini"
_READ_ERRORS = (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError, AttributeError)


@dataclass(frozen=True)
class CheckpointInfo:
    """What a model folder says about itself."""

    path: Path
    model: ModelConfig
    stage: str
    step: int
    lora_rank: int
    parts: tuple[str, ...]


@dataclass(frozen=True)
class _Settings:
    format: int
    model: ModelConfig
    stage: str
    step: int
    lora_rank: int
    parts: tuple[str, ...]


def save_checkpoint(
    folder: Path, components: Components, model: ModelConfig, stage: str, step: int, dtype: torch.dtype | None = None
) -> None:
    """Write every present network into `folder` (made if missing), weights as `dtype` (kept if None).

    A base that comes from the Hub (`model.base_model`) is not written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    if model.base_model is None:
        components.tokenizer.save_pretrained(folder / "tokenizer")
        components.scheduler.save_pretrained(folder / "scheduler")
        for name in ("text_encoder", "vae", "transformer"):
            module = getattr(components, name)
            weights = "model.safetensors" if name == "text_encoder" else WEIGHTS
            _save_network(folder / name, module.config, _plain_state_dict(module), dtype, weights)
        parts += BASE_PARTS
    for name in BRANCHES:
        branch = getattr(components, name)
        if branch is not None:
            _save_network(folder / name, branch.config, branch.own_state_dict(), dtype, WEIGHTS)
            parts.append(name)
    lora_rank = 0
    if has_background_motion_learner(components.transformer):
        lora_rank = components.transformer.peft_config[ADAPTER].r
        (folder / ADAPTER).mkdir(exist_ok=True)
        _save_tensors(folder / ADAPTER / WEIGHTS, background_motion_state_dict(components.transformer), dtype)
        parts.append(ADAPTER)
    settings = {"format": FORMAT, "model": json.loads(model.to_json()), "stage": stage, "step": step}
    text = json.dumps({**settings, "lora_rank": lora_rank, "parts": parts}, indent=2)
    (folder / SETTINGS).write_text(text + "\n", encoding="utf-8")


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


def resolve_model(name: str) -> Path:
    """Folder of a model given as `mini`, a folder, or a Hub id (`owner/name`, downloaded once).

    Raises InputError if there is no such model.
    """
    if name == "mini":
        return EMBEDDED_MODEL
    if Path(name).is_dir():
        folder = Path(name)
        return folder if (folder / SETTINGS).exists() else folder / "pretrained_model"
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name):
        raise InputError(f"unknown model {name!r}: expected 'mini', a folder with {SETTINGS}, or a Hub id 'owner/name'")
    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors", "*.model"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"model {name!r} is no folder here and could not be fetched from the Hub: {reason}") from error


def read_info(folder: Path) -> CheckpointInfo:
    """What the model in `folder` is. Raises InputError if it is none, broken, or of a newer format."""
    path = folder / SETTINGS
    if not path.is_file():
        raise InputError(f"{folder} holds no AnimateAnywhere model: expected {SETTINGS} in it")
    try:
        settings = dataclass_from_json(_Settings, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}): fetch or train the model again") from error
    if settings.format != FORMAT:
        raise InputError(f"{path} has format {settings.format}, this program reads {FORMAT}: update the program")
    values = {k: v for k, v in vars(settings).items() if k != "format"}
    return CheckpointInfo(path=folder, **values)


def load_components(folder: Path, dtype: torch.dtype = torch.float32) -> tuple[Components, CheckpointInfo]:
    """Load every network of a model folder, in evaluation mode. Raises InputError naming the part that is broken."""
    info = read_info(folder)
    transformers_logging.disable_progress_bar()
    base = folder if info.model.base_model is None else _fetch_base(info.model.base_model)
    transformer = _load_diffusers(AnimateAnywhereTransformer3DModel, base / "transformer", dtype)
    tokenizer = _load(AutoTokenizer.from_pretrained, base / "tokenizer")
    components = Components(
        tokenizer=tokenizer,
        text_encoder=_load_text_encoder(base, info.model.base_model, tokenizer, transformer, dtype),
        vae=_load_diffusers(AutoencoderKLCogVideoX, base / "vae", dtype),
        transformer=transformer,
        pose_controlnet=None,
        reference_net=None,
        scheduler=_load(CogVideoXDDIMScheduler.from_pretrained, base / "scheduler"),
    )
    for name, kind in BRANCHES.items():
        if name in info.parts:
            setattr(components, name, _load_branch(kind, folder / name, transformer, dtype))
    if ADAPTER in info.parts:
        _load_background_motion_learner(transformer, folder / ADAPTER, info.lora_rank, dtype)
    for module in vars(components).values():
        if isinstance(module, torch.nn.Module):
            _own_memory(module.eval().requires_grad_(False))
    return components, info


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


def _fetch_base(base_model: str) -> Path:
    """Folder of the frozen base: a Hub id's (downloaded once), or the folder that `base_model` names."""
    if Path(base_model).is_dir():
        return Path(base_model)
    patterns = [f"{part}/*" for part in BASE_PARTS]
    try:
        return Path(snapshot_download(base_model, allow_patterns=patterns))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"the base model {base_model!r} could not be fetched from the Hub: {reason}") from error


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


def _load_partial(module, folder: Path, expected) -> None:
    state = _load(load_file, folder / WEIGHTS)
    _require_complete(folder, expected - state.keys(), state.keys() - expected)
    try:
        module.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise _broken(folder, error) from error
