"""Cameras by COLMAP for clips that the built-in way cannot do: an optional extra, run in a process of its own."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from animateanywhere.cancel import CancelToken
from animateanywhere.errors import InputError
from animateanywhere.geometry import colmap_worker
from animateanywhere.geometry.camera_files import load_camera_path
from animateanywhere.geometry.camera_from_video import CameraEstimate, cannot_tell, check_request, seen_from_first
from animateanywhere.media import VideoFrames

_LONGEST_RUN_S = 3600.0
_LOOK_EVERY_S = 0.5
_HALF_SURE_POINTS = 100


def estimate_camera_with_colmap(
    video: VideoFrames,
    ignore: np.ndarray | None = None,
    *,
    focal_px: float | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    cancel: CancelToken | None = None,
) -> CameraEstimate:
    """Find a clip's cameras with pycolmap 3.12 or later; arguments and result as in `estimate_camera`.

    COLMAP needs a camera that moves: from one that stands or only turns it makes nothing, and the verdict is "cannot
    tell". Raises InputError if pycolmap is not installed or fails; Cancelled.
    """
    check_request(video, ignore, focal_px)
    with tempfile.TemporaryDirectory(prefix="colmap-") as name:
        folder = Path(name)
        _write_pictures(folder, video, ignore)
        if on_progress is not None:
            on_progress(0, video.num_frames)
        said = _run(folder, focal_px, cancel)
        placed = int(said.split()[-1])
        if on_progress is not None:
            on_progress(video.num_frames, video.num_frames)
        if placed < video.num_frames:
            reason = (
                f"COLMAP placed {placed} of {video.num_frames} frames, the camera may stand still or the picture have "
                "too little texture: try the built-in method"
            )
            return cannot_tell(reason, video, "assumed" if focal_px is None else "given")
        return read_colmap_model(folder / "model", video, "fitted" if focal_px is None else "given")


def read_colmap_model(folder: Path, video: VideoFrames, focal) -> CameraEstimate:
    """The estimate that a COLMAP text model of all of the video's frames amounts to. Raises InputError if damaged."""
    path = load_camera_path(folder, format="colmap", image_size=video.size, num_frames=video.num_frames, fps=video.fps)
    points = _points(folder / "points3D.txt")
    centres, rotations = path.centres, path.rotations
    scaled = seen_from_first(rotations, centres, np.linalg.norm(points - centres[0], axis=1))
    trust = len(points) / (len(points) + _HALF_SURE_POINTS)
    return CameraEstimate(
        "moving",
        f"COLMAP placed all {video.num_frames} frames and {len(points)} points",
        replace(path, camera_from_world=scaled),
        trust,
        np.full(video.num_frames, trust),
        focal,
    )


def _points(path: Path) -> np.ndarray:
    """float64 [P, 3] of COLMAP's points3D.txt."""
    try:
        rows = [
            line.split()[1:4] for line in path.read_text(encoding="utf-8").splitlines() if line[:1] not in ("#", "")
        ]
        points = np.array(rows, np.float64).reshape(-1, 3)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): run COLMAP again") from error
    if not len(points):
        raise InputError(f"{path} holds no point: the reconstruction is empty")
    return points


def _write_pictures(folder: Path, video: VideoFrames, ignore: np.ndarray | None) -> None:
    (folder / "images").mkdir()
    (folder / "size.txt").write_text(f"{video.width} {video.height}")
    if ignore is not None:
        (folder / "masks").mkdir()
    for number, picture in enumerate(video.rgb):
        name = f"{number:06d}.png"
        written = cv2.imwrite(str(folder / "images" / name), picture[..., ::-1])
        if ignore is not None:
            keep = cv2.resize((~ignore[number]).astype(np.uint8) * 255, video.size, interpolation=cv2.INTER_NEAREST)
            written &= cv2.imwrite(str(folder / "masks" / f"{name}.png"), keep)
        if not written:
            raise InputError(f"cannot write pictures for COLMAP to {folder}: free disk space")


def _run(folder: Path, focal_px: float | None, cancel: CancelToken | None) -> str:
    """What the worker printed. `-P` keeps this folder's module names from hiding other packages'."""
    command = [sys.executable, "-P", colmap_worker.__file__, str(folder)]
    command += [] if focal_px is None else [repr(float(focal_px))]
    with (folder / "said.txt").open("w+") as said, (folder / "errors.txt").open("w+") as errors:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=errors)
        try:
            waited = 0.0
            while process.poll() is None:
                if cancel is not None:
                    cancel.raise_if_set()
                if waited > _LONGEST_RUN_S:
                    raise InputError(f"COLMAP did not end within {_LONGEST_RUN_S / 60:.0f} minutes: give fewer frames")
                try:
                    process.wait(_LOOK_EVERY_S)
                except subprocess.TimeoutExpired:
                    waited += _LOOK_EVERY_S
        finally:
            process.kill()
            process.wait()
        said.seek(0)
        errors.seek(0)
        last = ([line.strip() for line in errors if line.strip()] or [f"it ended with code {process.returncode}"])[-1]
        if process.returncode == colmap_worker.MISSING:
            raise InputError(f"COLMAP is not installed ({last}): pip install pycolmap, or use the built-in method")
        if process.returncode:
            raise InputError(f"COLMAP failed ({last}): use the built-in method")
        return said.read()
