"""Models that trainings made, or that were brought in: found, measured, made into others. No Gradio."""

from dataclasses import dataclass
from pathlib import Path

from animateanywhere.errors import InputError
from animateanywhere.model_folder import HUB_ID, read_info, resolve_model
from trainer.run_folder import RunFolder
from ui import training_process
from ui.services import Services
from ui.train_history import Histories
from ui.train_runs import checked_name, folder_bytes, run_folder, run_names

EMBEDDED = "mini"
_TASKS = ".tasks"


@dataclass(frozen=True)
class CheckpointRow:
    """One checkpoint, or one model of the models' folder."""

    label: str
    """What it is called in lists."""
    path: str
    """As --model takes it."""
    stage: str
    step: int
    loss: float | None
    """On held-out clips."""
    psnr: float | None
    """Of the samples made at its step, in dB."""
    size: int
    """Bytes of the model; what a resumption needs on top is not counted."""
    marks: tuple[str, ...]


def run_checkpoints(folder: RunFolder, histories: Histories) -> list[CheckpointRow]:
    """A run's checkpoints, newest first."""
    history = histories.of(folder)
    scores = {(made.stage, made.step): made.psnr for made in history.samples}
    rows = []
    for path in reversed(folder.list_checkpoints()):
        _, rest = path.name.split("-", 1)
        stage, step = rest.rsplit("-", 1)
        key = (stage, int(step))
        marks = tuple(
            mark
            for mark, link in (("best", folder.best), ("last", folder.last))
            if link.exists() and link.resolve().name == path.name
        )
        told = f"{folder.path.name} · {stage} step {int(step)}" + "".join(f" · {mark}" for mark in marks)
        size = folder_bytes(path / "pretrained_model")
        rows.append(
            CheckpointRow(told, str(path), stage, int(step), history.losses.get(key), scores.get(key), size, marks)
        )
    return rows


def kept_models(services: Services) -> list[CheckpointRow]:
    """Models that were merged, exported or imported, by name."""
    folder, rows = services.settings.models_folder, []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith(".") or not path.is_dir():
            continue
        try:
            info = read_info(resolve_model(str(path)))
        except InputError:
            continue  # something else that somebody put there
        label = f"{path.name} · {info.stage} step {info.step}"
        rows.append(CheckpointRow(label, str(path), info.stage, info.step, None, None, folder_bytes(path), ()))
    return rows


def all_models(services: Services, histories: Histories) -> list[CheckpointRow]:
    """Every run's checkpoints, the run last at work first, then the models' folder."""
    rows = [row for name in run_names(services) for row in run_checkpoints(run_folder(services, name), histories)]
    return rows + kept_models(services)


def model_choices(services: Services, histories: Histories) -> list[tuple[str, str]]:
    """(label, name) of all that can be used: the embedded model, the app's own, checkpoints, kept models."""
    own = services.settings.model
    mine = [] if own == EMBEDDED else [(f"{Path(own).name} (the app's --model)", own)]
    rows = [(row.label, row.path) for row in all_models(services, histories)]
    return [("mini (comes with the program)", EMBEDDED), *mine, *rows]


def checked_model(model: str | None) -> str:
    """The same name, with folders by their whole path. Raises InputError for what is no model here and no Hub id."""
    model = (model or "").strip()
    if not model:
        raise InputError("no model is chosen: choose one from the list, or type a folder or a Hub id OWNER/NAME")
    if model == EMBEDDED or (HUB_ID.fullmatch(model) and not Path(model).is_dir()):
        return model
    path = Path(model).expanduser().absolute()
    read_info(resolve_model(str(path)))
    return str(path)


def start_merge(services: Services, model: str, name: str) -> Path:
    """Fold a LoRA fine-tune into its model, as models/NAME. Returns the folder of the process' notes."""
    output = _new_model(services, name)
    if read_info(resolve_model(checked_model(model))).fine_tune is None:
        raise InputError("this is no LoRA fine-tune but a model of its own: there is nothing to merge, use it as it is")
    return _start(services, output, ["merge", "--model", checked_model(model), "--output", str(output)])


def start_export(
    services: Services, model: str, name: str, push: str = "", public: bool = False, base: str = ""
) -> Path:
    """Write a model with its card as models/NAME, and upload it as `push` if that is given. Returns as `start_merge`."""
    output = _new_model(services, name)
    words = ["export", "--model", checked_model(model), "--output", str(output)]
    for option, value in (("--push", push), ("--base", base)):
        value = (value or "").strip()
        if value and not HUB_ID.fullmatch(value):
            raise InputError(f"{value!r}: expected a Hub id OWNER/NAME")
        words += [option, value] if value else []
    return _start(services, output, words + ["--public"] * (public and "--push" in words))


def start_import(services: Services, model: str, name: str) -> Path:
    """Bring a model in, from a folder or the Hub, as models/NAME. Returns as `start_merge`."""
    return start_export(services, model, name)


def _new_model(services: Services, name: str) -> Path:
    output = services.settings.models_folder / checked_name(name, "model name")
    if output.exists():
        raise InputError(f"there is a model {output.name} already: choose another name")
    return output


def _start(services: Services, output: Path, words: list[str]) -> Path:
    task = task_folder(services, output.name)
    output.parent.mkdir(parents=True, exist_ok=True)
    training_process.start(words, task, services.settings.output_folder, services.settings.environment)
    return task


def task_folder(services: Services, name: str) -> Path:
    """Where the process that makes models/NAME keeps its notes."""
    return services.settings.models_folder / _TASKS / name


def newest_task(services: Services) -> Path | None:
    """Notes of the process that was started last, if there is one."""
    tasks = services.settings.models_folder / _TASKS
    found = list(tasks.iterdir()) if tasks.is_dir() else []
    return max(found, key=lambda path: path.stat().st_mtime, default=None)
