"""The distance between two sets of pictures or clips, each taken for one Gaussian of its features; and features that
need no trained network. What is measured here with hand-made features is neither FID nor FVD, and is not called so.
"""

from dataclasses import dataclass

import cv2
import numpy as np

_PATCH, _PATCH_STEP = 6, 8
"""Pixels. Patches of 6 hold edges and grain; a step of 8 keeps a few hundred of each picture."""
_CELLS = (3, 3)


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Mean and spread of a set of features."""

    mean: np.ndarray
    """float64 [D]"""
    covariance: np.ndarray
    """float64 [D, D], of the sample (divided by N - 1)."""


class Moments:
    """Adds features up batch by batch, so that they need not all be kept."""

    def __init__(self):
        self.count = 0
        self._sum: np.ndarray | float = 0.0
        self._outer: np.ndarray | float = 0.0
        self._origin: np.ndarray | None = None

    def add(self, features: np.ndarray) -> None:
        """Take in features [N, D]."""
        features = np.asarray(features, np.float64)
        if self._origin is None and len(features):
            # Sums about a typical value: squares of large means would swallow a small spread.
            self._origin = features.mean(0)
        if len(features):
            centred = features - self._origin
            self.count += len(features)
            self._sum = self._sum + centred.sum(0)
            self._outer = self._outer + centred.T @ centred

    def gaussian(self) -> Gaussian | None:
        """What was added, as a Gaussian; None if fewer than two samples came."""
        if self.count < 2:
            return None
        mean = self._sum / self.count
        covariance = (self._outer - self.count * np.outer(mean, mean)) / (self.count - 1)
        return Gaussian(self._origin + mean, covariance)


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """`|mean_a - mean_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2))`, 0 or more, 0 for equal Gaussians.

    In the features' unit squared. Fewer samples than dimensions make it too large: compare only numbers from equally
    many. Raises ValueError if the dimensions differ. Source: Dowson and Landau 1982.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"features of {a.mean.shape} and {b.mean.shape} dimensions: expected the same")
    # The product of two covariances is not symmetric, but has the eigenvalues of root_a S_b root_a, which is.
    values, vectors = np.linalg.eigh(a.covariance)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    shared = np.linalg.eigvalsh(root @ b.covariance @ root)
    overlap = np.sqrt(np.clip(shared, 0, None)).sum()
    distance = ((a.mean - b.mean) ** 2).sum() + np.trace(a.covariance) + np.trace(b.covariance) - 2 * overlap
    return float(max(distance, 0.0))


def patch_features(clip: np.ndarray) -> np.ndarray:
    """float64 [N, 108], 0..1: patches of 6x6 pixels of red, green and blue, on a grid of every 8th pixel.

    uint8 `[T, H, W, 3]`. They know of colours, contrast, sharpness and grain; not of things, places or time.
    """
    windows = np.lib.stride_tricks.sliding_window_view(clip, (_PATCH, _PATCH), axis=(1, 2))
    chosen = windows[:, ::_PATCH_STEP, ::_PATCH_STEP]
    return chosen.reshape(-1, 3 * _PATCH**2) / 255.0


def flow_features(flow: np.ndarray) -> np.ndarray:
    """float64 [T-2, 36]: how the picture moves in two steps that follow each other, in percent of the longer side.

    Dense optical flow [T-1, H, W, 2] in pixels, averaged in 3x3 cells. It knows of speeds, directions and jerks; not of
    what moves or how it looks. Empty for clips of fewer than three frames.
    """
    rows, columns = _CELLS
    if len(flow) < 2:
        return np.empty((0, 4 * rows * columns))
    cells = np.stack([cv2.resize(step, (columns, rows), interpolation=cv2.INTER_AREA) for step in flow])
    steps = cells.reshape(len(flow), -1).astype(np.float64) * (100 / max(flow.shape[1:3]))
    return np.concatenate([steps[:-1], steps[1:]], 1)
