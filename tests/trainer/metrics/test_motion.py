"""Flow, cameras and epipolar lines by hand."""

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from animateanywhere.geometry.cameras import CameraPath, intrinsics_from_fov, look_from
from tests.scenes import matches, wandering_path
from tests.trainer.metrics.conftest import frozen
from trainer.metrics.motion import (
    BackgroundFlow,
    background_flow,
    camera_error,
    dense_background_flow,
    dense_flow,
    direction_error_deg,
    epipolar_error_px,
    flow_agreement,
    flow_error_px,
    flow_pairs,
    path_error,
    read_camera,
    track_error_px,
    widened,
)

SIZE = (128, 72)


def walk(centres, degrees=None, size=SIZE):
    """Cameras at `centres` [T, 3] that pan `degrees` [T]."""
    centres = np.array(centres, float)
    turns = np.zeros(len(centres)) if degrees is None else np.radians(degrees)
    rotations = Rotation.from_rotvec(turns[:, None] * [0, 1, 0]).as_matrix()
    return CameraPath(intrinsics_from_fov(60, size, len(centres)), look_from(centres, rotations), size)


def cloth(step=(3, -1), num_frames=4):
    """A textured picture that moves `step` pixels (x, y) per frame."""
    noise = np.random.default_rng(0).uniform(0, 255, (140, 220, 3)).astype(np.float32)
    noise = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    x, y = 40, 30
    return np.stack([noise[y - step[1] * t :, x - step[0] * t :][:72, :128] for t in range(num_frames)])


def told(flow):
    return BackgroundFlow(np.asarray(flow, np.float32), np.ones(np.shape(flow)[:3], bool))


def uniform(x, y):
    return np.broadcast_to(np.array([x, y], np.float32), (2, 8, 8, 2))


def test_dense_flow_of_a_moving_cloth():
    flow = dense_flow(cloth())
    assert flow.shape == (3, 72, 128, 2)
    assert np.median(flow[:, 10:-10, 10:-10], (0, 1, 2)) == pytest.approx([3, -1], abs=0.1)
    assert dense_flow(cloth()[:1]).shape == (0, 72, 128, 2)


def test_flow_error_by_hand():
    assert flow_error_px(uniform(4, 6), told(uniform(1, 2))) == pytest.approx(5)
    assert flow_error_px(uniform(1, 2), told(uniform(1, 2))) == 0


@pytest.mark.parametrize(
    "flow, expected", [((2, 1), 1), ((6, 3), 1), ((-2, -1), -1), ((-1, 2), 0), ((0, 0), 0), ((1, 0), 2 / 5**0.5)]
)
def test_flow_agreement_by_hand(flow, expected):
    assert flow_agreement(uniform(*flow), told(uniform(2, 1))) == pytest.approx(expected, abs=1e-6)


def test_a_background_that_stands_has_no_direction():
    assert np.isnan(flow_agreement(uniform(1, 0), told(uniform(0.1, 0))))


def test_a_flat_wall_and_a_person_everywhere_say_nothing():
    nobody = np.zeros((4, 72, 128), bool)
    for video, person in ((np.full((4, 72, 128, 3), 99, np.uint8), nobody), (cloth(), ~nobody)):
        truth, moved = background_flow(video, person), dense_background_flow(cloth(), nobody)
        for number in (flow_error_px, flow_agreement, direction_error_deg):
            assert np.isnan(number(moved, truth))


def test_flow_is_looked_at_over_four_frames():
    assert flow_pairs(24) == [(t, t + 4) for t in range(0, 20, 2)]
    assert flow_pairs(6) == [(0, 4)] and flow_pairs(4) == [(0, 3)] and flow_pairs(2) == [(0, 1)]
    assert flow_pairs(1) == []
    flow = dense_background_flow(cloth(num_frames=9), np.zeros((9, 72, 128), bool))
    assert flow.shape == (3, 72, 128, 2)
    assert np.median(flow[:, 10:-20, 20:-20], (0, 1, 2)) == pytest.approx([12, -4], abs=0.3)
    assert dense_background_flow(cloth()[:1], np.zeros((1, 72, 128), bool)).shape == (0, 72, 128, 2)


@pytest.mark.parametrize(
    "flow, expected",
    [((2, 1), 0), ((6, 3), 0), ((-2, -1), 180), ((-1, 2), 90), ((1, -2), 90), ((0, 0), 90), ((3, -1), 45)],
)
def test_direction_error_by_hand(flow, expected):
    assert direction_error_deg(uniform(*flow), told(uniform(2, 1))) == pytest.approx(expected)


def test_a_direction_is_that_of_the_most_movement():
    """Three places that hardly move go wrong, one that goes ten times as far as all of them goes right."""
    true = np.array([[[[1, 0], [1, 0], [1, 0], [30, 0]]]], np.float32)
    made = np.array([[[[-1, 0], [-1, 0], [-1, 0], [9, 0]]]], np.float32)
    assert direction_error_deg(made, told(true)) == 0
    assert direction_error_deg(-made, told(true)) == 180
    assert np.isnan(direction_error_deg(made, told(np.zeros_like(true))))


def test_a_person_who_moves_is_not_taken_for_the_background(crane):
    """Only the person differs between the frames of this clip, by half the picture's width."""
    clip, person = frozen(crane), np.zeros(crane.person.shape, bool)
    for t in range(len(clip)):
        left = 20 + 4 * t
        clip[t, 20:60, left : left + 30] = cloth()[0, :40, :30]
        person[t, 20:60, left : left + 30] = True
    assert np.abs(dense_background_flow(clip, person)).max() == 0
    assert np.abs(dense_flow(clip)).max() > 1


def test_the_person_does_not_count(crane):
    changed = crane.video.copy()
    changed[crane.person] = 0
    truth = background_flow(crane.video, crane.person)
    starts, ends = np.array(flow_pairs(16)).T
    assert not (truth.told & (widened(crane.person)[starts] | widened(crane.person)[ends])).any()
    flow = dense_background_flow(changed, crane.person)
    assert flow_error_px(flow, truth) < 0.01 and flow_agreement(flow, truth) > 0.999


def test_path_error_by_hand():
    line = [(0, 0, 0), (1, 0, 0), (2, 0, 0)]
    truth = walk(line, [0, 10, 20])
    assert path_error(truth, truth).turn_deg == pytest.approx(0, abs=1e-6)
    assert path_error(truth, truth).move == pytest.approx(0, abs=1e-9)
    assert path_error(walk(line, [0, 6, 12]), truth).turn_deg == pytest.approx((4 + 8) / 2)
    assert path_error(walk(line, [0, 0, -175]), truth).turn_deg == pytest.approx((10 + 165) / 2)
    longer = [(0, 0, 0), (7, 0, 0), (14, 0, 0)]
    aside = [(0, 0, 0), (0, 1, 0), (0, 2, 0)]
    back = [(0, 0, 0), (-1, 0, 0), (-2, 0, 0)]
    assert path_error(walk(longer), walk(line)).move == pytest.approx(0, abs=1e-9)
    assert path_error(walk([(0, 0, 0)] * 3), walk(line)).move == pytest.approx(1)
    assert path_error(walk(aside), walk(line)).move == pytest.approx(1)
    assert path_error(walk(back), walk(line)).move == pytest.approx(1)
    assert path_error(walk([(0, 0, 0), (1, 1, 0), (2, 2, 0)]), walk(line)).move == pytest.approx(0.5**0.5)
    assert np.isnan(path_error(walk(line), walk([(0, 0, 0)] * 3)).move)


def test_path_error_does_not_depend_on_the_world():
    truth = wandering_path(6, SIZE)
    turn = Rotation.from_rotvec([0.3, -1.0, 2.0]).as_matrix()
    moved = CameraPath(
        truth.intrinsics_px, look_from(truth.centres @ turn.T + [5, 6, 7], truth.rotations @ turn.T), SIZE
    )
    assert path_error(moved, truth).turn_deg == pytest.approx(0, abs=1e-5)
    assert path_error(moved, truth).move == pytest.approx(0, abs=1e-6)


def tracks_between(path):
    """Exact tracks of the points that the first and the last frame see, [P, 2, 2]."""
    seen = matches(path, 0, path.num_frames - 1, np.random.default_rng(0))
    return np.stack([seen.pixels_i, seen.pixels_j], 1)


def test_track_error_is_nothing_for_exact_tracks():
    path = wandering_path(5, SIZE)
    assert track_error_px(tracks_between(path), path.subset([0, 4])) == pytest.approx(0, abs=1e-6)


def test_track_error_by_hand():
    path = walk([(0, 0, 0), (0.3, 0, 0)])  # sideways: the lines are horizontal
    tracks = tracks_between(path)
    tracks[:, 1, 1] += 2
    assert track_error_px(tracks, path) == pytest.approx(2)
    tracks[:, 1, 0] += 9  # along the lines: not noticed
    assert track_error_px(tracks, path) == pytest.approx(2)


def test_track_error_says_nothing_without_baseline_or_with_few_points():
    still = walk([(0, 0, 0)] * 2, [0, 4])
    assert np.isnan(track_error_px(tracks_between(still), still))
    path = wandering_path(2, SIZE)
    assert np.isnan(track_error_px(tracks_between(path)[:20], path))
    lost = tracks_between(path)
    lost[:, 1] = np.nan
    assert np.isnan(track_error_px(lost, path))


def test_one_frame_and_flat_clips_say_nothing():
    flat = np.full((4, 72, 128, 3), 120, np.uint8)
    nobody = np.zeros((4, 72, 128), bool)
    path = wandering_path(4, SIZE)
    assert np.isnan(epipolar_error_px(flat, nobody, path))
    assert np.isnan(epipolar_error_px(flat[:1], nobody[:1], path.subset([0])))
    for frames in (1, 4):
        cameras = path.subset(range(frames))
        error = camera_error(read_camera(flat[:frames], nobody[:frames], cameras), cameras)
        assert np.isnan([error.turn_deg, error.move]).all()
