"""`python -m trainer export`: a model as a folder that others can load, with a model card, and to the Hub if asked."""

import shutil
from dataclasses import replace
from pathlib import Path

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import httpx

from animateanywhere.errors import InputError
from animateanywhere.model_folder import (
    BRANCH_PARTS,
    HUB_ID,
    CheckpointInfo,
    read_info,
    resolve_model,
    write_settings,
)
from trainer.merge import write_merged
from trainer.model_card import RUN_CONFIG, model_card, read_run_config
from trainer.new_folder import new_folder

CARD = "README.md"


def export(model: str, output: Path, push: str | None = None, public: bool = False, base: str | None = None) -> Path:
    """Write `model` into the new folder `output`, ready for others, and upload it to the Hub as `push` if that is given.

    A fine-tune stays an adapter if its finished model is on the Hub; else it is merged, because nobody else has that model.
    `base`: the Hub id that is written for a frozen base that lies in a folder of this machine. A new repository is private
    unless `public`. Raises InputError if the model cannot be given away as it is, or on the way.
    """
    if push is not None:
        _check_push(push)
    info = read_info(resolve_model(model))
    with new_folder(output) as draft:
        made = _copy(info, draft, base)
        (draft / CARD).write_text(model_card(made, read_run_config(info.path), push), encoding="utf-8")
    if push is not None:
        _upload(Path(output), push, public)
    return Path(output)


def _copy(info: CheckpointInfo, folder: Path, base: str | None) -> CheckpointInfo:
    missing = [part for part in BRANCH_PARTS if part not in info.parts]
    if info.fine_tune is None and missing:
        raise InputError(f"{info.path} (stage {info.stage}) has no {' and no '.join(missing)} yet: train it further")
    if info.fine_tune is not None and info.fine_tune.revision is None:
        write_merged(info, folder)
        (folder / RUN_CONFIG).unlink(missing_ok=True)  # it names folders of this machine
        made = read_info(folder)
    else:
        for part in info.parts:
            shutil.copytree(info.path / part, folder / part)
        made = replace(info, path=folder)
    base_model = made.model.base_model
    if base_model is not None and not (HUB_ID.fullmatch(base_model) and not Path(base_model).is_dir()):
        if base is None:
            raise InputError(
                f"the base {base_model} is a folder of this machine: say its Hub id with --base OWNER/NAME"
            )
        made = replace(made, model=replace(made.model, base_model=_checked_id(base, "--base")))
    write_settings(made)
    return made


def _checked_id(name: str, option: str) -> str:
    if not HUB_ID.fullmatch(name):
        raise InputError(f"{option} {name!r}: expected a Hub id OWNER/NAME")
    return name


def _check_push(hub_id: str) -> None:
    """What can be known before anything is written."""
    _checked_id(hub_id, "--push")
    if get_token() is None:
        raise InputError("no Hub token on this machine: set HF_TOKEN or run `hf auth login`, or leave out --push")


def _upload(folder: Path, hub_id: str, public: bool) -> None:
    api = HfApi()
    try:
        api.create_repo(hub_id, private=not public, exist_ok=True)
        api.upload_folder(repo_id=hub_id, folder_path=folder, commit_message="Add the model")
    except (httpx.HTTPError, HFValidationError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        later = f"{folder} is whole, upload it later with `hf upload {hub_id} {folder}`"
        raise InputError(f"{hub_id} could not be written to the Hub ({reason}): {later}") from error
