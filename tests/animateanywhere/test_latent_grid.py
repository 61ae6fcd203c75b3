"""Frame counts and token grids, by hand."""

import pytest

from animateanywhere.errors import InputError
from animateanywhere.latent_grid import LatentGrid, snap_num_frames


@pytest.mark.parametrize(
    "requested, snapped",
    [(1, 8), (8, 8), (11, 8), (12, 16), (24, 24), (45, 48), (49, 48), (77, 80), (81, 80), (999, 80)],
)
def test_snapping(requested, snapped):
    assert snap_num_frames(requested, 80) == snapped


def test_the_papers_grid():
    grid = LatentGrid(48, 768, 1360, 8, 4, 2, 2)
    assert grid.latent_shape == (12, 96, 170)
    assert grid.token_shape == (6, 48, 85)
    assert grid.num_tokens == 24_480
    assert grid.token_stride_px == 16
    assert grid.frames_of_token(2) == range(16, 24)


@pytest.mark.parametrize("size", [(45, 768, 1360), (48, 760, 1360), (48, 768, 1352)])
def test_sizes_off_the_grid_are_refused(size):
    with pytest.raises(InputError, match="multiple"):
        LatentGrid(*size, 8, 4, 2, 2)
