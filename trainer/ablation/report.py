"""Tables of an ablation as markdown and as a plot: means with intervals, differences to the reference row, the paper's numbers."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from trainer.ablation.runs import Measured
from trainer.ablation.settings import AblationConfig
from trainer.ablation.statistics import LEVEL, Interval, bootstrap_mean, paired_difference
from trainer.ablation.tables import Row, Table
from trainer.metrics.table import METRICS, Metric

_BY_NAME = {metric.name: metric for metric in METRICS if isinstance(metric, Metric)}


@dataclass(frozen=True)
class Cell:
    """One metric of one row."""

    mean: Interval
    difference: Interval | None
    """To the reference row, pair by pair; None in that row, or if nothing can be paired."""
    num_clips: int
    """Clips that have a number."""


@dataclass(frozen=True)
class Line:
    """One row with all its numbers."""

    name: str
    cells: dict[str, Cell]
    paper: Mapping[str, float]
    seconds_per_clip: float
    train_seconds: float
    held_out_loss: tuple[float, float] | None
    """Mean over trainings, before and after."""


def scores_of(trainings: Sequence[Measured], metric: str) -> np.ndarray:
    """float64 [S, C], NaN where a number cannot be told."""
    return np.array([[math.nan if v is None else v for v in one.metrics[metric]] for one in trainings], np.float64)


def lines_of(table: Table, measured: Mapping[str, Sequence[Measured]]) -> list[Line]:
    """`measured`: trainings by row. A row that is the same in every training is compared with each of the reference's."""
    reference = measured.get(table.reference, ())
    return [_line(row, measured.get(row.name, ()), reference) for row in table.rows]


def _line(row: Row, trainings: Sequence[Measured], reference: Sequence[Measured]) -> Line:
    if not trainings:
        return Line(row.name, {}, row.paper, math.nan, math.nan, None)
    cells = {}
    for metric in trainings[0].metrics:
        own = scores_of(trainings, metric)
        difference = None
        if reference and reference is not trainings:
            difference = paired_difference(*np.broadcast_arrays(own, scores_of(reference, metric)))
        cells[metric] = Cell(bootstrap_mean(own), difference, int(np.isfinite(own).all(axis=0).sum()))
    losses = [one.held_out_loss for one in trainings if one.held_out_loss]
    return Line(
        row.name,
        cells,
        row.paper,
        float(np.mean([one.seconds_per_clip for one in trainings])),
        float(np.mean([one.train_seconds for one in trainings])),
        tuple(np.mean(losses, axis=0).tolist()) if losses else None,
    )


def markdown(table: Table, lines: Sequence[Line], config: AblationConfig, num_clips: int, command: str) -> str:
    """The table as a chapter: how it was made, the numbers, what differs for certain."""
    metrics = list(dict.fromkeys(name for line in lines for name in line.cells))
    heads = [f"{name} ({'higher' if _BY_NAME[name].higher_is_better else 'lower'} is better)" for name in metrics]
    paper = list(dict.fromkeys(name for line in lines for name in line.paper))
    text = [f"## {table.title}", "", f"`{command}`", "", _conditions(table, config, num_clips), ""]
    text.append("| | " + " | ".join([*heads, *(f"paper: {name}" for name in paper)]) + " |")
    text.append("|---" * (1 + len(heads) + len(paper)) + "|")
    for line in lines:
        cells = [_shown(line.cells[name]) if name in line.cells else "-" for name in metrics]
        cells += [f"{line.paper[name]:g}" if name in line.paper else "-" for name in paper]
        text.append(f"| {line.name} | " + " | ".join(cells) + " |")
    text.append("")
    return "\n".join([*text, *_in_words(table, lines), ""])


def _conditions(table: Table, config: AblationConfig, num_clips: int) -> str:
    trained = any(row.stage for row in table.rows)
    words = [f"Goes on from `{config.start_from}`."]
    if trained:
        each = f"{config.steps} steps of {config.batch_size} clips on {config.train_clips} stage-world clips"
        words.append(f"Each row: {config.seeds} trainings of {each}; the same clips, noise and order in all rows.")
    words.append(
        f"Measured on {num_clips} clips that no training saw; means, {LEVEL:.0%} bootstrap intervals over both."
    )
    words.append(
        f"In a cell's second line: the difference to row {table.reference}, pair by pair; *: its interval excludes 0."
    )
    return " ".join([*words, table.note]).strip()


def _shown(cell: Cell) -> str:
    text = _interval(cell.mean)
    if cell.difference is not None and math.isfinite(cell.difference.mean):
        text += f"<br>{_interval(cell.difference, sign=True)}{' *' if cell.difference.excludes_zero else ''}"
    return text


def _interval(interval: Interval, sign: bool = False) -> str:
    if math.isnan(interval.mean):
        return "cannot tell"
    form = "+.3g" if sign else ".4g"
    if math.isnan(interval.low):
        return format(interval.mean, form)
    return f"{interval.mean:{form}} [{interval.low:{form}}, {interval.high:{form}}]"


def _in_words(table: Table, lines: Sequence[Line]) -> list[str]:
    """What may be said of the numbers, and what they cost."""
    words = []
    for line in (line for line in lines if line.cells and line.name != table.reference):
        certain = [_verdict(name, cell) for name, cell in line.cells.items() if cell.difference is not None]
        certain = [verdict for verdict in certain if verdict]
        words.append(f"- {line.name} against {table.reference}: {', '.join(certain) or 'nothing differs for certain'}.")
    times = [f"{line.name} {line.seconds_per_clip:.1f} s" for line in lines if line.cells]
    words.append(f"- Time per clip made: {', '.join(times)}.")
    losses = [f"{li.name} {li.held_out_loss[0]:.4f} to {li.held_out_loss[1]:.4f}" for li in lines if li.held_out_loss]
    if losses:
        words.append(f"- Loss of validation clips, mean over trainings: {', '.join(losses)}.")
    return words


def _verdict(name: str, cell: Cell) -> str:
    if not cell.difference.excludes_zero:
        return ""
    better = (cell.difference.mean > 0) == _BY_NAME[name].higher_is_better
    return f"{'better' if better else 'worse'} in {name}"


_WIDTH, _NAME_WIDTH, _ROW, _PANEL_GAP = 760, 190, 26, 54
_INK = "#0b7a6f"


def plot(table: Table, lines: Sequence[Line], metrics: Sequence[str]) -> str:
    """SVG: one panel per metric, one dot with its interval per row; the reference's mean is a dashed line."""
    shown = [line for line in lines if line.cells]
    panels, top = [], 46
    for name in metrics:
        panels.append(_panel(name, shown, table.reference, top))
        top += _ROW * len(shown) + _PANEL_GAP
    style = "text{font:13px sans-serif;fill:#222}.t{font-weight:600}.s{fill:#666;font-size:12px}"
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {top}' width='{_WIDTH}' height='{top}'>"
        f"<style>{style}</style><rect width='100%' height='100%' fill='#fff'/>"
        f"<text class='t' x='12' y='24' style='font-size:16px'>{escape(table.title)}</text>{''.join(panels)}</svg>\n"
    )


def _panel(name: str, lines: Sequence[Line], reference: str, top: int) -> str:
    told = {line.name: line.cells[name].mean for line in lines if math.isfinite(line.cells[name].mean.mean)}
    way = "higher" if _BY_NAME[name].higher_is_better else "lower"
    parts = [
        f"<text class='t' x='12' y='{top + 8}'>{name}</text>",
        f"<text class='s' x='{_WIDTH - 12}' y='{top + 8}' text-anchor='end'>{_BY_NAME[name].unit}, {way} is better</text>",
    ]
    x = _scale(list(told.values()))
    if reference in told:
        ends = f"y1='{top + 16}' y2='{top + 16 + _ROW * len(lines)}'"
        at = x(told[reference].mean)
        parts.append(f"<line x1='{at:.1f}' x2='{at:.1f}' {ends} stroke='#999' stroke-dasharray='4 4'/>")
    for number, line in enumerate(lines):
        y = top + 16 + _ROW * (number + 0.5)
        parts.append(f"<text x='12' y='{y + 4:.0f}'>{escape(line.name)}</text>")
        parts.append(_dot(told[line.name], x, y) if line.name in told else "")
    return "".join(parts)


def _scale(told: Sequence[Interval]) -> Callable[[float], float]:
    """From a number to a place in pixels, all ends of intervals inside."""
    ends = [v for interval in told for v in (interval.mean, interval.low, interval.high) if math.isfinite(v)] or [0.0]
    room = 0.08 * (max(ends) - min(ends)) or 0.05 * abs(ends[0]) or 1.0
    low, high = min(ends) - room, max(ends) + room
    return lambda value: _NAME_WIDTH + (value - low) / (high - low) * (_WIDTH - _NAME_WIDTH - 90)


def _dot(interval: Interval, x: Callable[[float], float], y: float) -> str:
    at, line = f"cy='{y:.1f}' r='5' fill='{_INK}'", ""
    if math.isfinite(interval.low):
        ends = f"x1='{x(interval.low):.1f}' x2='{x(interval.high):.1f}' y1='{y:.1f}' y2='{y:.1f}'"
        line = f"<line {ends} stroke='{_INK}' stroke-width='3'/>"
    number = f"<text class='s' x='{_WIDTH - 12}' y='{y + 4:.0f}' text-anchor='end'>{interval.mean:.4g}</text>"
    return f"{line}<circle cx='{x(interval.mean):.1f}' {at}/>{number}"
