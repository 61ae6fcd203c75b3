"""Means and intervals: by hand, by their properties, and by how often they hold the truth."""

import numpy as np
import pytest

from trainer.ablation.statistics import LEVEL, bootstrap_mean, paired_difference

NAN = float("nan")


def test_the_mean_is_over_what_can_be_told():
    assert bootstrap_mean(np.array([[1.0, NAN], [3.0, 5.0]])).mean == 3.0
    assert np.isnan(bootstrap_mean(np.full((2, 2), NAN)).mean)


def test_equal_numbers_have_no_spread_and_one_number_tells_of_none():
    interval = bootstrap_mean(np.full((3, 4), 2.5))
    assert (interval.low, interval.mean, interval.high) == (2.5, 2.5, 2.5)
    alone = bootstrap_mean(np.array([[2.0]]))
    assert alone.mean == 2.0 and np.isnan(alone.low) and not alone.excludes_zero


def test_what_rows_have_in_common_cancels_out():
    random = np.random.default_rng(0)
    common = random.normal(0, 10, (3, 20))
    better = paired_difference(common + 1 + random.normal(0, 0.1, (3, 20)), common)
    assert better.excludes_zero and better.mean == pytest.approx(1, abs=0.05)
    assert not bootstrap_mean(common + 1).excludes_zero


def test_clips_are_resampled_as_wholes():
    """Trainings that agree on every clip say no more than one of them."""
    clips = np.random.default_rng(1).normal(size=20)
    one, three = bootstrap_mean(clips[None]), bootstrap_mean(np.tile(clips, (3, 1)))
    assert three.high - three.low == pytest.approx(one.high - one.low, rel=0.05)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    random, held = np.random.default_rng(2), 0
    for trial in range(200):
        interval = bootstrap_mean(random.normal(0, 1, (1, 24)), seed=trial)
        held += interval.low <= 0 <= interval.high
    assert LEVEL - 0.06 <= held / 200 <= LEVEL + 0.04
