"""Everything a person can get wrong, as a table: the command line and the page are both tested with each row."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import Image


@dataclass(frozen=True)
class BadInput:
    """One mistake: which input is replaced by what, and words that the message must hold."""

    name: str
    replaces: str  # human, background, pose, output or model
    make: Callable[[Path], str]  # folder for files -> path or name to give
    words: tuple[str, ...]


def ffmpeg(path: Path, *arguments: str) -> str:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-nostdin", "-loglevel", "error", *arguments, str(path)]
    subprocess.run(command, check=True, timeout=60)
    return str(path)


def text_file(folder: Path) -> str:
    (folder / "notes.mp4").write_text("this is not a video")
    return str(folder / "notes.mp4")


def no_frames(folder: Path) -> str:
    return ffmpeg(folder / "none.avi", "-f", "lavfi", "-i", "color=s=64x64:r=8", "-t", "0", "-c:v", "mpeg4")


def audio_only(folder: Path) -> str:
    return ffmpeg(folder / "song.mp4", "-f", "lavfi", "-i", "sine", "-t", "1")


def four_hours(folder: Path) -> str:
    return ffmpeg(folder / "long.mp4", "-f", "lavfi", "-i", "color=s=64x64:r=1/600", "-t", "14400")


def nobody(folder: Path) -> str:
    return ffmpeg(folder / "grass.mp4", "-f", "lavfi", "-i", "color=c=green:s=320x240:r=8", "-t", "1")


def picture(size: tuple[int, int], mode: str = "RGB") -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        Image.new(mode, size).save(folder / f"{size[0]}x{size[1]}.png")
        return str(folder / f"{size[0]}x{size[1]}.png")

    return make


def text_picture(folder: Path) -> str:
    (folder / "me.png").write_text("no picture")
    return str(folder / "me.png")


def named(value: str) -> Callable[[Path], str]:
    return lambda folder: value


BAD_UPLOADS = (
    BadInput("pose is a text file", "pose", text_file, ("notes.mp4", "video")),
    BadInput("pose has no frames", "pose", no_frames, ("none.avi",)),
    BadInput("pose is a song", "pose", audio_only, ("song.mp4", "sound")),
    BadInput("pose lasts four hours", "pose", four_hours, ("long.mp4",)),
    BadInput("nobody in the pose video", "pose", nobody, ("grass.mp4", "nobody")),
    BadInput("person is one pixel", "human", picture((1, 1)), ("1x1",)),
    BadInput("person is huge", "human", picture((20000, 20000), "1"), ("20000x20000",)),
    BadInput("person is a text file", "human", text_picture, ("me.png",)),
    BadInput("nobody in the person's picture", "human", picture((200, 200)), ("person's picture",)),
    BadInput("background is one pixel", "background", picture((1, 1)), ("1x1",)),
    BadInput("background is huge", "background", picture((20000, 20000), "1"), ("20000x20000",)),
)
"""Mistakes on the command line and on the page."""

BAD_CALLS = (
    BadInput("pose is missing", "pose", lambda folder: str(folder / "no.mp4"), ("no.mp4",)),
    BadInput("output folder is missing", "output", lambda folder: str(folder / "no" / "out.mp4"), ("no",)),
    BadInput("output folder cannot be written", "output", named("/proc/out.mp4"), ("/proc",)),
    BadInput("output is a folder", "output", lambda folder: str(folder), ()),
    BadInput("output is no mp4", "output", lambda folder: str(folder / "out.gif"), ("mp4",)),
    BadInput("unknown model", "model", named("no-such-model"), ("no-such-model", "mini")),
    BadInput("model folder holds none", "model", lambda folder: str(folder), ("animateanywhere.json",)),
)
"""Mistakes that only the command line allows."""


def good_person(folder: Path) -> str:
    """A cut-out that needs no segmentation: a box with an alpha channel."""
    rgba = np.zeros((120, 80, 4), np.uint8)
    rgba[20:110, 30:50] = (200, 40, 40, 255)
    Image.fromarray(rgba).save(folder / "person.png")
    return str(folder / "person.png")


def good_background(folder: Path) -> str:
    ramp = np.linspace(0, 255, 100, dtype=np.uint8)
    Image.fromarray(np.stack(np.broadcast_arrays(ramp[:60, None], ramp[None], np.uint8(90)), axis=-1)).save(
        folder / "place.png"
    )
    return str(folder / "place.png")


def good_pose(folder: Path, num_frames: int = 24, size: tuple[int, int] = (320, 240)) -> str:
    """A stick person who walks to the right, as json at 8 frames per second."""
    from animateanywhere.pose.sequence import NUM_JOINTS, PoseSequence

    standing = [(0, 10), (2, 8), (-2, 8), (5, 9), (-5, 9), (12, 30), (-12, 30), (18, 55), (-18, 55)]
    standing += [(20, 78), (-20, 78), (8, 80), (-8, 80), (9, 115), (-9, 115), (9, 150), (-9, 150)]
    joints = np.zeros((num_frames, 1, NUM_JOINTS, 2), np.float32)
    confidence = np.zeros((num_frames, 1, NUM_JOINTS), np.float32)
    for t in range(num_frames):
        joints[t, 0, :17] = np.array(standing) + (80 + 6 * t, 40)
    confidence[..., :17] = 1.0
    PoseSequence(joints, confidence, size, 8.0).to_json(folder / "pose.json")
    return str(folder / "pose.json")


def good_words(command: str, folder: Path, model: str, **replaced: str) -> list[str]:
    """A command line that works: the small inputs above, `folder`/out.mp4, and options that are added or replaced."""
    values = {
        "human": good_person(folder),
        "background": good_background(folder),
        "pose": good_pose(folder),
        "output": str(folder / "out.mp4"),
        "model": model,
        **replaced,
    }
    return [command, *(word for name, value in values.items() for word in (f"--{name}", value))]
