"""Camera paths: what they refuse, and that every change of the pictures changes the cameras the same way."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from animateanywhere.errors import InputError
from animateanywhere.geometry.cameras import CameraPath, intrinsics_from_fov, look_from
from animateanywhere.media import cover_crop
from tests.scenes import wandering_path

SIZE = (160, 96)


@pytest.fixture
def path() -> CameraPath:
    return wandering_path(6, SIZE)


@pytest.fixture
def points() -> np.ndarray:
    return np.random.default_rng(1).uniform([-4, -3, 6], [4, 3, 20], (50, 3))


def test_geometry_needs_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import animateanywhere.geometry.epipolar, animateanywhere.geometry.camera_files\n"
        "import animateanywhere.geometry.camera_presets"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def spoilt(path: CameraPath, **changes) -> dict:
    """Constructor arguments of `path` with entries replaced: name -> (index, value), or name -> whole value."""
    values = {
        "intrinsics_px": path.intrinsics_px.copy(),
        "camera_from_world": path.camera_from_world.copy(),
        "image_size": path.image_size,
        "fps": path.fps,
    }
    for name, change in changes.items():
        if isinstance(values[name], np.ndarray):
            index, value = change
            values[name][index] = value
        else:
            values[name] = change
    return values


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"intrinsics_px": ((2, 0, 0), 0)}, "focal lengths 0 and .* in frame 2"),
        ({"intrinsics_px": ((2, 1, 1), -50)}, "focal"),
        ({"intrinsics_px": ((0, 2, 2), 2)}, "order"),
        ({"intrinsics_px": ((0, 1, 0), 0.1)}, "order"),
        ({"intrinsics_px": ((3, 0, 2), np.nan)}, "NaN .* in frame 3"),
        ({"camera_from_world": ((4, 0, 3), np.inf)}, "infinity in frame 4"),
        ({"camera_from_world": ((1, 0, 0), 1.5)}, "frame 1 is not a rotation"),
        ({"camera_from_world": ((1, slice(0, 3), slice(0, 3)), np.diag([-1, 1, 1]))}, "mirrors"),
        ({"camera_from_world": ((1, slice(0, 3), slice(0, 3)), 0)}, "not a rotation"),
        ({"camera_from_world": ((0, 3), [0, 0, 1, 0])}, "0 0 0 1"),
        ({"image_size": (0, 96)}, "picture size"),
        ({"image_size": (160, 96, 3)}, "picture size"),
        ({"fps": 0}, "frames per second"),
        ({"fps": float("nan")}, "frames per second"),
    ],
)
def test_bad_cameras_are_refused_in_one_line(path, changes, words):
    with pytest.raises(InputError, match=words) as refused:
        CameraPath(**spoilt(path, **changes))
    assert "\n" not in str(refused.value)


def test_counts_and_shapes_must_agree(path):
    with pytest.raises(InputError, match="one of each per frame"):
        replace(path, intrinsics_px=path.intrinsics_px[:-1])
    with pytest.raises(InputError, match="one of each per frame"):
        replace(path, camera_from_world=path.camera_from_world[:, :3])
    with pytest.raises(InputError, match="no frames"):
        CameraPath(np.zeros((0, 3, 3)), np.zeros((0, 4, 4)), SIZE)
    with pytest.raises(InputError, match="block of numbers"):
        replace(path, intrinsics_px=[[1, 2], [3]])
    with pytest.raises(InputError, match="6 frames, the video has 49"):
        path.matched_to(49)
    assert path.matched_to(6) is path


def test_a_rotation_rounded_by_a_file_is_accepted_and_kept(path):
    rounded = path.camera_from_world.round(5)
    assert np.array_equal(replace(path, camera_from_world=rounded).camera_from_world, rounded)


def test_a_centre_is_the_origin_of_its_camera(path):
    for centre, pose in zip(path.centres, path.camera_from_world, strict=True):
        assert np.allclose(pose @ [*centre, 1], [0, 0, 0, 1], atol=1e-12)
    assert np.allclose(look_from(path.centres, path.rotations), path.camera_from_world, atol=1e-12)


def test_projecting_by_hand():
    intrinsics = np.array([[[100, 0, 80], [0, 50, 48], [0, 0, 1.0]]])
    pose = np.eye(4)[None].copy()
    pose[0, :3, 3] = [1, 0, 2]  # the world's origin lies one to the right of the camera and two ahead
    pixels, depths = CameraPath(intrinsics, pose, SIZE).projected([[0, 0, 0], [1, 4, 2], [0, 0, -2], [0, 0, -9]], 0)
    assert np.array_equal(depths, [2, 4, 0, -7])
    assert np.array_equal(pixels[:2], [[130, 48], [130, 98]])
    assert np.isinf(pixels[2:]).all()


def test_relative_motion_takes_points_from_one_camera_to_the_other(path):
    assert np.allclose(path.relative(1, 4) @ path.camera_from_world[1], path.camera_from_world[4], atol=1e-12)
    assert np.allclose(path.relative(4, 1), np.linalg.inv(path.relative(1, 4)), atol=1e-12)
    assert np.allclose(path.relative(3, 3), np.eye(4), atol=1e-12)
    with pytest.raises(InputError, match="frame 6: the camera path has 6 frames, choose 0 to 5"):
        path.relative(0, 6)


def test_cropping_and_resizing_move_pixels_like_the_pictures(path, points):
    pixels, _ = path.projected(points, 3)
    cropped = path.cropped(10, -4, 100, 104)
    assert cropped.image_size == (100, 104)
    assert np.allclose(cropped.projected(points, 3)[0], pixels - [10, -4])
    resized = path.resized(80, 192)
    assert resized.image_size == (80, 192)
    assert np.allclose(resized.projected(points, 3)[0], pixels * [0.5, 2])


@pytest.mark.parametrize("size", [(96, 168), (168, 96), (50, 50), (301, 200)])
def test_cover_cropped_follows_the_picture_it_is_named_after(size):
    original = np.zeros((120, 201, 3), np.uint8)
    original[..., 0] = np.arange(201)
    original[..., 1] = np.arange(120)[:, None]
    picture = cover_crop(original, size)
    camera = CameraPath(intrinsics_from_fov(60, (201, 120)), np.eye(4)[None], (201, 120))
    back = camera.intrinsics_px[0] @ np.linalg.inv(camera.cover_cropped(*size).intrinsics_px[0])
    y, x = np.array([[size[1] // 3], [size[0] // 4]])
    told = (back @ [x[0] + 0.5, y[0] + 0.5, 1])[:2]
    assert np.abs(told - 0.5 - picture[y[0], x[0], :2]).max() < 1
    assert camera.cover_cropped(*size).image_size == size


def test_flipping_films_the_mirrored_world(path, points):
    flipped = path.flipped()
    pixels, depths = path.projected(points, 2)
    mirrored, mirrored_depths = flipped.projected(points * [-1, 1, 1], 2)
    assert np.allclose(mirrored, [SIZE[0], 0] + pixels * [-1, 1])
    assert np.allclose(mirrored_depths, depths)
    back = flipped.flipped()
    assert np.allclose(back.intrinsics_px, path.intrinsics_px) and np.allclose(
        back.camera_from_world, path.camera_from_world
    )


def test_choosing_frames(path):
    chosen = path.subset([4, 0, 4])
    assert np.array_equal(chosen.camera_from_world, path.camera_from_world[[4, 0, 4]])
    strided = path.strided(2)
    assert np.array_equal(strided.intrinsics_px, path.intrinsics_px[::2]) and strided.fps == path.fps / 2
    assert path.strided(2, 2).num_frames == 2
    for wrong in ([], [-1], [6]):
        with pytest.raises(InputError, match="frame"):
            path.subset(wrong)
    with pytest.raises(InputError, match="6 frames give 2 at every 4-th, expected 3"):
        path.strided(4, 3)
    with pytest.raises(InputError, match="step"):
        path.strided(0)


def test_interpolating_turns_along_the_arc_and_walks_along_the_line():
    rotations = Rotation.from_rotvec([[0, 0, 0], [0, np.pi / 2, 0]]).as_matrix()
    centres = np.array([[0, 0, 0], [2.0, 0, 4]])
    intrinsics = intrinsics_from_fov(60, SIZE, 2)
    intrinsics[1, 0, 0] += 30
    path = CameraPath(intrinsics, look_from(centres, rotations), SIZE)
    between = path.interpolated([0.5, 0.25])
    assert np.allclose(between.centres, [[1, 0, 2], [0.5, 0, 1]])
    angles = Rotation.from_matrix(between.rotations).as_rotvec(degrees=True)
    assert np.allclose(angles, [[0, 45, 0], [0, 22.5, 0]])
    assert np.allclose(between.intrinsics_px[0], intrinsics.mean(0))
    with pytest.raises(InputError, match="0 to 1"):
        path.interpolated([1.01])
    with pytest.raises(InputError, match="0 to 1"):
        path.interpolated([])


def test_resampling_keeps_ends_and_duration(path):
    longer = path.resampled(11)
    assert np.allclose(longer.camera_from_world[::2], path.camera_from_world, atol=1e-12)
    assert np.array_equal(longer.rotations[[0, -1]], path.rotations[[0, -1]])
    assert (longer.num_frames - 1) / longer.fps == pytest.approx((path.num_frames - 1) / path.fps)
    same = path.resampled(6)
    assert np.array_equal(same.intrinsics_px, path.intrinsics_px) and same.fps == path.fps
    assert path.resampled(1).num_frames == 1 and path.subset([2]).resampled(3).num_frames == 3
    with pytest.raises(InputError, match="at least 1"):
        path.resampled(0)


def test_field_of_view_spans_the_longer_side():
    camera = CameraPath(intrinsics_from_fov(90, (200, 100)), np.eye(4)[None], (200, 100))
    pixels, _ = camera.projected([[1, 0, 1], [-1, 0, 1], [0, 0.5, 1]], 0)
    assert np.allclose(pixels, [[200, 50], [0, 50], [100, 100]])
    with pytest.raises(InputError, match="1 to 170"):
        intrinsics_from_fov(0, SIZE)
