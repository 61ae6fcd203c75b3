"""Means with bootstrap intervals over trainings and clips, and paired differences between rows.

Scores are float64 [S, C]: S trainings (seeds), each measured on the same C clips; NaN where a number cannot be told.
"""

from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
RESAMPLES = 4000


@dataclass(frozen=True)
class Interval:
    """A mean and the interval around it."""

    mean: float
    """NaN if there is no number."""
    low: float
    """NaN if nothing can be said of the spread: fewer than two seeds and fewer than two clips."""
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def bootstrap_mean(scores: np.ndarray, seed: int = 0) -> Interval:
    """Mean of `scores` [S, C] with a percentile interval: seeds and clips are drawn anew, each with replacement.

    Both are a sample; with a single one of either, only the other is drawn. One fewer is drawn than there are, or the spread of
    few would come out too small. What few seeds cannot tell, no drawing can: where trainings differ more than clips do, three of
    them give an interval that holds the truth in about 8 cases of 10 in place of 9.5. Source: Owen 2007 (the pigeonhole
    bootstrap), Rao and Wu 1988 (n - 1 draws).
    """
    told = np.isfinite(scores)
    if not told.any():
        return Interval(float("nan"), float("nan"), float("nan"))
    values = np.where(told, scores, 0.0)
    mean = float(values.sum() / told.sum())
    if max(scores.shape) < 2:
        return Interval(mean, float("nan"), float("nan"))
    random = np.random.default_rng(seed)
    by_seed, by_clip = (_times_drawn(random, size) for size in scores.shape)
    sums = np.einsum("rs,sc,rc->r", by_seed, values, by_clip, optimize=True)
    counts = np.einsum("rs,sc,rc->r", by_seed, told.astype(np.float64), by_clip, optimize=True)
    means = sums[counts > 0] / counts[counts > 0]
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(mean, float(low), float(high))


def paired_difference(scores: np.ndarray, reference: np.ndarray, seed: int = 0) -> Interval:
    """Mean of `scores - reference`, both [S, C] of the same seeds and clips: what both have in common cancels out."""
    return bootstrap_mean(scores - reference, seed)


def _times_drawn(random: np.random.Generator, size: int) -> np.ndarray:
    """float64 [RESAMPLES, size]: how often each of `size` things is drawn in one draw fewer than that."""
    return random.multinomial(max(1, size - 1), np.full(size, 1 / size), RESAMPLES).astype(np.float64)
