"""A video file to its camera, people masked out: what the command line, the page and the trainer call."""

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from animateanywhere.cancel import CancelToken
from animateanywhere.errors import InputError
from animateanywhere.geometry.camera_colmap import estimate_camera_with_colmap
from animateanywhere.geometry.camera_from_video import WORK_SIDE_PX, CameraEstimate, estimate_camera
from animateanywhere.media import VideoInfo, probe_video, read_video
from animateanywhere.pose.detector import create_detector
from animateanywhere.pose.sequence import BODY, SEEN_BODY_JOINTS, SEEN_CONFIDENCE

PersonDetector = Literal["mediapipe", "rtmlib", "none"]
CameraMethod = Literal["built-in", "colmap"]
MOST_FRAMES = 1000

_LIMBS = ((5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16))
_TORSO, _HEAD = (5, 6, 12, 11), slice(0, 5)
_SHOULDERS, _HIPS = [5, 6], [11, 12]
_LIMB_RADIUS, _HEAD_RADIUS, _JOINT_RADIUS = 0.28, 0.55, 0.2
"""Of the torso's length: generous, clothes and hair included; background lost at the rim costs nothing."""
_LEAST_TORSO = 0.3
"""Of the body's extent: a torso seen from above or bent looks shorter than it is."""
_REMEMBERED = 2
"""Frames before and after in which a person's place stays masked: detectors lose people for a frame now and then."""


def estimate_clip_camera(
    path: Path | str,
    *,
    detector: PersonDetector = "mediapipe",
    method: CameraMethod = "built-in",
    focal_px: float | None = None,
    fps: float | None = None,
    max_frames: int | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
    cancel: CancelToken | None = None,
) -> CameraEstimate:
    """Find the camera of a video file, one pose per frame at `fps` (None: the video's own), in the file's own pixels.

    `detector`: what looks for people to mask out, "none" if there are none. `focal_px`: in the file's own pixels, None:
    guessed. `on_progress(phase, done, total)`. A clip that says nothing gives the verdict "cannot tell". Raises
    InputError if the file cannot be read, has over 1000 frames, or a part that was asked for is not installed;
    Cancelled once `cancel` is set.
    """
    path, info = Path(path), probe_video(path)
    count = round(info.duration_s * (fps or info.fps)) if max_frames is None else max_frames
    if count > MOST_FRAMES:
        raise InputError(
            f"{path.name}: {count} frames, expected at most {MOST_FRAMES}: take fewer per second (fps) or only the first"
        )
    video = read_video(path, fps=fps, max_frames=max_frames, longest_side=WORK_SIDE_PX)
    masks = None
    if detector != "none":
        masks = person_masks(video.rgb, detector, on_progress=_in_phase(on_progress, "people"), cancel=cancel)
    focal = None if focal_px is None else focal_px * max(video.size) / max(info.width, info.height)
    estimate = estimate_camera if method == "built-in" else estimate_camera_with_colmap
    found = estimate(video, masks, focal_px=focal, on_progress=_in_phase(on_progress, "camera"), cancel=cancel)
    return _in_pixels_of(found, info)


def person_masks(
    frames: np.ndarray,
    detector: str = "mediapipe",
    *,
    on_progress: Callable[[int, int], None] | None = None,
    cancel: CancelToken | None = None,
) -> np.ndarray:
    """bool [T, H, W]: True on and closely around everybody found in uint8 [T, H, W, 3] frames.

    Raises InputError on another detector than mediapipe or rtmlib; Cancelled once `cancel` is set.
    """
    finder = create_detector(detector)
    masks = np.zeros(frames.shape[:3], bool)

    def watched():
        for done, frame in enumerate(frames):
            if cancel is not None:
                cancel.raise_if_set()
            if on_progress is not None:
                on_progress(done, len(frames))
            yield frame

    with closing(finder.detect(watched())) as found:
        for t, people in enumerate(found):
            masks[t] = draw_people(people, frames.shape[1:3])
    remembered = masks.copy()
    for step in range(1, _REMEMBERED + 1):
        remembered[step:] |= masks[:-step]
        remembered[:-step] |= masks[step:]
    if on_progress is not None:
        on_progress(len(frames), len(frames))
    return remembered


def draw_people(people: Iterable[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """bool [H, W] of float32 [people, 133, 3] joints: limbs, torso and head as thick strokes, clothes included."""
    mask = np.zeros(shape, np.uint8)
    for joints in people:
        seen = joints[:, 2] >= SEEN_CONFIDENCE
        body = np.flatnonzero(seen[BODY])
        if len(body) < SEEN_BODY_JOINTS:
            continue
        points = np.rint(joints[:, :2]).astype(int)
        torso = np.linalg.norm(joints[_SHOULDERS, :2].mean(0) - joints[_HIPS, :2].mean(0))
        torso = torso if seen[_SHOULDERS + _HIPS].all() else 0.0
        unit = max(torso, _LEAST_TORSO * float(np.ptp(joints[body, :2], axis=0).max()))
        thick = max(1, round(2 * _LIMB_RADIUS * unit))
        for a, b in _LIMBS:
            if seen[a] and seen[b]:
                cv2.line(mask, points[a].tolist(), points[b].tolist(), 1, thick)
        trunk = points[[joint for joint in _TORSO if seen[joint]]]
        if len(trunk) > 1:
            cv2.fillConvexPoly(mask, cv2.convexHull(trunk), 1)
            cv2.polylines(mask, [trunk], True, 1, thick)
        head = joints[_HEAD][seen[_HEAD]]
        if len(head):
            cv2.circle(mask, np.rint(head[:, :2].mean(0)).astype(int).tolist(), round(_HEAD_RADIUS * unit), 1, -1)
        for x, y in points[seen]:
            cv2.circle(mask, (int(x), int(y)), max(1, round(_JOINT_RADIUS * unit)), 1, -1)
    return mask > 0


def _in_pixels_of(found: CameraEstimate, info: VideoInfo) -> CameraEstimate:
    if found.path is None:
        return found
    return replace(found, path=found.path.resized(info.width, info.height))


def _in_phase(on_progress: Callable[[str, int, int], None] | None, phase: str):
    return None if on_progress is None else lambda done, total: on_progress(phase, done, total)
