"""Holes filled with patches of what is around them."""

import numpy as np
import pytest

from animateanywhere.clean_background import painted_over
from animateanywhere.patch_fill import filled

SIZE = (120, 200)


def scene() -> np.ndarray:
    """uint8 [120, 200, 3]: bricks below a bright sky, with joints every 8 and 16 pixels."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    bricks = np.where((y % 8 < 1) | ((x + 8 * (y // 8 % 2)) % 16 < 1), 60, 150)
    picture = np.repeat(np.where(y < 40, 220, bricks)[..., None], 3, axis=2)
    return (picture * [1.0, 0.8, 0.7]).astype(np.uint8)


def spoilt(rows=slice(30, 96), columns=slice(70, 120)) -> tuple[np.ndarray, np.ndarray]:
    hole = np.zeros(SIZE, bool)
    hole[rows, columns] = True
    picture = scene()
    picture[hole] = (0, 255, 0)
    return picture, hole


def contrast(picture: np.ndarray, where: np.ndarray) -> float:
    return float(picture[..., 0][where].astype(float).std())


def test_a_large_hole_gets_the_texture_around_it_where_smooth_paint_has_none():
    picture, hole = spoilt()
    clean = filled(picture, hole)
    assert np.array_equal(clean[~hole], picture[~hole])
    wall = hole & (np.mgrid[: SIZE[0], : SIZE[1]][0] > 48)
    wrong = [np.abs(made.astype(int) - scene())[wall].mean() for made in (clean, painted_over(picture, hole))]
    assert 0.9 < contrast(clean, wall) / contrast(scene(), wall) < 1.1 and wrong[0] < 0.4 * wrong[1], wrong
    assert clean[hole].max() <= 230 and (clean[..., 1] < 200).all(), "nothing of what was there"


def test_sky_stays_above_and_the_wall_below():
    picture, hole = spoilt(rows=slice(10, 110))
    clean = filled(picture, hole)
    assert clean[12:34, 75:115, 0].mean() > 200 > 160 > clean[46:108, 75:115, 0].mean()


def test_the_same_picture_is_filled_the_same_way_twice():
    picture, hole = spoilt()
    assert np.array_equal(filled(picture, hole), filled(picture, hole))


@pytest.mark.parametrize("columns", [slice(0, 60), slice(150, 200), slice(3, 197)])
def test_holes_at_the_edge_and_nearly_everywhere(columns):
    picture, hole = spoilt(slice(0, 120), columns)
    clean = filled(picture, hole)
    assert clean.shape == picture.shape and np.array_equal(clean[~hole], picture[~hole])
    assert (clean[hole] != (0, 255, 0)).any(1).mean() > 0.99


@pytest.mark.parametrize("size", [(9, 14), (16, 16), (30, 500)])
def test_small_and_long_pictures(size):
    picture = np.full((*size, 3), 90, np.uint8)
    hole = np.zeros(size, bool)
    hole[3:6, 4:9] = True
    picture[hole] = 255
    assert np.abs(filled(picture, hole).astype(int) - 90).max() <= 2


def test_without_a_hole_nothing_changes():
    assert np.array_equal(filled(scene(), np.zeros(SIZE, bool)), scene())
