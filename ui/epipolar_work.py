"""From a clip and cameras to the pictures of the Attention & Epipolar tab. No Gradio.

Heavy imports are inside the functions: the page must answer before torch is loaded.
"""

import shutil
import threading
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from animateanywhere.cancel import CancelToken
from animateanywhere.errors import InputError
from ui.attention_shelf import AttentionShelf, grid_of_model
from ui.clip_work import Clip
from ui.jobs import Step
from ui.services import Services

if TYPE_CHECKING:
    from animateanywhere.epipolar_view import AttentionView, GeometryView, Readouts
    from animateanywhere.geometry.cameras import CameraPath
    from animateanywhere.latent_grid import LatentGrid

CLIP_SIDE_PX, CLIP_FPS, CLIP_FRAMES = 640, 8.0, 48
"""What is looked at of a video that no model made: its first seconds, small."""
_KEPT_PICTURES = 400

Source = Literal["clip", "video", "none"]
CameraKind = Literal["preset", "file", "estimated"]


@dataclass(frozen=True)
class SceneRequest:
    """Which clip, and whose cameras."""

    source: Source
    """The newest generated clip, an uploaded video, or no pictures at all."""
    video: Path | None
    size: tuple[int, int]
    """(W, H) of the grey pictures, if there are none."""
    camera: CameraKind
    preset: str
    amount: float
    files: tuple[Path, ...]
    """A camera file, or COLMAP's cameras.txt and images.txt."""
    format: str


@dataclass(frozen=True, eq=False)
class EstimatedCameras:
    """What the cameras of a video seem to have been."""

    video: Path
    cameras: "CameraPath | None"
    """None: it cannot be told."""
    confidence: float
    """0..1"""
    words: str


@dataclass(frozen=True, eq=False)
class Scene:
    """A clip that can be looked at."""

    pictures: np.ndarray
    """uint8 [T, H, W, 3]."""
    cameras: "CameraPath"
    grid: "LatentGrid"
    clip: Clip | None
    """Set if a model made the pictures."""
    name: str
    camera_name: str

    def rows(self) -> list[tuple[str, str]]:
        """Names and values for a person."""
        frames, height, width = self.grid.token_shape
        stride, step = self.grid.token_stride_px, len(self.grid.frames_of_token(0))
        return [
            ("Clip", f"{self.name}, {self.grid.num_frames} frames, {self.grid.width}×{self.grid.height}"),
            ("Tokens", f"{frames}×{height}×{width}, each {step} frames of {stride}×{stride} pixels"),
            ("Cameras", self.camera_name),
        ]


class RecentPictures:
    """Writes pictures for the page, and removes those that no page shows any more."""

    def __init__(self, services: Services):
        self._services = services
        self._folder: Path | None = None
        self._written: deque[Path] = deque()
        self._lock = threading.Lock()

    def write(self, picture: np.ndarray) -> Path:
        """A new png. Raises InputError if the disk refuses."""
        import cv2

        path = self.new_path()
        # Lightly packed: a click must be answered at once.
        if not cv2.imwrite(str(path), picture[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1]):
            raise InputError(f"cannot write {path}: free disk space")
        return path

    def new_path(self, stem: str = "panel") -> Path:
        """A name for a png that is removed once it is old."""
        with self._lock:
            self._folder = self._folder or self._services.new_temp_folder()
            path = self._folder / f"{stem}_{uuid.uuid4().hex[:12]}.png"
            self._written.append(path)
            while len(self._written) > _KEPT_PICTURES:
                self._written.popleft().unlink(missing_ok=True)
        return path


def make_scene(
    request: SceneRequest, services: Services, clip: Clip | None, estimated: EstimatedCameras | None
) -> Scene:
    """Read the pictures and the cameras. `clip`: the newest one. Raises InputError saying what is missing or wrong."""
    from animateanywhere.epipolar_scene import fit_to_tokens, read_pictures

    video = scene_video(request, clip)
    cameras, camera_name = _cameras(request, services, video, estimated)
    if request.source == "clip":
        from animateanywhere.media import read_video

        grid = grid_of_model(services.shelf.pipeline(), clip)
        pictures = read_video(video, max_frames=clip.num_frames).rgb
        return Scene(pictures, cameras.matched_to(clip.num_frames), grid, clip, video.name, camera_name)
    limits = {"fps": CLIP_FPS, "max_frames": CLIP_FRAMES, "longest_side": CLIP_SIDE_PX}
    fitted, grid = fit_to_tokens(cameras, **limits)
    if request.camera == "preset":  # the whole move in the part that is looked at
        fitted = _preset(request, grid.num_frames, fitted.image_size, fitted.fps)
    pictures = read_pictures(video, fitted, range(grid.num_frames), CLIP_SIDE_PX)
    return Scene(pictures, fitted, grid, None, "no pictures" if video is None else video.name, camera_name)


def scene_video(request: SceneRequest, clip: Clip | None) -> Path | None:
    """The file to look at, None for grey pictures. Raises InputError if it is not there yet."""
    if request.source == "none":
        return None
    if request.source == "video":
        if request.video is None:
            raise InputError("no video yet: upload one")
        return request.video
    if clip is None or not clip.path.is_file():
        raise InputError("no clip yet: make one on the Generate page, or look at a video of yours")
    return clip.path


def estimate_cameras(
    video: Path, clip: Clip | None, report: Callable[[Step], None], cancel: CancelToken
) -> EstimatedCameras:
    """Read the cameras of `video` from its background: of all of it if it is `clip`'s, else of the part looked at.

    Raises InputError if it cannot be read, Cancelled once `cancel` is set.
    """
    from animateanywhere.clip_camera import estimate_clip_camera
    from animateanywhere.media import probe_video

    def on_progress(phase: str, done: int, total: int) -> None:
        report(Step(phase, done, total))

    part = {"fps": min(CLIP_FPS, probe_video(video).fps), "max_frames": CLIP_FRAMES}
    if clip is not None:
        part = {"max_frames": clip.num_frames}
    found = estimate_clip_camera(video, on_progress=on_progress, cancel=cancel, **part)
    sure = "" if found.path is None else f" Confidence {found.confidence:.0%}."
    return EstimatedCameras(video, found.path, found.confidence, found.describe() + sure)


def _cameras(
    request: SceneRequest, services: Services, video: Path | None, estimated: EstimatedCameras | None
) -> tuple["CameraPath", str]:
    from animateanywhere.epipolar_scene import needs_size, read_cameras
    from animateanywhere.media import probe_video

    if request.camera == "file":
        path = _camera_file(request, services)
        size = request.size if video is None and needs_size(path, request.format) else None
        return read_cameras(path, request.format, video=video, size=size), ", ".join(p.name for p in request.files)
    if request.camera == "estimated":
        if video is None:
            raise InputError("there are no pictures to estimate cameras from: choose a clip")
        if estimated is None or estimated.video != video:
            raise InputError("the cameras of this clip are not known yet: press Estimate the cameras")
        if estimated.cameras is None:
            raise InputError(estimated.words)
        return estimated.cameras, f"estimated: {estimated.words}"
    name = f"{request.preset.replace('_', ' ')}, {request.amount:g} times"
    if video is None:
        return _preset(request, CLIP_FRAMES, request.size, CLIP_FPS), name
    info = probe_video(video)
    return _preset(request, info.num_frames, (info.width, info.height), info.fps), name


def _preset(request: SceneRequest, num_frames: int, size: tuple[int, int], fps: float) -> "CameraPath":
    from animateanywhere.geometry.camera_presets import camera_preset

    return camera_preset(request.preset, num_frames, size, amount=request.amount, fps=fps)


def _camera_file(request: SceneRequest, services: Services) -> Path:
    """One path for the reader: COLMAP's two files come in folders of their own and belong into one."""
    if not request.files:
        raise InputError("no camera file yet: upload one")
    if len(request.files) == 1:
        return request.files[0]
    folder = services.new_temp_folder()
    for file in request.files:
        shutil.copyfile(file, folder / file.name)
    return folder


@dataclass(frozen=True)
class Look:
    """Where a person looks, and how."""

    frame_i: int
    frame_j: int
    point_px: tuple[float, float]
    thickness: float
    percentile: float
    """0..1."""
    layer: int | None
    """None: geometry alone."""
    head: int | None
    """None: the mean over heads."""
    step: int | None
    logarithmic: bool


@dataclass(frozen=True, eq=False)
class Seen:
    """What there is to see."""

    scene: Scene
    look: Look
    geometry: "GeometryView"
    attention: "AttentionView | None"
    readouts: "Readouts"
    model_name: str

    def frame_panels(self, box: int) -> list[np.ndarray]:
        """Frames i and j."""
        from animateanywhere.overlay import line_panel, point_panel

        pictures, look = self.scene.pictures, self.look
        return [
            point_panel(pictures[look.frame_i], self.geometry, box),
            line_panel(pictures[look.frame_j], self.geometry, box),
        ]

    def attention_panels(self, box: int) -> list[np.ndarray]:
        """A, M, 1 - Omega, Omega, target; nothing if no attention is held."""
        from animateanywhere.overlay import attention_panels

        if self.attention is None:
            return []
        return attention_panels(self.geometry, self.attention, box, self.look.logarithmic)

    def settings(self) -> list[tuple[str, str]]:
        """Everything that decides about the pictures, names and values."""
        x, y = self.look.point_px
        rows = [
            *self.scene.rows(),
            ("Frames i, j", f"{self.look.frame_i}, {self.look.frame_j}"),
            ("Point in i", f"{x:.1f}, {y:.1f} pixels"),
            ("Half-thickness", f"{self.look.thickness:.3g} tokens"),
        ]
        if (seen := self.attention) is not None:
            head = "mean over heads" if seen.head is None else f"head {seen.head}"
            rows += [
                ("Model", f"{self.model_name}, seed {self.scene.clip.seed}"),
                ("Attention", f"layer {seen.layer}, {head}, step {seen.step} (t = {seen.timestep:.0f})"),
                ("Delta", f"percentile {100 * seen.percentile:g}"),
            ]
        return rows


def look_at(scene: Scene, look: Look, shelf: AttentionShelf) -> Seen:
    """Geometry, and attention if a run of this clip is held. Raises InputError for what is not there."""
    from animateanywhere.epipolar_view import PointQuery, attention_view, geometry_view, readouts

    query = PointQuery(look.frame_i, look.frame_j, look.point_px, look.thickness)
    geometry = geometry_view(scene.cameras, scene.grid, query)
    run = shelf.get(scene.clip.path) if scene.clip is not None else None
    attention = None
    if run is not None and look.layer is not None and look.step is not None:
        attention = attention_view(run.at(look.layer, look.step), geometry, look.head, look.percentile)
    return Seen(scene, look, geometry, attention, readouts(geometry, attention), run.model_name if run else "")


def write_sheet(seen: Seen, path: Path) -> None:
    """All panels, numbers and settings as one png, with the same words in the file's text. Raises InputError."""
    from animateanywhere.overlay import SHEET_BOX_PX, overlay_sheet, save_png

    panels = [*seen.frame_panels(SHEET_BOX_PX), *seen.attention_panels(SHEET_BOX_PX)]
    facts = seen.readouts.rows() + seen.settings() + ([("Note", seen.geometry.note)] if seen.geometry.note else [])
    title = "Epipolar line and mask" if seen.attention is None else "Attention and epipolar mask"
    save_png(overlay_sheet(panels, title, facts), path, "; ".join(f"{name}: {value}" for name, value in facts))
