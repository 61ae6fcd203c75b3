"""The bundled ffmpeg as functions: read a header, list packets, decode, encode. Only media.py uses it."""

import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from animateanywhere.errors import InputError

_EXAMINE_TIMEOUT_S = 60
_NOT_VIDEO_CONTAINERS = {"tty": "text", "lrc": "text", "srt": "text", "image2": "a picture"}
_VIDEO_KINDS = "give an mp4, mov, webm, mkv, avi or gif"
_CLOCK_SLACK_S = 0.002
"""Containers round timestamps to milliseconds: a picture this little late still counts for its tick."""


@dataclass(frozen=True)
class StreamHeader:
    """What the first video stream says about itself; width and height as a player shows them."""

    width: int
    height: int
    fps: float
    """0 if the header does not say."""
    duration_s: float
    """0 if the header does not say, as in a browser's recordings."""
    codec: str


def read_header(path: Path) -> StreamHeader:
    """Raises InputError if the file is not a video, is a still picture, or holds sound only."""
    header = _examine(["-i", f"file:{path}"], path).stderr.decode(errors="replace")
    container = re.search(r"^Input #0, (\S+), from", header, re.MULTILINE)
    if container is None:
        raise InputError(f"{path.name} is not a video ({last_line(header)}): {_VIDEO_KINDS}")
    kind = "a picture" if container[1].endswith("_pipe") else _NOT_VIDEO_CONTAINERS.get(container[1])
    if kind:
        raise InputError(f"{path.name} is {kind}, expected a video: {_VIDEO_KINDS}")
    streams = re.findall(r"^ +Stream #0:\d+.*?: Video: .*$", header, re.MULTILINE)
    streams = [line for line in streams if "(attached pic)" not in line]
    if not streams:
        content = "sound only" if re.search(r"^ +Stream #0:\d+.*: Audio: ", header, re.MULTILINE) else "no frame"
        raise InputError(f"{path.name} holds {content}, expected a video with pictures in it: give another")
    stream = streams[0]
    size = re.search(r", (\d+)x(\d+)", stream)
    if size is None:
        raise InputError(f"{path.name} is damaged (its picture size cannot be read): export it again")
    width, height = _shown_size(int(size[1]), int(size[2]), stream, _details(header, stream))
    rate = re.search(r"([\d.]+)(k?) fps", stream) or re.search(r"([\d.]+)(k?) tbr", stream)
    fps = float(rate[1]) * (1000 if rate[2] else 1) if rate else 0.0
    duration = re.search(r"^ +Duration: (\d+):(\d+):(\d+\.\d+)", header, re.MULTILINE)
    duration_s = int(duration[1]) * 3600 + int(duration[2]) * 60 + float(duration[3]) if duration else 0.0
    return StreamHeader(width, height, _exact_rate(fps), duration_s, re.search(r": Video: (\w+)", stream)[1])


def packet_times_s(path: Path, limit_s: float) -> np.ndarray:
    """Sorted presentation times, seconds, of the pictures up to `limit_s`. Nothing is decoded: takes milliseconds."""
    arguments = [
        "-i",
        f"file:{path}",
        "-map",
        "0:V:0",
        "-c",
        "copy",
        "-t",
        f"{limit_s:.3f}",
        "-f",
        "framecrc",
        "pipe:1",
    ]
    listing = _examine(["-v", "error", *arguments], path).stdout.decode(errors="replace")
    clock = re.search(r"^#tb 0: (\d+)/(\d+)", listing, re.MULTILINE)
    times = re.findall(r"^0, +-?\d+, +(-?\d+),", listing, re.MULTILINE)
    if clock is None or not times:
        return np.zeros(0)
    return np.unique(np.array(times, np.int64)) * (int(clock[1]) / int(clock[2]))


@dataclass(frozen=True)
class DecodeRequest:
    """What to decode: pictures of `width` x `height` at the ticks 0, 1/fps, 2/fps ... after `start_s`."""

    path: Path
    width: int
    height: int
    fps: float
    start_s: float
    longest_s: float
    max_frames: int | None


def decode(request: DecodeRequest, complaints: list[str]) -> Iterator[np.ndarray]:
    """Yield uint8 [H, W, 3]; at the end `complaints` holds what the decoder objected to. Closing ends the process."""
    rate = Fraction(request.fps).limit_denominator(1001000)
    # round=up: the picture of tick k is the last one shown at or before k/fps, never one from the future.
    # A microsecond clock first: setpts cuts fractions off, and some containers tick once per frame.
    filters = f"settb=AVTB,setpts=PTS-STARTPTS-{_CLOCK_SLACK_S}/TB,fps=fps={rate}:round=up"
    filters += f",scale={request.width}:{request.height}:flags=area+accurate_rnd+full_chroma_int,setsar=1"
    command = [*_program(), "-v", "error", "-protocol_whitelist", "file"]
    command += ["-ss", f"{request.start_s:.6f}"] if request.start_s > 0 else []
    command += ["-i", f"file:{request.path}", "-map", "0:V:0", "-t", f"{request.longest_s:.3f}", "-vf", filters]
    command += ["-frames:v", str(request.max_frames)] if request.max_frames is not None else []
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said)
        try:
            while True:
                picture = np.empty((request.height, request.width, 3), np.uint8)
                if process.stdout.readinto(memoryview(picture).cast("B")) < picture.nbytes:
                    break
                yield picture
            process.wait()
        finally:
            process.kill()
            process.stdout.close()
            process.wait()
        said.seek(0)
        complaints += said.read().decode(errors="replace").splitlines()


def encode(rgb: np.ndarray, fps: float, path: Path, comment: str | None) -> str | None:
    """Write uint8 [T, H, W, 3] with even sides as H.264 yuv420p. Returns None, or the encoder's reason for failing."""
    command = [*_program()[:-1], "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    command += ["-s", f"{rgb.shape[2]}x{rgb.shape[1]}", "-r", str(Fraction(fps).limit_denominator(1001000))]
    command += ["-i", "pipe:0", "-vf", "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_inp"]
    command += ["-c:v", "libx264", "-crf", "16", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
    command += ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"]
    # bitexact leaves the encoder's version out: the same frames give the same file.
    command += ["-fflags", "+bitexact", "-flags:v", "+bitexact"]
    command += ["-metadata", f"comment={comment}"] if comment is not None else []
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [*command, f"file:{path}"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said
        )
        try:
            broken = _feed(process, rgb)
            process.wait()
        finally:
            process.kill()
            process.wait()
        said.seek(0)
        reason = last_line(said.read().decode(errors="replace"))
    if broken is None and process.returncode == 0:
        return None
    return reason or str(broken or f"encoder ended with {process.returncode}")


def metadata_comment(path: Path) -> str | None:
    """The container's comment, None without one. Raises InputError if the file is not a video."""
    done = _examine(["-v", "error", "-i", f"file:{path}", "-f", "ffmetadata", "pipe:1"], path)
    if done.returncode:
        reason = last_line(done.stderr.decode(errors="replace"))
        raise InputError(f"{path.name} is not a video ({reason}): {_VIDEO_KINDS}")
    text = done.stdout.decode(errors="replace")
    found = re.search(r"^comment=((?:[^\\\n]|\\[\s\S])*)$", text, re.MULTILINE | re.IGNORECASE)
    return re.sub(r"\\([\s\S])", r"\1", found[1]) if found else None


def last_line(text: str) -> str:
    """What ffmpeg said last, without its memory addresses."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and "At least one output" not in line]
    return re.sub(r"\[[^\]]*@ 0x[0-9a-f]+\] *", "", lines[-1]) if lines else ""


def _program() -> list[str]:
    return [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin"]


def _examine(arguments: list[str], path: Path) -> subprocess.CompletedProcess:
    command = [*_program(), "-protocol_whitelist", "file,pipe", *arguments]
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_EXAMINE_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"{path.name} could not be examined within {_EXAMINE_TIMEOUT_S} s: export it as mp4"
        ) from error


def _feed(process: subprocess.Popen, rgb: np.ndarray) -> OSError | None:
    """Hand all pictures to the encoder. A pipe it closed is returned: what the encoder itself said matters more."""
    try:
        with process.stdin:
            for picture in rgb:
                process.stdin.write(np.ascontiguousarray(picture).data)
    except OSError as error:
        return error
    return None


def _exact_rate(fps: float) -> float:
    """ffmpeg prints two decimals: 23.98 and 29.97 stand for multiples of 1000/1001, which add up over a minute."""
    broadcast = round(fps * 1.001) * 1000 / 1001
    return broadcast if fps != round(fps) and abs(fps - broadcast) < 0.006 else fps


def _shown_size(width: int, height: int, stream: str, details: str) -> tuple[int, int]:
    """Coded size to the size a player shows: square pixels, turned as the phone noted."""
    aspect = re.search(r"SAR (\d+):(\d+)", stream)
    if aspect and int(aspect[1]) and int(aspect[2]):
        width = max(1, round(width * int(aspect[1]) / int(aspect[2])))
    turned = re.search(r"rotation of (-?[\d.]+) degrees", details)
    sideways = turned is not None and 45 < abs(float(turned[1])) % 180 < 135
    return (height, width) if sideways else (width, height)


def _details(header: str, stream: str) -> str:
    """The lines below a stream's own line, up to the next stream."""
    following = header[header.index(stream) + len(stream) :]
    return re.split(r"^ +Stream #", following, maxsplit=1, flags=re.MULTILINE)[0]
