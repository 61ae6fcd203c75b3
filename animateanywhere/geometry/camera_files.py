"""Camera paths in files: this program's json, RealEstate10K / CameraCtrl text, HumanVid rows, COLMAP text models.

Foreign conventions end here: whatever comes in leaves as `CameraPath` (see geometry/__init__.py). Rotations rounded by
a text file are snapped to the nearest exact rotation.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from animateanywhere.errors import InputError
from animateanywhere.geometry.cameras import CameraPath, look_from

CameraFormat = Literal["auto", "json", "re10k", "humanvid-c2w", "humanvid-w2c", "colmap"]
FILE_FORMATS = (*get_args(CameraFormat), "stage-world")
"""What a person may name; the last is the labels that `python -m trainer synthesize` writes, read by epipolar_scene."""

_JSON_FORMAT, _JSON_VERSION = "animateanywhere-camera", 1
_LARGEST_BYTES = 256 * 1024**2
_ROUNDING = 1e-3
"""A rotation or a quaternion's length may be off by this much: text files carry as few as four decimals."""
_SAME_SHAPE = 0.02
"""Pictures whose width : height differs by a larger share are taken for different crops."""
_PINHOLES = {"SIMPLE_PINHOLE": (0, 0, 1, 2), "PINHOLE": (0, 1, 2, 3)}
_DISTORTED = {
    "SIMPLE_RADIAL": (0, 0, 1, 2),
    "RADIAL": (0, 0, 1, 2),
    "OPENCV": (0, 1, 2, 3),
    "FULL_OPENCV": (0, 1, 2, 3),
}
"""COLMAP camera model -> which parameters are fx, fy, cx, cy; the rest is lens distortion."""


def load_camera_path(
    path: Path | str,
    *,
    format: CameraFormat = "auto",
    image_size: tuple[int, int] | None = None,
    num_frames: int | None = None,
    fps: float = 8.0,
) -> CameraPath:
    """Read a camera path.

    format: `re10k`: header lines, if any, then `time fx fy cx cy 0 0` and a 3x4 world-to-camera matrix row by row, the
    first five normalised by the picture's width and height. `humanvid-c2w` and `humanvid-w2c`: `time tx ty tz qx qy qz
    qw fx fy [scale]`, camera-to-world or world-to-camera, principal point in the middle; which of both a file means is
    not written in it. `colmap`: a folder with cameras.txt and images.txt, frames in the order of the image names.
    `json`: what `save_camera_path` wrote. `auto` recognises all but HumanVid's convention.
    image_size: (W, H) of the pictures, uncropped; needed where intrinsics are normalised, otherwise the cameras are
    scaled to it. num_frames: the video's length, if it must match. fps: of the video; a json carries its own.

    Raises InputError, one line, for a file that is missing, damaged, incomplete, or of another length or shape.
    """
    path = Path(path)
    if image_size is not None and (len(image_size) != 2 or min(image_size) < 1):
        raise InputError(f"picture size {image_size}: expected (width, height) of at least 1 pixel")
    format = detect_format(path) if format == "auto" else format
    if format not in _READERS:
        raise InputError(f"camera format {format!r}: expected auto, {', '.join(sorted(_READERS))}")
    try:
        cameras = _READERS[format](path, image_size, fps)
        return cameras if num_frames is None else cameras.matched_to(num_frames)
    except InputError as error:
        message = str(error)
        raise InputError(message if str(path) in message else f"{path}: {message}") from error


def save_camera_path(path: Path | str, cameras: CameraPath) -> None:
    """Write json that `load_camera_path` gives back bit for bit. Raises InputError if the file cannot be written."""
    content = {
        "format": _JSON_FORMAT,
        "version": _JSON_VERSION,
        "convention": "OpenCV axes, p_camera = camera_from_world @ p_world, pixel (0, 0) is the first pixel's corner",
        "image_size": list(cameras.image_size),
        "fps": cameras.fps,
        "intrinsics_px": cameras.intrinsics_px.tolist(),
        "camera_from_world": cameras.camera_from_world.tolist(),
    }
    try:
        Path(path).write_text(json.dumps(content), encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write cameras {path}: {error.strerror or error}") from error


def detect_format(path: Path | str) -> CameraFormat:
    """The format a file shows by itself. Raises InputError if it is none, or HumanVid's, which needs its convention."""
    path = Path(path)
    if path.is_dir() or path.name in ("images.txt", "cameras.txt"):
        return "colmap"
    if path.suffix.lower() == ".json":
        return "json"
    columns = _table(path)[0].shape[1]
    if columns == 19:
        return "re10k"
    if columns in (10, 11):
        raise InputError(
            f"{path}: HumanVid rows, which do not say what their poses mean: choose format humanvid-c2w "
            "(camera-to-world, real clips) or humanvid-w2c (world-to-camera, rendered clips)"
        )
    raise InputError(
        f"{path}: rows of {columns} numbers, expected 19 (RealEstate10K), 10 or 11 (HumanVid), a json or a COLMAP folder"
    )


def _read_re10k(path: Path, image_size: tuple[int, int] | None, fps: float) -> CameraPath:
    width, height = _needed_size(image_size)
    rows, lines = _table(path, 19)
    _check_times(path, rows[:, 0], lines, even=False)
    if rows[:, 5:7].any():
        raise InputError(f"{path}: columns 6 and 7 are lens distortion, expected 0 0: undistort the pictures first")
    pose = rows[:, 7:].reshape(-1, 3, 4)
    camera_from_world = np.tile(np.eye(4), (len(rows), 1, 1))
    camera_from_world[:, :3, :3] = _snapped(path, pose[:, :, :3], lines)
    camera_from_world[:, :3, 3] = pose[:, :, 3]
    intrinsics = _intrinsics(rows[:, 1:5] * [width, height, width, height])
    return CameraPath(intrinsics, camera_from_world, (width, height), fps)


def _read_humanvid(path: Path, image_size: tuple[int, int] | None, fps: float, *, camera_to_world: bool) -> CameraPath:
    width, height = _needed_size(image_size)
    rows, lines = _table(path, 10, 11)
    _check_times(path, rows[:, 0], lines, even=True)
    focal = rows[:, 8:10] * [width, height]
    if focal.min() > 0 and (np.abs(focal[:, 0] - focal[:, 1]) > _SAME_SHAPE * focal.max(1)).any():
        raise InputError(
            f"{path}: focal lengths are for pictures of width : height {rows[0, 9] / rows[0, 8]:.3f}, got "
            f"{width}x{height}: give the uncropped video's size and crop the cameras afterwards"
        )
    translation = rows[:, 1:4] * (rows[:, 10:11] if rows.shape[1] == 11 else 1.0)
    rotation = _rotations(path, rows[:, 4:8], lines)
    if camera_to_world:
        camera_from_world = look_from(translation, rotation.transpose(0, 2, 1))
    else:
        camera_from_world = np.tile(np.eye(4), (len(rows), 1, 1))
        camera_from_world[:, :3, :3], camera_from_world[:, :3, 3] = rotation, translation
    centre = np.broadcast_to([width / 2, height / 2], focal.shape)
    return CameraPath(_intrinsics(np.concatenate([focal, centre], 1)), camera_from_world, (width, height), fps)


def _read_humanvid_c2w(path: Path, image_size: tuple[int, int] | None, fps: float) -> CameraPath:
    return _read_humanvid(path, image_size, fps, camera_to_world=True)


def _read_humanvid_w2c(path: Path, image_size: tuple[int, int] | None, fps: float) -> CameraPath:
    return _read_humanvid(path, image_size, fps, camera_to_world=False)


def _read_colmap(path: Path, image_size: tuple[int, int] | None, fps: float) -> CameraPath:
    folder = path if path.is_dir() else path.parent
    cameras = dict(_colmap_cameras(folder / "cameras.txt"))
    images = sorted(_colmap_images(folder / "images.txt"), key=lambda image: _by_number(image[0]))
    if not images:
        raise InputError(f"{folder}: images.txt names no image: the reconstruction found no camera")
    unknown = sorted({camera for _, camera, _, _ in images} - set(cameras))
    if unknown:
        raise InputError(f"{folder}: images.txt uses camera {unknown[0]}, which cameras.txt does not have")
    sizes = {cameras[camera][0] for _, camera, _, _ in images}
    if len(sizes) > 1:
        raise InputError(f"{folder}: pictures of {len(sizes)} sizes, expected one video's frames")
    numbers = [re.findall(r"\d+", Path(name).stem) for name, _, _, _ in images]
    if all(numbers):
        _check_times(folder / "images.txt", np.array([float(found[-1]) for found in numbers]), None, even=True)
    intrinsics = _intrinsics(np.array([cameras[camera][1] for _, camera, _, _ in images]))
    camera_from_world = np.tile(np.eye(4), (len(images), 1, 1))
    quaternions, translations = np.array([q for _, _, q, _ in images]), np.array([t for _, _, _, t in images])
    camera_from_world[:, :3, :3] = _rotations(folder / "images.txt", quaternions, None)
    camera_from_world[:, :3, 3] = translations
    return _at_size(CameraPath(intrinsics, camera_from_world, sizes.pop(), fps), image_size)


def _read_json(path: Path, image_size: tuple[int, int] | None, fps: float) -> CameraPath:
    try:
        content = json.loads(_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not valid json: give cameras written by this program") from error
    if not isinstance(content, dict) or content.get("format") != _JSON_FORMAT:
        raise InputError(f"{path} is no camera path of this program: give a json it wrote")
    if content.get("version") != _JSON_VERSION:
        raise InputError(f"{path}: camera version {content.get('version')}, expected {_JSON_VERSION}: write it again")
    try:
        width, height = content["image_size"]
        cameras = CameraPath(
            content["intrinsics_px"],
            content["camera_from_world"],
            (int(width), int(height)),
            float(content["fps"]),
        )
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: damaged camera file ({type(error).__name__}: {error}), write it again") from error
    return _at_size(cameras, image_size)


_READERS = {
    "json": _read_json,
    "re10k": _read_re10k,
    "humanvid-c2w": _read_humanvid_c2w,
    "humanvid-w2c": _read_humanvid_w2c,
    "colmap": _read_colmap,
}


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise InputError(
                f"{path}: {path.stat().st_size / 1024**2:.0f} MB, expected a camera file of at most 256 MB"
            )
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read cameras {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file: give camera rows, a json or a COLMAP text model") from error


def _table(path: Path, *columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of numbers float64 [T, n] and their line numbers [T]; leading lines that start with a word are a header."""
    rows, lines = [], []
    for number, line in enumerate(_text(path).splitlines(), 1):
        words = line.replace(",", " ").split()
        if not words or (not rows and not _is_number(words[0])):
            continue
        try:
            row = [float(word) for word in words]
        except ValueError as error:
            raise InputError(f"{path}: line {number} is not a row of numbers: {line[:60]!r}") from error
        expected = columns or (len(rows[0]) if rows else len(row),)
        if len(row) not in expected or (rows and len(row) != len(rows[0])):
            wanted = len(rows[0]) if rows else " or ".join(map(str, expected))
            raise InputError(f"{path}: line {number} has {len(row)} numbers, expected {wanted}: the row is incomplete")
        if not np.isfinite(row).all():
            raise InputError(f"{path}: line {number} holds a NaN or an infinity, expected finite numbers")
        rows.append(row)
        lines.append(number)
    if not rows:
        raise InputError(f"{path}: no camera rows, expected one per frame")
    return np.array(rows), np.array(lines)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _check_times(path: Path, times: np.ndarray, lines: np.ndarray | None, *, even: bool) -> None:
    """Refuse rows out of order and holes between them; times that are all alike carry nothing.

    `even`: times are frame numbers, every step alike. Otherwise they are clock times of frames that may have been
    picked at a lower rate than the video's, with short and long steps in turn: only a rare long one is a hole.
    """
    steps = np.diff(times)
    if not steps.any():
        return
    if (steps <= 0).any():
        row = int(np.argmax(steps <= 0)) + 1
        where = f"line {lines[row]}" if lines is not None else f"frame {times[row]:g}"
        raise InputError(f"{path}: {where} is not later than the one before it: expected frames in order, each once")
    usual = np.median(steps)
    holes = np.abs(steps - usual) > 1e-3 * usual if even else steps > 1.75 * usual
    if holes.any() and (even or holes.sum() <= max(1, 0.1 * len(steps))):
        row = int(np.argmax(holes))
        raise InputError(
            f"{path}: frames are missing between {times[row]:.12g} and {times[row + 1]:.12g}: "
            "expected one camera per frame, evenly spaced"
        )


def _intrinsics(values: np.ndarray) -> np.ndarray:
    """[T, 4] of fx, fy, cx, cy in pixels -> [T, 3, 3]."""
    matrices = np.tile(np.eye(3), (len(values), 1, 1))
    matrices[:, [0, 1, 0, 1], [0, 1, 2, 2]] = values
    return matrices


def _snapped(path: Path, matrices: np.ndarray, lines: np.ndarray | None) -> np.ndarray:
    """The nearest rotations [T, 3, 3]. Raises InputError where a matrix is not one but for rounding."""
    error = np.abs(matrices @ matrices.transpose(0, 2, 1) - np.eye(3)).max((1, 2))
    wrong = (error > _ROUNDING) | (np.linalg.det(matrices) < 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        where = f"line {lines[row]}" if lines is not None else f"frame {row}"
        raise InputError(
            f"{path}: the pose in {where} is not a rotation (R Rᵀ is off by {error[row]:.2g}): check columns"
        )
    left, _, right = np.linalg.svd(matrices)
    return left @ right


def _rotations(path: Path, quaternions: np.ndarray, lines: np.ndarray | None) -> np.ndarray:
    """Unit quaternions [T, 4] (x, y, z, w) -> [T, 3, 3]. Raises InputError if one is not of length 1."""
    from scipy.spatial.transform import Rotation

    length = np.linalg.norm(quaternions, axis=1)
    wrong = ~(np.abs(length - 1) <= _ROUNDING)
    if wrong.any():
        row = int(np.argmax(wrong))
        where = f"line {lines[row]}" if lines is not None else f"frame {row}"
        raise InputError(f"{path}: the quaternion in {where} has length {length[row]:.4g}, expected 1: not a rotation")
    return Rotation.from_quat(quaternions).as_matrix()


def _colmap_cameras(path: Path) -> Iterator[tuple[str, tuple[tuple[int, int], tuple[float, ...]]]]:
    """(camera id, ((W, H), (fx, fy, cx, cy))). Raises InputError on a camera that is no pinhole."""
    for number, line in enumerate(_text(path).splitlines(), 1):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        try:
            model, size = words[1], (int(words[2]), int(words[3]))
            parameters = [float(word) for word in words[4:]]
            if model not in _PINHOLES | _DISTORTED:
                raise InputError(f"{path}: camera model {model}, expected a pinhole: undistort the pictures in COLMAP")
            chosen = (_PINHOLES | _DISTORTED)[model]
            if any(parameters[max(chosen) + 1 :]):
                raise InputError(
                    f"{path}: camera {words[0]} ({model}) bends straight lines: run COLMAP's image_undistorter and "
                    "give its pictures and cameras"
                )
            yield words[0], (size, tuple(parameters[k] for k in chosen))
        except InputError:
            raise
        except (IndexError, ValueError) as error:
            raise InputError(f"{path}: line {number} is not a camera: expected id, model, size, parameters") from error


def _colmap_images(path: Path) -> Iterator[tuple[str, str, tuple[float, ...], tuple[float, ...]]]:
    """(name, camera id, quaternion x y z w, translation) of every second line; the lines between are 2-D points."""
    lines = [(n, line) for n, line in enumerate(_text(path).splitlines(), 1) if not line.startswith("#")]
    for number, line in lines[1::2]:
        if len(line.split()) % 3:
            raise InputError(f"{path}: line {number} is not a row of 2-D points: expected two lines per image")
    for number, line in lines[::2]:
        words = line.split(maxsplit=9)
        if not words:
            continue
        try:
            w, x, y, z, *translation = (float(word) for word in words[1:8])
            if not np.isfinite([w, x, y, z, *translation]).all():
                raise InputError(f"{path}: line {number} holds a NaN or an infinity, expected finite numbers")
            yield words[9], words[8], (x, y, z, w), tuple(translation)
        except InputError:
            raise
        except (IndexError, ValueError) as error:
            raise InputError(f"{path}: line {number} is not an image: expected id, pose, camera and name") from error


def _by_number(name: str) -> list[tuple[int, int, str]]:
    """Sorting key that puts frame 9 before frame 10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def _needed_size(image_size: tuple[int, int] | None) -> tuple[int, int]:
    if image_size is None:
        raise InputError("intrinsics are normalised: give the picture's width and height in pixels as well")
    return int(image_size[0]), int(image_size[1])


def _at_size(cameras: CameraPath, image_size: tuple[int, int] | None) -> CameraPath:
    if image_size is None or tuple(image_size) == cameras.image_size:
        return cameras
    wanted, present = image_size[0] / image_size[1], cameras.image_size[0] / cameras.image_size[1]
    if abs(wanted / present - 1) > _SAME_SHAPE:
        raise InputError(
            f"cameras of {cameras.image_size[0]}x{cameras.image_size[1]} pictures, got {image_size[0]}x{image_size[1]}: "
            "another shape, crop the cameras like the pictures"
        )
    return cameras.resized(*image_size)
