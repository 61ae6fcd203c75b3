"""A photograph with things before its wall, seen by a moving camera; and what the network finds in stage world."""

import numpy as np
import pytest
import torch

from animateanywhere import place_relief as module
from animateanywhere.geometry.background_flow import picture_grid
from animateanywhere.geometry.body_motion import observe
from animateanywhere.geometry.camera_variants import FAR_DISTANCES, first_view
from animateanywhere.implied_camera import seen_body
from animateanywhere.models.depth_network import DepthNetwork
from animateanywhere.moving_background import (
    first_camera_pixels,
    first_camera_pixels_in_relief,
    moving_background,
)
from animateanywhere.place_relief import filmed_place, ground_and_rays, place_relief
from tests.animateanywhere.geometry.test_background_flow import above_ground
from tests.animateanywhere.test_moving_background import FAR, FOCAL, SIZE, photograph
from trainer.held_out import HeldOutClip
from trainer.presets import MINI_MODEL
from trainer.stage_world.seeds import split_seeds

BOX = (slice(20, 40), slice(60, 100))
"""Rows and columns of a thing half as far away as the wall, above the horizon."""


def relief_with_a_box() -> np.ndarray:
    relief = np.ones((96, 160), np.float32)
    relief[BOX] = 0.5
    return relief


def box_photograph() -> np.ndarray:
    picture = np.full((96, 160, 3), 60, np.uint8)
    picture[BOX] = 200
    return picture


@pytest.mark.parametrize("right, forward", [(0.4, 0.3), (-1.5, 0.0), (0.0, -1.0), (0.7, 1.2)])
def test_no_relief_is_ground_and_far_plane(right, forward):
    path, points = above_ground(right=right, forward=forward, frames=2), picture_grid(SIZE, 40, 24)
    closed = first_camera_pixels(path, 1, points, FAR)
    searched = first_camera_pixels_in_relief(path, 1, points, FAR, np.ones((12, 20), np.float32))
    inside = (closed > 0).all(1) & (closed < SIZE).all(1)
    assert inside.mean() > 0.5
    # Where the ground meets the plane a straight line between two looks cuts the corner.
    away = np.abs(searched - closed).max(1)[inside]
    assert np.median(away) < 0.02 and np.quantile(away, 0.97) < 0.5


def test_a_thing_at_half_the_distance_moves_twice_as_far():
    shift = 20
    path = above_ground(right=shift * FAR / FOCAL, frames=2)
    row = list(moving_background(box_photograph(), path, FAR, relief_with_a_box()))[1][30, :, 0]
    columns = np.flatnonzero(row > 130)
    assert abs(columns[0] - (60 - 2 * shift)) <= 2 and abs(columns[-1] + 1 - (100 - 2 * shift)) <= 3
    assert np.median(row[100 - 2 * shift + 4 : 100 - shift]) < 70, "the wall comes out behind it, not more of the thing"


def test_a_standing_camera_sees_the_photograph_itself():
    for frame in moving_background(photograph(), above_ground(frames=3), FAR, relief_with_a_box()):
        assert np.array_equal(frame, photograph())


def test_ground_and_rays_by_hand():
    path = above_ground(frames=2)
    height, person = -path.centres[0, 1], 4.0
    ground, across = ground_and_rays(path, person, (80, 48))
    focal = path.intrinsics_px[0, 0, 0]
    assert across[0, 0] == pytest.approx((1 - 80) / focal, rel=1e-5)
    # The middle of the picture is the horizon; the last row's middle is 47 pixels below it.
    assert ground[-1, 0] == pytest.approx((47 / focal) / height * person, rel=1e-4)
    assert ground[0, 0] == pytest.approx(-ground[-1, 0], rel=1e-4)


def test_an_untrained_network_sees_ground_and_far_plane(monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(module, "_network", lambda: DepthNetwork().eval())
    relief = place_relief(photograph(), above_ground(frames=2), FAR / FAR_DISTANCES)
    assert relief.shape == (96, 160) and np.allclose(relief, 1, atol=1e-5)


@pytest.fixture(scope="module")
def places() -> list[HeldOutClip]:
    return [HeldOutClip.render(seed, MINI_MODEL) for seed in split_seeds("val", 0, 12)]


def person_m(held_out: HeldOutClip) -> float:
    view = first_view(observe(seen_body(held_out.pose)), held_out.clip.size, held_out.clip.fps)
    return view.distance_m * float(held_out.cameras.intrinsics_px[0, 0, 0]) / view.focal_px


def test_the_shipped_network_nearly_halves_what_planes_are_off_by(places):
    """Where things in the last frame were in the first one, against where they truly were: the least of parallax."""
    with_relief, planes = [], []
    for held_out in places:
        cameras, points = held_out.cameras, picture_grid(held_out.clip.size, 24, 16)
        last, far = cameras.num_frames - 1, FAR_DISTANCES * person_m(held_out)
        x, y = points.astype(int).T
        keep = ~held_out.clip.human_mask.numpy()[last][y, x]
        truth = np.clip(true_pixels(held_out, last, points), -100, 300)[keep]
        if np.linalg.norm(truth - points[keep], axis=1).mean() < 2:
            continue
        relief = place_relief(held_out.clip.background.numpy(), cameras, person_m(held_out))
        for told, into in (
            (first_camera_pixels_in_relief(cameras, last, points, far, relief), with_relief),
            (first_camera_pixels(cameras, last, points, far), planes),
        ):
            into.append(np.linalg.norm(np.clip(told, -100, 300)[keep] - truth, axis=1).mean())
    assert len(planes) >= 6 and np.mean(with_relief) < 0.6 * np.mean(planes)


def true_pixels(held_out: HeldOutClip, frame: int, points: np.ndarray) -> np.ndarray:
    """float64 [N, 2]: where the first camera saw what `frame` sees at `points`, by stage world's own depth."""
    cameras = held_out.cameras
    x, y = points.astype(int).T
    rays = np.concatenate([points, np.ones((len(points), 1))], 1) @ np.linalg.inv(cameras.intrinsics_px[frame]).T
    world = cameras.centres[frame] + rays * held_out.background_depth[frame][y, x, None] @ cameras.rotations[frame]
    seen = (world - cameras.centres[0]) @ cameras.rotations[0].T
    pixels = seen @ cameras.intrinsics_px[0].T
    return pixels[:, :2] / np.maximum(pixels[:, 2:], 0.05)


def test_a_photograph_of_any_size_is_filmed():
    for size in ((160, 96), (90, 160), (641, 479)):
        picture = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
        path = above_ground(right=1.0, frames=2)
        path = type(path)(path.intrinsics_px * 1.0, path.camera_from_world, size)
        assert list(filmed_place(picture, path, FAR))[1].shape == (size[1], size[0], 3)
