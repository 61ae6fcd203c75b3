"""The README of a model that is given away: what made it, from what, under which licence, how to load it, what it cannot do."""

import shutil
from pathlib import Path

from animateanywhere.errors import InputError
from animateanywhere.model_folder import CheckpointInfo
from trainer.config import StageConfig, TrainConfig

RUN_CONFIG = "train_config.json"
"""A run's settings, in the run's folder or beside a model that was merged from one."""


def run_config_file(model: Path) -> Path | None:
    """The settings of the run that made the model folder `model`, where they can still be found."""
    whole = model.resolve()
    places = [whole, whole.parents[2]] if whole.parent.parent.name == "checkpoints" else [whole]
    return next((place / RUN_CONFIG for place in places if (place / RUN_CONFIG).is_file()), None)


def copy_run_config(model: Path, folder: Path) -> None:
    """Keep the settings of the run that made `model` beside a model that is made from it."""
    found = run_config_file(model)
    if found is not None:
        shutil.copyfile(found, folder / RUN_CONFIG)


def read_run_config(model: Path) -> TrainConfig | None:
    """Raises InputError if the settings are there and cannot be read."""
    found = run_config_file(model)
    if found is None:
        return None
    try:
        return TrainConfig.from_json(found.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {found}: {error}; delete it, and the model card goes without it") from error


def model_card(info: CheckpointInfo, run: TrainConfig | None, hub_id: str | None) -> str:
    """Markdown for the model `info`, made by `run` as far as known, to be found at `hub_id`."""
    sections = [_what(info), _training(info, run), _base(info), _loading(hub_id or "OWNER/NAME"), _limits(info)]
    return "\n".join([_front_matter(info), f"# {info.model.name}\n", *sections])


def _front_matter(info: CheckpointInfo) -> str:
    base = info.model.base_model
    lines = ["pipeline_tag: image-to-video", "tags:", "- animateanywhere", "- human-image-animation"]
    if base is not None:
        lines = [
            "license: other",
            f"license_name: {_licence_name(base)}",
            f"license_link: {_licence_link(base)}",
            *lines,
        ]
    parent = info.fine_tune.finished_model if info.fine_tune else base
    if parent is not None:
        lines += ["- lora"] * (info.fine_tune is not None) + [f"base_model: {parent}"]
    return "\n".join(["---", *lines, "---\n"])


def _what(info: CheckpointInfo) -> str:
    model = info.model
    text = (
        "Weights for AnimateAnywhere: a person's picture, a background picture and a pose sequence become a video whose "
        f"background moves with the person. {model.width}x{model.height} pixels or {model.height}x{model.width}, "
        f"{model.num_frames} frames at {model.fps:g} per second, at most {model.max_num_frames}.\n"
    )
    if info.fine_tune:
        text += f"\nThis is a LoRA of rank {info.fine_tune.rank} on {info.fine_tune.finished_model}, which is fetched with it.\n"
    return text


def _training(info: CheckpointInfo, run: TrainConfig | None) -> str:
    told = (info.model.trained_on or "not recorded").rstrip(".")
    lines = ["## Training\n", f"{told[0].upper()}{told[1:]}.\n", f"Last stage: `{info.stage}`, {info.step} steps.\n"]
    if run is None:
        return "\n".join(lines)
    lines += [f"The last run used {run.data.describe()}, seed {run.seed}:\n"]
    lines += ["| stage | steps | clips per step | optimizer | learning rate |", "|---|---|---|---|---|"]
    for settings in run.stages:
        last = settings.stage == info.stage
        lines.append(_stage_row(settings, info.step if last else settings.num_steps))
        if last:
            break
    return "\n".join([*lines, ""])


def _stage_row(settings: StageConfig, steps: int) -> str:
    optimizer = settings.optimizer
    return f"| {settings.stage} | {steps} | {settings.batch_size} | {optimizer.name} | {optimizer.learning_rate:g} |"


def _base(info: CheckpointInfo) -> str:
    base = info.model.base_model
    if base is None:
        return (
            "## Base and licence\n\nThere is no base: every weight was trained by AnimateAnywhere's trainer. Whoever publishes "
            "them names their licence in this file's first lines (`license: ...`).\n"
        )
    terms = "its licence holds for this model too"
    if _is_cogvideox_5b(base):
        terms += ": free for academic research; commercial use needs a registration with its makers"
    where = f"[{base}](https://huggingface.co/{base})"
    return f"## Base and licence\n\nThe base is {where}, frozen; [{terms}]({_licence_link(base)}).\n"


def _is_cogvideox_5b(base: str) -> bool:
    name = base.split("/")[-1].lower()
    return name.startswith("cogvideox") and "5b" in name


def _licence_name(base: str) -> str:
    return "cogvideox-license" if _is_cogvideox_5b(base) else "of-the-base-model"


def _licence_link(base: str) -> str:
    return f"https://huggingface.co/{base}/blob/main/LICENSE"


def _loading(hub_id: str) -> str:
    return f"""## Use it

With AnimateAnywhere installed:

```
python -m animateanywhere generate --model {hub_id} --human me.jpg --background place.jpg --pose dance.mp4 --output out.mp4
python app.py --model {hub_id}
```

A folder with these files does in place of the name.
"""


def _limits(info: CheckpointInfo) -> str:
    known = f"Known to be beyond it: {info.model.limits}.\n" if info.model.limits else ""
    return (
        f"## What it cannot do\n\n{known}It shows one person, makes no sound, and knows of a place only what its picture shows. "
        "Animate people who agree to it.\n"
    )
