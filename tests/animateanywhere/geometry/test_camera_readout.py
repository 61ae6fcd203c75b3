"""Words and numbers for cameras whose movement is known."""

import numpy as np
import pytest

from animateanywhere.geometry.camera_presets import camera_preset
from animateanywhere.geometry.camera_readout import (
    describe_move,
    describe_turn,
    describe_zoom,
    is_orbit,
    numbers_line,
    numbers_table,
    read_out,
)
from animateanywhere.geometry.cameras import CameraPath, look_from

SIZE = (160, 96)


def preset(name, num_frames=9, **options):
    return read_out(camera_preset(name, num_frames, SIZE, **options))


@pytest.mark.parametrize(
    "name, axis, value",
    [
        ("pan_right", "pan_deg", 25),
        ("pan_left", "pan_deg", -25),
        ("tilt_up", "tilt_deg", 18),
        ("tilt_down", "tilt_deg", -18),
        ("roll", "roll_deg", 20),
        ("truck_right", "truck", 1.4),
        ("truck_left", "truck", -1.4),
        ("pedestal_up", "pedestal", 1.0),
        ("dolly_in", "dolly", 1.4),
        ("dolly_out", "dolly", -1.4),
        ("zoom_in", "zoom", 1.6),
    ],
)
def test_each_move_shows_in_its_own_number_only(name, axis, value):
    readout = preset(name)
    for other in ("pan_deg", "tilt_deg", "roll_deg", "truck", "pedestal", "dolly"):
        wanted = value if other == axis else 0.0
        assert getattr(readout, other)[-1] == pytest.approx(wanted, abs=1e-9)
        assert getattr(readout, other)[0] == 0
    assert readout.zoom[-1] == pytest.approx(value if axis == "zoom" else 1.0)


@pytest.mark.parametrize(
    "name, words",
    [
        ("pan_left", "pans 25 degrees to the left"),
        ("tilt_up", "tilts 18 degrees up"),
        ("roll", "rolls 20 degrees clockwise"),
        ("still", ""),
        ("dolly_in", ""),
    ],
)
def test_turns_in_words(name, words):
    assert describe_turn(preset(name)) == words


@pytest.mark.parametrize(
    "name, words",
    [
        ("truck_right", "moves to the right"),
        ("pedestal_down", "moves down"),
        ("dolly_out", "moves backward"),
        ("still", ""),
        ("pan_left", ""),
    ],
)
def test_moves_in_words(name, words):
    assert describe_move(preset(name)) == words


def test_zooms_in_words():
    assert describe_zoom(preset("zoom_in")) == "zooms in 1.60 times"
    assert describe_zoom(preset("zoom_out")) == "zooms out 1.60 times"
    assert describe_zoom(preset("still")) == ""


def test_there_and_back_is_said_and_not_called_nothing():
    out = camera_preset("pan_right", 9, SIZE)
    back = read_out(out.subset([*range(9), *range(7, -1, -1)]))
    assert describe_turn(back) == "pans 25 degrees to the right and back"
    both = read_out(camera_preset("pan_right", 9, SIZE).subset([4, *range(9), 4]))
    assert describe_turn(both) == "pans 25 degrees to the right and to the left in turn"


def test_an_orbit_is_told_from_a_pan_and_a_truck():
    assert is_orbit(preset("orbit_left")) and is_orbit(preset("orbit_right"))
    assert not any(is_orbit(preset(name)) for name in ("pan_left", "truck_left", "dolly_in", "still"))


def test_walking_around_a_corner_is_still_forward():
    angle = np.radians(np.linspace(0, 90, 91))
    forward = np.stack([np.sin(angle), 0 * angle, np.cos(angle)], 1)
    centres = np.concatenate([np.zeros((1, 3)), np.cumsum((forward[1:] + forward[:-1]) / 2, 0)])
    right = np.stack([np.cos(angle), 0 * angle, -np.sin(angle)], 1)
    rotations = np.stack([right, np.tile([0.0, 1, 0], (91, 1)), forward], 1)
    intrinsics = np.tile(np.diag([100.0, 100, 1]), (91, 1, 1))
    readout = read_out(CameraPath(intrinsics, look_from(centres, rotations), SIZE))
    assert readout.pan_deg[-1] == pytest.approx(90)
    assert readout.dolly[-1] == pytest.approx(90, rel=1e-3) and abs(readout.truck[-1]) < 1e-9


def test_a_pan_goes_on_beyond_half_a_turn():
    readout = read_out(camera_preset("pan_right", 60, SIZE, amount=5).subset(range(60)))
    assert readout.pan_deg[-1] == pytest.approx(125)
    twice = camera_preset("pan_right", 60, SIZE, amount=5)
    later = twice.camera_from_world @ twice.camera_from_world[-1]
    longer = CameraPath(np.tile(twice.intrinsics_px, (2, 1, 1)), np.concatenate([twice.camera_from_world, later]), SIZE)
    assert read_out(longer).pan_deg[-1] == pytest.approx(250)


def test_where_the_world_lies_does_not_matter():
    path = camera_preset("orbit_left", 9, SIZE)
    elsewhere = np.linalg.inv(camera_preset("roll", 2, SIZE).camera_from_world[1])
    elsewhere[:3, 3] = (3, -2, 7)
    moved = CameraPath(path.intrinsics_px, path.camera_from_world @ elsewhere, SIZE)
    for name in ("pan_deg", "tilt_deg", "roll_deg", "truck", "pedestal", "dolly"):
        assert np.allclose(getattr(read_out(moved), name), getattr(read_out(path), name), atol=1e-9)


def test_numbers_as_text():
    readout = preset("pan_right")
    assert numbers_line(readout, unit="metres").startswith("pan +25.0°, tilt +0.0°, roll +0.0°; truck +0.00")
    assert "metres" not in numbers_line(readout, unit="metres")
    assert "dolly +1.40 (metres); zoom 1.00x" in numbers_line(preset("dolly_in"), unit="metres")
    rows = [line.split("\t") for line in numbers_table(readout, 8.0, np.full(9, 0.5)).splitlines()]
    assert len(rows) == 10 and {len(row) for row in rows} == {10}
    assert rows[0][2] == "pan_deg" and float(rows[-1][2]) == 25 and float(rows[-1][1]) == 1.0 and rows[3][-1] == "0.50"
    assert len(numbers_table(readout, 8.0).splitlines()[0].split("\t")) == 9
