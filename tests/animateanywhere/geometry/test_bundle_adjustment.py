"""Bundle adjustment against exact cameras, against a general solver, and in the cases where it must say nothing."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from animateanywhere.geometry.bundle_adjustment import Freedom, Scene, adjust, errors_px, focal_deviation
from animateanywhere.geometry.camera_start import (
    moving_scene,
    pairs_with_parallax,
    still_scene,
    triangulated,
    turning_scene,
)

FOCAL = 200.0


def made_up(cameras=8, points=120, step=0.06, seed=0, noise=0.0, unseen=0.2):
    """A true scene whose first camera is the reference, and what it shows, with some points hidden here and there."""
    rng = np.random.default_rng(seed)
    turns = Rotation.from_rotvec(np.cumsum(rng.normal([0, 0.01, 0], 0.015, (cameras, 3)), 0))
    rotations = (turns * turns[0].inv()).as_matrix()
    centres = np.cumsum(rng.normal([step, 0, 0.5 * step], 0.4 * step, (cameras, 3)), 0)
    shifts = -np.einsum("tij,tj->ti", rotations, centres - centres[0])
    places = np.stack([rng.uniform(-2, 2, points), rng.uniform(-1.2, 1.2, points), rng.uniform(2, 10, points)], 1)
    far = np.linalg.norm(places, axis=1)
    scene = Scene(rotations, shifts, np.full(cameras, np.log(FOCAL)), places / far[:, None], 1 / far)
    along = scene.seen_along()
    observed = FOCAL * along[..., :2] / along[..., 2:] + rng.normal(0, noise, (cameras, points, 2))
    observed[rng.random((cameras, points)) < unseen] = np.nan
    return scene, observed


def turn_errors_deg(found: Scene, true: Scene) -> np.ndarray:
    relative = (scene.rotations @ scene.rotations[0].T for scene in (found, true))
    return np.degrees(Rotation.from_matrix(np.matmul(next(relative).transpose(0, 2, 1), next(relative))).magnitude())


def way_errors_deg(found: Scene, true: Scene) -> np.ndarray:
    ways = []
    for scene in (found, true):
        centres = -np.einsum("tji,tj->ti", scene.rotations, scene.shifts)
        ways.append((centres[1:] - centres[0]) @ scene.rotations[0].T)
    cosine = (ways[0] * ways[1]).sum(1) / np.linalg.norm(ways[0], axis=1) / np.linalg.norm(ways[1], axis=1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def test_errors_of_the_truth_are_nothing():
    scene, observed = made_up()
    errors = errors_px(scene, observed)
    assert np.nanmax(errors) < 1e-9
    assert np.array_equal(np.isnan(errors), np.isnan(observed[..., 0]))


def test_cameras_and_points_are_found_from_nothing_but_tracks():
    true, observed = made_up(noise=0.1)
    pair = pairs_with_parallax(observed, turning_scene(observed, FOCAL), 1)[0]
    start = moving_scene(observed, FOCAL, pair)
    found = adjust(start, observed, Freedom(shift=True, reference=pair[0]), scale_px=0.5).scene
    sign = np.sign(found.nearness.mean())
    found = replace(found, shifts=sign * found.shifts, nearness=sign * found.nearness)
    assert turn_errors_deg(found, true).max() < 0.3
    assert way_errors_deg(found, true).max() < 3
    assert 0.05 < np.nanmedian(errors_px(found, observed)) < 0.15


def test_outliers_hardly_matter():
    true, observed = made_up(noise=0.1)
    observed[:, :20] += np.linspace(0, 40, len(observed))[:, None, None]
    pair = pairs_with_parallax(observed, turning_scene(observed, FOCAL), 1)[0]
    start = moving_scene(observed, FOCAL, pair)
    found = adjust(start, observed, Freedom(shift=True, reference=pair[0]), scale_px=0.5, iterations=80).scene
    assert turn_errors_deg(found, true).max() < 0.5


def test_the_same_minimum_as_a_general_solver():
    """Squared errors only (a huge scale), few cameras: scipy's dense solver from the same start ends at the same cost."""
    true, observed = made_up(cameras=3, points=12, noise=0.3, unseen=0.0)
    start = replace(true, nearness=true.nearness * 1.1)
    ours = adjust(start, observed, Freedom(shift=True), scale_px=1e4, iterations=100)

    def residuals(numbers):
        turns, shifts, points = np.split(numbers, [6, 12])
        points = points.reshape(-1, 3)
        rotations = np.concatenate([np.eye(3)[None], Rotation.from_rotvec(turns.reshape(2, 3)).as_matrix()])
        shifts = np.concatenate([np.zeros((1, 3)), shifts.reshape(2, 3)])
        along = points @ rotations.transpose(0, 2, 1) + shifts[:, None]
        return (FOCAL * along[..., :2] / along[..., 2:] - observed).ravel()

    places = start.directions / start.nearness[:, None]
    turns = Rotation.from_matrix(start.rotations[1:]).as_rotvec()
    theirs = least_squares(
        residuals, np.concatenate([turns.ravel(), start.shifts[1:].ravel(), places.ravel()]), xtol=1e-12
    )
    assert ours.cost == pytest.approx(theirs.cost, rel=1e-4)


def test_a_turning_camera_needs_no_depth_and_a_zoom_is_its_own_number():
    true, _ = made_up(step=0.0)
    zoom = np.log(np.linspace(FOCAL, 1.2 * FOCAL, 8))
    true = replace(true, shifts=np.zeros((8, 3)), log_focals=zoom)
    along = true.seen_along()
    observed = np.exp(zoom)[:, None, None] * along[..., :2] / along[..., 2:]
    found = adjust(turning_scene(observed, FOCAL), observed, Freedom(zoom=True), scale_px=0.5, iterations=60).scene
    assert turn_errors_deg(found, true).max() < 0.05
    assert np.abs(found.log_focals - zoom).max() < 0.01
    assert not found.nearness.any() and not found.shifts.any()


def test_a_wrong_focal_length_is_put_right_where_the_points_show_it():
    true, observed = made_up(step=0.15, noise=0.05)
    wrong = replace(true, log_focals=np.full(8, np.log(1.3 * FOCAL)))
    freedom = Freedom(shift=True, focal=True)
    found = adjust(wrong, observed, freedom, scale_px=0.5, iterations=100).scene
    assert abs(np.exp(found.log_focals[0]) / FOCAL - 1) < 0.03
    assert focal_deviation(found, observed, freedom, scale_px=0.5) < 0.05


def test_a_still_camera_says_nothing_about_its_focal_length():
    _, observed = made_up(noise=0.0)
    observed = np.tile(np.nanmedian(observed, axis=0)[None], (8, 1, 1))
    observed += np.random.default_rng(1).normal(0, 0.1, observed.shape)
    scene = still_scene(observed, FOCAL)
    assert focal_deviation(scene, observed, Freedom(), scale_px=0.5) > 0.3
    kept = adjust(scene, observed, Freedom(focal=True), scale_px=0.5).scene
    assert abs(np.exp(kept.log_focals[0]) / FOCAL - 1) < 0.3


def test_cameras_between_known_points():
    true, observed = made_up(noise=0.05)
    lost = replace(true, rotations=np.tile(np.eye(3), (8, 1, 1)), shifts=np.zeros((8, 3)))
    freedom = Freedom(shift=True, points=False, reference=None)
    found = adjust(lost, observed, freedom, scale_px=2.0, iterations=60).scene
    assert turn_errors_deg(found, true).max() < 0.2
    assert np.array_equal(found.nearness, true.nearness)
    part = adjust(lost.of_frames(np.array([3])), observed[[3]], freedom, scale_px=2.0, iterations=60).scene
    assert np.abs(part.shifts[0] - found.shifts[3]).max() < 1e-3


def test_points_at_infinity_are_placed_there():
    true, _ = made_up()
    true = replace(true, nearness=np.where(np.arange(120) < 40, 0.0, true.nearness))
    along = true.seen_along()
    placed = triangulated(true, FOCAL * along[..., :2] / along[..., 2:])
    assert np.abs(placed.nearness - true.nearness).max() < 1e-6
    assert (placed.directions * true.directions).sum(1).min() > 1 - 1e-9
