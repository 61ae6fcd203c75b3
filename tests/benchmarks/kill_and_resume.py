"""Kill a short training run at random moments: `python -m tests.benchmarks.kill_and_resume [--kills 20] [--seed 0]`.

After every kill the run is resumed. Its losses and final weights must equal those of a run that nobody killed, bit for
bit; exit code 1 if they do not.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

import torch

from tests.trainer.killing import losses, run_with_kills, weights
from trainer.config import DataConfig, OptimizerConfig, StageConfig, TrainConfig
from trainer.presets import get_preset
from trainer.run_folder import RunFolder

STEPS = {"vae": 6, "base": 10, "pose": 8, "reference": 8, "joint": 30}


def short_run(data: Path) -> TrainConfig:
    """Seconds long, every stage, a checkpoint every second step."""
    smoke, optimizer = get_preset("smoke"), OptimizerConfig(name="muon", learning_rate=1e-3, warmup_steps=1)
    stages = tuple(StageConfig(name, steps, batch_size=1, optimizer=optimizer) for name, steps in STEPS.items())
    clips = DataConfig(num_clips=2, num_val_clips=1, folder=str(data))
    return TrainConfig(
        architecture="tiny", model=smoke.model, data=clips, stages=stages, save_every=2, log_every=2, num_threads=1
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="how often the run is killed")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        config = short_run(Path(place) / "data")
        whole, killed = RunFolder(Path(place) / "whole"), RunFolder(Path(place) / "killed")
        run_with_kills(config, whole, 0, random.Random(0))
        hits = run_with_kills(config, killed, arguments.kills, random.Random(arguments.seed))
        expected, got = weights(whole), weights(killed)
        same = expected.keys() == got.keys() and all(
            torch.equal(tensor, got[file][name]) for file in got for name, tensor in expected[file].items()
        )
        equal = losses(killed) == losses(whole)
    print(f"killed {hits} times; losses equal: {equal}; weights equal: {same}")
    return 0 if equal and same else 1


if __name__ == "__main__":
    sys.exit(main())
