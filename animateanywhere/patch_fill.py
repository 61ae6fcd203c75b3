"""Fills a hole in a picture with what surrounds it: patches of the rest, from coarse to fine, until neighbours agree.

Every patch that reaches into the hole is made like its nearest patch outside, and every pixel the mean of the patches over
it, in turns. Sources: Wexler, Shechtman and Irani 2007 (the two turns); Barnes et al. 2009 (nearest patches found by chance
and handed on to neighbours).

Legend: H W a level's size, N patches that reach into the hole, D numbers in a patch.
"""

from dataclasses import dataclass

import cv2
import numpy as np

_REACH = 3
"""Pixels from a patch's middle to its side."""
_COARSEST_SIDE, _FINEST_SIDE = 40, 320
"""Longest side of the levels that are searched; above, what was found is enlarged."""
_TURNS = (10, 8, 5, 2)
"""From the coarsest level up."""
_JUMPS = (8, 2, 1)
_LEVEL, _CLOSE = 40_000.0, 8_000.0
"""Scenes have levels, ground below, sky above: what it costs, per number in a patch and in squared grey values, to take it
from as far above or below as the picture is tall, and from as far beside as it is wide; growing with the square."""
_WORN = 250.0
"""Cost of each time that a patch is taken already: fences of one post are not what is there."""
_WHOLE = 0.99
"""A pixel of the finest level that shows less than this of the picture is part of the hole."""
_DEEP = 0.8
"""Trust in a pixel of the hole, for each pixel of the level from its rim."""
_EDGE = 1.1
"""Full-size pixels: patches overlap so much, in pixels of the finest level that is searched."""


@dataclass
class _Level:
    picture: np.ndarray
    """float32 [H, W, 3]"""
    hole: np.ndarray
    """bool [H, W]"""


def filled(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] with the `hole`, bool [H, W], made of patches of the rest. The same twice for the same input.

    Where too little is left to take patches from, the picture comes back with the hole as smooth as its rim.
    """
    if not hole.any():
        return picture.copy()
    levels = _pyramid(picture, hole)
    rng = np.random.default_rng(0)
    matches = None
    for number, level in enumerate(levels):
        search = _Search(level, rng)
        if not len(search.sources):
            return _smooth(_Level(picture.astype(np.float32), hole)).clip(0, 255).astype(np.uint8)
        if matches is None:
            level.picture = _smooth(level)
            near = search.start()
        else:
            near = search.enlarged(*matches)
            level.picture = search.voted(near, None)
        for _ in range(_TURNS[min(number, len(_TURNS) - 1)]):
            near, cost = search.improved(near)
            level.picture = search.voted(near, cost)
        matches = (near, search)
    near, search = matches
    return _at_full_size(picture, hole, search, near)


def _pyramid(picture: np.ndarray, hole: np.ndarray) -> list[_Level]:
    height, width = hole.shape
    side = min(_FINEST_SIDE, max(height, width))
    sides = [side]
    while sides[0] > 1.6 * _COARSEST_SIDE:
        sides.insert(0, round(sides[0] / 2))
    levels = []
    known = (~hole).astype(np.float32)
    for side in sides:
        scale = side / max(height, width)
        size = tuple(max(2 * _REACH + 2, round(length * scale)) for length in (width, height))
        share = cv2.resize(known, size, interpolation=cv2.INTER_AREA)
        colour = cv2.resize(picture.astype(np.float32) * known[..., None], size, interpolation=cv2.INTER_AREA)
        level = _Level(colour / np.maximum(share, 1e-3)[..., None], share < (_WHOLE if side == sides[-1] else 0.5))
        if level.hole.any():
            levels.append(level)
    return levels


def _smooth(level: _Level) -> np.ndarray:
    """The hole as means of what is around it, wider ones deeper inside; more from beside than from above and below."""
    colour = level.picture.copy()
    left = level.hole.copy()
    known = (~level.hole).astype(np.float32)
    for reach in (2, 4, 8, 16, 32, 64, 128, 256, 512):
        if not left.any():
            break
        blur = dict(sigmaX=reach, sigmaY=reach / 3, borderType=cv2.BORDER_REPLICATE)
        weight = cv2.GaussianBlur(known, (0, 0), **blur)
        mean = cv2.GaussianBlur(level.picture * known[..., None], (0, 0), **blur)
        told = left & (weight > 0.05)
        colour[told] = mean[told] / weight[told, None]
        left &= ~told
    return colour


class _Search:
    """Nearest patches on one level. A patch is named by its middle's index y * W + x."""

    def __init__(self, level: _Level, rng: np.random.Generator):
        self.level, self.rng = level, rng
        self.height, self.width = level.hole.shape
        around = np.ones((2 * _REACH + 1, 2 * _REACH + 1), np.uint8)
        touched = cv2.dilate(level.hole.astype(np.uint8), around) > 0
        inside = np.zeros_like(touched)
        inside[_REACH : self.height - _REACH, _REACH : self.width - _REACH] = True
        self.is_source = inside & ~touched
        self.sources = np.flatnonzero(self.is_source)
        self.is_target = inside & touched
        self.targets = np.flatnonzero(self.is_target)
        self.y, self.x = np.divmod(self.targets, self.width)
        self.number = np.full(self.height * self.width, -1)
        self.number[self.targets] = np.arange(len(self.targets))
        depth = cv2.distanceTransform(level.hole.astype(np.uint8), cv2.DIST_L2, 3)
        self.trust = (_DEEP**depth).astype(np.float32)

    def start(self) -> np.ndarray:
        """int64 [N]: sources drawn from the same rows."""
        ends = np.searchsorted(self.sources, [self.y * self.width, (self.y + 1) * self.width])
        some = ends[1] > ends[0]
        place = ends[0] + (self.rng.random(len(self.y)) * np.where(some, ends[1] - ends[0], 1)).astype(int)
        return self.sources[np.minimum(place, len(self.sources) - 1)]

    def enlarged(self, near: np.ndarray, coarse: "_Search") -> np.ndarray:
        """int64 [N]: sources found on a coarser level, as far from their targets, in shares of the picture."""
        cy = np.clip(np.rint((self.y + 0.5) * coarse.height / self.height - 0.5), _REACH, coarse.height - 1 - _REACH)
        cx = np.clip(np.rint((self.x + 0.5) * coarse.width / self.width - 0.5), _REACH, coarse.width - 1 - _REACH)
        number = coarse.number[(cy * coarse.width + cx).astype(int)]
        sy, sx = np.divmod(near[np.maximum(number, 0)], coarse.width)
        y = self.y + (sy - cy) * self.height / coarse.height
        x = self.x + (sx - cx) * self.width / coarse.width
        found = self._at(y, x)
        bad = (number < 0) | (found < 0)
        found[bad] = self.start()[bad]
        return found

    def _at(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """int64 [N]: the source there, or -1."""
        y, x = np.rint(y).astype(int), np.rint(x).astype(int)
        good = (y >= 0) & (x >= 0) & (y < self.height) & (x < self.width)
        index = np.where(good, y * self.width + x, 0)
        return np.where(good & self.is_source.ravel()[index], index, -1)

    def improved(self, near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Better sources int64 [N] for the picture as it is, and their costs float32 [N]."""
        windows = np.lib.stride_tricks.sliding_window_view(self.level.picture, (2 * _REACH + 1,) * 2, (0, 1))
        patches = np.ascontiguousarray(windows).reshape(-1, 3 * (2 * _REACH + 1) ** 2)
        self._patches, self._across = patches, self.width - 2 * _REACH
        trust = np.lib.stride_tricks.sliding_window_view(self.trust, (2 * _REACH + 1,) * 2)
        self._weights = trust.reshape(-1, 1, (2 * _REACH + 1) ** 2)[self._row(self.targets)].repeat(3, 1)
        self._weights = self._weights.reshape(-1, patches.shape[1])
        self._weights /= self._weights.sum(1, keepdims=True)
        self._mine = patches[self._row(self.targets)]
        used = np.bincount(near, minlength=self.height * self.width).reshape(self.height, self.width)
        self._worn = _WORN * cv2.blur(used.astype(np.float32), (5, 5)).ravel()
        near, cost = near.copy(), self._cost(np.arange(len(near)), near)
        for jump in _JUMPS:
            for dy, dx in ((0, jump), (0, -jump), (jump, 0), (-jump, 0)):
                self._try(near, cost, *self._handed_on(near, dy, dx))
        reach = max(self.height, self.width) / 2
        while reach >= 1:
            sy, sx = np.divmod(near, self.width)
            chance = self.rng.uniform(-reach, reach, (2, len(near)))
            self._try(near, cost, self._at(sy + 0.3 * chance[0], sx + chance[1]))
            reach /= 3
        return near, cost

    def _row(self, index: np.ndarray) -> np.ndarray:
        y, x = np.divmod(index, self.width)
        return (y - _REACH) * self._across + x - _REACH

    def _handed_on(self, near: np.ndarray, dy: int, dx: int) -> tuple[np.ndarray]:
        """What the neighbour has, moved along."""
        y, x = self.y + dy, self.x + dx
        good = (y >= 0) & (x >= 0) & (y < self.height) & (x < self.width)
        number = np.where(good, self.number[np.where(good, y * self.width + x, 0)], -1)
        sy, sx = np.divmod(near[np.maximum(number, 0)], self.width)
        found = self._at(sy - dy, sx - dx)
        return (np.where(number >= 0, found, -1),)

    def _try(self, near: np.ndarray, cost: np.ndarray, found: np.ndarray) -> None:
        asked = np.flatnonzero((found >= 0) & (found != near))
        if not len(asked):
            return
        new = self._cost(asked, found[asked])
        better = new < cost[asked]
        near[asked[better]], cost[asked[better]] = found[asked][better], new[better]

    def _cost(self, which: np.ndarray, found: np.ndarray) -> np.ndarray:
        difference = self._mine[which] - self._patches[self._row(found)]
        difference *= difference
        sy, sx = np.divmod(found, self.width)
        away = (sy - self.y[which]) / self.height, (sx - self.x[which]) / self.width
        cost = np.einsum("nd,nd->n", difference, self._weights[which])
        cost += self._worn[found]
        return (cost + _LEVEL * away[0] ** 2 + _CLOSE * away[1] ** 2).astype(np.float32)

    def voted(self, near: np.ndarray, cost: np.ndarray | None) -> np.ndarray:
        """float32 [H, W, 3]: every pixel of the hole the mean of the patches over it, good ones more."""
        weight = np.ones(len(near), np.float32)
        if cost is not None:
            weight = np.exp(-cost / max(2 * float(np.percentile(cost, 60)), 1e-3)) + 1e-6
        weight = weight * self.trust.ravel()[self.targets] ** 0.5
        total = np.zeros((self.height * self.width, 4), np.float32)
        flat = self.level.picture.reshape(-1, 3)
        for dy in range(-_REACH, _REACH + 1):
            for dx in range(-_REACH, _REACH + 1):
                step = dy * self.width + dx
                total[self.targets + step, :3] += weight[:, None] * flat[near + step]
                total[self.targets + step, 3] += weight
        told = self.level.hole.ravel() & (total[:, 3] > 0)
        picture = flat.copy()
        picture[told] = total[told, :3] / total[told, 3:]
        return picture.reshape(self.height, self.width, 3)


def _at_full_size(picture: np.ndarray, hole: np.ndarray, search: _Search, near: np.ndarray) -> np.ndarray:
    """The hole copied at full size from where the finest level's patches come from, a few patches over each pixel."""
    height, width = hole.shape
    scale = np.array([height / search.height, width / search.width])
    y, x = np.nonzero(hole)
    total = np.zeros((len(y), 4), np.float32)
    for dy in (-_EDGE, 0.0, _EDGE):
        for dx in (-_EDGE, 0.0, _EDGE):
            cy = np.clip(np.rint((y + 0.5) / scale[0] - 0.5 + dy), _REACH, search.height - 1 - _REACH).astype(int)
            cx = np.clip(np.rint((x + 0.5) / scale[1] - 0.5 + dx), _REACH, search.width - 1 - _REACH).astype(int)
            number = search.number[cy * search.width + cx]
            sy, sx = np.divmod(near[np.maximum(number, 0)], search.width)
            fy = np.clip(np.rint(y + (sy - cy) * scale[0]), 0, height - 1).astype(int)
            fx = np.clip(np.rint(x + (sx - cx) * scale[1]), 0, width - 1).astype(int)
            weight = np.where((number >= 0) & ~hole[fy, fx], np.exp(-(dy * dy + dx * dx) / 1.5), 0).astype(np.float32)
            total[:, :3] += weight[:, None] * picture[fy, fx]
            total[:, 3] += weight
    base = cv2.resize(search.level.picture, (width, height), interpolation=cv2.INTER_CUBIC)
    out = picture.copy()
    told = total[:, 3:] > 0
    out[y, x] = np.rint(np.where(told, total[:, :3] / np.maximum(total[:, 3:], 1e-6), base[y, x]).clip(0, 255))
    return out
