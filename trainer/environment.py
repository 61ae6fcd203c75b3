"""What a run was started with, beside its settings: enough to repeat it, or to see why it cannot be repeated exactly."""

import dataclasses
import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from animateanywhere.model_folder import resolve_model
from trainer.config import TrainConfig
from trainer.run_folder import RunFolder

PACKAGES = ("torch", "diffusers", "transformers", "tokenizers", "safetensors", "peft", "accelerate", "numpy", "scipy")
PACKAGES += ("opencv-python", "Pillow", "mediapipe", "imageio-ffmpeg")
_PIECE_BYTES = 65536
_ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Start:
    """One start of a run."""

    when: str
    """UTC."""
    stage: str
    step: int
    """Where it went on from: the stage's name and its last finished step."""
    command: tuple[str, ...]
    directory: str
    """Relative paths in the settings begin here."""
    settings: dict
    """Of this start; train_config.json holds the last one's."""
    device: str
    threads: int
    python: str
    machine: str
    packages: dict[str, str]
    commit: str | None
    """Of the program's own git repository, with -changed if files differ from it; None outside one."""
    clips: str
    """Fingerprint of the clips that are trained on."""
    held_out: str
    """The same of those that are not."""
    started_from: str | None
    """The same of the finished model that it goes on from; None where it went on from its own checkpoint, or from none."""


def write_down_start(
    folder: RunFolder, config: TrainConfig, device: torch.device, stage: str, step: int, clips, held_out
) -> Start:
    """Add a start to the run folder's starts.json. `stage`, `step`: where it goes on; `clips`, `held_out`: their files."""
    anew = not folder.last.exists()
    start = Start(
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        stage=stage,
        step=step,
        command=tuple(sys.orig_argv),
        directory=os.getcwd(),
        settings=dataclasses.asdict(config),
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} {platform.processor()}",
        threads=torch.get_num_threads(),
        python=platform.python_version(),
        machine=platform.platform(),
        packages={name: found for name in PACKAGES if (found := _version(name)) is not None},
        commit=_commit(),
        clips=files_fingerprint(clips),
        held_out=files_fingerprint(held_out),
        started_from=_model_fingerprint(config.start_from) if anew and config.start_from else None,
    )
    earlier = read_starts(folder)
    folder.write_starts(json.dumps([*earlier, dataclasses.asdict(start)], indent=1) + "\n")
    return start


def read_starts(folder: RunFolder) -> list[dict]:
    """Every start of a run so far, oldest first, as json objects of `Start`'s fields."""
    return json.loads(folder.starts.read_text(encoding="utf-8")) if folder.starts.exists() else []


def files_fingerprint(paths: Iterable[Path]) -> str:
    """16 hex digits from the names and sizes of the files and from their first and last 64 KiB: no checksum, but quick."""
    digest = hashlib.sha256()
    for path in paths:
        size = path.stat().st_size
        digest.update(f"{path.name} {size} ".encode())
        with open(path, "rb") as file:
            digest.update(file.read(_PIECE_BYTES))
            file.seek(max(0, size - _PIECE_BYTES))
            digest.update(file.read())
    return digest.hexdigest()[:16]


def _model_fingerprint(model: str) -> str:
    folder = resolve_model(model)
    return files_fingerprint(sorted(folder.rglob("*.safetensors")))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    def git(*words: str) -> str:
        command = ["git", "-C", str(_ROOT), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")) != _ROOT:  # installed inside somebody else's repository
            return None
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("-changed" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None
