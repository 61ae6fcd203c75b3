"""Where a video cuts from one shot to the next, told from flashes, fast pans and things that move through the picture.

A cut is where the pictures before and after differ, stay different, differ much more than their neighbours do from each
other, and share no corners that could be the same place seen by a camera that moved.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from animateanywhere.media import limited_size, resized

LOOK_SIDE_PX = 192
"""Longer side of the pictures that are compared."""
LOOK_FPS = 30.0
"""Videos faster than this are looked at more slowly."""
_FLASH_S = 0.25
"""What comes back within this time was a flash or something passing close by, not a cut."""
_LEAST_REACH, _MOST_REACH = 2, 8
_DIFFERENT = 0.30
"""Of the difference below, 0..1: cuts between real clips measured 0.65 to 0.8, steps within them up to 0.3 (a fast walk)."""
_SPIKE = 2.5
"""A cut differs this many times more than the usual step around it."""
_HUE_BINS, _SATURATION_BINS, _VALUE_BINS = 12, 4, 8
_LAYOUT = (16, 9)
_ANOTHER_LIGHT = 40.0
"""An area that is this much lighter or darker, of 255, shows something else."""
_LEAST_LINKS, _LINKED_SHARE = 12, 0.30
_MOST_CORNERS = 120


@dataclass(frozen=True, eq=False)
class _Look:
    """A picture as it is compared."""

    grey: np.ndarray  # uint8 [h, w]
    colours: np.ndarray  # float32 [bins], sums to 1
    layout: np.ndarray  # float32 [144], 0..255: how light each area is


def find_cuts(frames: Iterable[np.ndarray], fps: float) -> Iterator[int]:
    """Yield the numbers of frames that begin a new shot (never 0), in order, from uint8 [H, W, 3] pictures at `fps`."""
    reach = int(np.clip(round(_FLASH_S * fps), _LEAST_REACH, _MOST_REACH))
    looks: deque[_Look] = deque(maxlen=2 * reach)
    steps: deque[float] = deque(maxlen=2 * reach)
    count, last_cut = 0, 0
    for count, frame in enumerate(frames, 1):
        look = _look(frame)
        steps.append(_difference(looks[-1], look) if looks else 0.0)
        looks.append(look)
        first = count - len(looks)
        middle = count - reach
        if middle > last_cut and middle > first and _is_cut(list(looks), list(steps), middle - first):
            last_cut = middle
            yield middle
    for middle in range(max(count - reach + 1, last_cut + 1, 1), count):
        first = count - len(looks)
        if middle > first and _is_cut(list(looks), list(steps), middle - first):
            last_cut = middle
            yield middle


def _is_cut(looks: list[_Look], steps: list[float], at: int) -> bool:
    """Whether a shot begins at `looks[at]`; `steps[k]` is the difference between looks k - 1 and k."""
    step = steps[at]
    if step < _DIFFERENT or step < max(steps[1:]):
        return False
    others = [steps[k] for k in range(1, len(steps)) if k != at]
    if others and step < _SPIKE * float(np.median(others)):
        return False
    before, after = looks[:at], looks[at:]
    if min(_difference(a, b) for a in before for b in after) < 0.6 * _DIFFERENT:
        return False
    return not _same_place(looks[at - 1].grey, looks[at].grey)


def _look(frame: np.ndarray) -> _Look:
    small = resized(frame, limited_size(frame.shape[1], frame.shape[0], LOOK_SIDE_PX))
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    bins, ranges = [_HUE_BINS, _SATURATION_BINS, _VALUE_BINS], [0, 180, 0, 256, 0, 256]
    colours = cv2.calcHist([cv2.cvtColor(small, cv2.COLOR_RGB2HSV)], [0, 1, 2], None, bins, ranges)
    # Neighbouring bins are blurred into each other: a slight change of light moves colours across a border.
    colours = cv2.GaussianBlur(colours.reshape(_HUE_BINS * _SATURATION_BINS, _VALUE_BINS), (3, 1), 0).reshape(-1)
    layout = cv2.resize(grey, _LAYOUT, interpolation=cv2.INTER_AREA).astype(np.float32).reshape(-1)
    return _Look(grey, colours / colours.sum(), layout)


def _difference(a: _Look, b: _Look) -> float:
    """0 (alike) to 1: the mean of how much of the colours and how many areas are others; exposure does not count."""
    colours = 0.5 * float(np.abs(a.colours - b.colours).sum())
    lighter = b.layout - a.layout
    areas = np.minimum(1, np.abs(lighter - np.median(lighter)) / _ANOTHER_LIGHT)
    return 0.5 * colours + 0.5 * float(areas.mean())


def _same_place(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether enough corners of uint8 [h, w] pictures are found again, all moved as one flat scene's would."""
    orb = cv2.ORB_create(nfeatures=_MOST_CORNERS, fastThreshold=8, edgeThreshold=12, patchSize=21)
    (points_a, words_a), (points_b, words_b) = (orb.detectAndCompute(picture, None) for picture in (a, b))
    if words_a is None or words_b is None or min(len(words_a), len(words_b)) < _LEAST_LINKS:
        return False
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(words_a, words_b)
    if len(pairs) < _LEAST_LINKS:
        return False
    from_, to = (
        np.float32([points_a[m.queryIdx].pt for m in pairs]),
        np.float32([points_b[m.trainIdx].pt for m in pairs]),
    )
    moved, inliers = cv2.estimateAffinePartial2D(from_, to, method=cv2.RANSAC, ransacReprojThreshold=3.0)
    if moved is None:
        return False
    return bool(inliers.sum() >= max(_LEAST_LINKS, _LINKED_SHARE * len(pairs)))


def split_ticks(num_ticks: int, fps: float, cuts_s: list[float], most: int) -> list[range]:
    """Shots as ranges of sampled frames: tick k shows the video at k / fps, cuts are in seconds.

    Shots longer than `most` frames are split evenly.
    """
    slack = 1e-3
    starts = sorted({min(num_ticks, int(np.ceil((cut - slack) * fps))) for cut in cuts_s} | {0})
    shots = []
    for start, end in zip(starts, [*starts[1:], num_ticks], strict=True):
        if end <= start:
            continue
        parts = -(-(end - start) // most)
        edges = np.linspace(start, end, parts + 1).round().astype(int)
        shots += [range(int(a), int(b)) for a, b in zip(edges, edges[1:], strict=False)]
    return shots
