"""A clip, its cameras and its tokens brought to one size, from files."""

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from animateanywhere.config import EpipolarConfig
from animateanywhere.epipolar_view import GeometryView, PointQuery, geometry_view, readouts
from animateanywhere.errors import InputError
from animateanywhere.geometry.camera_files import FILE_FORMATS, detect_format, load_camera_path
from animateanywhere.geometry.cameras import CameraPath
from animateanywhere.latent_grid import FRAME_MULTIPLE, LatentGrid
from animateanywhere.media import VideoInfo, check_output_path, iter_video, limited_size, probe_video
from animateanywhere.overlay import line_panel, overlay_sheet, point_panel, save_png

_GRID = dict(spatial_compression=8, temporal_compression=4, patch_size=2, patch_size_t=2)
"""Tokens of a clip that no model made: CogVideoX1.5's, 16 pixels and 8 frames each."""
_BLANK_RGB = (58, 62, 66)


@dataclass(frozen=True)
class OverlayRequest:
    """A point to look for with cameras from a file."""

    camera: Path
    """A camera file, or COLMAP's folder."""
    frame_i: int
    frame_j: int
    point_px: tuple[float, float]
    """(x, y) in pixels of the video."""
    video: Path | None = None
    """Its pictures lie under the drawing; without it they are grey."""
    format: str = "auto"
    """One of FILE_FORMATS."""
    thickness: float = EpipolarConfig.half_thickness
    size: tuple[int, int] | None = None
    """(W, H) of the pictures, for camera files that do not say it and come without a video."""


def overlay_of_files(request: OverlayRequest, output: Path) -> GeometryView:
    """Draw frames i and j of `request` with the point, its line and its mask into the PNG `output`.

    Tokens are 16 pixels wide and 8 frames long; rows, columns and frames that fill no token are left out. Raises
    InputError for a file that cannot be read or written, cameras of another length than the video, a point or a frame
    that is not there.
    """
    check_output_path(output, ".png")
    cameras = read_cameras(request.camera, request.format, video=request.video, size=request.size)
    total = cameras.num_frames
    cameras, grid = fit_to_tokens(cameras)
    if grid.num_frames <= max(request.frame_i, request.frame_j) < total:
        raise InputError(
            f"frames {request.frame_i} and {request.frame_j}: of {total} frames, whole tokens hold frames 0 to "
            f"{grid.num_frames - 1}: choose among these"
        )
    view = geometry_view(
        cameras, grid, PointQuery(request.frame_i, request.frame_j, request.point_px, request.thickness)
    )
    pictures = read_pictures(request.video, cameras, (request.frame_i, request.frame_j))
    panels = [point_panel(pictures[0], view), line_panel(pictures[1], view)]
    facts = [("Cameras", request.camera.name), *readouts(view).rows()]
    facts += [("Half-thickness", f"{request.thickness:.3g} tokens")] + ([("Note", view.note)] if view.note else [])
    save_png(overlay_sheet(panels, "Epipolar line and mask", facts), output, _about(request))
    return view


def _about(request: OverlayRequest) -> str:
    """The request as json, without the folders of whoever made the picture."""
    content = {name: value.name if isinstance(value, Path) else value for name, value in vars(request).items()}
    return json.dumps({"program": "AnimateAnywhere"} | content)


def read_cameras(
    path: Path, format: str = "auto", *, video: Path | None = None, size: tuple[int, int] | None = None
) -> CameraPath:
    """Cameras from a file: one per frame of `video` at `fps` frames per second, for its size.

    `size` (W, H): of the pictures, where there is no video. Raises InputError as `load_camera_path` does, and for
    cameras of another length or size than the video.
    """
    path, info = Path(path), None if video is None else probe_video(video)
    if format not in FILE_FORMATS:
        raise InputError(f"camera format {format!r}: expected one of {', '.join(FILE_FORMATS)}")
    if format == "stage-world" or (format == "auto" and path.suffix.lower() == ".safetensors"):
        cameras = _read_stage_world(path)
    elif info is None:
        cameras = load_camera_path(path, format=format, image_size=size)
    else:
        cameras = load_camera_path(path, format=format, image_size=(info.width, info.height), fps=info.fps)
    if info is not None:
        _check_belongs(cameras, path.name, info, Path(video).name)
    return cameras


def needs_size(path: Path, format: str) -> bool:
    """Whether such a camera file does not say how large its pictures are. Raises InputError if it is of no known kind."""
    if format == "auto" and path.suffix.lower() != ".safetensors":
        format = detect_format(path)
    return format in ("re10k", "humanvid-c2w", "humanvid-w2c")


def _check_belongs(cameras: CameraPath, name: str, info: VideoInfo, video_name: str) -> None:
    if cameras.image_size != (info.width, info.height):
        raise InputError(
            f"{name} is for pictures of {cameras.image_size[0]}x{cameras.image_size[1]}, {video_name} has "
            f"{info.width}x{info.height}: give the cameras of this video"
        )
    frames = max(1, round(info.duration_s * cameras.fps))
    if abs(cameras.num_frames - frames) > 1:  # a header's duration may be one frame off
        raise InputError(
            f"{name} has {cameras.num_frames} cameras, {video_name} has {frames} frames at {cameras.fps:.4g} per second: "
            "give one camera per frame"
        )


def _read_stage_world(path: Path) -> CameraPath:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as labels:
            height, width, _ = labels.get_slice("background").get_shape()
            fps = float((labels.metadata() or {})["fps"])
            intrinsics, poses = (labels.get_tensor(name) for name in ("intrinsics_px", "camera_from_world"))
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise InputError(
            f"{path} holds no cameras ({error}): give the SEED.safetensors that `python -m trainer synthesize` writes"
        ) from error
    return CameraPath(intrinsics, poses, (width, height), fps)


def fit_to_tokens(
    cameras: CameraPath, *, fps: float | None = None, max_frames: int | None = None, longest_side: int | None = None
) -> tuple[CameraPath, LatentGrid]:
    """Cameras of whole tokens only, and their grid.

    fps: about how many frames per second to keep (every n-th from the first); default: all. max_frames: keep the first
    ones. longest_side: of the pictures, scaled down to it. The right and lower rim that fills no token is cut off.
    Raises InputError if not even one token is left.
    """
    if cameras.num_frames < FRAME_MULTIPLE:
        raise InputError(f"{cameras.num_frames} frames: expected at least {FRAME_MULTIPLE}, the frames of one token")
    step = 1 if fps is None else max(1, min(round(cameras.fps / fps), cameras.num_frames // FRAME_MULTIPLE))
    cameras = cameras.strided(step)
    count = min(cameras.num_frames, max_frames or cameras.num_frames) // FRAME_MULTIPLE * FRAME_MULTIPLE
    cameras = cameras.subset(range(count)).resized(*limited_size(*cameras.image_size, longest_side))
    stride = _GRID["spatial_compression"] * _GRID["patch_size"]
    width, height = (side // stride * stride for side in cameras.image_size)
    if not width or not height:
        raise InputError(
            f"pictures of {cameras.image_size[0]}x{cameras.image_size[1]}: expected sides of {stride} or more"
        )
    return cameras.cropped(0, 0, width, height), LatentGrid(count, height, width, **_GRID)


def read_pictures(
    video: Path | None, cameras: CameraPath, frames: Sequence[int], longest_side: int | None = None
) -> np.ndarray:
    """uint8 [N, H, W, 3]: these frames as `cameras` from `fit_to_tokens` see them; grey without a video.

    Raises InputError if the video cannot be read or ends before the last of them.
    """
    width, height = cameras.image_size
    pictures = np.full((len(frames), height, width, 3), _BLANK_RGB, np.uint8)
    if video is None:
        return pictures
    wanted = np.asarray(frames)
    decoded = iter_video(video, fps=cameras.fps, max_frames=wanted.max() + 1, longest_side=longest_side)
    with closing(decoded):
        for number, picture in enumerate(decoded):
            pictures[wanted == number] = picture[:height, :width]
    if wanted.max() > number + 1:
        raise InputError(
            f"{Path(video).name} ends after {number + 1} frames, expected {wanted.max() + 1}: give the whole clip"
        )
    pictures[wanted > number] = picture[:height, :width]  # a header may promise one frame too many
    return pictures
