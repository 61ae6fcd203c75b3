"""How the background of a finished clip moved, held against what a camera was to do with it. For telling a person."""

import cv2
import numpy as np

from animateanywhere.geometry.background_flow import GRID, flow_agreement, flow_size_px

_COLUMNS, _ROWS = GRID
_WORK_SIDE_PX = 320
_STILL = 0.012
"""Of the longer side: a background that moves less over the whole clip counts as still: 2 pixels of 168."""
_ALIKE, _ROUGHLY = 0.7, 0.3
"""Cosines between what was asked for and what is seen."""


def measured_flow(frames: np.ndarray) -> np.ndarray:
    """float64 [48, 2]: the middle movement in each of 8 x 6 cells of uint8 [T, H, W, 3], added up over the clip.

    As a share of the longer side. A person who fills some cells moves those; most show the place. Optical flow: Kroeger
    and others, Fast Optical Flow using Dense Inverse Search, 2016.
    """
    scale = min(1.0, _WORK_SIDE_PX / max(frames.shape[1:3]))
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    grey = [cv2.resize(one, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for one in grey]
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    total = np.zeros((_ROWS * _COLUMNS, 2))
    for one, other in zip(grey, grey[1:], strict=False):
        rows = np.array_split(search.calc(one, other, None), _ROWS, axis=0)
        cells = [cell for row in rows for cell in np.array_split(row, _COLUMNS, axis=1)]
        total += [np.median(cell.reshape(-1, 2), axis=0) for cell in cells]
    return total / max(grey[0].shape)


def compare_motion(seen: np.ndarray, asked: np.ndarray) -> str:
    """One line for a person on two flows [48, 2], both as shares of the longer side."""
    moved = f"{100 * flow_size_px(seen):.0f} % of the picture"
    if flow_size_px(asked) < _STILL:
        return (
            "stands still, as asked" if flow_size_px(seen) < 2 * _STILL else f"moves by {moved}; asked to stand still"
        )
    if flow_size_px(seen) < _STILL:
        return "hardly moves; asked to move"
    alike = flow_agreement(seen, asked)
    how = "as asked" if alike > _ALIKE else "roughly as asked" if alike > _ROUGHLY else "otherwise than asked"
    return f"moves by {moved}, {how} (agreement of directions {alike:+.2f})"
