"""`python -m trainer` in a process of its own, which outlives the page: started, found again, ended. No Gradio.

What is known of it lies in a folder of its own, so that any page, also of a restarted app, finds it:
command.json (words, process, start), stdout.txt (what the command made, in a line or two at its end), stderr.txt (how it gets
on, and why it failed), exit.txt (its exit code, if the app lived to see it end).
"""

import contextlib
import dataclasses
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from animateanywhere.errors import InputError
from trainer.run_state import log_tail

ROOT = Path(__file__).resolve().parents[1]
_COMMAND, _STDOUT, _STDERR, _EXIT = "command.json", "stdout.txt", "stderr.txt", "exit.txt"
_ERROR = "error: "
_TAIL_LINES = 12
_JITTER_S, _DAY_S = 3.0, 86400.0
"""The system's own reckoning of when it was started wavers by a second; after another start all numbers are others."""


@dataclass(frozen=True)
class Launch:
    """A process that was started."""

    words: tuple[str, ...]
    """What follows `python -m trainer`."""
    pid: int
    created: float
    """When the process began, seconds since 1970."""
    after_boot: float
    """The same in seconds since the machine was started, which no setting of its clock changes: with the pid it names one
    process."""
    directory: str


@dataclass(frozen=True)
class ProcessView:
    """How a started process stands. `message`: what it made, or why it failed, for a person."""

    state: Literal["running", "done", "failed", "stopped"]
    message: str
    lines: tuple[str, ...]
    """The last lines it wrote about how it gets on."""
    elapsed_s: float


def start(words: Sequence[str], folder: Path, directory: Path, environment: Mapping[str, str]) -> Launch:
    """Start `python -m trainer WORDS` in `directory`, in a process group of its own, and note it in `folder`.

    `environment`: of whoever started the app; the page's own points at folders that vanish with it.
    Raises InputError if the last process of that folder still runs, or the disk refuses.
    """
    if is_running(folder):
        raise InputError(f"{folder.parent.name} is at work already: wait for it, or stop it")
    paths = os.pathsep.join(filter(None, (str(ROOT), environment.get("PYTHONPATH"))))
    options = {"start_new_session": True} if os.name == "posix" else {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _EXIT).unlink(missing_ok=True)
        with open(folder / _STDOUT, "wb") as out, open(folder / _STDERR, "wb") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "trainer", *words],
                cwd=directory,
                env={**environment, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                **options,
            )
        launch = Launch(tuple(words), process.pid, *_began(psutil.Process(process.pid)), str(directory))
        (folder / _COMMAND).write_text(json.dumps(dataclasses.asdict(launch)), encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot start in {folder} ({error.strerror or error}): free some disk space") from error
    threading.Thread(target=_see_it_end, args=(process, folder), name="reaper", daemon=True).start()
    return launch


def _see_it_end(process: subprocess.Popen, folder: Path) -> None:
    """Who waits for nobody leaves a zombie until the app ends."""
    code = process.wait()
    with contextlib.suppress(OSError):  # the folder may have been deleted, or its disk be full
        (folder / _EXIT).write_text(str(code), encoding="utf-8")


def read_launch(folder: Path) -> Launch | None:
    """The last process of that folder; None if there was none, or its note is damaged."""
    try:
        held = json.loads((folder / _COMMAND).read_text(encoding="utf-8"))
        return Launch(
            tuple(held["words"]),
            int(held["pid"]),
            float(held["created"]),
            float(held["after_boot"]),
            str(held["directory"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_running(folder: Path) -> bool:
    """Whether the last process of that folder lives. A killed one does not, even before anybody waited for it."""
    return _process(read_launch(folder)) is not None


def view(folder: Path) -> ProcessView | None:
    """How the last process of that folder stands; None if there was none."""
    launch = read_launch(folder)
    if launch is None:
        return None
    running = _process(launch) is not None
    made, lines = log_tail(folder / _STDOUT), log_tail(folder / _STDERR, _TAIL_LINES)
    elapsed = time.time() - launch.created
    if running:
        return ProcessView("running", "", lines, elapsed)
    state, message = _how_it_ended(lines)
    code = log_tail(folder / _EXIT)
    if code == ("0",) or (not code and made and state == "killed"):
        return ProcessView("done", made[-1] if made else "", lines, elapsed)
    return ProcessView("failed" if state == "killed" else state, message, lines, elapsed)


def _how_it_ended(lines: tuple[str, ...]) -> tuple[Literal["failed", "stopped", "killed"], str]:
    last = lines[-1] if lines else ""
    if last.startswith(_ERROR):
        return "failed", last.removeprefix(_ERROR)
    if "stopped" in last.lower():
        return "stopped", last
    if any(line.startswith("Traceback") for line in lines):
        return "failed", f"internal error: {last}"
    return "killed", "it was killed, or the machine went down: start it again, it goes on where it was"


def interrupt(folder: Path) -> None:
    """Ask the process of that folder to end in its own time."""
    _signal(read_launch(folder), signal.SIGTERM)


def wait(folder: Path, timeout_s: float) -> bool:
    """Wait until the last process of that folder has ended; whether it did.

    It only looks: a second process' or thread's `waitpid` would take the exit code away from whoever started it.
    """
    launch, end = read_launch(folder), time.monotonic() + timeout_s
    while _process(launch) is not None:
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def kill(folder: Path) -> None:
    """End the process of that folder and all that it started, at once."""
    launch = read_launch(folder)
    process = _process(launch)
    if process is None:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        for one in [*process.children(recursive=True), process]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
    wait(folder, 10)


def shown_command(words: Sequence[str], directory: Path) -> str:
    """The command as a person types it into a terminal."""
    command = shlex.join([sys.executable, "-m", "trainer", *words])
    return f"cd {shlex.quote(str(directory))}\nPYTHONPATH={shlex.quote(str(ROOT))} {command}"


def _signal(launch: Launch | None, number: int) -> None:
    process = _process(launch)
    if process is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _began(process: psutil.Process) -> tuple[float, float]:
    """Seconds since 1970, and since the machine was started."""
    created = process.create_time()
    return created, created - psutil.boot_time()


def _process(launch: Launch | None) -> psutil.Process | None:
    """The living process itself: another one may have its number by now."""
    if launch is None:
        return None
    try:
        process = psutil.Process(launch.pid)
        created, after_boot = _began(process)
        same = abs(after_boot - launch.after_boot) < _JITTER_S and abs(created - launch.created) < _DAY_S
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None
