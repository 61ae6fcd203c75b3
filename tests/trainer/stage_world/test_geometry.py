"""The labels are exact: what is projected with the stored cameras lands where the pictures and the depth say."""

import numpy as np
import pytest

from tests.trainer.stage_world.clips import small_clip

SEEDS = range(8)


def _project(clip, frame: int, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [N,2] and depths [N] of world points [N,3]."""
    camera = clip.camera_from_world[frame]
    seen = points @ camera[:3, :3].T + camera[:3, 3]
    pixels = seen @ clip.intrinsics_px[frame].T
    return pixels[:, :2] / pixels[:, 2:], seen[:, 2]


def _lift(clip, frame: int, rows: np.ndarray, columns: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """World points of pixel centres."""
    homogeneous = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], axis=1)
    seen = homogeneous @ np.linalg.inv(clip.intrinsics_px[frame]).T * depth[:, None]
    camera = clip.camera_from_world[frame]
    return (seen - camera[:3, 3]) @ camera[:3, :3]


@pytest.mark.parametrize("seed", SEEDS)
def test_world_joints_project_onto_pixel_joints(seed):
    clip = small_clip(seed)
    for frame in range(8):
        pixels, depth = _project(clip, frame, clip.joints_world[frame].astype(np.float64))
        assert np.abs(pixels - clip.joints_px[frame])[depth > 0.1].max() < 0.01


@pytest.mark.parametrize("seed", SEEDS)
def test_cameras_are_rotations_above_the_ground(seed):
    clip = small_clip(seed)
    rotation = clip.camera_from_world[:, :3, :3]
    assert np.abs(rotation @ rotation.transpose(0, 2, 1) - np.eye(3)).max() < 1e-10
    assert np.abs(np.linalg.det(rotation) - 1).max() < 1e-10
    assert (clip.camera_from_world[:, 3] == [0, 0, 0, 1]).all()
    height = (rotation.transpose(0, 2, 1) @ clip.camera_from_world[:, :3, 3:])[:, 1, 0]
    assert (height > 0.2).all(), "up is -y, so a camera above the ground has a negative y"
    assert (rotation[:, 1, 1] > 0.5).all(), "the picture's down is the world's down"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("target", [3, 7])
def test_background_pixels_are_the_same_surface_in_another_frame(seed, target):
    clip = small_clip(seed)
    rows, columns = (grid.ravel() for grid in np.mgrid[0:64, 0:112])
    depth = clip.background_depth[0]
    points = _lift(clip, 0, rows, columns, depth[rows, columns].astype(np.float64))
    pixels, z = _project(clip, target, points)
    inside = (z > 0.1) & (pixels >= 1.5).all(axis=1) & (pixels < np.array([110.5, 62.5])).all(axis=1)
    assert inside.mean() > 0.15
    x, y = np.floor(pixels[inside]).astype(int).T
    around = np.stack([clip.background_depth[target][y + dy, x + dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
    z = z[inside]
    assert (z < around.min(axis=0) * 0.99).mean() < 0.005, "no surface stands before the one that the depth shows"
    same = (z > around.min(axis=0) * 0.99) & (z < around.max(axis=0) * 1.01)
    occluded = z > around.max(axis=0) * 1.01
    assert same.sum() / max(1, (~occluded).sum()) > 0.97
    assert occluded.mean() < 0.3


@pytest.mark.parametrize("seed", SEEDS)
def test_a_surface_keeps_its_colour(seed):
    clip = small_clip(seed)
    rows, columns = (grid.ravel() for grid in np.mgrid[0:64, 0:112])
    points = _lift(clip, 0, rows, columns, clip.background_depth[0][rows, columns].astype(np.float64))
    pixels, z = _project(clip, 2, points)
    inside = (z > 0.1) & (pixels >= 1).all(axis=1) & (pixels < np.array([111, 63])).all(axis=1)
    at = pixels[inside] - 0.5
    x, y = np.floor(at).astype(int).T
    fx, fy = (at - np.floor(at)).T[..., None]
    picture = clip.background_video[2].astype(float)
    top = picture[y, x] * (1 - fx) + picture[y, x + 1] * fx
    bottom = picture[y + 1, x] * (1 - fx) + picture[y + 1, x + 1] * fx
    gap = np.abs(top * (1 - fy) + bottom * fy - clip.background_video[0].reshape(-1, 3)[inside]).mean(axis=1)
    visible = np.abs(z[inside] / clip.background_depth[2][y, x] - 1) < 0.03
    assert np.median(gap[visible]) < 6 and np.quantile(gap[visible], 0.9) < 24


@pytest.mark.parametrize("seed", SEEDS)
def test_seen_joints_lie_on_the_person(seed):
    clip = small_clip(seed)
    frames, joints = np.nonzero(clip.joint_confidence[:, 5:17] == 1.0)
    joints += 5
    column, row = np.floor(clip.joints_px[frames, joints]).astype(int).T
    assert clip.human_mask[frames, row, column].mean() > 0.9
    z = np.einsum("nj,nj->n", clip.camera_from_world[frames, 2, :3], clip.joints_world[frames, joints])
    z += clip.camera_from_world[frames, 2, 3]
    on_person = clip.human_mask[frames, row, column]
    assert (z > clip.depth[frames, row, column] - 0.03)[on_person].mean() > 0.97, "joints lie inside the body"


def test_confidence_follows_visibility():
    outside = behind = hidden = 0
    for seed in range(20):
        clip = small_clip(seed)
        off = (clip.joints_px < 0).any(-1) | (clip.joints_px[..., 0] >= 112) | (clip.joints_px[..., 1] >= 64)
        assert (clip.joint_confidence[off] == 0).all()
        outside += off.sum()
        nose_away = clip.joint_confidence[:, 0] == 0
        assert (clip.joint_confidence[nose_away][:, 23:91] == 0).all()
        behind += nose_away.sum()
        frames, joints = np.nonzero(np.isclose(clip.joint_confidence, 0.4))
        column, row = np.floor(clip.joints_px[frames, joints]).astype(int).T
        z = np.einsum("nj,nj->n", clip.camera_from_world[frames, 2, :3], clip.joints_world[frames, joints])
        assert (clip.background_depth[frames, row, column] < z + clip.camera_from_world[frames, 2, 3]).all()
        hidden += len(frames)
    assert outside > 0 and behind > 0


def test_moving_cameras_move_the_background_and_still_ones_do_not():
    still = small_clip(1, action="dance", photographer="hold")
    assert np.array_equal(still.background_video[0], still.background_video[-1])
    follow = small_clip(1, action="walk", photographer="follow")
    rows, columns = np.array([10, 20]), np.array([40, 60])
    points = _lift(follow, 0, rows, columns, follow.background_depth[0][rows, columns].astype(np.float64))
    moved = np.linalg.norm(_project(follow, 7, points)[0] - np.stack([columns + 0.5, rows + 0.5], axis=1), axis=1)
    assert (moved > 2).all()
