"""The epipolar mask against synthetic points, hand computation, OpenCV, kornia's numbers, and five ways to get it wrong."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from animateanywhere.errors import InputError
from animateanywhere.geometry import epipolar
from animateanywhere.geometry.camera_presets import camera_preset
from animateanywhere.geometry.cameras import CameraPath, look_from
from animateanywhere.geometry.epipolar import (
    epipolar_lines,
    epipolar_lines_for_queries,
    epipolar_mask,
    fundamental_matrix,
    mask_from_lines,
    sub_pose_frames,
    token_centres,
)
from animateanywhere.latent_grid import LatentGrid
from tests.scenes import matches, tokens_of, wandering_path

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "epipolar_kornia.json"
HALF_DIAGONAL = 2**0.5 / 2
"""Of a token: a line that passes nearer to its centre may touch it."""
SIZE = (672, 384)
EXACT = LatentGrid(4, 384, 672, 8, 1, 2, 1)
"""Every token frame is one video frame, so the mask has no motion inside a token to cope with."""
CLIP = LatentGrid(24, 96, 168, 4, 4, 2, 2)
"""3 x 12 x 21 tokens of 8 pixels and 8 frames."""


def distances(lines: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.abs((lines[:, :2] * points).sum(1) + lines[:, 2])


def recall(path: CameraPath, wrong: CameraPath | None = None, thickness: float = HALF_DIAGONAL, **where) -> float:
    """Share of true matches of `path` that the mask (of `wrong`, if given) allows, over all pairs of frames of EXACT."""
    where = where or {"centres_of_px": EXACT.token_stride_px}
    rng, found = np.random.default_rng(0), []
    for i in range(EXACT.num_frames):
        for j in set(range(EXACT.num_frames)) - {i}:
            pairs = matches(path, i, j, rng, 150, **where)
            queries, keys = tokens_of(pairs.pixels_i, EXACT, i), tokens_of(pairs.pixels_j, EXACT, j)
            mask = epipolar_mask(wrong or path, EXACT, queries, thickness=thickness)
            found.append(mask[np.arange(len(keys)), keys])
    found = np.concatenate(found)
    assert found.size > 800, "too few points are seen twice to say anything"
    return found.mean()


def assert_matches_are_allowed(path: CameraPath, wrong: CameraPath | None = None) -> None:
    assert recall(path, wrong) > 0.99


def fast_walk() -> CameraPath:
    return wandering_path(EXACT.num_frames, SIZE, seed=5, step=0.7)


# --- by constraint -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_a_points_picture_lies_on_its_line(seed):
    path = wandering_path(8, SIZE, seed)
    pairs = matches(path, 1, 6, np.random.default_rng(seed), 500)
    lines = epipolar_lines(fundamental_matrix(path, 1, 6), pairs.pixels_i)
    assert len(lines) > 100 and distances(lines, pairs.pixels_j).max() < 1e-8
    assert np.allclose(np.hypot(lines[:, 0], lines[:, 1]), 1)


def test_the_mask_allows_true_matches():
    assert_matches_are_allowed(fast_walk())


def test_points_anywhere_in_their_token_are_allowed_within_two_half_diagonals():
    assert recall(fast_walk(), centres_of_px=0) > 0.9
    assert recall(fast_walk(), thickness=2 * HALF_DIAGONAL, centres_of_px=0) > 0.99


def test_the_mask_of_a_clip_that_moves_inside_its_tokens():
    path, rng, found = wandering_path(24, (168, 96), seed=1, step=0.05), np.random.default_rng(0), []
    for i, j in [(0, 1), (0, 2), (2, 0), (1, 2)]:
        for a, b in zip(rng.choice(CLIP.frames_of_token(i), 4), rng.choice(CLIP.frames_of_token(j), 4), strict=True):
            pairs = matches(path, a, b, rng, 60)
            mask = epipolar_mask(path, CLIP, tokens_of(pairs.pixels_i, CLIP, i))
            found.append(mask[np.arange(len(mask)), tokens_of(pairs.pixels_j, CLIP, j)])
    assert np.concatenate(found).mean() > 0.97


def inverted_pose(path: CameraPath) -> CameraPath:
    return replace(path, camera_from_world=np.linalg.inv(path.camera_from_world))


def wrong_axes(path: CameraPath) -> CameraPath:
    """Reads a camera that looks along -z with y up (OpenGL) as if it were ours."""
    return replace(path, camera_from_world=np.diag([1.0, -1, -1, 1]) @ path.camera_from_world)


def pixel_intrinsics_with_tokens(path: CameraPath) -> CameraPath:
    """Intrinsics of a picture of tokens that were never divided by the stride: too large by it, then scaled up again."""
    stride = EXACT.token_stride_px
    return replace(path, intrinsics_px=path.intrinsics_px * np.array([stride, stride, 1.0])[:, None])


def transposed_rotation(path: CameraPath) -> CameraPath:
    poses = path.camera_from_world.copy()
    poses[:, :3, :3] = path.rotations.transpose(0, 2, 1)
    return replace(path, camera_from_world=poses)


@pytest.mark.parametrize("error", [inverted_pose, wrong_axes, pixel_intrinsics_with_tokens, transposed_rotation])
def test_a_convention_error_fails_the_constraint(error):
    path = fast_walk()
    assert recall(path, error(path)) < 0.7
    with pytest.raises(AssertionError):
        assert_matches_are_allowed(path, error(path))


def test_a_transposed_fundamental_matrix_fails_the_constraint(monkeypatch):
    right = epipolar.fundamental_matrices
    monkeypatch.setattr(epipolar, "fundamental_matrices", lambda *frames: right(*frames).swapaxes(-1, -2))
    assert recall(fast_walk()) < 0.7
    with pytest.raises(AssertionError):
        assert_matches_are_allowed(fast_walk())


# --- by hand -------------------------------------------------------------------------------------------------------


def test_a_sideways_camera_gives_horizontal_lines():
    path = camera_preset("truck_right", 2, SIZE)
    lines = epipolar_lines(fundamental_matrix(path, 0, 1), [[10, 20], [300, 383]])
    assert np.allclose(np.abs(lines), [[0, 1, 20], [0, 1, 383]]) and np.all(lines[:, 1] * lines[:, 2] < 0)


def test_a_forward_camera_gives_lines_through_the_centre():
    path = camera_preset("dolly_in", 2, SIZE)
    lines = epipolar_lines(fundamental_matrix(path, 0, 1), [[10, 20], [336, 5]])
    assert np.allclose(lines @ [336, 192, 1], 0) and np.allclose(lines[0] @ [10, 20, 1], 0)
    assert np.allclose(np.abs(lines[1]), [1, 0, 336])


def test_a_truck_allows_exactly_the_rows_within_the_thickness():
    grid = LatentGrid(2, 48, 64, 8, 1, 2, 1)  # 2 x 3 x 4 tokens
    path = camera_preset("truck_left", 2, (64, 48))
    query = [1 * 4 + 2]  # row 1 of token frame 0
    rows = epipolar_mask(path, grid, query).reshape(2, 3, 4)
    assert rows[0].all() and np.array_equal(rows[1], [[False] * 4, [True] * 4, [False] * 4])
    assert epipolar_mask(path, grid, query, thickness=1.01).all()
    assert epipolar_mask(path, grid, [0], thickness=1.01).reshape(2, 3, 4)[1].sum() == 8


def test_a_dolly_allows_the_diagonal_by_hand():
    grid = LatentGrid(2, 48, 48, 8, 1, 2, 1)  # 2 x 3 x 3 tokens, centre of the picture at (1.5, 1.5) tokens
    mask = epipolar_mask(camera_preset("dolly_in", 2, (48, 48)), grid, [0, 1, 4], thickness=0.5).reshape(3, 2, 3, 3)
    assert np.array_equal(mask[0, 1], np.eye(3, dtype=bool))
    assert np.array_equal(mask[1, 1], [[False, True, False]] * 3)
    assert mask[2, 1].all(), "the middle token lies on the epipole"


@pytest.mark.parametrize("name", ["still", "pan_left", "tilt_up", "roll", "zoom_in"])
def test_without_a_baseline_everything_is_allowed(name):
    path = camera_preset(name, 24, (168, 96))
    away = replace(path, camera_from_world=look_from(path.centres + [300, -20, 5], path.rotations))
    for cameras in (path, away):
        assert not fundamental_matrix(cameras, 0, 23).any()
        assert epipolar_mask(cameras, CLIP, np.arange(0, CLIP.num_tokens, 50)).all()


# --- properties ----------------------------------------------------------------------------------------------------


def test_swapping_the_frames_transposes_the_matrix():
    path = wandering_path(6, SIZE)
    assert np.allclose(fundamental_matrix(path, 4, 1), fundamental_matrix(path, 1, 4).T, rtol=1e-9, atol=1e-15)


def test_the_scale_of_the_world_does_not_matter():
    path = wandering_path(24, (168, 96))
    larger = replace(path, camera_from_world=look_from(path.centres * 1000, path.rotations))
    queries = np.arange(0, CLIP.num_tokens, 7)
    assert np.array_equal(epipolar_mask(path, CLIP, queries), epipolar_mask(larger, CLIP, queries))


def test_a_mirrored_clip_has_the_mirrored_mask():
    path = wandering_path(24, (168, 96))
    mirror = np.arange(CLIP.num_tokens).reshape(CLIP.token_shape)[:, :, ::-1].reshape(-1)
    queries = np.arange(0, CLIP.num_tokens, 11)
    flipped = epipolar_mask(path.flipped(), CLIP, mirror[queries])
    assert np.array_equal(flipped[:, mirror], epipolar_mask(path, CLIP, queries))


def test_a_resized_clip_has_the_same_mask():
    path = wandering_path(24, (168, 96))
    larger = LatentGrid(24, 192, 336, 8, 4, 2, 2)
    assert larger.token_shape == CLIP.token_shape
    queries = np.arange(0, CLIP.num_tokens, 11)
    assert np.array_equal(epipolar_mask(path, CLIP, queries), epipolar_mask(path.resized(336, 192), larger, queries))


def test_more_poses_and_thickness_only_add():
    path = wandering_path(24, (168, 96), seed=2, step=0.05)
    queries = np.arange(0, CLIP.num_tokens, 13)
    middle, union = (epipolar_mask(path, CLIP, queries, sub_poses=n) for n in (1, 3))
    assert (union | ~middle).all() and union.sum() > 1.1 * middle.sum()
    thick = epipolar_mask(path, CLIP, queries, thickness=1.5)
    assert (thick | ~union).all() and thick.sum() > union.sum()


def test_a_token_frame_allows_itself_and_little_else():
    path = wandering_path(24, (168, 96), seed=2, step=0.05)
    queries = np.array([0, 300, 755])
    mask = epipolar_mask(path, CLIP, queries).reshape(3, *CLIP.token_shape)
    for row, own in zip(mask, queries // (12 * 21), strict=True):
        assert row[own].all()
        assert np.delete(row, own, axis=0).mean() < 0.5


def test_sub_poses_by_hand():
    assert np.array_equal(sub_pose_frames(CLIP), [[0, 4, 7], [8, 12, 15], [16, 20, 23]])
    assert np.array_equal(sub_pose_frames(CLIP, 1), [[4], [12], [20]])
    assert sub_pose_frames(EXACT).shape == (4, 1)
    assert sub_pose_frames(CLIP, 99).shape == (3, 8)


def test_chunks_do_not_change_the_mask(monkeypatch):
    path, queries = wandering_path(24, (168, 96)), np.arange(0, CLIP.num_tokens, 5)
    whole = epipolar_mask(path, CLIP, queries)
    monkeypatch.setattr(epipolar, "_CHUNK_ELEMENTS", 7 * CLIP.num_tokens)
    assert np.array_equal(whole, epipolar_mask(path, CLIP, queries))
    assert epipolar_mask(path, CLIP, np.array([], int)).shape == (0, CLIP.num_tokens)


@pytest.mark.parametrize("seed", range(6))
def test_no_nan_leaves_whatever_the_cameras_do(seed):
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 6, 24)  # many frames repeat exactly
    path = wandering_path(6, (168, 96), seed, step=10.0 ** rng.integers(-9, 9)).subset(frames)
    turned = path.camera_from_world.copy()
    turned[::5] = np.diag([-1.0, 1, -1, 1]) @ turned[::5]  # some look the other way
    with np.errstate(all="raise", under="ignore"):
        lines = epipolar_lines_for_queries(replace(path, camera_from_world=turned), CLIP, np.arange(756))
    assert np.isfinite(lines).all()
    length = np.hypot(lines[..., 0], lines[..., 1])
    assert (np.isclose(length, 1) | (lines == 0).all(-1)).all()


def test_a_line_at_infinity_says_nothing():
    """Camera j looks at right angles to a plane that holds the query's ray and the baseline: no picture of the plane."""
    rotations = np.array([np.eye(3), [[1, 0, 0], [0, 0, 1], [0, -1, 0]]])  # the second looks down
    path = CameraPath(np.tile(np.array([[50.0, 0, 32], [0, 50, 24], [0, 0, 1]]), (2, 1, 1)),
                      look_from(np.array([[0, 0, 0], [1.0, 0, 0]]), rotations), (64, 48))  # fmt: skip
    assert not epipolar_lines(fundamental_matrix(path, 0, 1), [[10, 24]]).any()


# --- references ----------------------------------------------------------------------------------------------------


def golden_pairs():
    content = json.loads(GOLDEN.read_text())
    for pair in content["pairs"]:
        poses = np.tile(np.eye(4), (2, 1, 1))
        poses[:, :3, :3], poses[:, :3, 3:] = pair["rotations"], pair["translations"]
        yield CameraPath(pair["intrinsics"], poses, content["image_size"]), pair


def test_kornia_agrees():
    pairs = list(golden_pairs())
    assert len(pairs) == 10
    for path, pair in pairs:
        ours, theirs = fundamental_matrix(path, 0, 1), np.array(pair["fundamental"])
        baseline = np.linalg.norm(path.centres[0] - path.centres[1])
        assert np.allclose(ours * baseline, theirs, rtol=1e-9, atol=1e-15)
        lines = epipolar_lines(ours, pair["points"][0])
        assert np.allclose(lines, pair["lines_in_second"], rtol=1e-9)
        assert np.allclose(distances(lines, np.array(pair["points"][1])), pair["distance_in_second"], rtol=1e-6)


def test_opencv_agrees():
    for path, pair in golden_pairs():
        ours, points = fundamental_matrix(path, 0, 1), np.array(pair["points"][0])
        theirs = cv2.computeCorrespondEpilines(points[:, None], 1, ours)[:, 0]
        assert np.allclose(epipolar_lines(ours, points), theirs, rtol=1e-9)


def test_opencv_finds_the_same_matrix_from_matches_alone():
    path = fast_walk()
    pairs = matches(path, 0, 2, np.random.default_rng(2), 400)
    found, _ = cv2.findFundamentalMat(pairs.pixels_i, pairs.pixels_j, cv2.FM_8POINT)
    ours = fundamental_matrix(path, 0, 2)
    assert np.allclose(found / found[2, 2], ours / ours[2, 2], rtol=1e-4)


# --- one function for numpy and torch ------------------------------------------------------------------------------


def test_torch_gives_the_same_mask():
    path, queries = wandering_path(24, (168, 96), seed=2, step=0.05), np.arange(0, CLIP.num_tokens, 9)
    lines, keys = epipolar_lines_for_queries(path, CLIP, queries), token_centres(CLIP)
    ours = mask_from_lines(lines, keys, HALF_DIAGONAL)
    assert ours.shape == (len(queries), 3, 12 * 21)
    theirs = mask_from_lines(torch.from_numpy(lines), torch.from_numpy(keys), HALF_DIAGONAL)
    assert theirs.dtype == torch.bool and np.array_equal(ours, theirs.numpy())
    single = mask_from_lines(torch.from_numpy(lines).float(), torch.from_numpy(keys).float(), HALF_DIAGONAL).numpy()
    inner, outer = (mask_from_lines(lines, keys, HALF_DIAGONAL + band) for band in (-1e-3, 1e-3))
    assert (single | ~inner).all() and (outer | ~single).all()
    assert np.array_equal(ours.reshape(len(queries), -1), epipolar_mask(path, CLIP, queries, thickness=HALF_DIAGONAL))


def test_zero_lines_allow_everything_even_at_no_thickness():
    assert mask_from_lines(np.zeros((2, 1, 3)), token_centres(CLIP), 0.0).all()


# --- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "queries, options, words",
    [
        ([756], {}, "tokens 0 to 755"),
        ([-1], {}, "tokens 0 to 755"),
        ([0.5], {}, "whole token numbers"),
        ([[1]], {}, "whole token numbers"),
        ([0], {"thickness": -1}, "thickness"),
        ([0], {"thickness": float("nan")}, "thickness"),
        ([0], {"sub_poses": 0}, "at least 1"),
    ],
)
def test_bad_questions_are_refused(queries, options, words):
    with pytest.raises(InputError, match=words):
        epipolar_mask(wandering_path(24, (168, 96)), CLIP, np.array(queries), **options)


def test_cameras_of_another_clip_are_refused():
    with pytest.raises(InputError, match="12 frames, the video has 24"):
        epipolar_mask(wandering_path(12, (168, 96)), CLIP, np.array([0]))
    with pytest.raises(InputError, match="96x168, the clip has 168x96"):
        epipolar_mask(wandering_path(24, (96, 168)), CLIP, np.array([0]))
    with pytest.raises(InputError, match="frame 24"):
        fundamental_matrix(wandering_path(24, (168, 96)), 0, 24)
    with pytest.raises(InputError, match="finite pixel positions"):
        epipolar_lines(np.eye(3), [[np.nan, 1]])
