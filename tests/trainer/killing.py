"""A training run in a process of its own that is killed again and again, and what it leaves."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from safetensors.torch import load_file

from trainer.config import TrainConfig
from trainer.events import StepDone, read_events
from trainer.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]
LONGEST_S = 300


def run_with_kills(config: TrainConfig, folder: RunFolder, kills: int, rng: random.Random) -> int:
    """Train in `folder`, with `kill -9` at `kills` random moments of its steps and saves; returns how many hit."""
    settings = folder.path.with_suffix(".json")
    settings.write_text(config.to_json())
    hits = 0
    while True:
        process = _start(settings, folder)
        if hits == kills:
            assert process.wait(LONGEST_S) == 0, "the last resumption failed"
            return hits
        hits += _kill_somewhere(process, folder, rng)
        if process.returncode == 0:
            return hits
        assert process.returncode == -signal.SIGKILL, f"ended by itself with {process.returncode}"


def _start(settings: Path, folder: RunFolder) -> subprocess.Popen:
    command = [sys.executable, "-m", "trainer", "train", "--config", str(settings), "--output", str(folder.path)]
    resumed = ["--resume"] if folder.config.exists() else []
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command + resumed, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)


def _kill_somewhere(process: subprocess.Popen, folder: RunFolder, rng: random.Random) -> bool:
    """Wait for a few more events and a moment, then kill; False if the run ended before."""
    size = folder.events.stat().st_size if folder.events.exists() else 0
    enough, deadline = size + rng.randrange(1, 1500), time.monotonic() + LONGEST_S
    while process.poll() is None and (not folder.events.exists() or folder.events.stat().st_size < enough):
        assert time.monotonic() < deadline, "the run hangs"
        time.sleep(0.002)
    time.sleep(rng.uniform(0, 0.05))
    if process.poll() is not None:
        return False
    process.kill()
    process.wait()
    return True


def losses(folder: RunFolder) -> dict[tuple[str, int], float]:
    """Of every step; a step that was done again must have given the same."""
    found: dict[tuple[str, int], float] = {}
    for event in read_events(folder.events):
        if isinstance(event, StepDone):
            assert found.setdefault((event.stage, event.step), event.total) == event.total, event
    return found


def weights(folder: RunFolder) -> dict[str, dict]:
    """Of the last checkpoint, by file."""
    model = folder.last / "pretrained_model"
    return {str(file.relative_to(model)): load_file(file) for file in sorted(model.rglob("*.safetensors"))}
