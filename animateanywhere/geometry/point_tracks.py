"""Points of the background followed through a clip: what a camera's motion is read from.

Corners are found anew wherever the picture has few, followed by pyramidal Lucas-Kanade from frame to frame and back,
and then matched against the picture they were first seen in, so that errors do not add up along the clip.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from animateanywhere.cancel import CancelToken

MOST_POINTS = 400
"""Points followed at a time: more cost time and hardly change the answer."""
_GRID = (4, 6)
"""Rows and columns of cells, each with its own share of the points: otherwise one textured bush takes them all."""
_REFILL_BELOW = 0.75
"""New points are looked for when fewer than this share of the wanted ones is left."""
_BEST_IN_CELL = 0.05
_FLATTEST = 2e-5
"""Smallest eigenvalue of the structure tensor (brightness 0..1) of a corner: below it lies the noise of a flat wall."""
_BACK_AND_FORTH_PX = 0.5
_DRIFT_PX = 1.5
"""The match with the first picture must lie this near to where following from frame to frame has led."""
_LARGEST_DIFFERENCE = 18.0
"""Mean difference in brightness (0..255) between a point's surroundings in one frame and the next."""
_STILL_ALIKE = 8.0
"""The same, between the first picture and now: turned or enlarged surroundings are matched off their middle."""
_FEW_LEFT = 0.5
"""Below this share of points found again, the frames are first laid over each other with SIFT: a fast pan."""
_LEAST_SIFT_MATCHES = 15
_SMALLEST_SIDE_PX = 256
"""Smaller pictures are enlarged by a whole factor first: positions come out a fifth more exact (measured at 168x96)."""
_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 0.005)


@dataclass(frozen=True, eq=False)
class PointTracks:
    """Where P points are in T frames, in pixels of the frames; (0, 0) is the corner of the first pixel."""

    xy_px: np.ndarray
    """float64 [P, T, 2]; NaN where a point was not seen."""
    found_again: np.ndarray
    """float64 [T-1], 0..1: share of the points of a frame that were found in the next one, of those still in view."""
    image_size: tuple[int, int]
    """(W, H) in pixels."""

    @property
    def seen(self) -> np.ndarray:
        """bool [P, T]"""
        return np.isfinite(self.xy_px[..., 0])

    @property
    def num_frames(self) -> int:
        return self.xy_px.shape[1]


def track_points(
    grey: np.ndarray,
    ignore: np.ndarray | None = None,
    *,
    on_progress: Callable[[int, int], None] | None = None,
    cancel: CancelToken | None = None,
) -> PointTracks:
    """Follow corners through uint8 [T, H, W] pictures; `ignore` bool [T, H, W] is True on people and other movers.

    A point ends where it leaves the picture, enters what is ignored, or is not found. `on_progress(done, total)` counts
    frames. Raises Cancelled.
    """
    height, width = grey.shape[1:]
    factor = int(np.ceil(_SMALLEST_SIDE_PX / max(width, height)))
    if factor > 1:
        size = (width * factor, height * factor)
        grey = np.stack([cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC) for picture in grey])
        ignore = None if ignore is None else ignore.repeat(factor, 1).repeat(factor, 2)
    follower = _Follower(grey, ignore)
    for frame in range(1, len(grey)):
        if cancel is not None:
            cancel.raise_if_set()
        follower.step(frame)
        if on_progress is not None:
            on_progress(frame + 1, len(grey))
    return PointTracks(follower.positions_px() / factor, np.array(follower.found_again), (width, height))


class _Follower:
    """The points in flight. Positions in here are OpenCV's: pixel centres at whole numbers."""

    def __init__(self, grey: np.ndarray, ignore: np.ndarray | None):
        self._grey, self._ignore = grey, ignore
        self.height, self.width = grey.shape[1:]
        longest = max(self.width, self.height)
        side = int(np.clip(0.045 * longest, 9, 25)) | 1
        levels = int(np.clip(np.log2(longest / 40), 1, 5))
        self._flow = {"winSize": (side, side), "maxLevel": levels, "criteria": _STOP}
        self._spacing = max(3, round(0.018 * longest))
        self._margin = side // 3
        self._rows: list[np.ndarray] = []
        self.found_again: list[float] = []
        self._points = np.zeros((0, 2), np.float32)
        self._numbers = np.zeros(0, int)
        self._births = np.zeros(0, int)
        self._count = 0
        self._refill(0)
        self._note(0)

    def step(self, frame: int) -> None:
        """Follow every point into `frame` and replace the lost ones."""
        before = self._points
        after, found = self._between(frame - 1, frame, before, before)
        if len(before) and found.mean() < _FEW_LEFT:
            moved = self._overlaid(frame)
            if moved is not None:
                after, found = self._between(frame - 1, frame, before, moved)
        in_view = self._in_view(frame, after)
        self.found_again.append(float(found[in_view].mean()) if in_view.any() else 0.0)
        keep = found & in_view
        self._points, self._numbers, self._births = after[keep], self._numbers[keep], self._births[keep]
        self._undo_drift(frame)
        self._refill(frame)
        self._note(frame)

    def positions_px(self) -> np.ndarray:
        """float64 [P, T, 2], as in PointTracks."""
        xy = np.full((self._count, len(self._grey), 2), np.nan)
        for frame, row in enumerate(self._rows):
            xy[row["number"], frame] = row["xy"] + 0.5
        return xy

    def _between(
        self, frame_a: int, frame_b: int, points: np.ndarray, guess: np.ndarray, difference_most=_LARGEST_DIFFERENCE
    ):
        """Points of frame a in frame b, and whether they lead back to where they came from and look alike."""
        if not len(points):
            return points, np.zeros(0, bool)
        a, b = self._grey[frame_a], self._grey[frame_b]
        hint = {"flags": cv2.OPTFLOW_USE_INITIAL_FLOW}
        there, ok, difference = cv2.calcOpticalFlowPyrLK(a, b, points, guess.copy(), **self._flow, **hint)
        back, ok_back, _ = cv2.calcOpticalFlowPyrLK(b, a, there, points.copy(), **self._flow, **hint)
        returned = np.linalg.norm(back - points, axis=1) < _BACK_AND_FORTH_PX
        alike = difference[:, 0] < difference_most
        return there, (ok[:, 0] == 1) & (ok_back[:, 0] == 1) & returned & alike

    def _undo_drift(self, frame: int) -> None:
        """Match each point with the picture it was first seen in; where that fails, this picture is its new first."""
        for birth in np.unique(self._births):
            chosen = np.flatnonzero(self._births == birth)
            numbers = self._numbers[chosen]
            row = self._rows[birth]
            first = np.ascontiguousarray(row["xy"][np.searchsorted(row["number"], numbers)])
            matched, found = self._between(birth, frame, first, self._points[chosen], _STILL_ALIKE)
            near = np.linalg.norm(matched - self._points[chosen], axis=1) < _DRIFT_PX
            good = found & near
            self._points[chosen[good]] = matched[good]
            self._births[chosen[~good]] = frame

    def _refill(self, frame: int) -> None:
        if len(self._points) >= _REFILL_BELOW * MOST_POINTS and frame:
            return
        new = self._corners(frame)
        self._points = np.concatenate([self._points, new])
        self._numbers = np.concatenate([self._numbers, self._count + np.arange(len(new))])
        self._births = np.concatenate([self._births, np.full(len(new), frame)])
        self._count += len(new)

    def _corners(self, frame: int) -> np.ndarray:
        """New corners of a frame, float32 [N, 2]: the strongest of each cell of the grid, away from known points."""
        strength = cv2.cornerMinEigenVal(self._grey[frame], 5)
        free = self._visible(frame).astype(np.uint8)
        free[: self._margin] = free[-self._margin :] = free[:, : self._margin] = free[:, -self._margin :] = 0
        for x, y in self._points:
            cv2.circle(free, (int(round(x)), int(round(y))), self._spacing, 0, -1)
        around = np.ones((2 * self._spacing + 1,) * 2, np.uint8)
        peak = (strength == cv2.dilate(strength, around)) & (strength > _FLATTEST) & (free > 0)
        rows, columns = np.nonzero(peak)
        order = np.argsort(-strength[rows, columns], kind="stable")
        rows, columns = rows[order], columns[order]
        found, cells = np.stack([columns, rows], 1).astype(np.float32), self._cells(columns, rows)
        have = np.bincount(self._cells(*self._points.T), minlength=_GRID[0] * _GRID[1])
        keep = np.zeros(len(found), bool)
        for cell, number in enumerate(have):
            here = np.flatnonzero(cells == cell)
            if len(here):
                strong = strength[rows[here], columns[here]] > _BEST_IN_CELL * strength[rows[here[0]], columns[here[0]]]
                keep[here[strong][: max(0, MOST_POINTS // len(have) - number)]] = True
        return found[keep]

    def _cells(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """int [N]: the number of the grid cell that each position lies in."""
        row = np.clip(np.asarray(y) * _GRID[0] // self.height, 0, _GRID[0] - 1)
        column = np.clip(np.asarray(x) * _GRID[1] // self.width, 0, _GRID[1] - 1)
        return (row * _GRID[1] + column).astype(int)

    def _overlaid(self, frame: int) -> np.ndarray | None:
        """Where the points of the frame before lie if the whole picture moved as its SIFT matches say; None: unknown."""
        sift = cv2.SIFT_create(nfeatures=600)
        seen = [sift.detectAndCompute(self._grey[t], self._visible(t).astype(np.uint8)) for t in (frame - 1, frame)]
        if any(words is None or len(words) < 2 for _, words in seen):
            return None
        pairs = cv2.BFMatcher().knnMatch(seen[0][1], seen[1][1], k=2)
        pairs = [two[0] for two in pairs if len(two) == 2 and two[0].distance < 0.75 * two[1].distance]
        if len(pairs) < _LEAST_SIFT_MATCHES:
            return None
        a = np.float32([seen[0][0][m.queryIdx].pt for m in pairs])
        b = np.float32([seen[1][0][m.trainIdx].pt for m in pairs])
        homography, inliers = cv2.findHomography(a, b, cv2.USAC_MAGSAC, 3.0)
        if homography is None or inliers.sum() < _LEAST_SIFT_MATCHES:
            return None
        return cv2.perspectiveTransform(self._points[:, None], homography)[:, 0].astype(np.float32)

    def _in_view(self, frame: int, points: np.ndarray) -> np.ndarray:
        inside = np.isfinite(points).all(1)
        columns, rows = np.rint(np.where(inside[:, None], points, -1)).astype(int).T
        inside &= (columns >= self._margin) & (columns < self.width - self._margin)
        inside &= (rows >= self._margin) & (rows < self.height - self._margin)
        inside[inside] = self._visible(frame)[rows[inside], columns[inside]]
        return inside

    def _visible(self, frame: int) -> np.ndarray:
        """bool [H, W]: background, as far as is known."""
        if self._ignore is None:
            return np.ones((self.height, self.width), bool)
        return ~self._ignore[frame]

    def _note(self, frame: int) -> None:
        row = np.zeros(len(self._numbers), [("number", int), ("xy", np.float32, 2)])
        row["number"], row["xy"] = self._numbers, self._points
        self._rows.append(np.sort(row, order="number"))
