"""Numbers that say how near a clip is to the true one."""

import numpy as np


def psnr(clip: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Peak signal-to-noise ratio in dB of uint8 `[T, H, W, 3]` clips: the mean over frames, as the field reports it.

    `mask` bool `[T, H, W]`: only these pixels; frames without any are left out. Equal frames count as 100 dB.
    Source: Huynh-Thu and Ghanbari 2008.
    """
    if clip.shape != truth.shape:
        raise ValueError(f"clips of shapes {clip.shape} and {truth.shape}: expected the same")
    values = []
    for t in range(len(clip)):
        error = (clip[t].astype(np.float64) - truth[t]) ** 2
        if mask is not None:
            error = error[mask[t]]
        if error.size:
            values.append(min(100.0, 10 * np.log10(255**2 / max(error.mean(), 1e-12))))
    return float(np.mean(values)) if values else float("nan")
