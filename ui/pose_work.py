"""From a pose file to what the Pose tab shows: who was found, and pictures of it. No Gradio.

Heavy imports are inside the functions: the page must answer before mediapipe and torch are loaded.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from animateanywhere.cancel import CancelToken
from animateanywhere.config import ModelConfig
from ui.jobs import Step

if TYPE_CHECKING:
    from animateanywhere.pose.detector import PoseDetector

PREVIEW_SIDE_PX = 640
PREVIEW_FPS = 12.0
PREVIEW_FRAMES = 240


@dataclass(frozen=True)
class PoseTask:
    """What a person asks the Pose tab to do with one file."""

    source: Path
    detector: str = "mediapipe"
    mirror: bool = False
    """Left and right exchanged, as in the mirror that a webcam shows."""
    every_frame: bool = False
    """The whole video at its own rate, instead of what the model can use."""


@dataclass(frozen=True)
class PoseFound:
    """A pose that the page can show and Generate can use."""

    task: PoseTask
    pose: Path
    """pose.json, or the skeleton video itself."""
    is_drawn: bool
    coverage: tuple[float, ...]
    """Share of frames, 0..1, in which each person is seen; empty for a drawn skeleton."""
    num_frames: int
    fps: float
    seconds_taken: float
    joints: Path | None
    """Its joints as a json; None for a drawing whose joints cannot be told."""


@dataclass(frozen=True)
class PoseAnswer:
    """What slow work found out about one way of reading one file. It counts only while that is still asked for."""

    task: PoseTask
    result: object | None = None
    """A PoseShown; or, without a pose yet, the path of a video that any browser plays; None if there is nothing to show."""
    refusal: str = ""
    """Why there is none, one line for a person."""
    stopped: bool = False
    """It was a person who ended it."""


class MirroredDetector:
    """Finds people in left-right mirrored frames, so that the joints' names fit the mirrored picture."""

    def __init__(self, detector: "PoseDetector"):
        self._detector = detector
        self.name = f"{detector.name}, mirrored"

    def detect(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        return self._detector.detect(np.ascontiguousarray(frame[:, ::-1]) for frame in frames)


def find_pose(
    task: PoseTask, model: ModelConfig, folder: Path, report: Callable[[Step], None], cancel: CancelToken
) -> PoseFound:
    """Read a pose json, a drawn skeleton, or find people; joints are written to `folder`/pose.json.

    Raises InputError as `load_pose_input` does, Cancelled once `cancel` is set.
    """
    from animateanywhere.pose.detector import create_detector, load_pose_input, probe_pose

    started = time.monotonic()

    def on_progress(done: int, total: int) -> None:
        elapsed = time.monotonic() - started
        report(Step("pose", done, total, elapsed / done * (total - done) if done else None))

    report(Step("detector", 0, 1))
    detector = MirroredDetector(create_detector(task.detector)) if task.mirror else task.detector
    limits = {} if task.every_frame else _limits(probe_pose(task.source).fps, model)
    got = load_pose_input(task.source, detector=detector, on_progress=on_progress, cancel=cancel, **limits)
    seconds = time.monotonic() - started
    sequence, joints = got.sequence, None
    if sequence is not None:
        joints = folder / "pose.json"
        sequence.to_json(joints)
    if got.drawn is not None:
        return PoseFound(task, task.source, True, (), got.drawn.num_frames, got.drawn.fps, seconds, joints)
    coverage = tuple(sequence.coverage(person) for person in range(sequence.num_people))
    return PoseFound(task, joints, False, coverage, sequence.num_frames, sequence.fps, seconds, joints)


def _limits(source_fps: float, model: ModelConfig) -> dict[str, float]:
    """What the model can use of a source, and no frame twice: between the frames of a slow one, joints are interpolated."""
    fps = min(model.fps, source_fps)
    return {"fps": fps, "max_frames": math.ceil(model.max_num_frames * fps / model.fps)}


def describe_source(task: PoseTask, model: ModelConfig | None) -> list[tuple[str, str]]:
    """What is in a pose file and how much of it is looked at, from its header. Raises InputError."""
    from animateanywhere.pose.detector import probe_pose

    source = probe_pose(task.source)
    width, height = source.size
    count = max(1, round(source.duration_s * source.fps))
    content = f"{width}×{height}, {count} frames at {source.fps:.4g} fps, {source.duration_s:.1f} s"
    rows = [("File", task.source.name), ("Contains", content)]
    if model is None or task.source.suffix.lower() == ".json":
        return rows
    if task.every_frame:
        return [*rows, ("Looked at", "every frame")]
    longest = model.max_num_frames / model.fps
    part = "all of it" if source.duration_s <= longest else f"the first {longest:.1f} s"
    return [*rows, ("Looked at", f"{part}, {min(model.fps, source.fps):.4g} frames per second")]


def make_playable(source: Path, folder: Path, mirror: bool = False) -> Path | None:
    """Write the first seconds of any video as a small mp4 that browsers play; None if the file is no video."""
    from animateanywhere.media import VideoFrames, probe_video, read_video, write_video
    from animateanywhere.pose.detector import IMAGE_SUFFIXES

    if source.suffix.lower() in (".json", *IMAGE_SUFFIXES):
        return None
    fps = min(probe_video(source).fps, PREVIEW_FPS)
    rgb = read_video(source, fps=fps, max_frames=PREVIEW_FRAMES, longest_side=PREVIEW_SIDE_PX).rgb
    target = folder / "preview.mp4"
    write_video(VideoFrames(np.ascontiguousarray(rgb[:, :, ::-1]) if mirror else rgb, fps), target)
    return target
