"""The Frechet distance by hand, and features without a network."""

import numpy as np
import pytest

from tests.trainer.metrics.conftest import blurred, frozen, shuffled
from trainer.metrics import Gaussian, Moments, frechet_distance
from trainer.metrics.frechet import flow_features, patch_features
from trainer.metrics.motion import dense_flow


def gaussian(mean, covariance):
    return Gaussian(np.array(mean, float), np.array(covariance, float))


HAND_COMPUTED = {
    "equal": (gaussian([1, 2], [[5, 4], [4, 5]]), gaussian([1, 2], [[5, 4], [4, 5]]), 0),
    "means only": (gaussian([0, 0], np.eye(2)), gaussian([3, 4], np.eye(2)), 25),
    "one dimension": (gaussian([1], [[4]]), gaussian([3], [[25]]), 2**2 + (2 - 5) ** 2),
    # the root of [[5, 4], [4, 5]] (eigenvalues 9 and 1) has trace 4
    "one is the unit": (gaussian([0, 0], np.eye(2)), gaussian([0, 0], [[5, 4], [4, 5]]), 2 + 10 - 2 * 4),
    # they do not commute: the root of [[20, 8], [8, 5]] (trace 25, determinant 36) has trace sqrt(25 + 2 * 6)
    "askew": (gaussian([0, 0], [[4, 0], [0, 1]]), gaussian([0, 0], [[5, 4], [4, 5]]), 5 + 10 - 2 * np.sqrt(37)),
    "one is a point": (gaussian([0, 0], np.zeros((2, 2))), gaussian([1, 0], [[5, 4], [4, 5]]), 1 + 10),
}


@pytest.mark.parametrize("case", HAND_COMPUTED)
def test_frechet_distance_by_hand(case):
    a, b, expected = HAND_COMPUTED[case]
    assert frechet_distance(a, b) == pytest.approx(expected, abs=1e-6)
    assert frechet_distance(b, a) == pytest.approx(expected, abs=1e-6)


def test_gaussians_of_other_dimensions_have_no_distance():
    with pytest.raises(ValueError, match="dimensions"):
        frechet_distance(gaussian([0], [[1]]), gaussian([0, 0], np.eye(2)))


def test_moments_in_batches_are_those_of_the_whole_even_far_from_zero():
    features = np.random.default_rng(0).normal(1e6, 0.5, (500, 3)) @ np.array([[1, 0.5, 0], [0, 1, 0], [0, 0, 2]])
    moments = Moments()
    for part in (features[:7], features[7:7], features[7:300], features[300:]):
        moments.add(part)
    assert moments.gaussian().mean == pytest.approx(features.mean(0), rel=1e-12)
    assert moments.gaussian().covariance == pytest.approx(np.cov(features, rowvar=False), rel=1e-6)


def test_one_sample_is_no_gaussian():
    moments = Moments()
    moments.add(np.ones((1, 4)))
    assert moments.gaussian() is None


def test_patches_hold_the_picture():
    clip = np.random.default_rng(0).integers(0, 256, (2, 16, 24, 3), dtype=np.uint8)
    found = patch_features(clip)
    assert found.shape == (2 * 2 * 3, 108)
    first = clip[0, :6, 8:14].transpose(2, 0, 1).reshape(-1) / 255
    assert (found == first).all(1).any()


def distance(features, clip, truth):
    made, true = Moments(), Moments()
    made.add(features(clip))
    true.add(features(truth))
    return frechet_distance(made.gaussian(), true.gaussian())


def test_patches_notice_blur_but_not_order(crane):
    assert distance(patch_features, crane.video, crane.video) == pytest.approx(0, abs=1e-6)
    assert distance(patch_features, shuffled(crane), crane.video) == pytest.approx(0, abs=1e-6)
    assert distance(patch_features, blurred(crane), crane.video) > 0.01


def steps(clip):
    return flow_features(dense_flow(clip))


def test_flow_notices_order_and_stillness_more_than_blur(crane):
    blur, still, order = (distance(steps, make(crane), crane.video) for make in (blurred, frozen, shuffled))
    assert distance(steps, crane.video, crane.video) == pytest.approx(0, abs=1e-6)
    assert 0 < 2 * blur < still < order


def test_two_frames_have_no_two_steps():
    assert steps(np.zeros((2, 32, 48, 3), np.uint8)).shape == (0, 36)
    assert steps(np.zeros((1, 32, 48, 3), np.uint8)).shape == (0, 36)


def test_flow_features_by_hand():
    flow = np.zeros((3, 30, 60, 2), np.float32)
    flow[1, :10, :20] = (6, -3)  # the first cell in the middle step: 10 % and -5 % of the longer side
    expected = np.zeros((2, 36))
    expected[0, 18:20] = expected[1, :2] = (10, -5)
    assert flow_features(flow) == pytest.approx(expected, abs=1e-5)
