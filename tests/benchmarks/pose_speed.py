"""Frames per second of pose extraction, drawing and cutting out: `python -m tests.benchmarks.pose_speed [VIDEO ...]`.

Without arguments it uses the real recordings beside the repository. The aim on two CPU cores is 15 frames per second
or more on a 1280x720 video, decoding included.
"""

import argparse
import os
import resource
import time
from pathlib import Path

import numpy as np

from animateanywhere.config import PoseStyle
from animateanywhere.media import probe_video
from animateanywhere.pose.detector import extract_pose
from animateanywhere.pose.draw import draw_pose
from tests.conftest import SHARED_DATA

RECORDINGS = ("video_juggle_tripod.mp4", "video_hiker_orbit.mp4", "video_street_many_people.mp4")


def cpu_seconds() -> float:
    """Of this process and the decoders it has finished: says what a frame costs however busy the machine is."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def measure(path: Path, detector: str) -> None:
    info = probe_video(path)
    started, cpu_before = time.perf_counter(), cpu_seconds()
    sequence = extract_pose(path, detector)
    seconds, cpu = time.perf_counter() - started, cpu_seconds() - cpu_before
    covered = ", ".join(f"{sequence.coverage(person):.0%}" for person in range(sequence.num_people))
    print(
        f"{path.name}: {info.width}x{info.height}, {sequence.num_frames} frames in {seconds:.1f} s = "
        f"{sequence.num_frames / seconds:.1f} frames/s ({1000 * cpu / sequence.num_frames:.0f} ms of CPU each), "
        f"{sequence.num_people} people (seen {covered})"
    )
    for size in ((168, 96), (1360, 768)):
        clip = sequence.resampled(8.0, 24)
        draw_pose(clip, size, PoseStyle())
        times = []
        for _ in range(5):
            started = time.perf_counter()
            draw_pose(clip, size, PoseStyle())
            times.append(time.perf_counter() - started)
        print(f"  drawing {clip.num_frames} frames at {size[0]}x{size[1]}: {np.median(times) * 1000:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", nargs="*", type=Path, default=[SHARED_DATA / name for name in RECORDINGS])
    parser.add_argument("--detector", default="mediapipe", choices=("mediapipe", "rtmlib"))
    args = parser.parse_args()
    print(f"{os.cpu_count()} cores, load before the start {os.getloadavg()[0]:.1f}")
    for path in args.videos:
        measure(path, args.detector)


if __name__ == "__main__":
    main()
