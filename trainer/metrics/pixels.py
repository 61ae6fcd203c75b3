"""Clips held against the true ones pixel by pixel; all of them over the whole frame or inside a mask."""

import cv2
import numpy as np

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Rec. 601 weights of red, green and blue."""
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_GRADIENT_FLOOR = 170.0
"""Of Xue et al.: gradients whose squares lie far below say nothing."""


def psnr(clip: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Peak signal-to-noise ratio in dB of uint8 `[T, H, W, 3]` clips: the mean over frames, as the field reports it.

    `mask` bool `[T, H, W]`: only these pixels; frames without any are left out. Equal frames count as 100 dB; NaN where
    the mask is empty. Raises ValueError on clips or a mask of another shape. Source: Huynh-Thu and Ghanbari 2008.
    """
    check_same_shape(clip, truth, mask)
    values = []
    for t in range(len(clip)):
        error = (clip[t].astype(np.float64) - truth[t]) ** 2
        if mask is not None:
            error = error[mask[t]]
        if error.size:
            values.append(min(100.0, 10 * np.log10(255**2 / max(error.mean(), 1e-12))))
    return float(np.mean(values)) if values else float("nan")


def ssim(clip: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Structural similarity, -1..1 and 1 for equal clips: the mean of `ssim_map` over pixels, then over frames.

    uint8 `[T, H, W, 3]`. `mask` bool `[T, H, W]`: windows whose middle lies in it; they reach 5 pixels beyond it. NaN
    where it is empty. Raises ValueError as `psnr`.
    """
    check_same_shape(clip, truth, mask)
    return mean_inside(ssim_map(clip, truth), mask)


def ssim_map(clip: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """float64 `[T, H, W]`, -1..1: similarity of the windows around each pixel, in the mean of red, green and blue.

    Gaussian windows of 11 pixels and sigma 1.5, K1 = 0.01, K2 = 0.03; pictures are mirrored beyond their edges, as
    torchmetrics does. Source: Wang, Bovik, Sheikh and Simoncelli 2004, equation 13.
    """
    return np.stack([_similarity(picture, true) for picture, true in zip(clip, truth, strict=True)])


def _similarity(picture: np.ndarray, truth: np.ndarray) -> np.ndarray:
    def around(values):
        return cv2.GaussianBlur(values, (_WINDOW, _WINDOW), _SIGMA, borderType=cv2.BORDER_REFLECT_101)

    a, b = picture.astype(np.float64), truth.astype(np.float64)
    mean_a, mean_b = around(a), around(b)
    spread = around(a * a) - mean_a**2 + around(b * b) - mean_b**2
    shared = around(a * b) - mean_a * mean_b
    brightness = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    return (brightness * (2 * shared + _C2) / (spread + _C2)).mean(-1)


def gradient_similarity(clip: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None) -> float:
    """How alike the edges are, 0..1 and 1 for equal clips: the mean of `gradient_similarity_map`.

    uint8 `[T, H, W, 3]`, `mask` bool `[T, H, W]`. No network: it notices blur and misplaced edges as LPIPS does, but
    knows nothing of how people see. NaN where the mask is empty. Raises ValueError as `psnr`.
    """
    check_same_shape(clip, truth, mask)
    return mean_inside(gradient_similarity_map(clip, truth), mask)


def gradient_similarity_map(clip: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """float64 `[T, H, W]`, 0..1: likeness of the strength of edges (Prewitt) in the brightness, per pixel.

    Source: Xue, Zhang, Mou and Bovik 2014, equations 1 to 4; at full size, and its mean where they take the deviation.
    """
    similarity = np.empty(clip.shape[:3])
    for t in range(len(clip)):
        a, b = _edges(clip[t]), _edges(truth[t])
        similarity[t] = (2 * a * b + _GRADIENT_FLOOR) / (a**2 + b**2 + _GRADIENT_FLOOR)
    return similarity


def _edges(picture: np.ndarray) -> np.ndarray:
    slope, smooth = np.array([-1.0, 0.0, 1.0]), np.ones(3) / 3
    luma = (picture @ _LUMA).astype(np.float64)
    across = cv2.sepFilter2D(luma, cv2.CV_64F, slope, smooth, borderType=cv2.BORDER_REPLICATE)
    down = cv2.sepFilter2D(luma, cv2.CV_64F, smooth, slope, borderType=cv2.BORDER_REPLICATE)
    return np.hypot(across, down)


def grey_of(clip: np.ndarray) -> np.ndarray:
    """uint8 `[T, H, W]`: the brightness of a uint8 `[T, H, W, 3]` clip."""
    return np.stack([cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in clip])


def mean_inside(values: np.ndarray, mask: np.ndarray | None) -> float:
    """Mean of `[T, H, W]` over each frame's pixels in the mask, then over frames that have any; NaN if none has."""
    told = np.ones(values.shape, bool) if mask is None else mask
    frames = told.any((1, 2))
    if not frames.any():
        return float("nan")
    sums = np.where(told, values, 0.0).sum((1, 2))
    return float((sums[frames] / told.sum((1, 2))[frames]).mean())


def check_same_shape(clip: np.ndarray, truth: np.ndarray, mask: np.ndarray | None) -> None:
    """Raises ValueError unless both clips are `[T, H, W, 3]` of one shape, and the mask `[T, H, W]`."""
    if clip.shape != truth.shape or clip.ndim != 4:
        raise ValueError(f"clips of shapes {clip.shape} and {truth.shape}: expected the same [T, H, W, 3]")
    if mask is not None and mask.shape != clip.shape[:3]:
        raise ValueError(f"mask of shape {mask.shape}: expected {clip.shape[:3]}")
