"""Camera moves: each moves the picture the way its name says."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from animateanywhere.errors import InputError
from animateanywhere.geometry.camera_presets import PRESETS, camera_preset

SIZE = (160, 96)
MIDDLE = np.array([[0.0, 0, 4]])
RIGHT = np.array([[1.0, 0, 4]])
BELOW = np.array([[0.0, 1, 4]])
FAR = np.array([[0.0, 0, 40]])


def moved(name, point, **options) -> np.ndarray:
    """Pixels by which a point of the world wanders to the right and down from the first to the last frame."""
    path = camera_preset(name, 9, SIZE, **options)
    return path.projected(point, 8)[0][0] - path.projected(point, 0)[0][0]


@pytest.mark.parametrize("name", PRESETS)
def test_every_move_starts_at_the_origin_and_has_its_frames(name):
    path = camera_preset(name, 16, SIZE, fps=12)
    assert (path.num_frames, path.image_size, path.fps) == (16, SIZE, 12)
    assert np.allclose(path.camera_from_world[0], np.eye(4), atol=1e-12)
    assert np.allclose(path.projected(MIDDLE, 0)[0], [[80, 48]])
    assert camera_preset(name, 1, SIZE).num_frames == 1
    still = camera_preset(name, 16, SIZE, amount=0)
    assert np.allclose(still.camera_from_world, np.eye(4), atol=1e-12) and np.ptp(still.intrinsics_px, 0).max() == 0


@pytest.mark.parametrize(
    "name, point, direction",
    [
        ("still", RIGHT, (0, 0)),
        ("pan_left", MIDDLE, (1, 0)),
        ("pan_right", MIDDLE, (-1, 0)),
        ("tilt_up", MIDDLE, (0, 1)),
        ("tilt_down", MIDDLE, (0, -1)),
        ("roll", RIGHT, (-1, -1)),
        ("dolly_in", RIGHT, (1, 0)),
        ("dolly_in", BELOW, (0, 1)),
        ("dolly_out", RIGHT, (-1, 0)),
        ("truck_left", MIDDLE, (1, 0)),
        ("truck_right", MIDDLE, (-1, 0)),
        ("pedestal_up", MIDDLE, (0, 1)),
        ("pedestal_down", MIDDLE, (0, -1)),
        ("orbit_left", MIDDLE, (0, 0)),
        ("orbit_left", FAR, (-1, 0)),
        ("orbit_right", MIDDLE, (0, 0)),
        ("orbit_right", FAR, (1, 0)),
        ("zoom_in", BELOW, (0, 1)),
        ("zoom_out", RIGHT, (-1, 0)),
    ],
)
def test_the_picture_moves_the_way_the_name_says(name, point, direction):
    shift = moved(name, point)
    assert np.array_equal(np.sign(np.where(np.abs(shift) < 1e-9, 0, shift)), direction)


def test_turning_and_zooming_stand_still_and_travelling_does_not_turn():
    for name in ("pan_left", "tilt_up", "roll", "zoom_in"):
        assert np.abs(camera_preset(name, 5, SIZE).centres).max() < 1e-12
    for name in ("dolly_in", "truck_right", "pedestal_up"):
        path = camera_preset(name, 5, SIZE)
        assert np.allclose(path.rotations, np.eye(3)) and np.linalg.norm(path.centres[-1]) >= 1
    assert moved("zoom_in", RIGHT)[0] == pytest.approx(moved("zoom_in", 10 * RIGHT)[0])


def test_orbiting_keeps_its_distance():
    path = camera_preset("orbit_right", 9, SIZE, distance=7)
    assert np.allclose(np.linalg.norm(path.centres - [0, 0, 7], axis=1), 7)
    assert path.centres[-1, 0] > 0


def test_amount_scales_and_turns_round():
    turn = Rotation.from_matrix(camera_preset("pan_right", 9, SIZE, amount=2).rotations[-1]).magnitude()
    assert np.degrees(turn) == pytest.approx(50)
    assert np.allclose(moved("truck_right", MIDDLE, amount=-1), moved("truck_left", MIDDLE))


def test_a_hand_sways_smoothly_and_repeats_by_its_seed():
    path = camera_preset("hand_held", 240, SIZE, seed=3, fps=24)
    again = camera_preset("hand_held", 100, SIZE, seed=3, fps=24)
    other = camera_preset("hand_held", 240, SIZE, seed=4, fps=24)
    assert np.array_equal(path.camera_from_world[:100], again.camera_from_world)
    assert not np.allclose(path.camera_from_world, other.camera_from_world, atol=1e-3)
    turns = Rotation.from_matrix(path.rotations).as_rotvec(degrees=True)
    assert 0.5 < turns.std(0).max() < 3 and np.abs(turns).max() < 8
    jerks = np.abs(np.diff(turns, 2, axis=0)).max()
    assert jerks < 0.25 * np.abs(np.diff(turns, axis=0)).max()
    assert 0 < np.linalg.norm(path.centres, axis=1).max() < 0.5


@pytest.mark.parametrize(
    "name, options, words",
    [
        ("moonwalk", {}, "expected one of still, pan_left"),
        ("roll", {"amount": 9}, "amount"),
        ("roll", {"amount": float("nan")}, "amount"),
        ("roll", {"num_frames": 0}, "at least 1 frame"),
        ("roll", {"distance": 0}, "distance"),
        ("hand_held", {"seed": -1}, "seed"),
        ("roll", {"fov_deg": 180}, "field of view"),
        ("roll", {"image_size": (0, 5)}, "picture size"),
    ],
)
def test_bad_wishes_are_refused(name, options, words):
    arguments = {"num_frames": 8, "image_size": SIZE} | options
    with pytest.raises(InputError, match=words):
        camera_preset(name, **arguments)
