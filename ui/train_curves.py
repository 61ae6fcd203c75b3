"""Curves as SVG drawn here: no script, nothing fetched. No Gradio."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from ui.train_history import RunHistory, Series, Thinned, thinned

MOST_PLACES = 240
"""Of a curve; more than a screen of this width shows."""
_WIDTH, _HEIGHT = 420, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 10, 10, 24


@dataclass(frozen=True)
class Curve:
    """What one picture shows."""

    name: str
    """Of the series in a RunHistory."""
    title: str
    log: bool
    help: str
    smooth: bool = True
    """Draw the mean over the last steps, and the values themselves faintly behind it."""


CURVES = (
    Curve("latent", "Latent loss", True, "mean squared error of the predicted velocity (equation 5)"),
    Curve("perceptual", "Perceptual loss", True, "unweighted; only steps whose timestep is low enough have one"),
    Curve("epipolar", "Epipolar loss", True, "unweighted; only clips whose camera is known have one"),
    Curve(
        "held_out",
        "Loss on held-out clips",
        True,
        "always with the same noise: what decides which checkpoint is best",
        False,
    ),
    Curve(
        "suppressed_share", "Ω density", False, "share of the keys of other frames that the epipolar loss suppresses"
    ),
    Curve("learning_rate", "Learning rate", False, "of AdamW", False),
    Curve("grad_norm", "Gradient norm", True, "before it is cut off"),
    Curve("seconds", "Seconds per step", False, "wall-clock"),
    Curve("memory_gb", "Memory in GB", False, "most so far of the GPU, else of the machine now", False),
)
ZOOMS = {"Whole run": 1.0, "Last half": 0.5, "Last tenth": 0.1}
"""Share of the steps so far that is shown."""


def curves_html(history: RunHistory, zoom: str = "Whole run") -> str:
    """All curves that have something to show."""
    last_x = max((s.xs[-1] for s in (*history.series.values(), history.held_out) if s.xs), default=0)
    first_x = round(last_x * (1 - ZOOMS.get(zoom, 1.0)))
    drawn = [_figure(curve, _series(history, curve.name), first_x, last_x) for curve in CURVES]
    return f"<div class='aa-curves'>{''.join(drawn)}</div>" if any(drawn) else ""


def _series(history: RunHistory, name: str) -> Series:
    return history.held_out if name == "held_out" else history.series[name]


def _figure(curve: Curve, series: Series, first_x: int, last_x: int) -> str:
    cut = thinned(series, first_x, MOST_PLACES)
    if not cut.xs:
        return ""
    few, log = curve.name == "held_out", curve.log and min(cut.low) > 0
    line = cut.smooth if curve.smooth else cut.high
    value = f"{line[-1]:.4g}"
    return (
        f"<figure class='aa-curve' data-curve='{curve.name}'><figcaption><b>{escape(curve.title)}</b> "
        f"<span>{value}</span></figcaption>{_svg(curve, log, cut, line, first_x, last_x, few)}"
        f"<small>{'log scale; ' if log else ''}{escape(curve.help)}</small></figure>"
    )


def _svg(curve: Curve, log: bool, cut: Thinned, line: Sequence[float], first_x: int, last_x: int, dots: bool) -> str:
    ticks = log_ticks(min(cut.low), max(cut.high)) if log else linear_ticks(min(cut.low), max(cut.high))
    low, high = _scaled(ticks[0], log), _scaled(ticks[-1], log)

    def y(value: float) -> float:
        share = (_scaled(value, log) - low) / (high - low) if high > low else 0.5
        return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM), 1)

    def x(place: float) -> float:
        return round(_LEFT + (place - first_x) / max(1, last_x - first_x) * (_WIDTH - _LEFT - _RIGHT), 1)

    parts = [_grid(ticks, y)]
    places = [x(place) for place in cut.xs]
    if dots or len(places) == 1:  # a line needs two
        parts += [f"<circle cx='{a}' cy='{y(v)}' r='3'/>" for a, v in zip(places, line, strict=True)]
    else:
        above = [f"{a},{y(v)}" for a, v in zip(places, cut.high, strict=True)]
        below = [f"{a},{y(v)}" for a, v in zip(places, cut.low, strict=True)]
        parts.append(f"<polygon points='{' '.join([*above, *reversed(below)])}'/>")
    points = " ".join(f"{a},{y(v)}" for a, v in zip(places, line, strict=True))
    parts.append(f"<polyline points='{points}'/>")
    for place, anchor in ((first_x, "start"), (last_x, "end")):
        parts.append(f"<text x='{x(place)}' y='{_HEIGHT - 6}' text-anchor='{anchor}'>step {place}</text>")
    name = f"{curve.title}, steps {first_x} to {last_x}{', log scale' if log else ''}"
    return f"<svg viewBox='0 0 {_WIDTH} {_HEIGHT}' role='img' aria-label='{escape(name)}'>{''.join(parts)}</svg>"


def _grid(ticks: Sequence[float], y) -> str:
    rows = []
    for tick, label in zip(ticks, tick_labels(ticks), strict=True):
        rows.append(f"<line x1='{_LEFT}' x2='{_WIDTH - _RIGHT}' y1='{y(tick)}' y2='{y(tick)}'/>")
        rows.append(f"<text x='{_LEFT - 6}' y='{y(tick) + 4}' text-anchor='end'>{label}</text>")
    return "".join(rows)


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """Numbers with as many digits as it takes to tell two ticks, rising, from each other."""
    least_gap = min((b - a for a, b in zip(ticks, ticks[1:], strict=False)), default=0.0)
    for digits in range(3, 15):
        labels = [f"{tick:.{digits}g}" for tick in ticks]
        if all(abs(float(label) - tick) <= 0.01 * least_gap for label, tick in zip(labels, ticks, strict=True)):
            break
    return labels


def _scaled(value: float, log: bool) -> float:
    return math.log10(value) if log else value


def linear_ticks(low: float, high: float) -> list[float]:
    """Round numbers, the first at or below `low`, the last at or above `high`."""
    if high <= low:
        pad = abs(high) * 0.1 or 1.0
        low, high = low - pad, high + pad
    raw = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [k * step for k in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5 of every power of ten that is needed, the first at or below `low` > 0, the last at or above `high`.

    Over many powers only the powers themselves.
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    if last - first > 3:
        stride = -(-(last - first) // 5)
        return [10.0**k for k in range(first, last + stride, stride)]
    marks = [m * 10.0**k for k in range(first, last + 1) for m in (1, 2, 5)]
    below = max((m for m in marks if m <= low * (1 + 1e-9)), default=marks[0])
    above = min((m for m in marks if m >= high * (1 - 1e-9)), default=marks[-1])
    if above <= below:
        above = next(m for m in marks if m > below)
    return [m for m in marks if below <= m <= above]
