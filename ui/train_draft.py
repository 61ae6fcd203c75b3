"""Settings of a training before it starts: what the form edits, what it will take, the command. No Gradio."""

import dataclasses
import os
import re
import shutil
import typing
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from animateanywhere.config import ModelConfig
from animateanywhere.errors import InputError
from animateanywhere.model_folder import HUB_ID, is_plain_base, read_info, resolve_model
from trainer.config import TrainConfig
from trainer.estimate import Estimate
from trainer.prepare.records import read_index
from trainer.presets import PRESETS, get_preset
from trainer.run_folder import RunFolder
from trainer.stages import STAGES
from ui import training_process
from ui.forms import WidgetSpec, check_value, widget_specs
from ui.services import Services
from ui.train_runs import checked_name, gigabytes, run_folder

FIRST_PRESET = "mini-finetune-bml"
STAGE_WORLD = ""
"""The choice of no dataset."""

Path_ = tuple[str, ...]
"""Names of nested fields, from a TrainConfig down; after `stages` those of the stage that is being edited."""

SECTIONS: dict[str, tuple[Path_, ...]] = {
    "Steps, clips per step, learning rate": (("stages",), ("stages", "optimizer")),
    "Saving and samples": tuple(
        (name,) for name in ("save_every", "keep_last", "sample_every", "num_samples", "sample_steps", "log_every")
    ),
    "Losses": (
        *((f"perceptual_{name}",) for name in ("network", "weight", "below", "crop_px")),
        ("human_weight",),
        ("epipolar",),
    ),
    "Machine and memory": tuple(
        (name,) for name in ("device", "num_threads", "mixed_precision", "gradient_checkpointing", "offload_frozen")
    ),
    "Adapter (stage lora)": (("adapter",),),
    "Stage-world clips": (("data",),),
    "Model (a run from scratch or on a plain base)": (("architecture",), ("model",)),
    "Others": ((),),
}
"""Groups of the form, and in each settings by their own name, or all of a dataclass that no other group names."""
_ELSEWHERE = {("start_from",), ("data", "dataset"), ("data", "folder"), ("stages", "stage"), ("model", "base_model")}
_ELSEWHERE |= {("model", "trained_on"), ("model", "limits"), ("model", "image_latent_scale")}
"""Asked for in another way, or of no use to ask for."""


LABELS = {
    ("stages", "optimizer", "name"): "Optimizer",
    ("model", "name"): "Name of the model",
    ("stages", "num_steps"): "Steps",
    ("stages", "batch_size"): "Clips per step",
    ("stages", "micro_batch_size"): "Clips at once",
    ("save_every",): "Steps between checkpoints",
    ("keep_last",): "Checkpoints kept",
    ("sample_every",): "Steps between samples",
    ("num_samples",): "Clips per sampling",
    ("sample_steps",): "Denoising steps of a sample",
    ("log_every",): "Steps between log lines",
    ("perceptual_below",): "Perceptual loss below timestep",
    ("perceptual_crop_px",): "Perceptual crop in pixels",
    ("human_weight",): "Weight of the person",
    ("num_threads",): "CPU threads",
    ("offload_frozen",): "Offload frozen networks",
    ("ema_decay",): "Averaging of weights (EMA)",
    ("drop_all",): "Probability of dropping all inputs",
    ("drop_each",): "Probability of dropping each input",
    ("drop_caption_part",): "Probability of dropping a part of a caption",
    ("max_skipped_steps",): "Steps skipped in a row at most",
}
"""Of fields whose own name says too little on a form."""


@dataclass(frozen=True)
class Draft:
    """A training that is being prepared."""

    source: str = FIRST_PRESET
    """Name of the preset, or of the run that is cloned."""
    is_preset: bool = True
    config: TrainConfig = field(default_factory=lambda: get_preset(FIRST_PRESET))
    stage: int = 0
    """Which stage's fields are shown."""
    troubles: tuple[tuple[Path_, str], ...] = ()
    """What cannot be used of what was typed: the settings still have the value of before."""


@dataclass(frozen=True)
class FieldSpec:
    """One widget of the form."""

    path: Path_
    spec: WidgetSpec

    @property
    def label(self) -> str:
        return LABELS.get(self.path, self.spec.label)

    @property
    def key(self) -> str:
        return "-".join(self.path)


def section_fields(section: str) -> list[FieldSpec]:
    """The widgets of a group, drawn from the dataclasses."""
    taken = _ELSEWHERE.union(*SECTIONS.values())
    found = []
    for path in SECTIONS[section]:
        cls = _class_at(path)
        if dataclasses.is_dataclass(cls):
            specs = widget_specs(cls).items()
            found += [FieldSpec((*path, name), spec) for name, spec in specs if (*path, name) not in taken]
        else:
            found.append(FieldSpec(path, widget_specs(_class_at(path[:-1]))[path[-1]]))
    return found


def _class_at(path: Path_):
    """Type of a field; of a tuple's members where it is one."""
    cls = TrainConfig
    for name in path:
        hint = typing.get_type_hints(cls)[name]
        cls = typing.get_args(hint)[0] if typing.get_origin(hint) is tuple else hint
    return cls


def value_at(draft: Draft, path: Path_):
    """What the settings hold there."""
    value = draft.config
    for name in path:
        value = getattr(value, name)
        if name == "stages":
            value = value[draft.stage]
    return value


def edited(draft: Draft, field_spec: FieldSpec, value: object) -> Draft:
    """The draft with one field changed; what cannot be used is noted, and the settings stay as they were."""
    path = field_spec.path
    others = tuple(trouble for trouble in draft.troubles if trouble[0] != path)
    try:
        spec = replace(field_spec.spec, label=field_spec.label)
        config = _with(draft.config, path, draft.stage, check_value(spec, value))
    except InputError as error:
        return replace(draft, troubles=(*others, (path, str(error))))
    return replace(draft, config=config, troubles=others)


def _with(settings, path: Path_, stage: int, value):
    name, rest = path[0], path[1:]
    held = getattr(settings, name)
    if name == "stages":
        changed = tuple(_with(s, rest, stage, value) if k == stage else s for k, s in enumerate(held))
    else:
        changed = _with(held, rest, stage, value) if rest else value
    return replace(settings, **{name: changed})


def draft_of_preset(name: str) -> Draft:
    return Draft(source=name, config=get_preset(name))


def draft_of_run(name: str, config: TrainConfig) -> Draft:
    return Draft(source=name, is_preset=False, config=config)


def chosen_start(config: TrainConfig, start_from: str) -> TrainConfig:
    """With the model to go on from: 'mini', a Hub id, or a folder, which is told by its whole path. Empty: from scratch.

    Raises InputError for what is none of them.
    """
    name = (start_from or "").strip()
    if name in ("", "mini") or (HUB_ID.fullmatch(name) and not Path(name).is_dir()):
        return replace(config, start_from=name)
    path = Path(name).expanduser().absolute()
    if not path.is_dir():
        raise InputError(f"start from {name!r}: expected mini, a model folder, or a Hub id OWNER/NAME")
    return replace(config, start_from=str(path))


@dataclass(frozen=True)
class Planned:
    """A training as it will be started."""

    name: str
    words: tuple[str, ...]
    """What follows `python -m trainer`."""
    settings: TrainConfig | None
    """To be written before; None: the command says everything."""
    config: TrainConfig


def plan_run(services: Services, draft: Draft, name: str, start_from: str, dataset: str) -> Planned:
    """The command for a draft. Raises InputError in one line for what cannot be started."""
    if draft.troubles:
        raise InputError("; ".join(words for _, words in draft.troubles))
    name = checked_name(name)
    if run_folder(services, name).config.exists():
        raise InputError(f"there is a run {name} already: choose another name, or resume it on the page Runs")
    config = chosen_start(draft.config, start_from)
    config = replace(config, data=replace(config.data, dataset=dataset or ""))
    _refuse_impossible(config)
    preset = PRESETS.get(draft.source) if draft.is_preset else None
    if preset is not None and config == replace(
        preset, start_from=config.start_from, data=replace(preset.data, dataset=config.data.dataset)
    ):
        flags = ["--dataset", config.data.dataset] if config.data.dataset else []
        flags += ["--start-from", config.start_from] if config.start_from != preset.start_from else []
        return Planned(name, ("train", "--preset", draft.source, "--output", f"runs/{name}", *flags), None, config)
    asked = f"runs/{name}/{RunFolder(Path()).asked}"
    return Planned(name, ("train", "--config", asked, "--output", f"runs/{name}"), config, config)


def _refuse_impossible(config: TrainConfig) -> None:
    """What the trainer would refuse only after its libraries are loaded, many seconds later."""
    if not config.stages:
        raise InputError("these settings have no stage: choose a preset")
    for settings in config.stages:
        if settings.num_steps < 1:
            raise InputError(f"stage {settings.stage}: {settings.num_steps} steps, expected at least 1")
    for name in ("save_every", "log_every", "keep_last"):
        if getattr(config, name) < 1:
            raise InputError(f"{name} {getattr(config, name)}: expected at least 1")
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", config.device):
        raise InputError(f"device {config.device!r}: expected auto, cpu or cuda")
    first = STAGES[config.stages[0].stage]
    if not config.start_from and first.uses_pose and "control_branches" not in first.restarts:
        raise InputError(f"stage {first.name} goes on with a finished model: say which under Start from")


def command_text(services: Services, planned: Planned) -> str:
    """The exact command as a person types it."""
    return training_process.shown_command(planned.words, services.settings.output_folder)


@dataclass(frozen=True)
class Machine:
    """What there is to train with, GiB."""

    cores: int
    memory_gb: float
    """Free now."""
    gpu: str
    """Empty without one that torch can use."""
    gpu_gb: float
    """Free now; what Generate's model holds is given back before a training starts, and counts as free."""
    disk_gb: float


def look_at_machine(folder: Path) -> Machine:
    """What is free on this machine now; `folder`: where runs go."""
    import torch

    gpu, gpu_bytes = "", 0
    if torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info()
        gpu, gpu_bytes = torch.cuda.get_device_name(), free + torch.cuda.memory_reserved()
    memory, disk = psutil.virtual_memory().available, shutil.disk_usage(folder).free
    return Machine(os.cpu_count() or 1, memory / 2**30, gpu, gpu_bytes / 2**30, disk / 2**30)


def fit_notes(config: TrainConfig, estimated: Estimate, machine: Machine) -> tuple[str, ...]:
    """What a person should know before the start; empty if nothing speaks against it."""
    on_gpu = bool(machine.gpu) and config.device != "cpu"
    free, where = (machine.gpu_gb, f"free on the {machine.gpu}") if on_gpu else (machine.memory_gb, "memory free")
    notes = []
    if estimated.memory_gb > free:
        needs = (
            f"needs {'at least' if estimated.is_least else 'about'} {estimated.memory_gb:.1f} GB, {free:.1f} GB {where}"
        )
        smaller = "lower batch size or micro batch size, or switch gradient checkpointing on"
        notes.append(f"{needs}: {'choose a preset with borrowed blocks (-lora)' if estimated.is_least else smaller}")
    if config.device == "cuda" and not machine.gpu:
        notes.append("device cuda, but this machine has no GPU that torch can use: choose cpu or auto")
    if config.architecture == "cogvideox1.5-5b" and not on_gpu:
        notes.append("networks of this size are not trainable on a processor: use a machine with a GPU")
    if machine.disk_gb < 2:
        notes.append(f"only {gigabytes(machine.disk_gb * 2**30)} free on the disk: checkpoints may not fit")
    return tuple(notes)


def clip_notes(config: TrainConfig) -> tuple[str, ...]:
    """Whether the chosen clips are as the model takes them. Raises InputError if either cannot be read."""
    if not config.data.dataset:
        return ()
    model, held = _model_of(config), read_index(Path(config.data.dataset))["settings"]
    wanted = {name: getattr(model, name) for name in ("width", "height", "num_frames", "fps")}
    if all(held[name] == value for name, value in wanted.items()):
        return ()
    clips, takes = ("{width}x{height}, {num_frames} frames at {fps:g} fps".format(**v) for v in (held, wanted))
    return (
        f"these clips are {clips}, but {model.name} takes {takes}: prepare the videos under another name, with it in use",
    )


def _model_of(config: TrainConfig) -> ModelConfig:
    """What the trained model will repeat; the settings' own where it would have to be fetched first."""
    name = config.start_from
    if name != "mini" and not Path(name or " ").is_dir():
        return config.model
    folder = resolve_model(name)
    return config.model if is_plain_base(folder) else read_info(folder).model
