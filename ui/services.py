"""What every tab is given: the model, the worker, and the folders that may be written to. No Gradio."""

import os
import random
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from animateanywhere import examples
from animateanywhere.errors import InputError
from ui.jobs import JobRunner
from ui.model_shelf import ModelShelf

LOG_NAME = "errors.log"
_LARGEST_DRAWN_SEED = 2**31


@dataclass(frozen=True)
class AppSettings:
    """How the app was started."""

    model: str = "mini"
    """'mini', a model folder, or a Hub id 'owner/name'."""
    output_folder: Path = Path("outputs")
    """Where clips go; made if missing. Nothing is written anywhere else."""
    training: bool = True
    """Whether visitors may train: they use the machine for hours and fill its disk."""
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    """Of whoever started the app: trainings get it, which outlive the app and what it sets for itself."""

    @property
    def log_file(self) -> Path:
        return self.output_folder / LOG_NAME

    @property
    def runs_folder(self) -> Path:
        return self.output_folder / "runs"

    @property
    def datasets_folder(self) -> Path:
        return self.output_folder / "datasets"

    @property
    def models_folder(self) -> Path:
        """Of models that were merged, exported or imported."""
        return self.output_folder / "models"


@dataclass(frozen=True)
class Services:
    """Shared by all tabs and visitors."""

    settings: AppSettings
    shelf: ModelShelf
    runner: JobRunner
    temp_folder: Path
    """For previews and uploads; emptied when the app ends."""

    @classmethod
    def create(cls, settings: AppSettings, temp_folder: Path) -> "Services":
        log_file = settings.log_file
        return cls(settings, ModelShelf(settings.model, log_file), JobRunner(log_file), temp_folder)

    def launch_options(self) -> dict[str, object]:
        """For Blocks.launch: clips and examples are served, the log is not; no footer, no history, no monitoring."""
        return {
            "allowed_paths": [str(self.settings.output_folder), str(examples.HUMAN.parent)],
            "blocked_paths": [str(self.settings.log_file)],
            "footer_links": [],
            "run_history": False,
            "enable_monitoring": False,
            "mcp_server": False,
            "pwa": False,
            "ssr_mode": False,
            "quiet": False,
        }

    def new_temp_folder(self) -> Path:
        """A fresh folder for one preview. Raises InputError if the disk refuses."""
        try:
            return Path(tempfile.mkdtemp(dir=self.temp_folder))
        except OSError as error:
            raise InputError(
                f"cannot write in {self.temp_folder}: {error.strerror}; free disk space, or start with another "
                "--output-folder"
            ) from error


def prepare_output_folder(folder: Path) -> Path:
    """Make the folder if it is missing and return its absolute path. Raises InputError if it cannot be used."""
    folder = folder.expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise InputError(
            f"output folder {folder} cannot be written to ({error.strerror}): give another --output-folder"
        ) from error


def new_clip_path(folder: Path, seed: int, now: datetime | None = None) -> Path:
    """A name in `folder` that no clip has yet: date, time with seconds, and seed."""
    stem = f"{now or datetime.now():%Y-%m-%d_%H-%M-%S}_seed{seed}"
    path, copy = folder / f"{stem}.mp4", 2
    while path.exists():
        path, copy = folder / f"{stem}_{copy}.mp4", copy + 1
    return path


def draw_seed(seed: int) -> int:
    """The seed itself, or a new one for -1: it is drawn here because the file's name carries it."""
    return random.SystemRandom().randrange(_LARGEST_DRAWN_SEED) if seed == -1 else seed


def new_visitor() -> str:
    """An id that nobody can guess: it is what lets a reloaded page find its own jobs."""
    return uuid.uuid4().hex


def local_environment(temp_folder: Path, offline: bool) -> dict[str, str]:
    """Environment in which no library calls out or writes elsewhere; to be set before Gradio is imported."""
    settings = {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": str(temp_folder),
        "GRADIO_RUN_HISTORY": "False",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DISABLE_TELEMETRY": "1",
        "MPLCONFIGDIR": str(temp_folder),  # Gradio and mediapipe import matplotlib, which writes to the home folder
    }
    return settings | ({"HF_HUB_OFFLINE": "1"} if offline else {})
