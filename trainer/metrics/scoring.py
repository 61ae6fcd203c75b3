"""Rows of the table applied to a model's clips and to what stands beside them, and summed up."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from trainer.metrics.frechet import Moments, frechet_distance
from trainer.metrics.table import Comparison, Metric, SetMetric, Truth
from trainer.metrics.weights import Networks


@dataclass(frozen=True)
class Scores:
    """One metric of one clip; NaN where it cannot be told."""

    model: float
    frozen: float
    beside: dict[str, float] = field(default_factory=dict)
    """Other clips beside the model's, by name."""


@dataclass(frozen=True)
class BesideSummary:
    """One metric of other clips, over the clips that they, the model and the frozen background have a number for."""

    name: str
    mean: float
    """NaN if there is none."""
    num_clips: int
    model_better: float
    """Share of these clips in which the model is strictly better; NaN for metrics of sets."""


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
    beside: tuple[BesideSummary, ...] = ()


class Tally:
    """Numbers of one maker of clips, collected clip by clip."""

    def __init__(self, rows: Iterable[Metric | SetMetric], networks: Networks):
        self._rows, self._networks = tuple(rows), networks
        self._moments = {row.name: Moments() for row in self._rows if isinstance(row, SetMetric)}

    def add(self, comparison: Comparison) -> dict[str, float]:
        """Measure one clip; its own numbers by metric, NaN where they cannot be told."""
        found = {}
        for row in self._rows:
            if isinstance(row, Metric):
                found[row.name] = row.measure(comparison, self._networks)
            else:
                self._moments[row.name].add(row.features(comparison, self._networks))
        return found

    def distance(self, name: str, truth: "Tally") -> float:
        """Of a metric of sets: between these clips and the true ones; NaN if there are too few."""
        made, true = (tally._moments[name].gaussian() for tally in (self, truth))
        return float("nan") if made is None or true is None else frechet_distance(made, true)


def tally_of_truth(rows: Iterable[Metric | SetMetric], networks: Networks) -> Tally:
    """For what the metrics of sets need of true clips."""
    return Tally((row for row in rows if isinstance(row, SetMetric)), networks)


class Scoreboard:
    """A model's clips, the frozen background's and others', collected clip by clip."""

    def __init__(self, rows: tuple[Metric | SetMetric, ...], networks: Networks, beside: tuple[str, ...] = ()):
        self._rows, self._beside = rows, beside
        self._scores: dict[str, list[Scores]] = {row.name: [] for row in rows if isinstance(row, Metric)}
        self._tallies = {who: Tally(rows, networks) for who in ("model", "frozen", *beside)}
        self._truth = tally_of_truth(rows, networks)
        self._clips = 0

    def add(
        self, truth: Truth, model: np.ndarray, frozen: np.ndarray, beside: Mapping[str, np.ndarray] | None = None
    ) -> dict[str, Scores]:
        """Measure one clip, uint8 `[T, H, W, 3]`, and those `beside` it; the numbers by metric.

        Raises ValueError on other shapes.
        """
        self._clips += 1
        clips = {"model": model, "frozen": frozen, **{name: (beside or {})[name] for name in self._beside}}
        made = {who: self._tallies[who].add(Comparison(clip, truth)) for who, clip in clips.items()}
        self._truth.add(Comparison(truth.video, truth))
        for name, scores in self._scores.items():
            others = {who: made[who][name] for who in self._beside}
            scores.append(Scores(made["model"][name], made["frozen"][name], others))
        return {name: scores[-1] for name, scores in self._scores.items()}

    def summary(self) -> tuple[MetricSummary, ...]:
        """In the rows' order."""
        return tuple(self._of_clips(row) if isinstance(row, Metric) else self._of_set(row) for row in self._rows)

    def _of_clips(self, row: Metric) -> MetricSummary:
        scores = [s for s in self._scores[row.name] if np.isfinite([s.model, s.frozen]).all()]
        model, frozen = (np.array([getattr(s, who) for s in scores], np.float64) for who in ("model", "frozen"))
        others = {name: np.array([s.beside[name] for s in scores], np.float64) for name in self._beside}
        return MetricSummary(
            *(row.name, row.unit, row.higher_is_better, row.meaning, _mean(model), _mean(frozen), len(scores)),
            better_than_frozen=_share_ahead(model, frozen, row.higher_is_better),
            beside=tuple(_beside_of(name, model, values, row.higher_is_better) for name, values in others.items()),
        )

    def _of_set(self, row: SetMetric) -> MetricSummary:
        distance = {who: tally.distance(row.name, self._truth) for who, tally in self._tallies.items()}
        nan = float("nan")
        return MetricSummary(
            *(
                row.name,
                row.unit,
                row.higher_is_better,
                row.meaning,
                distance["model"],
                distance["frozen"],
                self._clips,
            ),
            better_than_frozen=nan,
            beside=tuple(BesideSummary(name, distance[name], self._clips, nan) for name in self._beside),
        )


def _beside_of(name: str, model: np.ndarray, values: np.ndarray, higher: bool) -> BesideSummary:
    told = np.isfinite(values)
    return BesideSummary(name, _mean(values[told]), int(told.sum()), _share_ahead(model[told], values[told], higher))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _share_ahead(model: np.ndarray, other: np.ndarray, higher: bool) -> float:
    return _mean(((model - other) * (1 if higher else -1) > 0).astype(np.float64))
