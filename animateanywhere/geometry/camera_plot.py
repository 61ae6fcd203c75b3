"""A picture of a camera readout: three charts over time, drawn with OpenCV."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from animateanywhere.errors import InputError
from animateanywhere.geometry.camera_from_video import UNIT, CameraEstimate
from animateanywhere.geometry.camera_readout import CameraReadout

# Okabe and Ito's colours (2008), told apart with any kind of colour vision; the dash pattern says it once more.
_BLUE, _ORANGE, _GREEN = (0, 114, 178), (213, 94, 0), (0, 158, 115)
_INK, _FAINT, _PAPER = (40, 40, 40), (222, 222, 222), (255, 255, 255)
_DASHES = ((1, 0), (14, 7), (4, 6))
"""Drawn and left out, in pixels, of the first, second and third line of a chart."""
_LEFT, _RIGHT, _TOP, _GAP, _BOTTOM = 76, 218, 76, 34, 56
_FONT, _SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.45


@dataclass(frozen=True, eq=False)
class _Chart:
    title: str
    lines: Sequence[tuple[str, np.ndarray]]
    least_reach: float
    """The axis spans at least this much, so that noise does not look like a movement."""
    limits: tuple[float, float] | None = None


def plot_estimate(found: CameraEstimate, name: str) -> np.ndarray:
    """`plot_readout` of a clip's camera, with verdict and confidence. Raises InputError if it cannot be told."""
    title = f"{name}: {found.verdict}, confidence {found.confidence:.2f}"
    readout = found.readout()
    return plot_readout(readout, found.path.fps, title=title, unit=UNIT, frame_confidence=found.frame_confidence)


def plot_readout(
    readout: CameraReadout,
    fps: float,
    *,
    title: str = "",
    unit: str = "path's unit",
    frame_confidence: np.ndarray | None = None,
    size: tuple[int, int] = (960, 640),
) -> np.ndarray:
    """Draw turns, moves, zoom and (if given, [T] 0..1) confidence over seconds: uint8 [H, W, 3] of `size` (W, H)."""
    charts = _charts(readout, unit, frame_confidence)
    width, height = size
    picture = np.full((height, width, 3), _PAPER, np.uint8)
    _write(picture, _ascii(title), (_LEFT, 30), scale=0.55)
    share = np.array([0.42, 0.36, 0.22])
    heights = ((height - _TOP - _BOTTOM - 2 * _GAP) * share).astype(int)
    top = _TOP
    seconds = np.arange(readout.num_frames) / fps
    for number, (chart, tall) in enumerate(zip(charts, heights, strict=True)):
        box = (_LEFT, top, width - _RIGHT, top + int(tall))
        _draw_chart(picture, chart, box, seconds, with_seconds=number == len(charts) - 1)
        top += int(tall) + _GAP
    return picture


def _charts(readout: CameraReadout, unit: str, frame_confidence: np.ndarray | None) -> list[_Chart]:
    charts = [
        _Chart(
            "turn (degrees)",
            [("pan right +", readout.pan_deg), ("tilt up +", readout.tilt_deg), ("roll clockwise +", readout.roll_deg)],
            2.0,
        ),
        _Chart(
            f"move ({unit})",
            [("truck right +", readout.truck), ("pedestal up +", readout.pedestal), ("dolly forward +", readout.dolly)],
            0.1,
        ),
    ]
    zoom_known = np.isfinite(readout.zoom).all()
    last = [("zoom (times)" if zoom_known else "zoom: not estimated", readout.zoom)]
    if frame_confidence is not None:
        last.append(("confidence (0 to 1)", np.asarray(frame_confidence)))
    charts.append(
        _Chart("zoom, confidence", last, 1.0, (0.0, max(1.1, 1.05 * float(np.nan_to_num(readout.zoom).max()))))
    )
    return charts


def write_plot(path: Path | str, picture: np.ndarray) -> None:
    """Write a drawn plot as png. Raises InputError if the file cannot be written."""
    try:
        Path(path).write_bytes(cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
    except OSError as error:
        raise InputError(f"cannot write plot {path}: {error.strerror or error}; choose another folder") from error


def _draw_chart(picture: np.ndarray, chart: _Chart, box, seconds: np.ndarray, with_seconds: bool) -> None:
    left, top, right, bottom = box
    low, high = chart.limits or _limits(chart)
    end = max(float(seconds[-1]), 1e-9)
    _write(picture, _ascii(chart.title), (left, top - 8))
    for value in _ticks(low, high, 5):
        y = round(bottom - (value - low) / (high - low) * (bottom - top))
        cv2.line(picture, (left, y), (right, y), _INK if value == 0 else _FAINT, 1)
        _write(picture, f"{value:g}", (left - 8, y + 5), align_right=True)
    for value in _ticks(0.0, end, 8):
        x = round(left + value / end * (right - left))
        cv2.line(picture, (x, bottom), (x, bottom + 4), _INK, 1)
        if with_seconds:
            _write(picture, f"{value:g}", (x - 5, bottom + 20))
    if with_seconds:
        _write(picture, "seconds", ((left + right) // 2 - 26, bottom + 40))
    cv2.rectangle(picture, (left, top), (right, bottom), _INK, 1)
    for number, (name, values) in enumerate(chart.lines):
        colour, dashes = (_BLUE, _ORANGE, _GREEN)[number], _DASHES[number]
        beside = top + 12 + 22 * number
        _draw_line(picture, np.array([[right + 12.0, beside], [right + 46.0, beside]]), colour, dashes)
        _write(picture, name, (right + 52, beside + 5))
        if not np.isfinite(values).all():
            continue
        x = left + seconds / end * (right - left)
        y = bottom - (np.clip(values, low, high) - low) / (high - low) * (bottom - top)
        _draw_line(picture, np.stack([x, y], 1), colour, dashes)


def _draw_line(picture: np.ndarray, points: np.ndarray, colour, dashes: tuple[int, int]) -> None:
    """A line through `points` [N, 2], dashed along its length; one point alone is a dot."""
    lengths = np.concatenate([[0.0], np.linalg.norm(np.diff(points, axis=0), axis=1).cumsum()])
    if lengths[-1] == 0:
        cv2.circle(picture, np.rint(points[0]).astype(int).tolist(), 3, colour, -1, cv2.LINE_AA)
        return
    period = sum(dashes) if dashes[1] else lengths[-1]
    for start in np.arange(0.0, lengths[-1], period):
        stop = min(start + (dashes[0] if dashes[1] else period), lengths[-1])
        inner = lengths[(lengths > start) & (lengths < stop)]
        at = np.concatenate([[start], inner, [stop]])
        stretch = np.stack([np.interp(at, lengths, points[:, axis]) for axis in (0, 1)], 1)
        cv2.polylines(picture, [np.rint(stretch * 16).astype(np.int32)], False, colour, 2, cv2.LINE_AA, shift=4)


def _limits(chart: _Chart) -> tuple[float, float]:
    values = np.concatenate([line for _, line in chart.lines] + [np.zeros(1)])
    low, high = float(values.min()), float(values.max())
    missing = max(0.0, chart.least_reach - (high - low)) / 2
    margin = 0.06 * max(high - low, chart.least_reach)
    return low - missing - margin, high + missing + margin


def _ticks(low: float, high: float, most: int) -> np.ndarray:
    """Round numbers from `low` to `high`, at most about `most`."""
    rough = (high - low) / most
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    return np.round(np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step, 10) + 0.0


def _write(picture: np.ndarray, text: str, at: tuple[int, int], *, scale=_SCALE, align_right=False) -> None:
    x, y = at
    if align_right:
        x -= cv2.getTextSize(text, _FONT, scale, 1)[0][0]
    cv2.putText(picture, text, (x, y), _FONT, scale, _INK, 1, cv2.LINE_AA)


def _ascii(text: str) -> str:
    """OpenCV's letters are ASCII only."""
    return text.replace("°", " deg").encode("ascii", "replace").decode()
