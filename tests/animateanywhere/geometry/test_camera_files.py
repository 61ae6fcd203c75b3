"""Camera files: every format says the same of the same cameras, and a damaged file is refused in one line."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from animateanywhere.errors import InputError
from animateanywhere.geometry.camera_files import detect_format, load_camera_path, save_camera_path
from animateanywhere.geometry.cameras import CameraPath, intrinsics_from_fov
from tests.scenes import wandering_path

SIZE = (640, 360)


@pytest.fixture
def path() -> CameraPath:
    """Twelve cameras with square pixels and the principal point in the middle, as HumanVid assumes."""
    cameras = wandering_path(12, SIZE)
    return CameraPath(intrinsics_from_fov(50, SIZE, 12), cameras.camera_from_world, SIZE)


def re10k_rows(cameras: CameraPath) -> list[str]:
    width, height = cameras.image_size
    rows = []
    for t, (k, pose) in enumerate(zip(cameras.intrinsics_px, cameras.camera_from_world, strict=True)):
        numbers = [k[0, 0] / width, k[1, 1] / height, k[0, 2] / width, k[1, 2] / height, 0, 0, *pose[:3].reshape(-1)]
        rows.append(f"{33_367 * t} " + " ".join(f"{number:.9f}" for number in numbers))
    return rows


def humanvid_rows(cameras: CameraPath, *, camera_to_world: bool, scale: float = 2.5) -> list[str]:
    width, height = cameras.image_size
    poses = np.linalg.inv(cameras.camera_from_world) if camera_to_world else cameras.camera_from_world
    quaternions = Rotation.from_matrix(poses[:, :3, :3]).as_quat()
    rows = []
    for t, (k, pose, quaternion) in enumerate(zip(cameras.intrinsics_px, poses, quaternions, strict=True)):
        numbers = [t, *(pose[:3, 3] / scale), *quaternion, k[0, 0] / width, k[1, 1] / height, scale]
        rows.append(" ".join(f"{number:.8f}" for number in numbers))
    return rows


def colmap_model(cameras: CameraPath, folder: Path, *, model: str = "PINHOLE", extra: str = "", skip: int = -1) -> Path:
    folder.mkdir()
    k, (width, height) = cameras.intrinsics_px[0], cameras.image_size
    focal = f"{k[0, 0]:.9f} {k[1, 1]:.9f}" if model in ("PINHOLE", "OPENCV") else f"{k[0, 0]:.9f}"
    parameters = f"{focal} {k[0, 2]:.9f} {k[1, 2]:.9f} {extra}"
    (folder / "cameras.txt").write_text(f"# Camera list\n7 {model} {width} {height} {parameters}\n")
    images = ["# Image list"]
    for t in sorted(set(range(cameras.num_frames)) - {skip}, key=str):
        x, y, z, w = Rotation.from_matrix(cameras.rotations[t]).as_quat()
        position = " ".join(f"{number:.12f}" for number in cameras.camera_from_world[t, :3, 3])
        points = "" if t % 2 else "10.5 20.5 -1 3.0 4.0 17"
        images += [f"{50 - t} {w:.12f} {x:.12f} {y:.12f} {z:.12f} {position} 7 my frame {t + 1}.png", points]
    (folder / "images.txt").write_text("\n".join(images) + "\n")
    return folder


def written(folder: Path, rows: list[str], header: str = "") -> Path:
    file = folder / "cameras_of_a_clip.txt"
    file.write_text(header + "\n".join(rows) + "\n")
    return file


def assert_same(one: CameraPath, other: CameraPath) -> None:
    assert one.image_size == other.image_size
    assert np.allclose(one.intrinsics_px, other.intrinsics_px, atol=1e-4)
    assert np.allclose(one.camera_from_world, other.camera_from_world, atol=1e-6)
    assert np.allclose(one.rotations @ one.rotations.transpose(0, 2, 1), np.eye(3), atol=1e-14)


@pytest.mark.parametrize("header", ["", "https://example.org/watch\n", "a clip\n\nits source\nsome words 1 2 3\n"])
def test_realestate_rows_with_and_without_header(path, tmp_path, header):
    file = written(tmp_path, re10k_rows(path), header)
    assert_same(load_camera_path(file, format="re10k", image_size=SIZE), path)
    assert detect_format(file) == "re10k"
    assert load_camera_path(file, image_size=SIZE, num_frames=12, fps=24).fps == 24


def test_realestate_intrinsics_follow_the_picture(path, tmp_path):
    file = written(tmp_path, re10k_rows(path))
    assert_same(load_camera_path(file, image_size=(1280, 720)), path.resized(1280, 720))


def test_times_that_are_all_alike_or_unevenly_picked_are_fine(path, tmp_path):
    rows = re10k_rows(path)
    alike = written(tmp_path, [row.replace(row.split()[0], "114514", 1) for row in rows])
    assert load_camera_path(alike, image_size=SIZE).num_frames == 12
    picked = [0, 1, 2, 4, 5, 7, 8, 10, 11, 13, 14, 16]
    uneven = written(tmp_path, [f"{time} {row.split(maxsplit=1)[1]}" for time, row in zip(picked, rows, strict=True)])
    assert load_camera_path(uneven, image_size=SIZE).num_frames == 12


@pytest.mark.parametrize("convention, camera_to_world", [("humanvid-c2w", True), ("humanvid-w2c", False)])
def test_humanvid_rows_mean_what_the_caller_says(path, tmp_path, convention, camera_to_world):
    file = written(tmp_path, humanvid_rows(path, camera_to_world=camera_to_world))
    assert_same(load_camera_path(file, format=convention, image_size=SIZE), path)
    other = {"humanvid-c2w": "humanvid-w2c", "humanvid-w2c": "humanvid-c2w"}[convention]
    inverse = load_camera_path(file, format=other, image_size=SIZE)
    assert np.allclose(inverse.camera_from_world @ path.camera_from_world, np.eye(4), atol=1e-6)
    with pytest.raises(InputError, match="choose format humanvid-c2w .* or humanvid-w2c"):
        load_camera_path(file, image_size=SIZE)


def test_humanvid_rows_without_a_scale(path, tmp_path):
    rows = [row.rsplit(maxsplit=1)[0] for row in humanvid_rows(path, camera_to_world=True, scale=1)]
    assert_same(load_camera_path(written(tmp_path, rows), format="humanvid-c2w", image_size=SIZE), path)


def test_real_humanvid_files(shared_data):
    files = sorted((shared_data / "cameras_humanvid").glob("*.txt"))
    assert len(files) == 25
    for file in files:
        rows = np.loadtxt(file)
        shape = rows[0, 9] / rows[0, 8]
        size = (1920, round(1920 / shape)) if shape > 1 else (round(1920 * shape), 1920)
        cameras = load_camera_path(file, format="humanvid-c2w", image_size=size, num_frames=len(rows))
        assert np.allclose(cameras.centres, rows[:, 1:4] * rows[:, 10:], atol=1e-9)
        assert np.allclose(cameras.intrinsics_px[:, 0, 0], cameras.intrinsics_px[:, 1, 1], rtol=2e-3)
        with pytest.raises(InputError, match="uncropped"):
            load_camera_path(file, format="humanvid-c2w", image_size=(512, 512))


@pytest.mark.parametrize("model, extra", [("PINHOLE", ""), ("SIMPLE_PINHOLE", ""), ("OPENCV", "0 0 0 0.0")])
def test_colmap_models(path, tmp_path, model, extra):
    folder = colmap_model(path, tmp_path / "sparse", model=model, extra=extra)
    for given in (folder, folder / "images.txt"):
        assert_same(load_camera_path(given), path)
    assert_same(load_camera_path(folder, image_size=(320, 180)), path.resized(320, 180))
    with pytest.raises(InputError, match="another shape"):
        load_camera_path(folder, image_size=(320, 320))


def test_json_comes_back_bit_for_bit(tmp_path):
    cameras = wandering_path(7, SIZE)
    save_camera_path(tmp_path / "camera.json", cameras)
    back = load_camera_path(tmp_path / "camera.json")
    assert np.array_equal(back.intrinsics_px, cameras.intrinsics_px)
    assert np.array_equal(back.camera_from_world, cameras.camera_from_world)
    assert (back.image_size, back.fps) == (cameras.image_size, cameras.fps)
    with pytest.raises(InputError, match="cannot write"):
        save_camera_path(tmp_path / "nowhere" / "camera.json", cameras)


def row_changed(row: int, column: int, value: str):
    def change(rows):
        words = rows[row].split()
        words[column] = value
        return rows[:row] + [" ".join(words)] + rows[row + 1 :]

    return change


BAD_ROWS = [
    ("re10k", lambda rows: rows[:4] + rows[5:], "frames are missing between 100101 and 166835"),
    ("re10k", lambda rows: rows[:4] + [rows[6], *rows[5:]], "line 6 is not later"),
    ("re10k", lambda rows: [*rows[:-1], rows[-1].rsplit(maxsplit=3)[0]], "line 12 has 16 numbers, expected 19"),
    ("re10k", lambda rows: [], "no camera rows"),
    ("re10k", row_changed(3, 9, "nan"), "line 4 holds a NaN"),
    ("re10k", row_changed(3, 9, "0,x"), "line 4"),
    ("re10k", row_changed(3, 9, "half"), "line 4 is not a row of numbers"),
    ("re10k", row_changed(2, 7, "0.5"), "pose in line 3 is not a rotation"),
    ("re10k", row_changed(2, 1, "0"), "focal lengths 0 and .* in frame 2"),
    ("re10k", row_changed(2, 5, "0.1"), "distortion"),
    ("humanvid-c2w", lambda rows: rows[:7] + rows[8:], "frames are missing between 6 and 8"),
    ("humanvid-c2w", lambda rows: rows[:2] + [rows[2] + " 1", *rows[3:]], "line 3 has 12 numbers"),
    ("humanvid-c2w", row_changed(5, 7, "0.2"), "quaternion in line 6 has length"),
    ("humanvid-c2w", row_changed(5, 2, "inf"), "line 6 holds a NaN or an infinity"),
    ("humanvid-c2w", row_changed(5, 8, "0"), "focal lengths 0 and .* in frame 5"),
    ("humanvid-c2w", row_changed(5, 8, "0.9"), "width : height"),
]


@pytest.mark.parametrize("format, spoil, words", BAD_ROWS)
def test_damaged_rows_are_refused_in_one_line(path, tmp_path, format, spoil, words):
    rows = re10k_rows(path) if format == "re10k" else humanvid_rows(path, camera_to_world=True)
    file = written(tmp_path, spoil(rows))
    with pytest.raises(InputError, match=words) as refused:
        load_camera_path(file, format=format, image_size=SIZE)
    message = str(refused.value)
    assert "\n" not in message and message.count(str(file)) == 1


def test_cameras_of_another_length_or_without_a_size_are_refused(path, tmp_path):
    file = written(tmp_path, re10k_rows(path))
    with pytest.raises(InputError, match="12 frames, the video has 49"):
        load_camera_path(file, image_size=SIZE, num_frames=49)
    with pytest.raises(InputError, match="give the picture's width and height"):
        load_camera_path(file)
    with pytest.raises(InputError, match="picture size"):
        load_camera_path(file, image_size=(0, 0))
    with pytest.raises(InputError, match="expected auto, colmap"):
        load_camera_path(file, format="blender", image_size=SIZE)
    with pytest.raises(InputError, match="rows of 3 numbers"):
        load_camera_path(written(tmp_path, ["1 2 3"]), image_size=SIZE)
    with pytest.raises(InputError, match="cannot read cameras"):
        load_camera_path(tmp_path / "none.txt", image_size=SIZE)
    (tmp_path / "binary.txt").write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="not a text file"):
        load_camera_path(tmp_path / "binary.txt", image_size=SIZE)


def test_damaged_colmap_models_are_refused(path, tmp_path):
    def refused(words, name, **changes):
        with pytest.raises(InputError, match=words):
            load_camera_path(colmap_model(path, tmp_path / name, **changes))

    refused("bends straight lines", "a", model="SIMPLE_RADIAL", extra="0.05")
    refused("bends straight lines", "b", model="OPENCV", extra="0.1 0 0 0")
    refused("camera model FOV", "c", model="FOV", extra="0.1 1")
    refused("frames are missing between 5 and 7", "d", skip=5)
    folder = colmap_model(path, tmp_path / "e")
    text = (folder / "images.txt").read_text()
    for name, changed, words in [
        ("images.txt", text.replace(" 7 my", " 8 my"), "camera 8"),
        ("images.txt", text.replace("17\n", "17 4\n"), "2-D points"),
        ("images.txt", "# none\n", "no image"),
        ("images.txt", "1 1 0 0 0 x 0 0 7 a.png\n\n", "not an image"),
        ("images.txt", "1 1 0 0 0 nan 0 0 7 a.png\n\n", "NaN"),
        ("images.txt", "1 2 0 0 0 0 0 0 7 a.png\n\n", "length 2"),
        ("cameras.txt", "7 PINHOLE 640\n", "not a camera"),
        ("cameras.txt", "7 PINHOLE 640 360 0 0 320 180\n", "focal"),
    ]:
        broken = colmap_model(path, tmp_path / f"f{abs(hash((name, changed)))}")
        (broken / name).write_text(changed)
        with pytest.raises(InputError, match=words):
            load_camera_path(broken)
    (folder / "cameras.txt").unlink()
    with pytest.raises(InputError, match="cannot read"):
        load_camera_path(folder)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda content: content | {"format": "other"}, "no camera path of this program"),
        (lambda content: content | {"version": 2}, "version 2"),
        (lambda content: content | {"fps": "fast"}, "damaged"),
        (lambda content: content | {"fps": 0}, "frames per second"),
        (lambda content: content | {"image_size": [640]}, "damaged"),
        (lambda content: content | {"camera_from_world": content["camera_from_world"][1:]}, "one of each per frame"),
        (lambda content: content | {"intrinsics_px": None}, "block of numbers|NaN"),
        (lambda content: {k: v for k, v in content.items() if k != "intrinsics_px"}, "damaged"),
        (lambda content: [content], "no camera path of this program"),
    ],
)
def test_damaged_json_is_refused(path, tmp_path, change, words):
    file = tmp_path / "camera.json"
    save_camera_path(file, path)
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    with pytest.raises(InputError, match=words) as refused:
        load_camera_path(file)
    assert "\n" not in str(refused.value)
    file.write_text("{")
    with pytest.raises(InputError, match="not valid json"):
        load_camera_path(file)
