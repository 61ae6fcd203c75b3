"""A check-up as a picture: confidence over time, and where the findings lie."""

import cv2
import numpy as np

from animateanywhere.errors import InputError
from animateanywhere.pose.findings import CheckUp

# Okabe and Ito's colours, told apart by colour-blind people, by `CheckUp.marks`: fine, info, warning, error.
MARK_RGB = ((0, 158, 115), (86, 180, 233), (230, 159, 0), (213, 94, 0))
UNSEEN_RGB = (160, 166, 170)
PAPER_RGB = (244, 245, 246)
_LANE = 0.18
"""Share of the height that the lane of findings takes, below the bars."""


def draw_strip(checkup: CheckUp, size: tuple[int, int] = (640, 64)) -> np.ndarray:
    """uint8 [H, W, 3] of `size` (W, H): a bar per frame as high as the confidence, grey where the person is not seen.

    Bars and the lane below have the colour of the gravest finding in their frames. Raises InputError on a size under 16x8.
    """
    width, height = size
    if width < 16 or height < 8 or max(size) > 8192:
        raise InputError(f"confidence strip of {width}x{height}: expected 16x8 to 8192x8192 pixels")
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = PAPER_RGB
    lane = height - max(2, round(_LANE * height))
    frames = np.array([frame_at(x, width, checkup.num_frames) for x in range(width)])
    colours = np.array(MARK_RGB, np.uint8)[checkup.marks()[frames]]  # [W, 3]
    picture[lane + 1 :] = colours
    tops = np.rint((lane - 1) * (1 - checkup.confidence[frames])).astype(int)
    bar = np.arange(height)[:, None] >= tops
    bar &= np.arange(height)[:, None] < lane
    picture[:lane] = np.where((bar & checkup.seen[frames])[:lane, :, None], colours, picture[:lane])
    unseen = ~checkup.seen[frames]
    picture[:lane, unseen] = UNSEEN_RGB
    for second in range(1, int(checkup.num_frames / checkup.fps) + 1):
        x = round(second * checkup.fps / checkup.num_frames * width)
        if 0 < x < width and checkup.num_frames / checkup.fps <= width / 8:
            cv2.line(picture, (x, 0), (x, max(1, height // 12)), (96, 104, 110), 1)
    return picture


def frame_at(x: float, width: int, num_frames: int) -> int:
    """The frame under pixel column `x` of a strip: what a click on it means."""
    return int(np.clip(x * num_frames // width, 0, num_frames - 1))
