"""How the background moves in the picture when the camera moves: for pictures, for measuring, for nothing else.

The background is what most photographs are: ground, y = 0, and beyond a distance something that stands upright.
"""

import numpy as np

from animateanywhere.geometry.cameras import CameraPath

GRID = (8, 6)
"""Columns and rows of the cells in which a background's movement is looked at."""
_NEAREST_M = 0.05


def picture_grid(image_size: tuple[int, int], columns: int = GRID[0], rows: int = GRID[1]) -> np.ndarray:
    """float64 [N, 2]: middles of equal cells of a picture (W, H), in pixels, row by row."""
    width, height = image_size
    x, y = (np.arange(columns) + 0.5) * width / columns, (np.arange(rows) + 0.5) * height / rows
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def background_depths(cameras: CameraPath, points_px: np.ndarray, far: float | np.ndarray) -> np.ndarray:
    """float64 [T, N]: how far along each camera's z the background is at `points_px` [N, 2], in the path's unit.

    The ground where it is nearer than `far` (one number or [T]), else `far`. Above the horizon always `far`.
    """
    down = _rays(cameras, points_px)[..., 1]
    height = -cameras.centres[:, 1, None]
    ground = np.where(down * height > 0, height / np.where(down == 0, 1.0, down), np.inf)
    return np.minimum(ground, np.broadcast_to(far, cameras.num_frames)[:, None])


def background_flow_px(cameras: CameraPath, points_px: np.ndarray, depths: np.ndarray) -> np.ndarray:
    """float64 [T-1, N, 2]: where what is at `points_px` [N, 2] in each frame goes until the next, in pixels.

    `depths` [T, N] along the camera's z, positive. A point that would pass the camera stops just before it.
    """
    world = cameras.centres[:, None] + _rays(cameras, points_px) * depths[..., None]
    seen = np.einsum("tij,tnj->tni", cameras.rotations[1:], world[:-1]) + cameras.camera_from_world[1:, None, :3, 3]
    pixels = np.einsum("tij,tnj->tni", cameras.intrinsics_px[1:], seen)
    return pixels[..., :2] / np.maximum(pixels[..., 2:], _NEAREST_M) - points_px


def net_flow_px(cameras: CameraPath, far: float | np.ndarray, points_px: np.ndarray | None = None) -> np.ndarray:
    """float64 [N, 2]: movement of the background past each fixed place of the picture, added up over the clip.

    `points_px` [N, 2]: 8 x 6 cells if not given. `far`: as in `background_depths`. A sway that comes back adds up to 0.
    """
    points = picture_grid(cameras.image_size) if points_px is None else points_px
    return background_flow_px(cameras, points, background_depths(cameras, points, far)).sum(0)


def flow_size_px(flow: np.ndarray) -> float:
    """Root mean square length of vectors [..., 2]."""
    return float(np.sqrt((flow**2).sum(-1).mean()))


def flow_agreement(flow: np.ndarray, truth: np.ndarray) -> float:
    """Cosine of the angle between two fields [..., 2] as one long vector each: 1 alike up to size, 0 if either is zero.

    For two pans it is the cosine between their directions; a zoom in against a zoom out gives -1.
    """
    lengths = np.sqrt((flow**2).sum() * (truth**2).sum())
    return float((flow * truth).sum() / lengths) if lengths > 0 else 0.0


def _rays(cameras: CameraPath, points_px: np.ndarray) -> np.ndarray:
    """float64 [T, N, 3]: world directions through pixels, of length 1 along the camera's z."""
    homogeneous = np.concatenate([points_px, np.ones((len(points_px), 1))], axis=1)
    in_camera = np.einsum("tij,nj->tni", np.linalg.inv(cameras.intrinsics_px), homogeneous)
    return np.einsum("tji,tnj->tni", cameras.rotations, in_camera)
