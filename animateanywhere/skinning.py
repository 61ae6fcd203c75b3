"""Pieces of a picture bent like cloth over bones: meshes whose corners follow the bones beside them.

At a joint two bones share one movement, in which the angle between them is divided over the skin around the joint. Both
of their pieces take it from there, so that they meet whatever the pose does: nothing tears, it can only stretch.

Legend: V corners, K triangles, B bones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

_BEND = 1.5
"""In half widths of the outer bone: up to so far from a joint both pieces move as one."""
_FADE = 1.7
"""In the same: times that far the joint is no longer felt."""
_CELL = 0.028
"""Of the standing height: side of a mesh's cells."""
_SUBPIXEL_BITS = 4
_RIM = 0.15
"""Of a triangle's side: so far beyond an edge it goes on as within."""
_FLAT = 0.2
"""Square pixels: twice the area up to which a triangle is seen from its edge, and not at all."""


@dataclass(frozen=True)
class Link:
    """Two bones that meet: numbers of the inner and the outer one, the joint, and how far around it both move as one."""

    inner: int
    outer: int
    joint: int
    reach: float
    """Standing heights."""


def link(inner: int, outer: int, joint: int, half_width: float) -> Link:
    """`half_width`: that of the outer bone, standing heights."""
    return Link(inner, outer, joint, _BEND * half_width)


@dataclass(frozen=True, eq=False)
class Placing:
    """Where one bone's part of the picture goes: stretched along and across the bone, turned, put down."""

    root: np.ndarray
    """float64 [2]: the bone's inner end in the picture, pixels; the next one in the clip."""
    target: np.ndarray
    direction: np.ndarray
    """float64 [2], length 1: of the bone in the picture."""
    turn: float
    """Radians."""
    along: float
    across: float
    """Factors; a negative one mirrors the person about the bone."""
    widening: float = 0.0
    """How much `across` grows per pixel of the picture along the bone: hips may be wider than shoulders."""

    def at(self, places: np.ndarray) -> np.ndarray:
        """float64 [V, 2] in the picture -> the same in the clip."""
        u, v = self._own(places)
        stretched = np.outer(u * self.along, self.direction) + np.outer(v * self._width(u), self._normal)
        return self.target + stretched @ _rotation(self.turn).T

    def stretch_at(self, place: np.ndarray) -> np.ndarray:
        """float64 [2, 2]: what is done before the turn to what lies around one place [2]."""
        u, _ = self._own(place[None])
        frame = np.stack([self.direction, self._normal])
        return frame.T @ np.diag([self.along, float(self._width(u)[0])]) @ frame

    @property
    def _normal(self) -> np.ndarray:
        return np.array([-self.direction[1], self.direction[0]])

    def _own(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        away = places - self.root
        return away @ self.direction, away @ self._normal

    def _width(self, u: np.ndarray) -> np.ndarray:
        return self.across + self.widening * u


@dataclass(frozen=True, eq=False)
class Bend:
    """How a mesh's corners take part in a joint."""

    link: Link
    place: np.ndarray
    """float64 [2]: the joint in the picture."""
    hold: np.ndarray
    """float64 [V]: 1 where a corner moves as the joint's skin does, 0 where only as its own bone."""
    outer: np.ndarray
    """float64 [V]: 0 where that skin goes with the inner bone, 1 where it goes with the outer one."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """What one piece is bent by."""

    bone: int
    places: np.ndarray
    """float64 [V, 2]: corners in the picture, pixels."""
    triangles: np.ndarray
    """int64 [K, 3]"""
    bends: tuple[Bend, ...]

    def moved(self, placings: Sequence[Placing]) -> np.ndarray:
        """float64 [V, 2]: the corners in the clip, for placings of all B bones."""
        rigid = placings[self.bone].at(self.places)
        moved = rigid.copy()
        for bend in self.bends:
            skin = _skin(bend, self.places, placings[bend.link.inner], placings[bend.link.outer])
            moved += bend.hold[:, None] * (skin - rigid)
        return moved


def mesh_of(
    bone: int, mask: np.ndarray, costs: np.ndarray, joints: np.ndarray, height: float, links: Sequence[Link]
) -> Mesh:
    """The mesh of the piece that is `mask`, bool [h, w].

    `costs` float32 [B, h, w]: how far each pixel is from each bone, in its half widths; `joints` [J, 2] in pixels, `height`
    the standing height in pixels. Cells that show nothing are left out.
    """
    cell = max(3.0, _CELL * height)
    low, high = _box(mask)
    columns, rows = (max(2, int(np.ceil((b - a) / cell)) + 1) for a, b in zip(low, high, strict=True))
    xs, ys = (np.linspace(a, b, n) for a, b, n in zip(low, high, (columns, rows), strict=True))
    places = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    triangles = _triangles(mask, xs, ys)
    x, y = (np.clip(places[:, k].astype(int), 0, mask.shape[1 - k] - 1) for k in (0, 1))
    bends = []
    for one in links:
        if bone not in (one.inner, one.outer):
            continue
        place = joints[one.joint]
        hold = _fading(np.linalg.norm(places - place, axis=1), one.reach * height)
        nearer = costs[one.inner, y, x] - costs[one.outer, y, x]
        bends.append(Bend(one, place, hold, _smooth(0.5 + 0.5 * nearer.astype(np.float64))))
    return Mesh(bone, places, triangles, tuple(bends))


def draw_bent(rgba: np.ndarray, left_top: tuple[int, int], mesh: Mesh, moved: np.ndarray, size: tuple[int, int]):
    """The piece uint8 [h, w, 4] at `left_top` of the picture, its mesh's corners `moved` [V, 2] in a clip of `size` (W, H).

    Returns (where, drawn): slices of the clip's picture and uint8 [h', w', 4], or None if it lies outside.
    """
    low = np.maximum(np.floor(moved.min(0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(moved.max(0)).astype(int) + 2, size)
    if (high <= low).any():
        return None
    corners = moved[mesh.triangles] - low  # [K, 3, 2]
    number = np.full((high - low)[::-1], -1, np.int32)
    # OpenCV's coordinates are centres of pixels, ours are corners.
    fixed = np.rint((corners - 0.5) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    a, b = (corners[:, k] - corners[:, 0] for k in (1, 2))
    for k in np.flatnonzero(np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) > _FLAT):
        cv2.fillConvexPoly(number, fixed[k], int(k), cv2.LINE_8, _SUBPIXEL_BITS)
    rows, columns = np.nonzero(number >= 0)
    centres = np.stack([columns + 0.5, rows + 0.5], axis=1)
    source = np.full((*number.shape, 2), -9.0, np.float32)
    source[rows, columns] = _back(centres, number[rows, columns], corners, mesh.places[mesh.triangles]) - left_top - 0.5
    drawn = cv2.remap(rgba, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return (slice(low[1], high[1]), slice(low[0], high[0])), drawn


def _box(mask: np.ndarray) -> tuple[tuple[int, int], tuple[int, int]]:
    rows, columns = (np.nonzero(mask.any(axis))[0] for axis in (1, 0))
    return (int(columns[0]), int(rows[0])), (int(columns[-1]) + 1, int(rows[-1]) + 1)


def _triangles(mask: np.ndarray, xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """int64 [K, 3]: two in every cell of the grid that shows something; fuller cells come later, over the others."""
    total = cv2.integral(mask.astype(np.uint8))  # [h + 1, w + 1]
    left, right = np.floor(xs[:-1]).astype(int), np.ceil(xs[1:]).astype(int)
    top, bottom = np.floor(ys[:-1]).astype(int), np.ceil(ys[1:]).astype(int)
    shown = (
        total[np.ix_(bottom, right)]
        - total[np.ix_(top, right)]
        - total[np.ix_(bottom, left)]
        + total[np.ix_(top, left)]
    )
    row, column = np.nonzero(shown > 0)
    order = np.argsort(shown[row, column], kind="stable")
    row, column = row[order], column[order]
    first = row * len(xs) + column
    below = first + len(xs)
    halves = np.stack([first, first + 1, below], axis=1), np.stack([first + 1, below + 1, below], axis=1)
    return np.stack(halves, axis=1).reshape(-1, 3)


def _skin(bend: Bend, places: np.ndarray, inner: Placing, outer: Placing) -> np.ndarray:
    """float64 [V, 2]: where the skin around a joint goes. The turn is shared out, not the matrices: a mean of two opposite
    directions would be a point, and a raised arm would hang by it."""
    share = bend.outer[:, None]
    ends = (one.at(bend.place[None]) for one in (inner, outer))
    anchor = _mixed(*ends, share)
    between = float(np.angle(np.exp(1j * (outer.turn - inner.turn))))
    turn = inner.turn + bend.outer * between
    stretch = _mixed(inner.stretch_at(bend.place), outer.stretch_at(bend.place), share[..., None])
    around = np.einsum("vij,vj->vi", stretch, places - bend.place)
    cos, sin = np.cos(turn), np.sin(turn)
    turned = np.stack([cos * around[:, 0] - sin * around[:, 1], sin * around[:, 0] + cos * around[:, 1]], axis=1)
    return anchor + turned


def _mixed(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    return (1 - share) * a + share * b


def _back(points: np.ndarray, inside: np.ndarray, there: np.ndarray, here: np.ndarray) -> np.ndarray:
    """float64 [n, 2]: where points of the clip, each in triangle `inside` [n] of `there` [K, 3, 2], lie in those of the
    picture, `here`. OpenCV paints a triangle's rim too; far beyond an edge, as on slivers, that shows the edge."""
    a, b = (there[:, k] - there[:, 0] for k in (1, 2))
    size = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    x, y = (points - there[inside, 0]).T
    a, b, size = a[inside], b[inside], size[inside]
    shares = np.stack([x * b[:, 1] - y * b[:, 0], y * a[:, 0] - x * a[:, 1]], axis=1) / size[:, None]
    shares = np.maximum(shares, -_RIM)
    shares /= np.maximum(shares.sum(1, keepdims=True) / (1 + _RIM), 1)
    start, ways = here[:, 0], here[:, 1:] - here[:, :1]
    return start[inside] + np.einsum("nk,nkc->nc", shares, ways[inside])


def _fading(distance: np.ndarray, reach: float) -> np.ndarray:
    return _smooth((_FADE * reach - distance) / max((_FADE - 1) * reach, 1e-6))


def _smooth(share: np.ndarray) -> np.ndarray:
    share = np.clip(share, 0, 1)
    return share * share * (3 - 2 * share)


def _rotation(angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])
