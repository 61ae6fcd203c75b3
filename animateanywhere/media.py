"""Pictures and videos between a person's disk and numpy: what is accepted, and what is refused in which words."""

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from animateanywhere import ffmpeg
from animateanywhere.errors import InputError

LONGEST_VIDEO_S = 600.0
SMALLEST_SIDE_PX = 16
LARGEST_VIDEO_SIDE_PX = 8192
LARGEST_IMAGE_MEGAPIXELS = 100
_LARGEST_READ_BYTES = 4 * 1024**3
_LARGEST_COMMENT_BYTES = 100_000
_FASTEST_FPS = 240.0
"""Headers without a frame rate name the container's clock (1000 per second) instead: above this it is measured."""
_DAMAGED_SHARE = 0.9
"""A video that decodes with errors and yields a smaller share of its frames than this is refused as damaged."""


@dataclass(frozen=True, eq=False)
class VideoFrames:
    """Pictures of a video in memory."""

    rgb: np.ndarray  # uint8 [T, H, W, 3]
    fps: float

    def __post_init__(self):
        if self.rgb.ndim != 4 or self.rgb.shape[-1] != 3 or self.rgb.dtype != np.uint8 or not self.rgb.size:
            raise InputError(
                f"video: {self.rgb.dtype} {list(self.rgb.shape)}, expected uint8 [T, H, W, 3], none of them 0"
            )
        if not 0 < self.fps <= 1000:
            raise InputError(f"video: {self.fps} frames per second, expected more than 0 and at most 1000")

    @property
    def num_frames(self) -> int:
        return self.rgb.shape[0]

    @property
    def width(self) -> int:
        return self.rgb.shape[2]

    @property
    def height(self) -> int:
        return self.rgb.shape[1]

    @property
    def size(self) -> tuple[int, int]:
        """(W, H) in pixels."""
        return self.width, self.height


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says about itself, as a person sees it: rotation and pixel shape are already applied."""

    width: int
    height: int
    fps: float
    num_frames: int
    """From the duration; decoding may give one more or less."""
    duration_s: float
    codec: str


def probe_video(path: Path | str) -> VideoInfo:
    """Read a video's header; nothing is decoded.

    Raises InputError if the file is missing, not a video, has sound only, is longer than 600 s or has an unusable size.
    """
    path = _existing_file(path, "video")
    header = ffmpeg.read_header(path)
    size = f"{header.width}x{header.height}"
    if min(header.width, header.height) < SMALLEST_SIDE_PX or max(header.width, header.height) > LARGEST_VIDEO_SIDE_PX:
        raise InputError(
            f"{path.name} is {size}, expected sides of {SMALLEST_SIDE_PX} to {LARGEST_VIDEO_SIDE_PX} pixels"
        )
    fps, duration_s = header.fps, header.duration_s
    if duration_s <= LONGEST_VIDEO_S and (not duration_s or not 0 < fps <= _FASTEST_FPS):
        times = ffmpeg.packet_times_s(path, LONGEST_VIDEO_S + 1)
        if not len(times):
            raise InputError(f"{path.name} holds no frame: give another video")
        span_s = float(times[-1] - times[0])
        measured = min(_FASTEST_FPS, (len(times) - 1) / span_s) if span_s > 0 else 1.0
        fps = fps if 0 < fps <= _FASTEST_FPS else measured
        duration_s = span_s + 1 / fps
    if duration_s > LONGEST_VIDEO_S:
        length = f"{duration_s:.0f} s" if header.duration_s else f"more than {LONGEST_VIDEO_S:.0f} s"
        raise InputError(
            f"{path.name} is {length} long, expected at most {LONGEST_VIDEO_S:.0f} s: cut out a part of it"
        )
    return VideoInfo(header.width, header.height, fps, max(1, round(duration_s * fps)), duration_s, header.codec)


def iter_video(
    path: Path | str,
    *,
    fps: float | None = None,
    max_frames: int | None = None,
    start_s: float = 0.0,
    longest_side: int | None = None,
    info: VideoInfo | None = None,
) -> Iterator[np.ndarray]:
    """Yield uint8 [H, W, 3] pictures at a constant `fps` (the video's own if None): the one shown at each tick.

    `longest_side` scales down, never up. Closing the iterator stops the decoder. `info` saves a second probe. Raises
    InputError like `probe_video`, for zero frames, and for a file most of whose pictures cannot be decoded.
    """
    info, name = info or probe_video(path), Path(path).name
    fps = info.fps if fps is None else fps
    if not 0 < fps <= 1000 or start_s < 0 or (max_frames is not None and max_frames < 1):
        raise InputError(f"{name}: {fps} fps, start {start_s} s, {max_frames} frames: expected positive numbers")
    width, height = limited_size(info.width, info.height, longest_side)
    expected = max(1, int((info.duration_s - start_s) * fps))
    expected = expected if max_frames is None else min(expected, max_frames)
    request = ffmpeg.DecodeRequest(Path(path), width, height, fps, start_s, LONGEST_VIDEO_S + 1, max_frames)
    complaints, count = [], 0
    with closing(ffmpeg.decode(request, complaints)) as pictures:
        for picture in pictures:
            count += 1
            yield picture
    reason = ffmpeg.last_line("\n".join(complaints))
    if count == 0:
        raise InputError(f"{name} has no frame that can be read ({reason or 'nothing in it'}): give another video")
    if reason and count < _DAMAGED_SHARE * expected:
        raise InputError(f"{name} is damaged: {count} of {expected} frames can be read ({reason}): export it again")


def read_video(
    path: Path | str,
    *,
    fps: float | None = None,
    max_frames: int | None = None,
    start_s: float = 0.0,
    longest_side: int | None = None,
) -> VideoFrames:
    """Decode a video into memory; arguments as in `iter_video`. Raises InputError also if it would take over 4 GB."""
    info = probe_video(path)
    fps = info.fps if fps is None else fps
    width, height = limited_size(info.width, info.height, longest_side)
    count = max(1, round((info.duration_s - start_s) * fps))
    count = count if max_frames is None else min(count, max_frames)
    check_fits_memory(width, height, count, Path(path).name)
    frames = iter_video(path, fps=fps, max_frames=max_frames, start_s=start_s, longest_side=longest_side, info=info)
    return VideoFrames(np.stack(list(frames)), fps)


def write_video(video: VideoFrames, path: Path | str, *, comment: str | None = None) -> None:
    """Write H.264 yuv420p with faststart: plays in browsers. Odd sides gain one repeated pixel row or column.

    The file appears under its name only when it is whole. Raises InputError (output folder, disk full, encoder).
    """
    path = Path(path)
    check_output_path(path)
    if comment is not None and len(comment.encode()) > _LARGEST_COMMENT_BYTES:
        raise InputError(f"comment of {len(comment.encode())} bytes, expected at most {_LARGEST_COMMENT_BYTES}")
    rgb = np.pad(video.rgb, ((0, 0), (0, video.height % 2), (0, video.width % 2), (0, 0)), mode="edge")
    part = path.with_name(f".{os.urandom(6).hex()}.part.mp4")
    try:
        failure = ffmpeg.encode(rgb, video.fps, part, comment)
        if failure:
            raise InputError(f"cannot write {path}: {failure}; free disk space or choose another folder")
        os.replace(part, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}; choose another folder") from error
    finally:
        part.unlink(missing_ok=True)


def read_comment(path: Path | str) -> str | None:
    """The comment in a video's metadata, None if it has none. Raises InputError if the file is missing or no video."""
    return ffmpeg.metadata_comment(_existing_file(path, "video"))


def check_output_path(path: Path | str, suffix: str = ".mp4") -> None:
    """Find out before a run whether `path` can be written. Raises InputError saying what is in the way."""
    path = Path(path)
    if path.suffix.lower() != suffix:
        raise InputError(f"output {path.name}: expected a name that ends in {suffix}")
    if path.is_dir():
        raise InputError(f"output {path} is a folder: give a file name in it")
    folder = path.parent
    if not folder.is_dir():
        raise InputError(f"output folder {folder} does not exist: make it first or choose another")
    try:
        with tempfile.TemporaryFile(dir=folder):
            writable = os.access(folder, os.W_OK) and (not path.exists() or os.access(path, os.W_OK))
    except OSError as error:
        raise InputError(f"output folder {folder} cannot be written to ({error.strerror}): choose another") from error
    if not writable:
        raise InputError(f"output {path} cannot be written to (no permission): choose another")


def read_image(path: Path | str) -> np.ndarray:
    """Read a picture as uint8 [H, W, 3], or [H, W, 4] if it has transparency; upright as its camera meant it.

    Raises InputError for a missing, foreign or damaged file and for sides under 16 or over 100 megapixels, the
    latter before any pixel is decoded.
    """
    path = _existing_file(path, "picture")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is ours, and an error
            picture = Image.open(path)
        with picture:
            _check_image_size(*picture.size, path.name)
            return _eight_bit(ImageOps.exif_transpose(picture))
    except Image.DecompressionBombError as error:
        raise InputError(f"{path.name} has over {LARGEST_IMAGE_MEGAPIXELS} megapixels: scale it down") from error
    except UnidentifiedImageError as error:
        raise InputError(
            f"{path.name} is {_foreign_kind(path)}, expected a picture: give a PNG, JPEG or WebP"
        ) from error
    except InputError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError) as error:  # what Pillow's readers raise
        raise InputError(f"{path.name} is damaged ({error}): export it again as PNG or JPEG") from error


def check_fits_memory(width: int, height: int, num_frames: int, name: str) -> None:
    """Raises InputError if that many RGB pictures at once take more than 4 GB."""
    needed = width * height * 3 * num_frames
    if needed > _LARGEST_READ_BYTES:
        raise InputError(
            f"{name}: {num_frames} frames of {width}x{height} take {needed / 1024**3:.0f} GB, expected at most "
            f"{_LARGEST_READ_BYTES // 1024**3} GB: give a shorter or smaller video"
        )


def cover_crop(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scale uint8 [H, W, C] to cover `size` (W, H), aspect kept, and cut what overhangs equally on both sides."""
    scale = max(size[0] / image.shape[1], size[1] / image.shape[0])
    width, height = (max(wanted, round(side * scale)) for wanted, side in zip(size, image.shape[1::-1], strict=True))
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    return np.ascontiguousarray(resized(image, (width, height))[top : top + size[1], left : left + size[0]])


def contain_pad(image: np.ndarray, size: tuple[int, int], fill: tuple[int, ...]) -> np.ndarray:
    """Scale uint8 [H, W, C] to fit into `size` (W, H), aspect kept, centred on the colour `fill` (C values)."""
    scale = min(size[0] / image.shape[1], size[1] / image.shape[0])
    width, height = (
        min(most, max(1, round(side * scale))) for most, side in zip(size, image.shape[1::-1], strict=True)
    )
    canvas = np.empty((size[1], size[0], image.shape[2]), np.uint8)
    canvas[:] = fill
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    canvas[top : top + height, left : left + width] = resized(image, (width, height))
    return canvas


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 [H, W, 3|4] to `size` (W, H): areas averaged when shrinking. Invisible pixels' colours do not bleed in."""
    if image.shape[1::-1] == tuple(size):
        return image
    smaller = size[0] <= image.shape[1] and size[1] <= image.shape[0]
    how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    if image.shape[2] == 3:
        return cv2.resize(image, size, interpolation=how)
    weighted = image.astype(np.float32)
    weighted[..., :3] *= weighted[..., 3:] / 255
    weighted = cv2.resize(weighted, size, interpolation=how)
    weighted[..., :3] *= 255 / np.maximum(weighted[..., 3:], 1)
    return np.clip(np.rint(weighted), 0, 255).astype(np.uint8)


def limited_size(width: int, height: int, longest_side: int | None) -> tuple[int, int]:
    """(W, H) scaled down so that the longer side is at most `longest_side`; unchanged if it already is."""
    scale = 1.0 if longest_side is None else min(1.0, longest_side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _existing_file(path: Path | str, what: str) -> Path:
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder, expected a {what} file")
    if not path.is_file():
        raise InputError(f"{path} does not exist: expected a {what} file")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path} cannot be read (no permission): expected a {what} file")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes): expected a {what} file")
    return path


def _check_image_size(width: int, height: int, name: str) -> None:
    if min(width, height) < SMALLEST_SIDE_PX:
        raise InputError(
            f"{name} is {width}x{height}, expected sides of at least {SMALLEST_SIDE_PX} pixels: give a larger one"
        )
    if width * height > LARGEST_IMAGE_MEGAPIXELS * 1_000_000:
        raise InputError(
            f"{name} is {width}x{height}, expected at most {LARGEST_IMAGE_MEGAPIXELS} megapixels: scale it down"
        )


def _eight_bit(picture: Image.Image) -> np.ndarray:
    """Any Pillow mode to uint8 RGB or RGBA; 16 bits per channel are scaled, not cut off."""
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        values = np.asarray(picture).astype(np.float64)
        top = 255 if values.max() <= 255 else max(65535, values.max())
        grey = np.clip(np.rint(values * (255 / top)), 0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    transparent = picture.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info
    return np.array(picture.convert("RGBA" if transparent else "RGB"))


def _foreign_kind(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(16)
    return (
        "a HEIC photo" if start[4:8] == b"ftyp" and start[8:12] in (b"heic", b"heix", b"mif1") else "of a foreign kind"
    )
