"""Filters for joints over time. Each joint is filtered in every stretch of frames in which it is known, and only there."""

from collections.abc import Callable

import numpy as np

from animateanywhere.pose.tracks import runs_of

Filter = Callable[[np.ndarray], np.ndarray]
"""Float64 [frames, points, 2] without gaps to the same, smoother."""


def filter_known(joints: np.ndarray, known: np.ndarray, smooth: Filter) -> np.ndarray:
    """Apply a filter to float64 [T, N, 2] wherever bool [T, N] says known; the rest is left alone."""
    out = joints.copy()
    stretches: dict[range, list[int]] = {}
    for point in range(joints.shape[1]):
        for run in runs_of(known[:, point]):
            stretches.setdefault(run, []).append(point)
    for run, points in stretches.items():
        if len(run) > 2:
            out[run.start : run.stop, points] = smooth(joints[run.start : run.stop, points])
    return out


def one_euro(fps: float, cutoff_hz: float, speed_factor: float) -> Filter:
    """Low-pass whose cut-off rises with speed: still joints lie still, fast ones do not lag.

    Run forwards and backwards and averaged, so that nothing comes late. Positions in standing heights.
    Source: Casiez, Roussel, Vogel, 1 Euro Filter, CHI 2012: the cut-off is `cutoff_hz` + `speed_factor` * speed.
    """

    def both_ways(joints: np.ndarray) -> np.ndarray:
        return (_one_euro_once(joints, fps, cutoff_hz, speed_factor) + _backwards(joints)) / 2

    def _backwards(joints: np.ndarray) -> np.ndarray:
        return _one_euro_once(joints[::-1], fps, cutoff_hz, speed_factor)[::-1]

    return both_ways


_SPEED_CUTOFF_HZ = 1.0


def _one_euro_once(joints: np.ndarray, fps: float, cutoff_hz: float, speed_factor: float) -> np.ndarray:
    out = np.empty_like(joints)
    out[0], speed = joints[0], np.zeros(joints.shape[1:])
    slow = _share_of_new(np.array(_SPEED_CUTOFF_HZ), fps)
    for frame in range(1, len(joints)):
        speed = speed + slow * ((joints[frame] - out[frame - 1]) * fps - speed)
        cutoff = cutoff_hz + speed_factor * np.linalg.norm(speed, axis=-1, keepdims=True)
        out[frame] = out[frame - 1] + _share_of_new(cutoff, fps) * (joints[frame] - out[frame - 1])
    return out


def _share_of_new(cutoff_hz: np.ndarray, fps: float) -> np.ndarray:
    """How much of the newest value a first-order low-pass takes over."""
    return 1 / (1 + fps / (2 * np.pi * cutoff_hz))


def savitzky_golay(fps: float, window_s: float) -> Filter:
    """A parabola fitted around every frame over `window_s`: keeps turns and speeds, takes out trembling.

    Source: Savitzky and Golay, Analytical Chemistry 36 (1964); scipy.signal.savgol_filter.
    """

    from scipy.signal import savgol_filter  # scipy.signal loads slowly

    def smooth(joints: np.ndarray) -> np.ndarray:
        window = min(len(joints) - (len(joints) + 1) % 2, max(5, round(window_s * fps) // 2 * 2 + 1))
        return savgol_filter(joints, window, min(2, window - 1), axis=0, mode="interp") if window > 3 else joints

    return smooth
