"""Flow of a known ground under known cameras."""

import numpy as np
import pytest

from animateanywhere.geometry.background_flow import (
    background_depths,
    background_flow_px,
    flow_agreement,
    flow_size_px,
    net_flow_px,
    picture_grid,
)
from animateanywhere.geometry.camera_presets import camera_preset
from animateanywhere.geometry.cameras import CameraPath, intrinsics_from_fov, look_from
from tests.scenes import wandering_path

SIZE, HEIGHT = (160, 96), 1.5
FOCAL = float(intrinsics_from_fov(60, SIZE)[0, 0, 0])


def above_ground(right=0.0, forward=0.0, frames=5) -> CameraPath:
    """A level camera 1.5 m above the ground that moves evenly by so many metres in all."""
    share = np.linspace(0, 1, frames)
    centres = np.stack([right * share, np.full(frames, -HEIGHT), forward * share], axis=1)
    return CameraPath(
        intrinsics_from_fov(60, SIZE, frames), look_from(centres, np.tile(np.eye(3), (frames, 1, 1))), SIZE
    )


def test_the_ground_is_where_a_level_camera_sees_it():
    points = np.array([[80.0, 48 + 24], [10.0, 48 + 40], [80.0, 20.0], [80.0, 48.0]])
    depths = background_depths(above_ground(), points, 9.0)
    assert depths[0] == pytest.approx([FOCAL * HEIGHT / 24, FOCAL * HEIGHT / 40, 9.0, 9.0])
    assert background_depths(above_ground(), points, 2.0).max() == 2.0


def test_a_truck_moves_near_things_more_than_far_ones():
    points, path = np.array([[80.0, 20.0], [80.0, 48 + 40]]), above_ground(right=2.0)
    flow = net_flow_px(path, 10.0, points)
    assert flow[0] == pytest.approx([-FOCAL * 2.0 / 10.0, 0], abs=1e-9)
    assert flow[1] == pytest.approx([-FOCAL * 2.0 / (FOCAL * HEIGHT / 40), 0], abs=1e-9)


def test_a_dolly_widens_the_picture_from_its_middle():
    path = above_ground(forward=0.04, frames=2)
    flow = net_flow_px(path, 10.0)
    outwards = picture_grid(SIZE) - np.array(SIZE) / 2
    assert (flow * outwards).sum(1).min() > 0
    corner = np.array([[10.0, 10.0]])
    assert net_flow_px(path, 10.0, corner)[0] == pytest.approx([-70 * (10 / 9.96 - 1), -38 * (10 / 9.96 - 1)])


def test_a_pan_does_not_care_for_depth():
    path = camera_preset("pan_right", 9, SIZE, amount=0.2)
    points = picture_grid(SIZE)
    near, far = (background_flow_px(path, points, np.full((9, len(points)), depth)) for depth in (1.0, 50.0))
    assert np.allclose(near, far) and (near[..., 0] < 0).all()


def test_flow_agrees_with_projecting_points():
    path = wandering_path(6, SIZE, seed=3)
    points = picture_grid(SIZE, 5, 4)
    depths = np.random.default_rng(0).uniform(3, 9, (6, len(points)))
    flow = background_flow_px(path, points, depths)
    for t in range(5):
        rays = np.column_stack([points, np.ones(len(points))]) @ np.linalg.inv(path.intrinsics_px[t]).T
        world = (rays * depths[t][:, None] - path.camera_from_world[t, :3, 3]) @ path.rotations[t]
        assert np.allclose(path.projected(world, t + 1)[0] - points, flow[t])


def test_a_sway_that_comes_back_adds_up_to_little():
    there = above_ground(right=0.2, frames=5)
    back = np.concatenate([there.camera_from_world, there.camera_from_world[::-1][1:]])
    swaying = CameraPath(intrinsics_from_fov(60, SIZE, 9), back, SIZE)
    assert flow_size_px(net_flow_px(swaying, 10.0)) < 1e-9 < 1 < flow_size_px(net_flow_px(there, 10.0))


def test_agreement_is_a_cosine():
    one = np.array([[1.0, 0.0], [2.0, 0.0]])
    turned = np.array([[1.0, 1.0], [2.0, 2.0]])
    assert flow_agreement(one, 7 * one) == pytest.approx(1) and flow_agreement(one, -one) == pytest.approx(-1)
    assert flow_agreement(one, turned) == pytest.approx(np.cos(np.pi / 4))
    assert flow_agreement(one, one[:, ::-1]) == 0 and flow_agreement(one, 0 * one) == 0
    assert flow_size_px(turned) == pytest.approx(np.sqrt(5))


def test_one_frame_does_not_move():
    path = above_ground(frames=1)
    assert background_flow_px(path, picture_grid(SIZE), background_depths(path, picture_grid(SIZE), 5.0)).shape[0] == 0
    assert flow_size_px(net_flow_px(path, 5.0)) == 0
