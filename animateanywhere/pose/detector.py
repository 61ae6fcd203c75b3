"""From a person's file to a pose: people found in a video, a saved pose, or a skeleton somebody drew already."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from animateanywhere.cancel import CancelToken
from animateanywhere.config import PoseStyle
from animateanywhere.errors import InputError
from animateanywhere.media import (
    VideoFrames,
    VideoInfo,
    check_fits_memory,
    iter_video,
    limited_size,
    probe_video,
    read_image,
    read_video,
    resized,
)
from animateanywhere.pose.draw import draw_pose
from animateanywhere.pose.drawn import fit_drawn_frames, has_swapped_channels, is_densepose, is_drawn_skeleton
from animateanywhere.pose.drawn_joints import read_drawn_joints
from animateanywhere.pose.sequence import PoseSequence
from animateanywhere.pose.tracking import link_people

DETECTORS = ("mediapipe", "rtmlib")
DETECTION_SIDE_PX = 960
"""Longer side of the pictures a detector sees: larger ones make decoding slow and joints hardly better."""
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif")
_SAMPLE_FPS, _SAMPLE_FRAMES, _SAMPLE_SIDE_PX = 2.0, 8, 1024
"""The first seconds decide whether a video shows people or a drawing."""


class PoseDetector(Protocol):
    """Finds people in pictures."""

    name: str

    def detect(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield float32 [people, 133, 3] for each uint8 [H, W, 3] frame: x and y in its pixels, confidence 0..1.

        Frames are consecutive pictures of one video. Joints are in COCO-WholeBody order; people in any order.
        """
        ...


@dataclass(frozen=True)
class PoseSource:
    """What a pose file promises before anything is extracted from it."""

    size: tuple[int, int]
    """(W, H) in pixels."""
    fps: float
    duration_s: float


@dataclass(frozen=True, eq=False)
class PoseInput:
    """A pose as it came: joints, or pictures of a skeleton that somebody drew already."""

    kind: Literal["sequence", "drawn"]
    sequence: PoseSequence | None
    """Of a drawing: its body joints read back; None where they cannot be."""
    drawn: VideoFrames | None
    source_size: tuple[int, int]
    """(W, H) in pixels of the file."""
    fps: float

    def frames(
        self, size: tuple[int, int], num_frames: int, fps: float, style: PoseStyle, person: int = 0
    ) -> np.ndarray:
        """The model's pose pictures, uint8 [num_frames, H, W, 3], letterboxed on black into `size` (W, H).

        A pose that ends sooner stands still in its last frame. Raises InputError if there is no such person.
        """
        if self.drawn is not None and person != 0:
            raise InputError(f"person {person}: a drawn skeleton shows one person, choose person 0")
        if not self.is_used_as_drawn(style):
            pictures = draw_pose(self.sequence.person(person).resampled(fps, num_frames), size, style)
        else:
            position = np.arange(num_frames) * (self.drawn.fps / fps) + 1e-6
            shown = np.unique(np.minimum(position.astype(int), self.drawn.num_frames - 1))
            fitted = fit_drawn_frames(self.drawn.rgb[shown], size, style)
            return fitted[np.searchsorted(shown, np.minimum(position.astype(int), self.drawn.num_frames - 1))]
        held = np.minimum(np.arange(num_frames), len(pictures) - 1)
        return pictures[held]

    def is_used_as_drawn(self, style: PoseStyle) -> bool:
        """Whether a model of this style is shown the drawing itself: it knows hands and faces, or no joints could be read."""
        return self.drawn is not None and (self.sequence is None or (style.draw_hands and style.draw_face))


def create_detector(name: str) -> PoseDetector:
    """`mediapipe` (offline) or `rtmlib` (better, downloads its models once). Raises InputError on another name."""
    if name == "mediapipe":
        from animateanywhere.pose.mediapipe_detector import MediapipeDetector

        return MediapipeDetector()
    if name == "rtmlib":
        from animateanywhere.pose.rtmlib_detector import RtmlibDetector

        return RtmlibDetector()
    raise InputError(f"pose detector {name!r}: expected one of {', '.join(DETECTORS)}")


def extract_pose(
    path: Path | str,
    detector: str | PoseDetector = "mediapipe",
    fps: float | None = None,
    max_frames: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    cancel: CancelToken | None = None,
) -> PoseSequence:
    """Find the people in a video (or in one picture: a sequence of one frame), largest person first.

    A drawn skeleton's body joints are read back, see drawn_joints.py. `fps` None keeps the video's own.
    `on_progress(done, total)` is called per frame; `total` is an estimate. Raises InputError if the file cannot be read, is
    a drawing whose joints cannot be told, or shows nobody in any frame; Cancelled once `cancel` is set.
    """
    path = Path(path)
    if not _is_image(path):
        sample = _first_seconds(path)
        _refuse_densepose(path, sample)
        if is_drawn_skeleton(sample):
            return _joints_of_drawing(path, _read_drawn(path, sample, fps, max_frames, on_progress, cancel))
    return _find_people(path, detector, fps, max_frames, on_progress, cancel)


def probe_pose(path: Path | str) -> PoseSource:
    """Size, rate and length of a pose video, picture or json, without looking for people. Raises InputError."""
    path = Path(path)
    if path.suffix.lower() == ".json":
        sequence = PoseSequence.from_json(path)
        return PoseSource(sequence.image_size, sequence.fps, sequence.duration_s)
    if _is_image(path):
        height, width = read_image(path).shape[:2]
        return PoseSource((width, height), 1.0, 1.0)
    info = probe_video(path)
    return PoseSource((info.width, info.height), info.fps, info.duration_s)


def load_pose_input(
    path: Path | str,
    *,
    detector: str | PoseDetector = "mediapipe",
    fps: float | None = None,
    max_frames: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    cancel: CancelToken | None = None,
) -> PoseInput:
    """Read a pose json, a video of an already drawn skeleton, or find people in a video or picture.

    `fps` and `max_frames` limit what is decoded; a json is taken whole. Raises InputError like `extract_pose`, and for
    DensePose videos, which this program does not take; Cancelled once `cancel` is set.
    """
    path = Path(path)
    if path.suffix.lower() == ".json":
        sequence = PoseSequence.from_json(path)
        return PoseInput("sequence", sequence, None, sequence.image_size, sequence.fps)
    if not _is_image(path):
        sample = _first_seconds(path)
        _refuse_densepose(path, sample)
        if is_drawn_skeleton(sample):
            return _read_drawn(path, sample, fps, max_frames, on_progress, cancel)
    sequence = _find_people(path, detector, fps, max_frames, on_progress, cancel)
    return PoseInput("sequence", sequence, None, sequence.image_size, sequence.fps)


def _find_people(
    path: Path,
    detector: str | PoseDetector,
    fps: float | None,
    max_frames: int | None,
    on_progress: Callable[[int, int], None] | None,
    cancel: CancelToken | None,
) -> PoseSequence:
    finder = create_detector(detector) if isinstance(detector, str) else detector
    if _is_image(path):
        image = read_image(path)
        size, rate, total = image.shape[1::-1], fps or 1.0, 1
        frames = (picture for picture in [resized(_opaque(image), limited_size(*size, DETECTION_SIDE_PX))])
    else:
        info = probe_video(path)
        size, rate, total = (info.width, info.height), fps or info.fps, _num_frames(info, fps, max_frames)
        frames = iter_video(path, fps=rate, max_frames=max_frames, longest_side=DETECTION_SIDE_PX, info=info)
    with closing(_watched(frames, total, on_progress, cancel)) as watched, closing(finder.detect(watched)) as found:
        rows = link_people(list(found), rate)
    sequence = _in_pixels_of(rows, size, rate)
    if not sequence.seen().any():
        raise InputError(
            f"{path.name}: nobody found in any of {len(rows)} frames, expected a person whose body is in view: "
            "give another video, or try the other detector"
        )
    return sequence


def _read_drawn(
    path: Path,
    sample: np.ndarray,
    fps: float | None,
    max_frames: int | None,
    on_progress: Callable[[int, int], None] | None,
    cancel: CancelToken | None,
) -> PoseInput:
    info = probe_video(path)
    rate, total = fps or info.fps, _num_frames(info, fps, max_frames)
    check_fits_memory(*limited_size(info.width, info.height, _SAMPLE_SIDE_PX), total, path.name)
    frames = iter_video(path, fps=rate, max_frames=max_frames, longest_side=_SAMPLE_SIDE_PX, info=info)
    with closing(_watched(frames, total, on_progress, cancel)) as watched:
        rgb = np.stack(list(watched))
    if has_swapped_channels(sample):
        rgb = np.ascontiguousarray(rgb[..., ::-1])
    size, joints = (info.width, info.height), read_drawn_joints(rgb, rate)
    return PoseInput("drawn", joints and joints.contained_in(size).quantised(), VideoFrames(rgb, rate), size, rate)


def _joints_of_drawing(path: Path, pose: PoseInput) -> PoseSequence:
    if pose.sequence is None:
        raise InputError(
            f"{path.name} is a drawn skeleton whose joints cannot be told, expected one person in OpenPose's or DWPose's "
            "colours: give the drawing itself to generate, which takes it as it is"
        )
    return pose.sequence


def _in_pixels_of(rows: np.ndarray, size: tuple[int, int], fps: float) -> PoseSequence:
    """[T, P, 133, 3] as found in the scaled picture -> a sequence in the file's own pixels, largest person first."""
    seen_size = limited_size(*size, DETECTION_SIDE_PX)
    scale = np.float32(size) / np.float32(seen_size)
    confidence = np.clip(rows[..., 2], 0, 1)
    return PoseSequence(rows[..., :2] * scale, confidence, size, fps).quantised().ordered_by_size()


def _watched(
    frames: Generator[np.ndarray, None, None],
    total: int,
    on_progress: Callable[[int, int], None] | None,
    cancel: CancelToken | None,
) -> Iterator[np.ndarray]:
    """Pass frames on; report those done and stop between two of them when asked to."""
    done = 0
    with closing(frames):
        for done, frame in enumerate(frames, start=1):
            if cancel is not None:
                cancel.raise_if_set()
            if on_progress is not None:
                on_progress(done - 1, max(total, done))
            yield frame
    if on_progress is not None:
        on_progress(done, done)


def _num_frames(info: VideoInfo, fps: float | None, max_frames: int | None) -> int:
    """An estimate: decoding may give one more or less."""
    total = max(1, round(info.duration_s * (fps or info.fps)))
    return total if max_frames is None else min(total, max_frames)


def _first_seconds(path: Path) -> np.ndarray:
    return read_video(path, fps=_SAMPLE_FPS, max_frames=_SAMPLE_FRAMES, longest_side=_SAMPLE_SIDE_PX).rgb


def _refuse_densepose(path: Path, sample: np.ndarray) -> None:
    if is_densepose(sample):
        raise InputError(
            f"{path.name} shows DensePose (body parts in flat colours), expected a video of a person or an "
            "OpenPose or DWPose skeleton: give the video it was made from"
        )


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def _opaque(image: np.ndarray) -> np.ndarray:
    """Lay a transparent picture on grey: what is invisible may hold any colour."""
    if image.shape[2] == 3:
        return image
    alpha = image[..., 3:].astype(np.float32) / 255
    return np.rint(image[..., :3] * alpha + 230 * (1 - alpha)).astype(np.uint8)
