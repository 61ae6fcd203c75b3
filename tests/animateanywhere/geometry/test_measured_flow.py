"""Movement measured in clips whose camera is known."""

import numpy as np
import pytest

from animateanywhere.geometry.background_flow import net_flow_px
from animateanywhere.geometry.measured_flow import compare_motion, measured_flow
from animateanywhere.moving_background import moving_background
from tests.animateanywhere.geometry.test_background_flow import above_ground
from tests.animateanywhere.test_moving_background import FAR, photograph

LEFT = np.tile([-0.2, 0.0], (48, 1))


def clip(right: float, forward: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Frames of a place seen by a camera that moves, and the flow that follows from that."""
    path = above_ground(right, forward, frames=9)
    return np.stack(list(moving_background(photograph(), path, FAR))), net_flow_px(path, FAR) / 160


@pytest.mark.parametrize("right, forward", [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.5)])
def test_a_drawn_camera_is_seen_as_it_was_asked_for(right, forward):
    frames, asked = clip(right, forward)
    seen = measured_flow(frames)
    assert "as asked" in compare_motion(seen, asked) and "roughly" not in compare_motion(seen, asked)
    assert "otherwise than asked" in compare_motion(seen, -asked)
    still = measured_flow(clip(0.0)[0])
    assert compare_motion(still, asked) == "hardly moves; asked to move"
    assert compare_motion(still, 0 * asked) == "stands still, as asked"
    assert "asked to stand still" in compare_motion(seen, 0 * asked)


def test_the_size_of_the_movement_is_a_share_of_the_picture():
    frames, asked = clip(1.0)
    seen = measured_flow(frames)
    above_horizon = slice(0, 16)
    assert seen[above_horizon, 0].mean() == pytest.approx(asked[above_horizon, 0].mean(), rel=0.2)
    assert "20 % of the picture" in compare_motion(LEFT, LEFT)
