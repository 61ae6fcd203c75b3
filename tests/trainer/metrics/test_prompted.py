"""What counts as obeying: cameras made by hand, and every sentence of stage world against the cameras that it names."""

import numpy as np
import pytest

from tests.trainer.metrics.test_motion import walk
from trainer.metrics.prompted import SENTENCES, camera_sentence, known, prompt_obeyed
from trainer.stage_world.captions import CAMERA_SENTENCES

STEPS = np.arange(8.0)


def still():
    return known(walk([(0, 0, 0)] * 8))


def orbit(side):
    """Around a point 4 ahead, to the right (1) or left (-1)."""
    angle = np.radians(2 * STEPS) * side
    return known(walk(np.stack([4 * np.sin(angle), 0 * angle, 4 - 4 * np.cos(angle)], 1), np.degrees(angle)))


def straight(x, y, z):
    return known(walk(STEPS[:, None] * (x, y, z)))


def panning(degrees):
    """To the left."""
    return known(walk([(0, 0, 0)] * 8, degrees * STEPS / 7))


def test_every_sentence_of_stage_world_is_judged():
    assert set(SENTENCES) == set(CAMERA_SENTENCES)
    for sentence, judged in SENTENCES.items():
        assert camera_sentence(f"A person walks, {sentence}") is judged
    assert camera_sentence("a person walks") is None


@pytest.mark.parametrize(
    "prompt, camera, expected",
    [
        ("the camera holds still", still(), 1),
        ("the camera holds still", panning(4), 0),
        ("the camera holds still", orbit(1), 0),
        ("the camera orbits to the right", orbit(1), 1),
        ("the camera orbits to the right", orbit(-1), 0),
        ("the camera orbits to the left", orbit(-1), 1),
        ("the camera orbits to the left", panning(14), 0),
        ("the camera moves closer", straight(0.02, 0, 0.1), 1),
        ("the camera moves closer", straight(0.1, 0, 0.02), 0),
        ("the camera moves closer", straight(0, 0, -0.1), 0),
        ("the camera moves away", straight(0, 0, -0.1), 1),
        ("the camera pans to keep the person in view", panning(-14), 1),
        ("the camera pans to keep the person in view", orbit(1), 0),
        ("the camera is held by hand", panning(2), 1),
        ("the camera is held by hand", still(), 0),
        ("the camera zooms in", still(), 0),
    ],
)
def test_obeyed_by_hand(prompt, camera, expected):
    assert prompt_obeyed(prompt, camera, None) == expected


def test_who_follows_goes_the_way_of_the_filming_camera():
    filmed = straight(0.1, 0, 0)
    said = "a person walks, the camera follows"
    assert prompt_obeyed(said, straight(0.3, 0, 0.2), filmed) == 1
    assert prompt_obeyed(said, straight(0.2, 0, 0.3), filmed) == 0  # more than 45 degrees off
    assert prompt_obeyed(said, straight(-0.1, 0, 0), filmed) == 0
    assert prompt_obeyed(said, still(), filmed) == 0
    assert np.isnan(prompt_obeyed(said, straight(0.1, 0, 0), None))


def test_a_pan_goes_to_the_side_of_the_filming_camera():
    said = "the camera pans to keep the person in view"
    assert prompt_obeyed(said, panning(14), panning(20)) == 1 and prompt_obeyed(said, panning(-14), panning(20)) == 0


def test_what_cannot_be_judged():
    assert np.isnan(prompt_obeyed("a nice day", still(), None))
    assert np.isnan(prompt_obeyed("the camera holds still", None, None))
    # "moves closer" to a person who walks ahead even faster: the true camera trucks, and nobody can tell from its path
    assert np.isnan(prompt_obeyed("the camera moves closer", straight(0, 0, 0.1), straight(0.1, 0, 0.05)))
