"""Which rows a training step looks at: background only, evenly drawn, with the mask that the pictures show."""

import numpy as np
import pytest
import torch

from animateanywhere.config import EpipolarConfig
from animateanywhere.epipolar_loss import draw_constraint
from animateanywhere.epipolar_rows import background_tokens, query_rows, sample_layers, systematic_sample
from animateanywhere.errors import InputError
from animateanywhere.geometry.cameras import CameraPath
from animateanywhere.geometry.epipolar import epipolar_mask
from animateanywhere.latent_grid import LatentGrid

GRID = LatentGrid(16, 32, 48, 4, 4, 2, 2)
"""Two token frames of 4 x 6 tokens."""


def sideways(step=0.1):
    """A camera that slides to the right past whatever it films and turns a little."""
    poses = np.repeat(np.eye(4)[None], 16, 0)
    for t, pose in enumerate(poses):
        c, s = np.cos(0.01 * t), np.sin(0.01 * t)
        pose[:3, :3] = [[c, 0, -s], [0, 1, 0], [s, 0, c]]
        pose[0, 3] = -step * t
    intrinsics = np.repeat(np.array([[40.0, 0, 24], [0, 40, 16], [0, 0, 1]])[None], 16, 0)
    return CameraPath(intrinsics, poses, (48, 32))


def rows_of(config, background=None, path=None, seed=0):
    background = torch.ones(GRID.num_tokens, dtype=torch.bool) if background is None else background
    return query_rows(path or sideways(), GRID, background, config, torch.Generator().manual_seed(seed))


def test_every_number_is_drawn_equally_often():
    for total, count in ((10, 4), (7, 7), (42, 8), (5, 1)):
        draws = [systematic_sample(total, count, (phase + 0.5) / 840) for phase in range(840)]
        counts = torch.bincount(torch.cat(draws), minlength=total)
        assert all(len(set(draw.tolist())) == count for draw in draws)
        assert (counts - 840 * count / total).abs().max() <= 2, (total, count)


def test_layers_are_spread_and_never_more_than_there_are():
    generator = torch.Generator().manual_seed(0)
    drawn = [sample_layers(42, EpipolarConfig(num_layers=8), generator) for _ in range(50)]
    assert all(len(set(d)) == 8 and max(np.diff(d)) <= 6 for d in drawn) and len(set(drawn)) > 3
    assert sample_layers(3, EpipolarConfig(num_layers=8), generator) == (0, 1, 2)


def test_background_leaves_out_the_person_and_a_margin():
    mask = np.zeros((16, 32, 48), bool)
    mask[11, 9, 17] = True  # one pixel in one frame: token (1, 1, 2)
    bare = background_tokens(mask, GRID, margin=0).view(2, 4, 6)
    assert (~bare).nonzero().tolist() == [[1, 1, 2]]
    wide = background_tokens(mask, GRID, margin=1).view(2, 4, 6)
    assert wide[0].all() and not wide[1, :3, 1:4].any() and int((~wide).sum()) == 9
    with pytest.raises(InputError, match="human mask"):
        background_tokens(mask[:8], GRID)


def test_rows_are_background_and_their_mask_is_the_pictures_mask():
    background = torch.rand(GRID.num_tokens, generator=torch.Generator().manual_seed(1)) < 0.6
    for sub_poses in (1, 3):
        rows = rows_of(EpipolarConfig(row_share=0.5, sub_poses=sub_poses), background)
        assert background[rows.tokens].all() and len(rows.tokens) == int((background.sum() + 1) // 2)
        expected = epipolar_mask(sideways(), GRID, rows.tokens.numpy(), sub_poses=sub_poses)
        got = rows.allowed.rows(slice(None)).flatten(1).numpy()
        assert np.array_equal(got, expected) and not expected.all() and expected.any()
        assert np.array_equal(rows.allowed.rows(slice(3, 5)).flatten(1).numpy(), expected[3:5])
    assert float(rows.weights.sum()) == pytest.approx(1)
    assert torch.equal(rows.frames, rows.tokens // 24)


def test_other_draws_take_other_rows_and_the_same_seed_the_same():
    config = EpipolarConfig(row_share=0.2)
    assert torch.equal(rows_of(config, seed=4).tokens, rows_of(config, seed=4).tokens)
    assert len({tuple(rows_of(config, seed=s).tokens.tolist()) for s in range(20)}) > 3


def test_still_camera_allows_everything():
    rows = rows_of(EpipolarConfig(), path=sideways(step=0.0))
    assert rows.allowed.rows(slice(None)).all()


def test_no_background_no_rows():
    assert rows_of(EpipolarConfig(), torch.zeros(GRID.num_tokens, dtype=torch.bool)) is None
    assert rows_of(EpipolarConfig(row_share=0)) is None
    assert len(rows_of(EpipolarConfig(row_share=1e-6)).tokens) == 1


def test_step_without_cameras_or_weight_asks_for_nothing():
    background = torch.ones(GRID.num_tokens, dtype=torch.bool)
    person_everywhere = ~background

    def draw(cameras, config, backgrounds=(background, background)):
        return draw_constraint(cameras, backgrounds, GRID, 6, config, torch.Generator().manual_seed(0))

    some = draw((None, sideways()), EpipolarConfig(num_layers=2))
    assert some.clips[0] is None and len(some.clips[1].tokens) == 6 and len(some.layers) == 2
    assert draw((None, None), EpipolarConfig()) is None
    assert draw((sideways(), None), EpipolarConfig(), (person_everywhere, background)) is None
    assert draw((sideways(), None), EpipolarConfig(weight=0)) is None
    assert draw((sideways(), None), EpipolarConfig(mode="off")) is None
    with pytest.raises(InputError):
        draw((sideways().subset(range(8)), None), EpipolarConfig())
