"""A photograph seen by a moving camera."""

import numpy as np
import pytest

from animateanywhere.errors import InputError
from animateanywhere.geometry.background_flow import background_depths, background_flow_px, picture_grid
from animateanywhere.geometry.cameras import CameraPath, intrinsics_from_fov, look_from
from animateanywhere.moving_background import first_camera_pixels, lay_over, moving_background
from tests.animateanywhere.geometry.test_background_flow import above_ground

SIZE, FAR = (160, 96), 9.0
FOCAL = float(intrinsics_from_fov(60, SIZE)[0, 0, 0])


def photograph() -> np.ndarray:
    """Smooth, bright, different everywhere."""
    y, x = np.mgrid[:96, :160]
    channels = [128 + 90 * np.sin(x / 9), 128 + 90 * np.cos(y / 7), 60 + x + 0.3 * y]
    return np.clip(np.stack(channels, -1), 40, 255).astype(np.uint8)


def test_a_camera_that_stands_sees_the_photograph():
    frames = list(moving_background(photograph(), above_ground(frames=3), FAR))
    assert len(frames) == 3
    for frame in frames:
        assert np.abs(frame.astype(int) - photograph()).max() <= 1


def test_the_far_plane_shifts_as_a_truck_says():
    shift = 12
    path = above_ground(right=shift * FAR / FOCAL, frames=2)
    frame = list(moving_background(photograph(), path, FAR))[1]
    above_horizon = slice(0, 44)
    seen, expected = frame[above_horizon, : 160 - shift - 8], photograph()[above_horizon, shift : 160 - 8]
    assert np.abs(seen.astype(int) - expected).max() <= 3


def test_the_ground_agrees_with_the_flow_that_is_measured():
    path = above_ground(right=0.4, forward=0.3, frames=2)
    points = picture_grid(SIZE)
    flow = background_flow_px(path, points, background_depths(path, points, FAR))[0]
    back = first_camera_pixels(path, 1, points + flow, FAR)
    on_ground = background_depths(path, points, FAR)[0] < 0.9 * FAR
    assert on_ground.sum() == 8 and np.abs(back[on_ground] - points[on_ground]).max() < 1e-6


def test_zooming_out_mirrors_the_edges():
    path = above_ground(frames=2)
    intrinsics = path.intrinsics_px.copy()
    intrinsics[1, [0, 1], [0, 1]] /= 1.5
    out = CameraPath(intrinsics, path.camera_from_world, SIZE)
    frame = list(moving_background(photograph(), out, FAR))[1]
    assert frame.min() >= 39, "never black"
    middle = frame[48 - 10 : 48 + 10, 80 - 10 : 80 + 10]
    assert middle.std() > 5
    for k in range(8):  # what lies as far within the edge as beyond it
        edge = 80 - 80 / 1.5
        within, beyond = frame[48, int(edge + 2 + k)], frame[48, int(edge - 3 - k)]
        assert np.abs(within.astype(int) - beyond).max() < 40


def test_what_lies_below_the_picture_is_ground_again_and_never_a_wall():
    picture = np.full((96, 160, 3), (40, 60, 200), np.uint8)
    picture[-14:] = (200, 60, 40)
    *_, last = moving_background(picture, above_ground(forward=-2.0), FAR)
    assert (last[-20:, :, 0] > 150).all(), "a mirror of the whole picture would show the wall again"


@pytest.mark.parametrize("right, forward", [(30.0, 0.0), (0.0, 8.99), (0.0, 40.0), (0.0, -40.0), (-5.0, -5.0)])
def test_wild_paths_are_never_black_and_never_fail(right, forward):
    for frame in moving_background(photograph(), above_ground(right, forward), FAR):
        assert frame.shape == (96, 160, 3) and frame.min() >= 39


def test_a_camera_that_turns_round_is_drawn_too():
    turn = np.linspace(0, np.pi, 5)
    rotations = np.zeros((5, 3, 3))
    rotations[:, 0, 0] = rotations[:, 2, 2] = np.cos(turn)
    rotations[:, 0, 2], rotations[:, 2, 0], rotations[:, 1, 1] = -np.sin(turn), np.sin(turn), 1
    path = CameraPath(intrinsics_from_fov(60, SIZE, 5), look_from(np.tile([0, -1.5, 0.0], (5, 1)), rotations), SIZE)
    assert all(frame.min() >= 39 for frame in moving_background(photograph(), path, FAR))


def test_laying_over_is_a_weighted_mean():
    under = np.full((2, 2, 3), 100, np.uint8)
    layer = np.zeros((2, 2, 4), np.uint8)
    layer[0, 0], layer[0, 1], layer[1, 0] = (200, 0, 50, 255), (200, 0, 50, 128), (200, 0, 50, 0)
    mixed = lay_over(under, layer)
    assert tuple(mixed[0, 0]) == (200, 0, 50) and tuple(mixed[1, 0]) == (100, 100, 100) == tuple(mixed[1, 1])
    assert np.abs(mixed[0, 1].astype(int) - (150, 50, 75)).max() <= 1


def test_sizes_and_distances_are_checked():
    with pytest.raises(InputError, match="one size"):
        moving_background(photograph()[:90], above_ground(), FAR)
    with pytest.raises(InputError, match="far plane"):
        moving_background(photograph(), above_ground(), 0.0)
