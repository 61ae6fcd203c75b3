"""The videos of a folder, each known by what is in it, and what lies beside them. Nothing here writes."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from animateanywhere.cancel import CancelToken
from animateanywhere.errors import InputError
from animateanywhere.media import VideoInfo, iter_video, probe_video, read_video
from animateanywhere.pose.drawn import is_densepose, is_drawn_skeleton
from trainer.prepare.settings import PrepareConfig

VIDEO_SUFFIXES = frozenset(
    ".mp4 .mov .m4v .webm .mkv .avi .gif .mpg .mpeg .ts .mts .m2ts .wmv .flv .3gp .ogv .vob .mxf".split()
)
_BLOCK_BYTES = 1 << 20
_LONGEST_CAPTION = 2000
_SAMPLE_FPS, _SAMPLE_FRAMES, _SAMPLE_SIDE_PX = 2.0, 8, 1024
"""The first seconds decide whether a video shows people or a drawing of a pose."""


class UnreadableSourceError(Exception):
    """This one video cannot be used; the others can. The message is one line for the report."""


@dataclass(frozen=True)
class Source:
    """One video file and the words and cameras beside it."""

    path: Path
    name: str
    """Path relative to the folder that was given, with forward slashes."""
    content: str
    """16 hex digits of the SHA-256 of the video's bytes."""
    key: str
    """16 hex digits of the SHA-256 of the video and of the files beside it: what its clips depend on."""
    info: VideoInfo
    caption: str
    cameras: Path | None
    """The camera file, None if there is none."""


def find_videos(folder: Path, output: Path) -> list[Path]:
    """Video files by their suffix in `folder` and all folders in it, sorted; hidden ones and `output` are left out.

    Raises InputError if `folder` is missing or holds none.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: give the folder with the videos")
    output, found = output.resolve(), []
    for place, folders, files in os.walk(folder):
        folders[:] = [f for f in folders if not f.startswith(".") and (Path(place) / f).resolve() != output]
        found += [Path(place) / f for f in files if Path(f).suffix.lower() in VIDEO_SUFFIXES and not f.startswith(".")]
    if not found:
        raise InputError(f"{folder} holds no video: expected files such as .mp4, .mov, .webm, .mkv or .avi in it")
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def open_source(path: Path, folder: Path, config: PrepareConfig, cancel: CancelToken | None = None) -> Source:
    """Hash a video, read its header and find what lies beside it.

    Raises UnreadableSourceError if it cannot be used; Cancelled.
    """
    try:
        content = file_hash(path, cancel)
        info = probe_video(path)
    except (InputError, OSError) as error:
        raise UnreadableSourceError(_one_line(error)) from error
    caption = read_caption(path.with_name(path.stem + config.caption_suffix))
    cameras = path.with_name(path.stem + config.camera_suffix) if config.cameras_from_files else None
    cameras = cameras if cameras is not None and cameras.exists() else None
    camera_hash = "" if cameras is None else "".join(file_hash(p, cancel) for p in _files_of(cameras))
    key = hashlib.sha256("\0".join((content, caption, camera_hash)).encode()).hexdigest()[:16]
    return Source(path, path.relative_to(folder).as_posix(), content[:16], key, info, caption, cameras)


def refuse_drawings(source: Source) -> None:
    """Raises UnreadableSourceError if the video is a drawn pose instead of a person."""
    try:
        sample = read_video(source.path, fps=_SAMPLE_FPS, max_frames=_SAMPLE_FRAMES, longest_side=_SAMPLE_SIDE_PX).rgb
    except InputError as error:
        raise UnreadableSourceError(_one_line(error)) from error
    if is_drawn_skeleton(sample):
        raise UnreadableSourceError("an already drawn skeleton, expected a video of a person")
    if is_densepose(sample):
        raise UnreadableSourceError("DensePose body parts in flat colours, expected a video of a person")


def frames_of(source: Source, fps: float, longest_side: int, cancel: CancelToken | None) -> Iterator[np.ndarray]:
    """uint8 [H, W, 3] at `fps`, as `iter_video`. Raises UnreadableSourceError instead of InputError; Cancelled."""
    frames = iter_video(source.path, fps=fps, longest_side=longest_side, info=source.info)
    try:
        with closing(frames):
            for frame in frames:
                _check(cancel)
                yield frame
        # An interrupt from the keyboard ends the decoder too: what looks like the video's end may be ours.
        _check(cancel)
    except InputError as error:
        _check(cancel)
        raise UnreadableSourceError(_one_line(error)) from error


def file_hash(path: Path, cancel: CancelToken | None = None) -> str:
    """Hex SHA-256 of a file. Raises OSError; Cancelled."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            _check(cancel)
            digest.update(block)
    return digest.hexdigest()


def read_caption(path: Path) -> str:
    """The words in a text file on one line, at most 2000 characters; empty if there is no such file.

    Raises UnreadableSourceError if the file is no text.
    """
    if not path.is_file():
        return ""
    try:
        return " ".join(path.read_text(encoding="utf-8-sig").split())[:_LONGEST_CAPTION]
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableSourceError(f"caption {path.name} cannot be read ({_one_line(error)})") from error


def _files_of(path: Path) -> list[Path]:
    return sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


def _check(cancel: CancelToken | None) -> None:
    if cancel is not None:
        cancel.raise_if_set()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
