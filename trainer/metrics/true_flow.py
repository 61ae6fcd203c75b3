"""How the background moves by geometry: exact flow from depth and cameras, nothing estimated.

Pixels: (0, 0) is the corner of the first one, centres at +0.5. Nothing in a background moves but the camera.
"""

import cv2
import numpy as np

from animateanywhere.geometry.cameras import CameraPath
from trainer.metrics.motion import BackgroundFlow, flow_pairs, told_background

_HIDDEN_BY = 0.05
"""A point is hidden in another frame if what is seen there is nearer by more than this share of its distance."""


def exact_background_flow(
    video: np.ndarray, person: np.ndarray, depth: np.ndarray, cameras: CameraPath
) -> BackgroundFlow:
    """Of a true clip uint8 `[T, H, W, 3]` with its person bool `[T, H, W]`; `depth` and `cameras` as in `exact_flow`."""
    flow, seen = exact_flow(depth, cameras)
    return BackgroundFlow(flow, told_background(video, person, seen))


def exact_flow(depth: np.ndarray, cameras: CameraPath) -> tuple[np.ndarray, np.ndarray]:
    """Where each pixel of a pair's first frame is in its second, minus where it was: float32 `[P, H, W, 2]`, (x, y) in pixels.

    Of the `flow_pairs`. `depth` float `[T, H, W]`: z in the camera's frame at pixel centres, in the cameras' unit of length.
    Beside it, bool `[P, H, W]`: the point is in the second picture and nothing stands before it. Raises InputError if the
    cameras are of another length.
    """
    cameras = cameras.matched_to(len(depth))
    moves = [_moved(depth, cameras, start, end) for start, end in flow_pairs(len(depth))]
    if not moves:
        return np.zeros((0, *depth.shape[1:], 2), np.float32), np.zeros((0, *depth.shape[1:]), bool)
    return np.stack([flow for flow, _ in moves]), np.stack([seen for _, seen in moves])


def displacement_px(depth: np.ndarray, cameras: CameraPath, hidden: np.ndarray) -> float:
    """How far the first frame's background gets: the median way in pixels, largest over the later frames; 0 or more.

    `depth` and `cameras` as in `exact_flow`; `hidden` bool `[H, W]` leaves out pixels of the first frame. Points count in
    frames whose picture they are in; infinite if a frame sees none of them any more. A camera that comes back has moved all
    the same.
    """
    cameras = cameras.matched_to(len(depth))
    medians = [0.0]
    for t in range(1, len(depth)):
        flow, seen = _moved(depth, cameras, 0, t)
        counted = seen & ~hidden
        medians.append(float(np.median(np.linalg.norm(flow[counted], axis=-1))) if counted.any() else float("inf"))
    return max(medians)


def _moved(depth: np.ndarray, cameras: CameraPath, start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Flow float32 [H, W, 2] from one frame to another, and bool [H, W]: its end is in the picture and not hidden."""
    height, width = depth.shape[1:]
    pixels = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1).reshape(-1, 2)
    rays = np.concatenate([pixels, np.ones((len(pixels), 1))], 1) @ np.linalg.inv(cameras.intrinsics_px[start]).T
    points = rays * depth[start].reshape(-1, 1).astype(np.float64)
    motion = cameras.relative(start, end)
    there = points @ motion[:3, :3].T + motion[:3, 3]
    ahead = there[:, 2] > 0
    projected = there @ cameras.intrinsics_px[end].T
    landed = projected[:, :2] / np.where(ahead, there[:, 2], 1)[:, None]
    inside = ahead & (landed > 0).all(1) & (landed < (width, height)).all(1)
    column, row = np.where(inside[:, None], landed, 0).astype(int).T
    # The farthest of the pixels around: between two surfaces a point may land on a pixel of either.
    farthest = cv2.dilate(depth[end].astype(np.float32), np.ones((3, 3), np.uint8))
    free = there[:, 2] <= farthest[row, column] * (1 + _HIDDEN_BY)
    flow = np.where(ahead[:, None], landed - pixels, 0).astype(np.float32)
    return flow.reshape(height, width, 2), (inside & free).reshape(height, width)
