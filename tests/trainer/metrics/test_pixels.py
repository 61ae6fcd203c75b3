"""Pixel metrics by hand."""

import numpy as np
import pytest

from trainer.metrics import gradient_similarity, psnr, ssim


def grey(*values):
    """A clip of one 16x16 frame per value."""
    return np.stack([np.full((16, 16, 3), value, np.uint8) for value in values])


def test_psnr_by_hand():
    # 0 dB in one frame, equal (100 dB) in the other
    assert psnr(grey(255, 0), grey(0, 0)) == pytest.approx(50.0)


def test_psnr_inside_a_mask_sees_only_the_mask():
    truth, clip = np.zeros((1, 4, 4, 3), np.uint8), np.zeros((1, 4, 4, 3), np.uint8)
    clip[:, :2] = 51  # a fifth of the range: 10 log10(25) dB
    mask = np.zeros((1, 4, 4), bool)
    mask[:, :2] = True
    assert psnr(clip, truth, mask) == pytest.approx(10 * np.log10(25))
    assert psnr(clip, truth, ~mask) == 100.0


@pytest.mark.parametrize("noise", [5, 20])
def test_more_noise_scores_lower(noise):
    random = np.random.default_rng(0)
    truth = random.integers(50, 200, (2, 16, 16, 3), dtype=np.uint8)
    noisy = (truth + random.integers(-noise, noise + 1, truth.shape)).astype(np.uint8)
    assert psnr(noisy, truth) == pytest.approx(10 * np.log10(255**2 / ((noise * (noise + 1)) / 3)), abs=0.3)


def test_ssim_of_flat_pictures_is_the_brightness_term():
    c1 = 2.55**2
    expected = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    assert ssim(grey(100), grey(150)) == pytest.approx(expected)
    assert ssim(grey(100, 150), grey(150, 150)) == pytest.approx((expected + 1) / 2)


def test_ssim_of_one_window_by_the_formula():
    random = np.random.default_rng(0)
    a, b = random.integers(0, 256, (2, 1, 11, 11, 3), dtype=np.uint8)
    middle = np.zeros((1, 11, 11), bool)
    middle[:, 5, 5] = True  # its window is the whole picture
    bell = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights = np.outer(bell, bell) / bell.sum() ** 2
    x, y = (picture[0].transpose(2, 0, 1).astype(float) for picture in (a, b))
    mean_x, mean_y = ((weights * v).sum((1, 2)) for v in (x, y))
    dx, dy = x - mean_x[:, None, None], y - mean_y[:, None, None]
    var_x, var_y, both = ((weights * p).sum((1, 2)) for p in (dx * dx, dy * dy, dx * dy))
    c1, c2 = 2.55**2, 7.65**2
    top, bottom = (2 * mean_x * mean_y + c1) * (2 * both + c2), (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    assert ssim(a, b, middle) == pytest.approx((top / bottom).mean())


def test_ssim_at_the_edge_sees_the_picture_mirrored():
    random = np.random.default_rng(0)
    a, b = random.integers(0, 256, (2, 1, 16, 20, 3), dtype=np.uint8)
    larger = [np.pad(picture, ((0, 0), (5, 5), (5, 5), (0, 0)), mode="reflect") for picture in (a, b)]
    inside = np.zeros((1, 26, 30), bool)
    inside[:, 5:-5, 5:-5] = True
    assert ssim(a, b) == pytest.approx(ssim(*larger, inside))


def test_ssim_inside_a_mask():
    random = np.random.default_rng(0)
    truth = random.integers(0, 256, (1, 24, 40, 3), dtype=np.uint8)
    clip = truth.copy()
    clip[:, :, :15] = 0
    right = np.zeros((1, 24, 40), bool)
    right[:, :, 20:] = True  # windows reach 5 pixels beyond it
    assert ssim(clip, truth, right) == pytest.approx(1.0)
    assert ssim(clip, truth, ~right) < 0.6


def test_gradient_similarity_of_a_lost_edge():
    truth, flat = np.zeros((1, 12, 8, 3), np.uint8), np.zeros((1, 12, 8, 3), np.uint8)
    truth[:, :, 4:] = 30  # two of the eight columns see the edge, with a strength of 30
    lost = 170 / (30**2 + 170)
    assert gradient_similarity(flat, truth) == pytest.approx((6 + 2 * lost) / 8, rel=1e-4)
    left = np.zeros((1, 12, 8), bool)
    left[:, :, :3] = True
    assert gradient_similarity(flat, truth, left) == 1.0
    assert gradient_similarity(truth, truth) == 1.0


@pytest.mark.parametrize("metric", [psnr, ssim, gradient_similarity])
def test_an_empty_mask_says_nothing_and_shapes_must_fit(metric):
    clip = grey(1, 2)
    assert np.isnan(metric(clip, clip, np.zeros(clip.shape[:3], bool)))
    with pytest.raises(ValueError, match="expected the same"):
        metric(clip, clip[:1])
    with pytest.raises(ValueError, match="mask of shape"):
        metric(clip, clip, np.zeros((1, 16, 16), bool))
