"""Rooms of any size can be furnished."""

import numpy as np
import pytest

from trainer.stage_world.props import PropKit, furnish_room


@pytest.mark.parametrize("wide", [1.4, 1.7, 2.2, 6.0])
def test_a_room_round_somebody_near_the_camera_is_narrow(wide):
    person, camera = np.zeros((4, 2)), np.tile([0.0, -1.2], (4, 1))
    low, high = np.array([-wide / 2, -2.6, -1.9]), np.array([wide / 2, 0.0, 2.0])
    things = 0
    for seed in range(40):
        kit = PropKit(np.random.default_rng(seed), person, camera, 0.0, np.array([0.0, -1.0, 0.0]))
        furnish_room(kit, low, high)
        pictures = [centre[0] for centre, *_ in kit._boxes if centre[2] == high[2] - 0.02]
        assert all(low[0] < x < high[0] for x in pictures)
        things += len(pictures)
    assert things > 20
