"""The runs in the output folder: found, named, started, asked for things, deleted. No Gradio."""

import re
import shutil
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from animateanywhere.errors import InputError
from trainer.config import TrainConfig
from trainer.run_folder import Request, RunFolder
from trainer.run_state import RunState, run_state
from ui import training_process
from ui.services import Services
from ui.train_history import Histories

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")
_RESERVED = ("data",)
"""Folders among the runs that hold none: rendered clips."""
_DOOMED = ".deleted-"

Status = Literal["new", "starting", "running", "stopping", "stopped", "failed", "finished", "dead"]


@dataclass(frozen=True)
class RunView:
    """How a run stands, its starting process included."""

    name: str
    status: Status
    message: str
    """What a failed or dead run needs; empty for others."""
    state: RunState

    @property
    def is_alive(self) -> bool:
        return self.status in ("starting", "running", "stopping")


def checked_name(name: str, what: str = "run name") -> str:
    """A name that is one folder and stays where it is put. Raises InputError for any other."""
    name = (name or "").strip()
    if not _NAME.fullmatch(name) or name.lower() in _RESERVED or name.endswith("."):
        raise InputError(
            f"{what} {name!r}: expected 1 to 64 letters, digits, dots, dashes or underscores, a letter or digit first"
        )
    return name


def run_folder(services: Services, name: str) -> RunFolder:
    """The folder of a run, there or not. Raises InputError if `name` is no name, or leads out of the runs' folder."""
    runs = services.settings.runs_folder
    path = runs / checked_name(name)
    if path.resolve().parent != runs.resolve():
        raise InputError(f"run {name!r} leads out of {runs}: choose another name")
    return RunFolder(path)


def run_names(services: Services) -> list[str]:
    """Names of all runs, the one that was last at work first."""
    runs = services.settings.runs_folder
    found = [path for path in runs.iterdir() if _is_run(path)] if runs.is_dir() else []
    return [path.name for path in sorted(found, key=_last_change, reverse=True)]


def _is_run(path: Path) -> bool:
    folder = RunFolder(path)
    named = _NAME.fullmatch(path.name) and path.name not in _RESERVED and not path.is_symlink()
    return bool(named) and (folder.config.exists() or folder.launch.exists())


def _last_change(path: Path) -> float:
    folder = RunFolder(path)
    places = (folder.events, folder.config, folder.launch)
    return max((place.stat().st_mtime for place in places if place.exists()), default=0.0)


def free_name(services: Services, wanted: str) -> str:
    """`wanted`, or the same with the first number that no run has."""
    taken, number = set(run_names(services)), 2
    stem = re.sub(r"-\d+$", "", wanted)[:58]
    if wanted not in taken:
        return wanted
    while f"{stem}-{number}" in taken:
        number += 1
    return f"{stem}-{number}"


def view_run(folder: RunFolder) -> RunView:
    """How a run stands; takes milliseconds."""
    state, launch = run_state(folder), training_process.view(folder.launch)
    if state.status == "running":
        return RunView(folder.path.name, "stopping" if state.stopping else "running", "", state)
    if launch is not None and launch.state == "running":
        ended = state.status in ("stopped", "failed", "finished") and folder.events.stat().st_mtime > _launched(folder)
        return RunView(folder.path.name, "stopping" if ended else "starting", "", state)
    failed_early = launch is not None and launch.state == "failed" and state.status in ("new", "dead") and launch.lines
    if failed_early and state.status == "new":
        return RunView(folder.path.name, "failed", launch.message, state)
    return RunView(folder.path.name, state.status, state.message, state)


def _launched(folder: RunFolder) -> float:
    launch = training_process.read_launch(folder.launch)
    return launch.created if launch else 0.0


def living_run(services: Services) -> RunView | None:
    """A run that is at work on this machine, if there is one."""
    for name in run_names(services):
        view = view_run(run_folder(services, name))
        if view.is_alive:
            return view
    return None


def start_run(services: Services, name: str, words: Sequence[str], settings: TrainConfig | None) -> RunFolder:
    """Start a training process. `words` follow `python -m trainer`; `settings` are written where they say --config.

    Raises InputError if the name is taken, another run is at work, or the process cannot be started.
    """
    folder = run_folder(services, name)
    _refuse_a_second(services)
    if folder.config.exists() or training_process.is_running(folder.launch):
        raise InputError(f"there is a run {name} already: resume it, delete it, or choose another name")
    if settings is not None:
        try:
            folder.launch.mkdir(parents=True, exist_ok=True)
            folder.asked.write_text(settings.to_json() + "\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"cannot write {folder.asked} ({error.strerror}): free some disk space") from error
    _launch(services, folder, words)
    return folder


def resume_run(services: Services, name: str) -> RunFolder:
    """Go on with a run from its last checkpoint; one that failed before its beginning is begun as it was asked for.

    Raises InputError if it, or another one, is at work.
    """
    folder = run_folder(services, name)
    _refuse_a_second(services)
    launch = training_process.read_launch(folder.launch)
    begun = folder.config.exists() or folder.last.exists()
    words = ("train", "--output", f"runs/{name}", "--resume") if begun or launch is None else launch.words
    _launch(services, folder, words)
    return folder


def _launch(services: Services, folder: RunFolder, words: Sequence[str]) -> None:
    settings = services.settings
    training_process.start(words, folder.launch, settings.output_folder, settings.environment)


def _refuse_a_second(services: Services) -> None:
    other = living_run(services)
    if other is not None:
        raise InputError(
            f"{other.name} is at work: two trainings at once are slower than one after the other; stop it first"
        )


def ask(folder: RunFolder, what: Request) -> None:
    """Ask a living run for something; it answers after the step it is at. Raises InputError if it does not live."""
    view = view_run(folder)
    if not view.is_alive:
        raise InputError(f"{view.name} is not at work")
    if view.status == "starting" and what == "stop":
        training_process.interrupt(folder.launch)
    folder.request(what)


def kill_run(folder: RunFolder) -> None:
    """End a run's process at once; what came after its last checkpoint is lost. Raises InputError if it is not the page's."""
    state = run_state(folder)
    if not training_process.is_running(folder.launch):
        holder = state.holder
        where = f" (process {holder.pid} on {holder.host})" if holder and holder.host != socket.gethostname() else ""
        raise InputError(f"{folder.path.name} was not started from this page{where}: end it where it was started")
    training_process.kill(folder.launch)


def delete_run(services: Services, histories: Histories, name: str) -> None:
    """Delete a run with its checkpoints and samples for good. Raises InputError if it is at work."""
    folder = run_folder(services, name)
    if view_run(folder).is_alive:
        raise InputError(f"{name} is at work: stop it first")
    doomed = folder.path.with_name(f"{_DOOMED}{name}")
    try:
        shutil.rmtree(doomed, ignore_errors=True)
        folder.path.rename(doomed)  # a half-deleted folder never looks like a run
        shutil.rmtree(doomed)
    except OSError as error:
        raise InputError(f"{name} could not be deleted ({error.strerror}): {doomed} is what is left of it") from error
    histories.forget(folder)


def folder_bytes(path: Path) -> int:
    """Size of all files in a folder."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file() and not file.is_symlink())


def gigabytes(size: float) -> str:
    """A size for a person."""
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size / 2**20:.0f} MB"
