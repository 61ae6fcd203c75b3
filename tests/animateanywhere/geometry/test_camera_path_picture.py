"""Camera paths in words and as pictures."""

import numpy as np
import pytest

from animateanywhere.geometry.body_motion import observe
from animateanywhere.geometry.camera_path_picture import _END, _PERSON, _START, describe_path, path_picture
from animateanywhere.geometry.camera_variants import first_view, moving_camera
from tests.animateanywhere.geometry.walkers import FPS, SIZE, stick_figure

VIEW = first_view(observe(stick_figure()), SIZE, FPS)
SHARE = np.linspace(0, 1, 9)
PERSON = np.array([0.0, 0.0, VIEW.distance_m])


def middle_of(picture: np.ndarray, colour: tuple, half: int) -> np.ndarray:
    """(x, y) of a colour in the left (0) or right (1) half, legend and titles left out."""
    wide = picture.shape[1] // 2
    part = picture[40:-40, half * wide : (half + 1) * wide]
    y, x = np.nonzero(np.abs(part.astype(int) - colour).max(-1) < 30)
    return np.array([x.mean(), y.mean()])


@pytest.mark.parametrize(
    "curves, words",
    [
        ({}, "stands still"),
        ({"right": 2 * SHARE}, "moves to the right"),
        ({"forward": -SHARE}, "moves backward"),
        ({"turn": 0.2 * SHARE}, "pans 11 degrees to the right"),
        ({"right": 0.3 * SHARE, "zoom": 1 + 0.5 * SHARE}, "moves to the right and zooms in 1.50 times"),
        (
            {"right": -2 * SHARE, "turn": 0.3 * SHARE},
            "moves to the left and pans 17 degrees to the right, as on a circle",
        ),
    ],
)
def test_words_say_what_the_path_does(curves, words):
    assert describe_path(moving_camera(VIEW, 9, **curves)) == words


def test_from_above_right_is_right_and_ahead_is_up():
    picture = path_picture(moving_camera(VIEW, 9, right=2 * SHARE, forward=SHARE), PERSON, 1.7)
    first, last, person = (middle_of(picture, colour, 0) for colour in (_START, _END, _PERSON))
    assert last[0] > first[0] + 20 and last[1] < first[1] - 10 and person[1] < last[1]


def test_from_the_side_ahead_is_right_and_up_is_up():
    picture = path_picture(moving_camera(VIEW, 9, forward=SHARE, up=0.5 * SHARE), PERSON, 1.7)
    first, last, person = (middle_of(picture, colour, 1) for colour in (_START, _END, _PERSON))
    assert first[0] + 10 < last[0] < person[0] and last[1] < first[1] - 5


@pytest.mark.parametrize("right, up", [(0.0, 0.0), (300.0, 0.0), (0.0, 40.0)])
def test_any_path_fits(right, up):
    picture = path_picture(moving_camera(VIEW, 9, right=right * SHARE, up=up * SHARE), PERSON, 1.7, size=(500, 220))
    assert picture.shape == (220, 500, 3)
    border = np.concatenate([picture[:, :4].reshape(-1, 3), picture[:, -4:].reshape(-1, 3)])
    assert (border == 255).all()
