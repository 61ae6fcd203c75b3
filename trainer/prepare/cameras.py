"""Cameras of a window: from a file beside the video, or read from the background; a still camera of no weight if neither."""

from dataclasses import dataclass

import numpy as np

from animateanywhere.cancel import CancelToken
from animateanywhere.errors import InputError
from animateanywhere.geometry.camera_files import load_camera_path
from animateanywhere.geometry.camera_from_video import LIKELY_FOCAL, WORK_SIDE_PX, CameraEstimate, estimate_camera
from animateanywhere.geometry.cameras import CameraPath
from animateanywhere.media import VideoFrames, limited_size, resized
from trainer.prepare.crop import Crop
from trainer.prepare.settings import PrepareConfig
from trainer.prepare.sources import Source

_LENGTH_SLACK = 2
"""Rows that a camera file may have more or fewer than the video's header promises frames."""
_NEAREST = 0.05
"""Of the distance to the nearer background: what lies less far before the camera counts as behind it."""


@dataclass(frozen=True, eq=False)
class WindowCamera:
    """One window's cameras in the clip's pixels; the first camera is the world."""

    path: CameraPath
    confidence: float
    """0..1; 0: the path is a still camera that stands for "not known"."""
    sentence: str
    """The movement in words, or why it is not known."""
    shift: float | None = None
    """`background_shift` of the path; None where its unit of length is not known, or nothing is."""


def given_cameras(source: Source, config: PrepareConfig) -> tuple[CameraPath | None, str]:
    """Cameras of all the video's own frames from the file beside it, and why there are none if there are none."""
    if source.cameras is None:
        return None, f"no camera file {source.path.stem}{config.camera_suffix} beside the video"
    info = source.info
    try:
        path = load_camera_path(
            source.cameras, format=config.cameras, image_size=(info.width, info.height), fps=info.fps
        )
    except InputError as error:
        return None, str(error)
    if abs(path.num_frames - info.num_frames) > _LENGTH_SLACK:
        return None, f"{source.cameras.name} has {path.num_frames} cameras, the video {info.num_frames} frames"
    return path, ""


def window_from_file(path: CameraPath, ticks: range, fps: float, crop: Crop) -> WindowCamera:
    """The cameras of the video's own frames that are shown at ticks k / fps, for the clip cut out by `crop`."""
    shown = np.floor(np.arange(ticks.start, ticks.stop) * (path.fps / fps) + 1e-3).astype(int)
    chosen = crop.cameras(path.subset(np.minimum(shown, path.num_frames - 1)))
    moved = CameraEstimate("moving", "from a file", chosen, 1.0, np.ones(chosen.num_frames), "given")
    return WindowCamera(_relative(chosen, fps), 1.0, f"From the camera file: {moved.describe()}")


def window_from_video(
    frames: list[np.ndarray], covered: np.ndarray, fps: float, crop: Crop, cancel: CancelToken | None = None
) -> WindowCamera:
    """Cameras read from the background of uint8 [H, W, 3] frames; `covered` bool [T, H, W] is everybody in them.

    Raises Cancelled.
    """
    size = limited_size(*crop.source, WORK_SIDE_PX)
    video = VideoFrames(np.stack([resized(frame, size) for frame in frames]), fps)
    found = estimate_camera(video, covered, cancel=cancel)
    if found.path is None:
        return unknown_camera(len(frames), fps, crop, found.describe())
    path = _relative(crop.cameras(found.path), fps)
    return WindowCamera(path, found.confidence, found.describe(), background_shift(path))


def background_shift(path: CameraPath) -> float:
    """How far the camera moves the background across its pictures at most, as a share of their width.

    The mean way, since the first frame, of places all over the first picture, as if they lay at distance 1: where an
    estimated path has the nearer quarter of the background. Places that come to lie behind the camera count no more.
    """
    width, height = path.image_size
    across, down = np.meshgrid((np.arange(5) + 0.5) * width / 5, (np.arange(5) + 0.5) * height / 5)
    start = np.stack([across.ravel(), down.ravel(), np.ones(across.size)])
    places = np.linalg.inv(path.intrinsics_px[0]) @ start
    seen = path.camera_from_world @ np.vstack([places, np.ones(places.shape[1])])
    pixels = path.intrinsics_px @ seen[:, :3]
    before = seen[:, 2] > _NEAREST
    moved = np.linalg.norm(pixels[:, :2] / np.where(before, pixels[:, 2], 1.0)[:, None] - start[:2], axis=1)
    each = np.where(before, moved, 0.0).sum(1) / np.maximum(before.sum(1), 1)
    return float(each.max() / width)


def unknown_camera(num_frames: int, fps: float, crop: Crop, reason: str) -> WindowCamera:
    """A still camera with confidence 0: it stands for "not known"."""
    width, height = crop.source
    focal = LIKELY_FOCAL * max(width, height)
    intrinsics = np.tile([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]], (num_frames, 1, 1))
    still = CameraPath(intrinsics, np.tile(np.eye(4), (num_frames, 1, 1)), (width, height), fps)
    return WindowCamera(crop.cameras(still), 0.0, reason)


def _relative(path: CameraPath, fps: float) -> CameraPath:
    """The same cameras seen from the first one."""
    first = np.linalg.inv(path.camera_from_world[0])
    poses = path.camera_from_world @ first
    poses[0] = np.eye(4)
    poses[:, 3] = (0, 0, 0, 1)
    return CameraPath(path.intrinsics_px, poses, path.image_size, fps)
