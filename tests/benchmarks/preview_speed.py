"""Seconds from a found pose to a written draft: `python -m tests.benchmarks.preview_speed [--pose VIDEO] [--human PICTURE]`.

Without arguments it uses the real recordings beside the repository. The aim on two CPU cores: check-up, retargeting and
preview of 48 frames at 640 pixels in under 5 s together.
"""

import argparse
import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from animateanywhere.media import VideoFrames, cover_crop, limited_size, read_image, resized, write_video
from animateanywhere.pose.checkup import check_up
from animateanywhere.pose.detector import extract_pose
from animateanywhere.pose.retarget import retarget
from animateanywhere.prepared_pose import reference_skeleton
from animateanywhere.preview import PreviewInputs, plan_draft
from animateanywhere.segmentation import cut_out_with_joints
from tests.benchmarks.pose_speed import cpu_seconds
from tests.conftest import SHARED_DATA

NUM_FRAMES, FPS, SIZE = 48, 8.0, (640, 366)


@contextmanager
def told(name: str, seconds: list[tuple[float, float]]):
    started, cpu_before = time.perf_counter(), cpu_seconds()
    yield
    seconds.append((time.perf_counter() - started, cpu_seconds() - cpu_before))
    print("  {}: {:.2f} s, {:.2f} s of CPU".format(name, *seconds[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pose", type=Path, default=SHARED_DATA / "video_juggle_tripod.mp4")
    parser.add_argument("--human", type=Path, default=SHARED_DATA / "human_standing.jpg")
    parser.add_argument("--background", type=Path, default=SHARED_DATA / "background_beach.png")
    args = parser.parse_args()
    print(f"{os.cpu_count()} cores, load before the start {os.getloadavg()[0]:.1f}")
    before, counted = [], []
    with told("pose extraction (not counted)", before):
        pose = extract_pose(args.pose, fps=FPS, max_frames=NUM_FRAMES)
    with told("joints of the person's picture (not counted)", before):
        skeleton = reference_skeleton(args.human)
    with told("check-up", counted):
        check_up(pose)
    with told("retargeting", counted):
        pose = retarget(pose, skeleton).sequence
    with told("cut-out", counted):
        image = read_image(args.human)
        person, joints = cut_out_with_joints(
            np.ascontiguousarray(resized(image, limited_size(*image.shape[1::-1], 1024)))
        )
    with told("camera and puppet", counted):
        background = cover_crop(read_image(args.background)[..., :3], SIZE)
        draft = plan_draft(PreviewInputs(person, joints, background, pose, NUM_FRAMES, FPS))
    with told(f"{NUM_FRAMES} frames at {SIZE[0]}x{SIZE[1]}", counted):
        frames = np.stack(list(draft.frames()))
    with told("writing", counted), tempfile.TemporaryDirectory() as folder:
        write_video(VideoFrames(frames, FPS), Path(folder) / "draft.mp4")
    wall, cpu = np.sum(counted, axis=0)
    print(f"{wall:.2f} s after pose extraction, {cpu:.2f} s of CPU: what it costs however busy the machine is")


if __name__ == "__main__":
    main()
