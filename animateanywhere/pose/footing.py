"""Which foot a person stands on, from joints in the picture."""

import numpy as np

from animateanywhere.pose.skeleton import FEET_OF

_STILL_SPEED = 0.5
"""Standing heights per second: a foot that is much faster swings, unless the camera moves along."""
_LOW_SHARE = 0.02
"""Of the standing height: the standing foot is lower in the picture than the other by at least about this."""
_DOUBT = 0.05
"""Neither speed nor height in the picture alone decides: a camera that moves along makes both feet fast."""
_SHIFT_S = 0.06
"""How long the weight takes to pass from one foot to the other."""


def foot_points(joints: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Middle of each foot, float64 [T, 2, 2], of joints [T, 133, 2] whose gaps are closed; `known` says which are real."""
    return np.stack([joints[:, _ever_known(foot, known)].mean(1) for foot in FEET_OF], axis=1)


def foot_support(joints: np.ndarray, known: np.ndarray, height_px: np.ndarray, fps: float) -> np.ndarray:
    """How much each foot carries, float64 [T, 2], left and right, summing to 1: the lower and stiller one the more."""
    points = foot_points(joints, known)
    lowest = np.stack([joints[:, _ever_known(foot, known), 1].max(1) for foot in FEET_OF], axis=1)
    speed = np.zeros(points.shape[:2])
    if len(points) > 1:
        speed = np.linalg.norm(np.gradient(points, axis=0), axis=-1) * fps / height_px[:, None]
    still = np.exp(-((speed / _STILL_SPEED) ** 2))
    lower = (lowest - lowest[:, ::-1]) / (_LOW_SHARE * height_px[:, None])
    low = 1 / (1 + np.exp(-np.clip(lower, -30, 30)))
    weight = ((still + _DOUBT) * (low + _DOUBT)) ** 2
    from scipy.ndimage import gaussian_filter1d  # scipy loads slowly

    weight = gaussian_filter1d(weight / weight.sum(1, keepdims=True), _SHIFT_S * fps, axis=0, mode="nearest")
    return weight / weight.sum(1, keepdims=True)


def _ever_known(foot: tuple[int, ...], known: np.ndarray) -> list[int]:
    """Joints of a foot that are known in some frame; the ankle in any case."""
    return [foot[0], *(joint for joint in foot[1:] if known[:, joint].any())]
