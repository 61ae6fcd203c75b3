"""Arrays of positions over time: runs of frames, gaps, medians."""

import numpy as np


def runs_of(flags: np.ndarray) -> list[range]:
    """Stretches of True in bool [T]."""
    edges = np.flatnonzero(np.diff(np.r_[False, flags, False].astype(np.int8)))
    return [range(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def rolling_median(values: np.ndarray, reach: int) -> np.ndarray:
    """Median over `reach` frames before and after each, along the first axis of [T, ...]; the ends are held."""
    if reach < 1 or len(values) < 2:
        return values
    padded = np.pad(values, [(reach, reach)] + [(0, 0)] * (values.ndim - 1), mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0), axis=-1)


def bridged(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Float [T, 2] with unknown rows on straight lines between known ones, the ends held; zeros if none is known."""
    at = np.flatnonzero(known)
    if not len(at):
        return np.zeros_like(values)
    frames = np.arange(len(values))
    return np.stack([np.interp(frames, at, column) for column in values[at].T], axis=-1)
