"""Clips that are rendered per second at `mini`'s size: `python -m tests.benchmarks.stage_world_speed [--num-clips 48]`.

By one process and by one per core, each from an empty folder; starting the processes counts.
"""

import argparse
import os
import tempfile
import time
from dataclasses import replace

from animateanywhere.memory import keep_freed_memory
from trainer.config import DataConfig
from trainer.dataset import stage_world_clips
from trainer.presets import MINI_MODEL


def seconds(data: DataConfig) -> float:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        stage_world_clips(replace(data, folder=folder), MINI_MODEL, "train", lambda done: None)
        return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-clips", type=int, default=48, help="clips to render each time")
    num_clips = parser.parse_args().num_clips
    keep_freed_memory()
    cores = os.cpu_count() or 1
    print(f"{MINI_MODEL.width}x{MINI_MODEL.height}, {MINI_MODEL.num_frames} frames; load {os.getloadavg()[0]:.1f}")
    alone = num_clips / seconds(DataConfig(num_clips=num_clips, render_workers=1))
    print(f"one process: {alone:.2f} clips/s")
    together = num_clips / seconds(DataConfig(num_clips=num_clips, render_workers=cores))
    print(f"{cores} processes: {together:.2f} clips/s, ratio {together / alone:.2f}")


if __name__ == "__main__":
    main()
