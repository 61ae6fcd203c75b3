"""A training run in a process of its own that is killed again and again, and what it leaves."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from safetensors.torch import load_file

from animateanywhere.config import ModelConfig
from trainer.config import DataConfig, OptimizerConfig, StageConfig, TrainConfig
from trainer.events import StepDone, read_events
from trainer.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]
LONGEST_S = 300


def tiny_run(data: Path, steps: dict[str, int], **settings) -> TrainConfig:
    """Stages of the tiny networks on two clips of 16 frames, one thread; no samples unless `settings` ask for them."""
    optimizer = OptimizerConfig(name="muon", learning_rate=1e-3, matrix_learning_rate=1e-3, warmup_steps=1)
    stages = tuple(StageConfig(name, number, batch_size=1, optimizer=optimizer) for name, number in steps.items())
    model = ModelConfig(name="tiny", width=64, height=32, num_frames=16)
    clips = DataConfig(num_clips=2, portrait_share=0.5, folder=str(data))
    plain = dict(architecture="tiny", save_every=1000, sample_every=0, num_threads=1, log_every=1)
    return TrainConfig(model=model, data=clips, stages=stages, **plain | settings)


def run_with_kills(config: TrainConfig, folder: RunFolder, kills: int, rng: random.Random) -> int:
    """Train in `folder`, with `kill -9` at `kills` random moments of its steps and saves; returns how many hit."""
    hits = 0
    while True:
        process = start(config, folder)
        if hits == kills:
            assert process.wait(LONGEST_S) == 0, "the last resumption failed"
            return hits
        hits += _kill_somewhere(process, folder, rng)
        if process.returncode == 0:
            return hits
        assert process.returncode == -signal.SIGKILL, f"ended by itself with {process.returncode}"


def start(config: TrainConfig, folder: RunFolder, before: str = "", **environment: str) -> subprocess.Popen:
    """A process that trains in `folder`, or goes on there. `before`: Python that it runs first.

    What it says on stderr is in the file that `said` reads.
    """
    settings = folder.path.with_suffix(".json")
    settings.write_text(config.to_json())
    arguments = ["train", "--config", str(settings), "--output", str(folder.path)]
    arguments += ["--resume"] if folder.config.exists() else []
    program = f"{before}\nimport sys\nfrom trainer.__main__ import main\nsys.exit(main({arguments}))"
    variables = os.environ | {"OMP_NUM_THREADS": "1"} | environment
    with open(folder.path.with_suffix(".stderr"), "wb") as stderr:
        return subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=variables, stderr=stderr)


def said(folder: RunFolder) -> list[str]:
    """Lines that the last process in `folder` wrote to stderr."""
    return folder.path.with_suffix(".stderr").read_text().splitlines()


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
