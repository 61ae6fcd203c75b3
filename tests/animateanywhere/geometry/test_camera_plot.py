"""The drawn plot: its lines are where the numbers say, and nothing is cut off."""

import cv2
import numpy as np
import pytest

from animateanywhere.errors import InputError
from animateanywhere.geometry.camera_plot import plot_readout, write_plot
from animateanywhere.geometry.camera_presets import camera_preset
from animateanywhere.geometry.camera_readout import read_out

BLUE, ORANGE, GREEN = (0, 114, 178), (213, 94, 0), (0, 158, 115)


def plot(name, num_frames=17, **options):
    readout = read_out(camera_preset(name, num_frames, (160, 96)))
    return plot_readout(readout, 8.0, title=f"{name} °", **options)


def places(picture, colour):
    """Rows and columns of pixels of exactly this colour inside the first chart."""
    rows, columns = np.nonzero((picture == colour).all(2))
    inside = (columns < 730) & (rows < 280)
    return rows[inside], columns[inside]


def test_a_pan_to_the_right_rises_and_the_others_stay_level():
    picture = plot("pan_right")
    rows, columns = places(picture, BLUE)
    first, last = rows[columns < columns.min() + 20].mean(), rows[columns > columns.max() - 20].mean()
    assert first - last > 100
    assert np.corrcoef(columns, rows)[0, 1] < -0.99
    for colour in (ORANGE, GREEN):
        assert np.ptp(places(picture, colour)[0]) <= 3


def test_left_is_down():
    rows, columns = places(plot("pan_left"), BLUE)
    assert np.corrcoef(columns, rows)[0, 1] > 0.99


@pytest.mark.parametrize("size", [(960, 640), (800, 560)])
def test_size_and_clean_margins(size):
    picture = plot("orbit_left", size=size, frame_confidence=np.linspace(0, 1, 17))
    assert picture.shape == (size[1], size[0], 3) and picture.dtype == np.uint8
    rim = np.concatenate([picture[:3].reshape(-1, 3), picture[-3:].reshape(-1, 3), picture[:, -3:].reshape(-1, 3)])
    assert (rim == 255).all()
    assert len(np.unique(picture @ np.array([65536, 256, 1]))) > 20


def test_unknown_zoom_draws_no_line_and_one_frame_is_a_dot():
    readout = read_out(camera_preset("truck_left", 9, (160, 96)))
    object.__setattr__(readout, "zoom", np.full(9, np.nan))
    unknown, known = plot_readout(readout, 8.0), plot("truck_left", 9)
    bottom = np.s_[488:580, 80:730]
    assert not (unknown[bottom] == BLUE).all(2).any() and (known[bottom] == BLUE).all(2).any()
    assert (plot("still", 1) == BLUE).all(2).any()


def test_written_and_read_back(tmp_path):
    picture = plot("dolly_in")
    write_plot(tmp_path / "plot.png", picture)
    assert np.array_equal(cv2.imread(str(tmp_path / "plot.png"))[..., ::-1], picture)
    with pytest.raises(InputError, match="choose another folder"):
        write_plot(tmp_path / "no" / "plot.png", picture)
