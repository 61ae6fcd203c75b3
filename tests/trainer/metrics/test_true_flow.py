"""Exact flow by hand and against what stage world's own background does."""

import numpy as np
import pytest

from animateanywhere.errors import InputError
from animateanywhere.geometry.cameras import CameraPath
from tests.trainer.metrics.test_motion import walk
from trainer.metrics.motion import dense_background_flow, direction_error_deg, flow_error_px
from trainer.metrics.true_flow import displacement_px, exact_background_flow, exact_flow

SIZE = (128, 72)
FOCAL = 64 / np.tan(np.radians(30))


def wall(distance, num_frames):
    return np.full((num_frames, SIZE[1], SIZE[0]), float(distance))


def test_a_camera_that_trucks_before_a_wall():
    """0.1 to the right per frame, wall at 4: everything goes left by focal * 0.4 / 4 in four frames."""
    cameras = walk([(0.1 * t, 0, 0) for t in range(5)])
    flow, seen = exact_flow(wall(4, 5), cameras)
    assert flow.shape == (1, 72, 128, 2)
    assert flow[0, ..., 0] == pytest.approx(-FOCAL * 0.4 / 4, rel=1e-5) and np.abs(flow[..., 1]).max() < 1e-5
    assert not seen[0, :, :11].any() and seen[0, :, 12:].all()  # 11.1 px leave the picture on the left
    nobody = np.zeros(SIZE[::-1], bool)
    assert displacement_px(wall(4, 5), cameras, nobody) == pytest.approx(FOCAL * 0.4 / 4, rel=1e-5)
    there_and_back = cameras.subset([0, 1, 2, 1, 0])
    assert displacement_px(wall(4, 5), there_and_back, nobody) == pytest.approx(FOCAL * 0.2 / 4, rel=1e-5)


def test_a_camera_that_moves_forward_spreads_the_picture():
    cameras = walk([(0, 0, 0), (0, 0, 1)])
    flow, _ = exact_flow(wall(4, 2) - np.arange(2)[:, None, None], cameras)
    from_middle = np.stack(np.meshgrid(np.arange(128) + 0.5 - 64, np.arange(72) + 0.5 - 36), -1)
    assert flow[0] == pytest.approx(from_middle / 3, abs=1e-4)


def test_what_a_nearer_thing_hides_is_not_seen():
    """A post at 2 stands before a wall at 4; the camera trucks and the post covers another part of the wall."""
    cameras = walk([(0, 0, 0), (0.3, 0, 0)])
    near, far = FOCAL * 0.3 / 2, FOCAL * 0.3 / 4
    depth = wall(4, 2)
    depth[0, :, 60:80] = 2
    second = slice(round(60 - near), round(80 - near))
    depth[1, :, second] = 2
    flow, seen = exact_flow(depth, cameras)
    assert flow[0, 5, 70, 0] == pytest.approx(-near, rel=1e-5) and flow[0, 5, 90, 0] == pytest.approx(-far, rel=1e-5)
    landed = np.arange(128) + 0.5 + flow[0, 5, :, 0]
    behind = (depth[0, 5] == 4) & (landed > second.start + 2) & (landed < second.stop - 2)
    assert behind.sum() > 5 and not seen[0, 5, behind].any()
    assert seen[0, 5, 60:80].all()


def test_it_is_how_stage_worlds_background_moves(crane, orbit):
    for filmed in (crane, orbit):
        truth = exact_background_flow(filmed.video, filmed.person, filmed.depth, filmed.cameras)
        found = dense_background_flow(filmed.video, filmed.person)
        assert truth.told.mean() > 0.3
        assert flow_error_px(found, truth) < 0.15 * flow_error_px(0 * found, truth)
        assert direction_error_deg(found, truth) < 3


def test_nothing_is_said_of_one_frame_and_other_cameras_are_refused():
    one = walk([(0, 0, 0)])
    assert exact_flow(wall(4, 1), one)[0].shape == (0, 72, 128, 2)
    assert displacement_px(wall(4, 1), one, np.zeros(SIZE[::-1], bool)) == 0
    with pytest.raises(InputError, match="1 frames"):
        exact_flow(wall(4, 3), one)


def test_a_place_that_is_left_altogether_has_gone_far():
    cameras = walk([(0, 0, 0)] * 2, [0, 90])
    assert isinstance(cameras, CameraPath)
    assert displacement_px(wall(4, 2), cameras, np.zeros(SIZE[::-1], bool)) == np.inf
