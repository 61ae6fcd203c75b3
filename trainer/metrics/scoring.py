"""Rows of the table applied to a model's clips and to a baseline's, and summed up."""

from dataclasses import dataclass

import numpy as np

from trainer.metrics.frechet import Moments, frechet_distance
from trainer.metrics.table import Comparison, Metric, SetMetric, Truth
from trainer.metrics.weights import Networks


@dataclass(frozen=True)
class Scores:
    """One metric of one clip; NaN where it cannot be told."""

    model: float
    frozen: float


@dataclass(frozen=True)
class MetricSummary:
    """One metric over all clips."""

    name: str
    unit: str
    higher_is_better: bool
    meaning: str
    model: float
    """Mean over the clips that both have a number for (a set metric: of the whole set); NaN if there is none."""
    frozen: float
    num_clips: int
    """Clips that both have a number for."""
    better_than_frozen: float
    """Share of these clips in which the model is strictly better; NaN for metrics of sets."""


class Scoreboard:
    """Collects clip by clip."""

    def __init__(self, rows: tuple[Metric | SetMetric, ...], networks: Networks):
        self._rows, self._networks = rows, networks
        self._scores: dict[str, list[Scores]] = {row.name: [] for row in rows if isinstance(row, Metric)}
        sets = (row.name for row in rows if isinstance(row, SetMetric))
        self._sets = {name: {who: Moments() for who in ("model", "frozen", "truth")} for name in sets}
        self._clips = 0

    def add(self, truth: Truth, model: np.ndarray, frozen: np.ndarray) -> dict[str, Scores]:
        """Measure one clip, uint8 `[T, H, W, 3]`; its own numbers by name. Raises ValueError on other shapes."""
        self._clips += 1
        clips = (("model", model), ("frozen", frozen), ("truth", truth.video))
        beside = {who: Comparison(clip, truth) for who, clip in clips}
        found = {}
        for row in self._rows:
            if isinstance(row, Metric):
                found[row.name] = Scores(*(row.measure(beside[who], self._networks) for who in ("model", "frozen")))
                self._scores[row.name].append(found[row.name])
            else:
                for who, comparison in beside.items():
                    self._sets[row.name][who].add(row.features(comparison, self._networks))
        return found

    def summary(self) -> tuple[MetricSummary, ...]:
        """In the rows' order."""
        return tuple(self._of_clips(row) if isinstance(row, Metric) else self._of_set(row) for row in self._rows)

    def _of_clips(self, row: Metric) -> MetricSummary:
        pairs = np.array([(s.model, s.frozen) for s in self._scores[row.name]], np.float64).reshape(-1, 2)
        told = pairs[np.isfinite(pairs).all(1)]
        if not len(told):
            return self._summary(row, float("nan"), float("nan"), 0, float("nan"))
        ahead = (told[:, 0] - told[:, 1]) * (1 if row.higher_is_better else -1)
        return self._summary(row, *map(float, told.mean(0)), len(told), float((ahead > 0).mean()))

    def _of_set(self, row: SetMetric) -> MetricSummary:
        model, frozen = (self._distance(row.name, who) for who in ("model", "frozen"))
        return self._summary(row, model, frozen, self._clips, float("nan"))

    def _distance(self, name: str, who: str) -> float:
        made, true = (self._sets[name][side].gaussian() for side in (who, "truth"))
        return float("nan") if made is None or true is None else frechet_distance(made, true)

    @staticmethod
    def _summary(
        row: Metric | SetMetric, model: float, frozen: float, num_clips: int, better_than_frozen: float
    ) -> MetricSummary:
        return MetricSummary(
            row.name, row.unit, row.higher_is_better, row.meaning, model, frozen, num_clips, better_than_frozen
        )
