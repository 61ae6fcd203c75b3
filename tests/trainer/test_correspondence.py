"""Where background points come from, against stage world's pictures, and the loss against a slow twin."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from animateanywhere.epipolar_rows import background_tokens
from animateanywhere.errors import InputError
from animateanywhere.geometry.cameras import CameraPath
from animateanywhere.latent_grid import LatentGrid
from animateanywhere.models.attention_probe import KeyLayout
from trainer.correspondence import CorrespondenceLoss, Matches, correspondence_loss, find_matches
from trainer.dataset import sparse_depth
from trainer.objectives import noisier
from trainer.stage_world.render import render_clip

GRID = LatentGrid(24, 96, 168, spatial_compression=4, temporal_compression=4, patch_size=2, patch_size_t=2)
CELL = GRID.token_stride_px


@pytest.fixture(scope="module")
def clip():
    """The first whose camera moves by half a metre."""
    for seed in range(20):
        made = render_clip(seed, num_frames=24, width=168, height=96, fps=8.0, textures="procedural")
        way = np.linalg.norm(made.camera_from_world[-1, :3, 3] - made.camera_from_world[0, :3, 3])
        if way > 0.5:
            return made
    raise AssertionError("no clip with a moving camera among 20 seeds")


def path_of(clip):
    return CameraPath(clip.intrinsics_px, clip.camera_from_world, (168, 96), clip.fps)


def matches_of(clip, path=None):
    background = background_tokens(clip.human_mask, GRID)
    return find_matches(path or path_of(clip), sparse_depth(clip.background_depth), background, GRID)


def cell(picture, y, x):
    return picture[y * CELL : (y + 1) * CELL, x * CELL : (x + 1) * CELL].reshape(-1, 3).mean(0)


def colour_errors(clip, matches):
    """Mean difference in grey levels between what a token shows and what its place in frame 0 shows, and what the same
    cell of frame 0 shows."""
    moved, unmoved = [], []
    for token, places in zip(matches.tokens.tolist(), matches.places, strict=True):
        k, y, x = token // 252, token % 252 // 21, token % 21
        seen = cell(clip.background_video[8 * k + 4], y, x)
        there = [cell(clip.background_video[0], p // 21, p % 21) for p in places.nonzero().flatten().tolist()]
        moved.append(np.abs(np.mean(there, 0) - seen).mean())
        unmoved.append(np.abs(cell(clip.background_video[0], y, x) - seen).mean())
    return np.mean(moved), np.mean(unmoved)


def test_a_tokens_place_shows_what_the_token_shows(clip):
    matches = matches_of(clip)
    assert len(matches.tokens) > 100
    assert matches.tokens.min() >= 252, "tokens of frame 0 need no place there"
    counts = matches.places.sum(1)
    assert counts.min() >= 1 and counts.max() <= 4
    moved, unmoved = colour_errors(clip, matches)
    assert moved < 0.6 * unmoved


def test_a_wrong_camera_gives_wrong_places(clip):
    path = path_of(clip)
    backwards = replace(path, camera_from_world=path.camera_from_world[::-1].copy())
    right, _ = colour_errors(clip, matches_of(clip))
    wrong, _ = colour_errors(clip, matches_of(clip, backwards))
    assert right < 0.6 * wrong


def test_a_still_camera_leaves_everything_in_place(clip):
    still = replace(path_of(clip), camera_from_world=np.repeat(clip.camera_from_world[:1], 24, 0))
    depth = np.repeat(sparse_depth(clip.background_depth)[:1], 24, 0)
    matches = find_matches(still, depth, torch.ones(GRID.num_tokens, dtype=torch.bool), GRID)
    assert matches.tokens.tolist() == list(range(252, 756))
    assert torch.equal(matches.places, torch.eye(252, dtype=torch.bool).repeat(2, 1))


def test_a_point_behind_what_stands_in_frame_0_has_no_place():
    intrinsics = np.repeat(np.array([[100.0, 0, 84], [0, 100.0, 48], [0, 0, 1]])[None], 24, 0)
    path = CameraPath(intrinsics, np.repeat(np.eye(4)[None], 24, 0), (168, 96), 8.0)
    depth = np.full((24, 24, 42), 5.0, np.float16)
    depth[0, :, :21] = 2.0  # a wall on the left of frame 0 only
    matches = find_matches(path, depth, torch.ones(GRID.num_tokens, dtype=torch.bool), GRID)
    assert set((matches.tokens % 21).tolist()) == set(range(10, 21))


def test_a_camera_that_turns_away_leaves_no_match():
    intrinsics = np.repeat(np.array([[100.0, 0, 84], [0, 100.0, 48], [0, 0, 1]])[None], 24, 0)
    poses = np.repeat(np.eye(4)[None], 24, 0)
    poses[4:, :3, :3] = np.diag([-1.0, 1.0, -1.0])
    path = CameraPath(intrinsics, poses, (168, 96), 8.0)
    depth = np.full((24, 24, 42), 5.0, np.float16)
    everything = torch.ones(GRID.num_tokens, dtype=torch.bool)
    assert find_matches(path, depth, everything, GRID) is None
    with pytest.raises(InputError, match="24 frames"):
        find_matches(path, depth[:8], everything, GRID)


def random_matches(num_rows=5):
    places = torch.zeros(num_rows, 6, dtype=torch.bool)
    places[torch.arange(num_rows), torch.arange(num_rows) % 6] = True
    places[0, 4] = True
    return Matches(torch.arange(6, 6 + num_rows), places, (2, 2, 3))


def test_the_loss_equals_a_slow_twin():
    torch.manual_seed(0)
    matches, layout = random_matches(), KeyLayout(3, (2, 2, 3), 4)
    query, key = torch.randn(2, 5, 8, dtype=torch.float64), torch.randn(2, layout.num_keys, 8, dtype=torch.float64)
    total = 0.0
    for row in range(5):
        mass = 0.0
        for head in range(2):
            logits = [float(query[head, row] @ key[head, k]) / math.sqrt(8) for k in range(layout.num_keys)]
            weights = [math.exp(logit) for logit in logits]
            chosen = [3 + place for place in range(6) if matches.places[row, place]]
            mass += sum(weights[k] for k in chosen) / sum(weights) / 2
        total -= math.log(mass) / 5
    assert float(correspondence_loss(query, key, matches, layout)) == pytest.approx(total)


def test_going_down_the_loss_moves_attention_to_the_place():
    torch.manual_seed(0)
    matches, text, reference = random_matches(), 3, 4
    query = torch.randn(1, text + 12, 2, 8, requires_grad=True)
    key = torch.randn(1, text + 12 + reference, 2, 8, requires_grad=True)
    loss = CorrespondenceLoss((matches,), (0,))
    optimizer = torch.optim.Adam([query, key], 0.1)
    first = float(loss(query, key, text))
    for _ in range(60):
        optimizer.zero_grad()
        value = loss(query, key, text)
        value.backward()
        optimizer.step()
    assert float(value.detach()) < 0.1 < first
    assert float(CorrespondenceLoss((None,), (0,))(query, key, text)) == 0.0


def test_some_rows_are_spread_over_all():
    assert random_matches(5).some(0.5, 0.0).tokens.tolist() == [6, 7, 9]
    assert len(random_matches(5).some(0.01, 0.9).tokens) == 1


def test_noisier_timesteps():
    timestep = torch.arange(1000)
    assert torch.equal(noisier(timestep, 1.0), timestep)
    moved = noisier(timestep, 2.0)
    assert 0 <= moved.min() and moved.max() <= 999 and (moved.diff() >= 0).all()
    assert float(moved.double().mean()) == pytest.approx(
        1000 * (2 - 2 * math.log(2)), abs=1
    )  # the integral of 2u/(1+u)
