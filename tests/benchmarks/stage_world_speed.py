"""Clips that are rendered per second at `mini`'s size: `python -m tests.benchmarks.stage_world_speed [--num-clips 200]`.

By one process on one core and by one process per core, each from an empty folder. A rendering process takes seconds to
start, so a run of few clips is slower than one of many: both rates are told, the one of all clips with the start and
the one once every process has rendered a clip. Processor time per clip says less about the machine's load.
"""

import argparse
import os
import tempfile
import time
from dataclasses import dataclass

import torch

from animateanywhere.memory import keep_freed_memory
from trainer.config import DataConfig
from trainer.dataset import stage_world_clips
from trainer.presets import MINI_MODEL


@dataclass(frozen=True)
class Rendering:
    """Rates in clips per second."""

    with_start: float
    steady: float
    start_s: float
    """Until every process had rendered a clip, without the time that this clip takes at the steady rate."""
    processor_s: float
    """Per clip, the processes' start included."""


def measure(num_clips: int, num_workers: int) -> Rendering:
    times = []
    with tempfile.TemporaryDirectory() as folder:
        data = DataConfig(num_clips=num_clips, render_workers=num_workers, folder=folder)
        before = os.times()
        stage_world_clips(data, MINI_MODEL, "train", lambda done: times.append(time.perf_counter()))
        used = sum(os.times()[:4]) - sum(before[:4])
    started, running, ended = times[0], times[num_workers], times[-1]
    steady = (num_clips - num_workers) / (ended - running)
    start_s = running - started - num_workers / steady
    return Rendering(num_clips / (ended - started), steady, start_s, used / num_clips)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-clips", type=int, default=200, help="clips to render each time, 20 or more")
    num_clips = parser.parse_args().num_clips
    keep_freed_memory()
    torch.set_num_threads(1)  # as in a rendering process
    cores = os.cpu_count() or 1
    print(f"{MINI_MODEL.width}x{MINI_MODEL.height}, {MINI_MODEL.num_frames} frames; load {os.getloadavg()[0]:.1f}")
    rates = []
    for workers in sorted({1, cores}):
        found = measure(num_clips, workers)
        rates.append(found.steady)
        print(
            f"{workers} process{'es' * (workers > 1)}: {found.steady:.2f} clips/s once running, {found.with_start:.2f} for "
            f"{num_clips} clips with {max(found.start_s, 0):.1f} s of start; {found.processor_s:.3f} s of processor time per clip"
        )
    print(f"ratio {rates[-1] / rates[0]:.2f}")


if __name__ == "__main__":
    main()
