"""Where models are and what they say about themselves: the only place that knows a model folder's settings file. No torch."""

import dataclasses
import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from animateanywhere.config import ModelConfig, dataclass_from_json
from animateanywhere.errors import InputError
from animateanywhere.fingerprint import weights_fingerprint

FORMAT = 1
SETTINGS = "animateanywhere.json"
BASE_PARTS = ("tokenizer", "text_encoder", "vae", "transformer", "scheduler")
BRANCH_PARTS = ("pose_controlnet", "reference_net")
FINISHED_PARTS = (*BRANCH_PARTS, "background_motion_learner")
"""What a model has, beside its base, once all its stages are done."""
REFINER = "frame_refiner"
"""A part that no other depends on."""
EMBEDDED_MODEL = Path(__file__).resolve().parents[1] / "assets" / "mini"
HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FineTune:
    """Which finished model an adapter belongs to, and the adapter's size."""

    finished_model: str
    """'mini', a folder, or a Hub id."""
    revision: str | None
    """Commit of a model on the Hub, which may have others by now."""
    fingerprint: str
    """Of the finished model's weights: `weights_fingerprint`."""
    rank: int
    alpha: int

    def __post_init__(self):
        if not isinstance(self.finished_model, str) or not all(isinstance(n, int) for n in (self.rank, self.alpha)):
            raise InputError("fine_tune: expected the name of a model and whole numbers for rank and alpha")
        if self.rank < 1 or self.alpha < 1:
            raise InputError(f"fine_tune rank {self.rank}, alpha {self.alpha}: expected at least 1")


@dataclass(frozen=True)
class CheckpointInfo:
    """What a model folder says about itself."""

    path: Path
    model: ModelConfig
    stage: str
    step: int
    lora_rank: int
    parts: tuple[str, ...]
    fine_tune: FineTune | None = None
    """Set where the folder holds an adapter only."""


@dataclass(frozen=True)
class _Settings:
    format: int
    model: ModelConfig
    stage: str
    step: int
    lora_rank: int
    parts: tuple[str, ...]
    fine_tune: FineTune | None = None


def write_settings(info: CheckpointInfo) -> None:
    """Write what `read_info` reads into the folder `info.path`."""
    values = {name: value for name, value in dataclasses.asdict(info).items() if name != "path"}
    if info.fine_tune is None:
        del values["fine_tune"]  # programs that know no fine-tunes read all other models
    text = json.dumps({"format": FORMAT, **values}, indent=2)
    (info.path / SETTINGS).write_text(text + "\n", encoding="utf-8")


def resolve_model(name: str, revision: str | None = None) -> Path:
    """Folder of a model given as `mini`, a folder, or a Hub id (`owner/name`, downloaded once, of commit `revision`).

    Raises InputError if there is no such model.
    """
    if name == "mini":
        return EMBEDDED_MODEL
    if Path(name).is_dir():
        folder = Path(name)
        return folder if (folder / SETTINGS).exists() or is_plain_base(folder) else folder / "pretrained_model"
    if not HUB_ID.fullmatch(name):
        raise InputError(f"unknown model {name!r}: expected 'mini', a folder with {SETTINGS}, or a Hub id 'owner/name'")
    try:
        return _download(name, revision, ["*.json", "*.safetensors", "*.model"])
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"model {name!r} is no folder here and could not be fetched from the Hub: {reason}") from error


def _download(hub_id: str, revision: str | None, patterns: list[str]) -> Path:
    if revision is not None:  # a commit never changes: what is here whole needs no network
        try:
            return Path(snapshot_download(hub_id, revision=revision, allow_patterns=patterns, local_files_only=True))
        except LocalEntryNotFoundError:
            log.info("%s at %s is not here yet", hub_id, revision)
    return Path(snapshot_download(hub_id, revision=revision, allow_patterns=patterns))


def is_plain_base(folder: Path) -> bool:
    """Whether `folder` holds a CogVideoX model as diffusers saves it: all that training starts from, and nothing of ours."""
    return (folder / "transformer" / "config.json").is_file() and not (folder / SETTINGS).exists()


def read_info(folder: Path) -> CheckpointInfo:
    """What the model in `folder` is. Raises InputError if it is none, broken, or of a newer format."""
    path = folder / SETTINGS
    if not path.is_file():
        hint = "; it is a base without control branches: train one from it first" if is_plain_base(folder) else ""
        raise InputError(f"{folder} holds no AnimateAnywhere model: expected {SETTINGS} in it{hint}")
    try:
        settings = dataclass_from_json(_Settings, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}): fetch or train the model again") from error
    if settings.format != FORMAT:
        raise InputError(f"{path} has format {settings.format}, this program reads {FORMAT}: update the program")
    values = {k: v for k, v in vars(settings).items() if k != "format"}
    return CheckpointInfo(path=folder, **values)


def fetch_base(base_model: str) -> Path:
    """Folder of the frozen base: a Hub id's (downloaded once), or the folder that `base_model` names."""
    if Path(base_model).is_dir():
        return Path(base_model)
    patterns = [f"{part}/*" for part in BASE_PARTS]
    try:
        return Path(snapshot_download(base_model, allow_patterns=patterns))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"the base model {base_model!r} could not be fetched from the Hub: {reason}") from error


def refuse_fine_tune(name: str, info: CheckpointInfo) -> None:
    """Raises InputError if the model `name` is an adapter on another one, which training does not start from."""
    if info.fine_tune is not None:
        merge = f"merge it first (python -m trainer merge --model {name} --output FOLDER) and start from the result"
        raise InputError(f"{name} is a fine-tune of {info.fine_tune.finished_model}: {merge}")


def refer_to(name: str, rank: int, alpha: int) -> FineTune:
    """The reference that an adapter on the finished model `name` ('mini', folder, Hub id) is saved with.

    Raises InputError if there is no such model, or it is none to fine-tune: unfinished, or a fine-tune itself.
    """
    folder = resolve_model(name)
    info = read_info(folder)
    refuse_fine_tune(name, info)
    missing = [part for part in FINISHED_PARTS if part not in info.parts]
    if missing:
        raise InputError(f"{name} (stage {info.stage}) has no {' and no '.join(missing)} yet: train it further")
    is_folder = name != "mini" and Path(name).is_dir()
    place = str(folder.resolve()) if is_folder else name  # `last` and `best` will point elsewhere one day
    revision = None if is_folder or name == "mini" else folder.name
    return FineTune(place, revision, _fingerprint(folder, info), rank, alpha)


def _fingerprint(folder: Path, info: CheckpointInfo) -> str:
    """Of all weights that an adapter was trained on top of."""
    return weights_fingerprint(folder, [part for part in info.parts if part != REFINER])


def finished_model(info: CheckpointInfo) -> CheckpointInfo:
    """The model that the fine-tune `info` belongs to. Raises InputError if it is missing or another one."""
    fine_tune = info.fine_tune
    name, settings = fine_tune.finished_model, info.path / SETTINGS
    remedy = f"put that model back, or write where it is into finished_model in {settings}"
    if name == "mini":
        remedy = "merge it with the version of this program that it was trained with, or fine-tune again"
    try:
        found = read_info(resolve_model(name, fine_tune.revision))
        fingerprint = _fingerprint(found.path, found)
    except InputError as error:
        raise InputError(f"{info.path} is a fine-tune of {name}, which cannot be read ({error}): {remedy}") from error
    if found.fine_tune is not None or fingerprint != fine_tune.fingerprint:
        told = f"whose weights ({fingerprint}) are not those it was trained on ({fine_tune.fingerprint})"
        raise InputError(f"{info.path} is a fine-tune of {name}, {told}: {remedy}")
    return found
