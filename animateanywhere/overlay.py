"""Pictures that explain: a point, its epipolar line, mask and attention; poses over a video. Arrays in, arrays out.

Pictures of geometry and attention are panels: the content with a title, axes and a legend around it. Their colours are
told apart by colour-blind people: Okabe and Ito's palette for lines and regions, viridis for amounts.
"""

import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from animateanywhere.epipolar_view import AttentionView, GeometryView, percent
from animateanywhere.errors import InputError

BOX_PX = 640
"""Longest side of a panel's content unless asked for otherwise."""
SHEET_BOX_PX = 420

PAPER, INK, SUBDUED = (255, 255, 255), (33, 37, 41), (96, 104, 110)
LINE = (230, 159, 0)
POINT = (213, 94, 0)
ALLOWED = (86, 180, 233)
KEPT = (0, 158, 115)
SUPPRESSED = (0, 114, 178)
NOTHING = (226, 229, 231)

_DIMMED = 0.65
"""Brightness of the frames under a drawn pose."""
_RULED_OUT = 0.38
"""Brightness of what the mask rules out."""
_GRID_STRENGTH = 0.16
_LOG_DECADES = 4
"""Amounts below a ten-thousandth of the largest have one colour on the logarithmic scale."""
_LARGEST_TICKS = 6
_NAME_WIDTH = 12
"""Of a fact's name, in letters' heights."""

_SPELT = str.maketrans({"×": "x", "−": "-", "–": "-", "Ω": "Omega", "δ": "delta"})
"""Signs that the font does not have."""

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class _Legend:
    """Colours with their meaning, and a bar if amounts are shown."""

    swatches: tuple[tuple[Colour, str], ...] = ()
    bar: tuple[str, str, str] | None = None
    """What the lowest colour, the highest colour and the bar mean."""


def point_panel(picture: np.ndarray, view: GeometryView, box: int = BOX_PX) -> np.ndarray:
    """Panel of frame i, uint8 [H, W, 3] at the clip's size, with the tokens' grid, the point and its token."""
    content, scale = _enlarged(picture, box)
    _draw_grid(content, view)
    _draw_token(content, view, scale)
    _draw_point(content, view.query.point_px, scale)
    title = f"i: frame {view.query.frame_i}, token frame {view.token_frames[0]}"
    return _framed(content, title, view, _Legend(((POINT, "point and its token"),)))


def clip_point(at: tuple[float, float], clip_size: tuple[int, int], box: int = BOX_PX) -> tuple[float, float] | None:
    """Pixel of the clip, of `clip_size` (W, H), under pixel `at` of its panel; None outside the content."""
    scale = _scale(clip_size, box)
    _, left, top = _margins(*(round(side * scale) for side in clip_size))
    place = ((at[0] + 0.5 - left) / scale, (at[1] + 0.5 - top) / scale)
    return place if all(0 <= value < side for value, side in zip(place, clip_size, strict=True)) else None


def line_panel(picture: np.ndarray, view: GeometryView, box: int = BOX_PX) -> np.ndarray:
    """Panel of frame j with the point's line; what M rules out is darkened."""
    content, scale = _enlarged(picture, box)
    mask = _as_large_as(view.allowed_in_j, content)
    content[~mask] = (content[~mask] * _RULED_OUT).astype(np.uint8)
    _draw_grid(content, view)
    content[_outline(mask)] = ALLOWED
    _draw_line(content, view.line_px, scale)
    covered = f"allowed by geometry (M), {percent(view.allowed_in_j.mean())}"
    swatches = [(ALLOWED, covered)] + ([(LINE, "epipolar line")] if view.line_px.any() else [])
    title = f"j: frame {view.query.frame_j}, token frame {view.token_frames[1]}"
    return _framed(content, title, view, _Legend(tuple(swatches)))


def attention_panels(
    view: GeometryView, attention: AttentionView, box: int = SHEET_BOX_PX, logarithmic: bool = False
) -> list[np.ndarray]:
    """Token frame j as figure 2b of the paper shows it: A, M, 1 - Omega, Omega and the target, one panel each."""
    frame = view.token_frames[1]
    values, suppressed = attention.attention[frame], attention.suppressed[frame]
    top = float(values.max())

    def amounts(what, title):
        return _amount_panel(what, top, title, view, box, logarithmic)

    def region(mask, colour, title, meaning):
        return _region_panel(mask, colour, title, meaning, view, box)

    return [
        amounts(values, "A: attention"),
        region(view.allowed_in_j, ALLOWED, "M: epipolar mask", "allowed by geometry"),
        region(~suppressed, KEPT, "1 - Omega: left alone", "kept"),
        region(suppressed, SUPPRESSED, "Omega: to be suppressed", "outside M and below delta"),
        amounts(attention.target[frame], "Target: A (1 - Omega)"),
    ]


def overlay_sheet(panels: list[np.ndarray], title: str, facts: list[tuple[str, str]], columns: int = 4) -> np.ndarray:
    """uint8 [H, W, 3]: panels side by side in rows, under a title, before a list of facts."""
    gap, size = 16, 18
    columns = min(columns, len(panels))
    width = max(panel.shape[1] for panel in panels)
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    heights = [max(panel.shape[0] for panel in row) for row in rows]
    beside = len(panels) % columns != 0
    lines = _facts_lines(facts, width if beside else columns * (width + gap) - gap, size)
    facts_height = round(1.5 * size * (len(lines) + 1))
    if beside:
        heights[-1] = max(heights[-1], facts_height)
    top = round(2.6 * size)
    height = top + sum(heights) + gap * len(rows) + (0 if beside else facts_height)
    sheet = np.full((height, columns * (width + gap) + gap, 3), PAPER, np.uint8)
    y = top
    for row, row_height in zip(rows, heights, strict=True):
        for column, panel in enumerate(row):
            left = gap + column * (width + gap)
            sheet[y : y + panel.shape[0], left : left + panel.shape[1]] = panel
        y += row_height + gap
    x = gap + (len(rows[-1]) * (width + gap) if beside else 0)
    y = y - heights[-1] - gap if beside else y
    writer = _Writer(sheet)
    writer.write((gap, round(0.6 * size)), title, round(1.3 * size))
    for name, value in lines:
        y += round(1.5 * size)
        writer.write((x, y - size), name, size, SUBDUED)
        writer.write((x + _NAME_WIDTH * size, y - size), value, size)
    return writer.finished()


def _facts_lines(facts: list[tuple[str, str]], width: int, size: int) -> list[tuple[str, str]]:
    """Facts as lines no wider than `width` pixels; the name stands before its first one only."""
    lines = []
    for name, value in facts:
        letters = max(12, int((width - _NAME_WIDTH * size) / (0.52 * size)))
        first, *others = textwrap.wrap(value, letters) or [""]
        lines += [(name, first), *(("", other) for other in others)]
    return lines


def save_png(image: np.ndarray, path: Path, about: str) -> None:
    """Write uint8 [H, W, 3] with `about` in the file's text. Raises InputError if the file cannot be written."""
    text = PngImagePlugin.PngInfo()
    text.add_text("Software", "AnimateAnywhere")
    text.add_itxt("Description", about)
    try:
        Image.fromarray(image).save(path, format="png", pnginfo=text, compress_level=4)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}; choose another folder") from error


def laid_over(drawn: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """uint8 [T, H, W, 3] each, T the shorter of both: the drawing where there is one, dimmed frames elsewhere."""
    count = min(len(drawn), len(frames))
    dimmed = (frames[:count] * _DIMMED).astype(np.uint8)
    return np.where((drawn[:count].max(-1) > 40)[..., None], drawn[:count], dimmed)


def number_people(frames: np.ndarray, boxes: np.ndarray) -> None:
    """Draw each person's box [T, P, 4] and number into uint8 [T, H, W, 3]; a box of zeros is nobody."""
    for frame, people in zip(frames, boxes, strict=False):
        for number, (left, top, right, bottom) in enumerate(np.rint(people).astype(int).tolist()):
            if right > left:
                cv2.rectangle(frame, (left, top), (right, bottom), (255, 255, 255), 1, cv2.LINE_AA)
                place = (left + 3, max(16, top - 5))
                cv2.putText(frame, str(number), place, cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 2, cv2.LINE_AA)


def _amount_panel(values, top: float, title: str, view: GeometryView, box: int, logarithmic: bool) -> np.ndarray:
    shown = np.zeros_like(values) if top <= 0 else values / top
    low = percent(0)
    if logarithmic:
        shown = 1 + np.log10(np.maximum(shown, 10.0**-_LOG_DECADES)) / _LOG_DECADES
        low = f"{percent(top * 10.0**-_LOG_DECADES)} or less"
    colours = cv2.applyColorMap(np.rint(255 * shown).astype(np.uint8), cv2.COLORMAP_VIRIDIS)[..., ::-1]
    content, scale = _enlarged_tokens(colours, view, box)
    _draw_grid(content, view)
    content[_outline(_as_large_as(view.allowed_in_j, content), 2)] = PAPER
    _draw_line(content, view.line_px, scale)
    name = "share of the point's attention" + (", logarithmic" if logarithmic else "")
    swatches = ((PAPER, "rim of M"),) + (((LINE, "epipolar line"),) if view.line_px.any() else ())
    return _framed(content, title, view, _Legend(swatches, (low, percent(top), name)), in_tokens=True)


def _region_panel(mask, colour: Colour, title: str, meaning: str, view: GeometryView, box: int) -> np.ndarray:
    colours = np.where(mask[..., None], np.array(colour, np.uint8), np.array(NOTHING, np.uint8))
    content, scale = _enlarged_tokens(colours, view, box)
    _draw_grid(content, view, darker=True)
    _draw_line(content, view.line_px, scale)
    return _framed(content, title, view, _Legend(((colour, f"{meaning}, {percent(mask.mean())}"),)), in_tokens=True)


def _scale(size: tuple[int, int], box: int) -> float:
    return box / max(size)


def _enlarged(picture: np.ndarray, box: int) -> tuple[np.ndarray, float]:
    height, width = picture.shape[:2]
    scale = _scale((width, height), box)
    size = (round(width * scale), round(height * scale))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC), scale


def _enlarged_tokens(colours: np.ndarray, view: GeometryView, box: int) -> tuple[np.ndarray, float]:
    scale = _scale((view.grid.width, view.grid.height), box)
    size = (round(view.grid.width * scale), round(view.grid.height * scale))
    return cv2.resize(np.ascontiguousarray(colours), size, interpolation=cv2.INTER_NEAREST), scale


def _as_large_as(mask: np.ndarray, content: np.ndarray) -> np.ndarray:
    large = cv2.resize(mask.astype(np.uint8), content.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    return large.astype(bool)


def _outline(mask: np.ndarray, width: int = 3) -> np.ndarray:
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((width, width), np.uint8)) > 0


def _draw_grid(content: np.ndarray, view: GeometryView, darker: bool = False) -> None:
    """Faint lines between tokens."""
    _, rows, columns = view.grid.token_shape
    tint = 0 if darker else 255
    for axis, count in ((0, rows), (1, columns)):
        places = np.rint(np.arange(1, count) * content.shape[axis] / count).astype(int)
        index = (places,) if axis == 0 else (slice(None), places)
        content[index] = (content[index] * (1 - _GRID_STRENGTH) + tint * _GRID_STRENGTH).astype(np.uint8)


def _draw_token(content: np.ndarray, view: GeometryView, scale: float) -> None:
    side = view.grid.token_stride_px * scale
    row, column = view.cell
    corners = np.rint([[column * side, row * side], [(column + 1) * side, (row + 1) * side]]).astype(int).tolist()
    for colour, width in ((PAPER, 4), (POINT, 2)):
        cv2.rectangle(content, *map(tuple, corners), colour, width, cv2.LINE_AA)


def _draw_point(content: np.ndarray, point_px: tuple[float, float], scale: float) -> None:
    centre = tuple(int(value * scale) for value in point_px)
    for colour, radius in ((PAPER, 4), (POINT, 3)):
        cv2.circle(content, centre, radius, colour, cv2.FILLED, cv2.LINE_AA)


def _draw_line(content: np.ndarray, line_px: np.ndarray, scale: float) -> None:
    """The part of an infinite line that crosses the picture; nothing for a zero line."""
    a, b, c = line_px
    if not (a or b):
        return
    height, width = content.shape[:2]
    foot, along = np.array([-a * c, -b * c]) * scale, np.array([-b, a])
    reach = np.abs(foot).max() + width + height
    # Beyond the picture by far, a line's ends overflow OpenCV's integers: cut it to a little more than the picture.
    ends = np.array([foot - reach * along, foot + reach * along])
    inside, start, end = cv2.clipLine((-8, -8, width + 16, height + 16), *np.rint(ends).astype(int).tolist())
    if not inside:
        return
    for colour, thickness in ((INK, 4), (LINE, 2)):
        cv2.line(content, start, end, colour, thickness, cv2.LINE_AA)


def _framed(content, title: str, view: GeometryView, legend: _Legend, in_tokens: bool = False) -> np.ndarray:
    """Title above, axes left and below, legend at the bottom. `in_tokens`: the axes count tokens, not pixels."""
    size, left, top = _margins(content.shape[1], content.shape[0])
    below, lines = top + content.shape[0], len(legend.swatches)
    words = [_font(size).getlength(meaning) + 2.1 * size for _, meaning in legend.swatches]
    words += [_font(round(1.15 * size)).getlength(title), *(_font(size).getlength(t) for t in (legend.bar or ())[2:])]
    width = left + max(content.shape[1], round(max(words))) + size
    height = below + round((3.3 + 1.5 * lines + 4.0 * (legend.bar is not None)) * size)
    image = np.full((height, width, 3), PAPER, np.uint8)
    image[top:below, left : left + content.shape[1]] = content
    legend_y = below + round(3.3 * size)
    if legend.bar is not None:
        ramp = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], cv2.COLORMAP_VIRIDIS)[..., ::-1]
        at = legend_y + round(1.5 * lines * size)
        image[at : at + size, left : left + content.shape[1]] = cv2.resize(ramp, (content.shape[1], size))
    grid, scale = view.grid, content.shape[1] / view.grid.width
    unit, names = (1, ("x in pixels", "y in pixels"))
    if in_tokens:
        unit, names = grid.token_stride_px, ("token column", "token row")
    writer = _Writer(image)
    writer.write((left, round(0.5 * size)), title, round(1.15 * size))
    _write_axes(writer, (left, top), content.shape, unit * scale, names, size)
    _write_legend(writer, legend, (left, legend_y), content.shape[1], size)
    return writer.finished()


def _margins(width: int, height: int) -> tuple[int, int, int]:
    """Size of the letters, and of the margins left and above, of a panel whose content has this size."""
    size = max(13, round(max(width, height) / 28))
    return size, round(3.6 * size), round(2.2 * size)


def _write_axes(writer: "_Writer", origin, shape, unit: float, names: tuple[str, str], size: int) -> None:
    """Ticks every 1, 2 or 5 times a power of ten; `unit`: pixels per counted thing."""
    (left, top), (height, width) = origin, shape[:2]
    step = _tick_step(max(width, height) / unit)
    for value in np.arange(0, width / unit + 1e-6, step):
        x = left + value * unit
        writer.line((x, top + height), (x, top + height + 0.3 * size))
        writer.write((x, top + height + 0.35 * size), f"{value:g}", size, SUBDUED, "ma")
    for value in np.arange(0, height / unit + 1e-6, step):
        y = top + value * unit
        writer.line((left - 0.3 * size, y), (left, y))
        writer.write((left - 0.5 * size, y), f"{value:g}", size, SUBDUED, "rm")
    writer.write((left + width / 2, top + height + 1.7 * size), names[0], size, SUBDUED, "ma")
    writer.write_upwards((0.2 * size, top + height / 2), names[1], size, SUBDUED)


def _tick_step(length: float) -> float:
    rough = max(length / _LARGEST_TICKS, 1)
    power = 10 ** np.floor(np.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)


def _write_legend(writer: "_Writer", legend: _Legend, at: tuple[float, float], width: int, size: int) -> None:
    x, y = at
    for colour, meaning in legend.swatches:
        writer.box((x, y + 0.15 * size), (x + 1.6 * size, y + 1.1 * size), colour)
        writer.write((x + 2.1 * size, y + 0.6 * size), meaning, size, INK, "lm")
        y += 1.5 * size
    if legend.bar is not None:
        low, high, name = legend.bar
        writer.write((x, y + 1.2 * size), low, size, INK)
        writer.write((x + width, y + 1.2 * size), high, size, INK, "ra")
        writer.write((x, y + 2.4 * size), name, size, SUBDUED)


class _Writer:
    """Text and ticks on a picture. OpenCV's letters are too coarse to read at this size."""

    def __init__(self, image: np.ndarray):
        self._image = Image.fromarray(image)
        self._draw = ImageDraw.Draw(self._image)

    def write(self, at, text: str, size: int, colour: Colour = INK, anchor: str = "la") -> None:
        self._draw.text(at, text.translate(_SPELT), fill=colour, font=_font(size), anchor=anchor)

    def write_upwards(self, at, text: str, size: int, colour: Colour) -> None:
        """Turned a quarter to the left, its left edge and its middle at `at`."""
        left, top, right, bottom = _font(size).getbbox(text)
        stamp = Image.new("L", (right - left + 2, bottom - top + 2), 0)
        ImageDraw.Draw(stamp).text((1 - left, 1 - top), text, fill=255, font=_font(size))
        stamp = stamp.transpose(Image.Transpose.ROTATE_90)
        self._image.paste(colour, (round(at[0]), round(at[1] - stamp.height / 2)), stamp)

    def line(self, start, end) -> None:
        self._draw.line([start, end], fill=SUBDUED, width=1)

    def box(self, start, end, colour: Colour) -> None:
        self._draw.rectangle([start, end], fill=colour, outline=SUBDUED)

    def finished(self) -> np.ndarray:
        return np.array(self._image)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
