"""A photograph of a place as a moving camera would see it: ground, and something upright far behind. No model needed.

The explicit second stage of "first the camera, then the picture", and the baseline that a model's background is held
against beside the frozen one.
"""

from collections.abc import Iterator

import cv2
import numpy as np

from animateanywhere.errors import InputError
from animateanywhere.geometry.cameras import CameraPath

_MAP_STEP = 8
"""Pixels between the places that are worked out exactly; between them straight lines are good enough."""
_SIDES, _ABOVE, _BELOW = 0.4, 0.25, 0.1
"""Of width or height: how much beside an edge its mirror image may show. Below the picture is ground, never walls."""
_NEAREST = 0.05
"""Of the distance to the far plane: ground nearer than this to the first camera was never in the picture."""


def moving_background(background: np.ndarray, cameras: CameraPath, far: float) -> Iterator[np.ndarray]:
    """Yield uint8 [H, W, 3], one per camera, from the picture uint8 [H, W, 3] that the first camera took.

    The world is the ground y = 0 (y down) up to an upright plane at `far` ahead of the first camera, in the path's unit.
    What the picture does not show is a mirror image of what lies beside the edge. Raises InputError if sizes differ or `far` is not
    positive.
    """
    height, width = background.shape[:2]
    if cameras.image_size != (width, height):
        raise InputError(f"background of {width}x{height} for cameras of {cameras.image_size}: bring both to one size")
    if not far > 0:
        raise InputError(f"far plane at {far}: expected a distance above 0")
    return (_seen_by(background, cameras, frame, far) for frame in range(cameras.num_frames))


def lay_over(frames: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """uint8 [..., 3] under uint8 [..., 4] with straight alpha -> uint8 [..., 3]."""
    alpha = layer[..., 3:].astype(np.uint16)
    mixed = layer[..., :3] * alpha + frames * (255 - alpha)
    return ((mixed + 127) // 255).astype(np.uint8)


def _seen_by(background: np.ndarray, cameras: CameraPath, frame: int, far: float) -> np.ndarray:
    height, width = background.shape[:2]
    columns, rows = width // _MAP_STEP + 2, height // _MAP_STEP + 2
    x, y = np.meshgrid(np.linspace(0, width, columns), np.linspace(0, height, rows))
    source = first_camera_pixels(cameras, frame, np.stack([x.ravel(), y.ravel()], axis=1), far)
    source = np.clip(source, [-width, -height], [2 * width, 2 * height]).reshape(rows, columns, 2)
    # Corners of the coarse map lie on the picture's corners: centres of pixels are half a pixel inside.
    fine = _folded(_stretched(source.astype(np.float32), width, height), width, height) - 0.5
    return cv2.remap(background, fine, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def _folded(source: np.ndarray, width: int, height: int) -> np.ndarray:
    """float32 [H, W, 2] with places beyond an edge mirrored into the band beside it, the slower the farther they are."""
    for axis, far, before, after in ((0, width, _SIDES, _SIDES), (1, height, _ABOVE, _BELOW)):
        place = source[..., axis]
        for beyond, band, sign, edge in ((-place, before, 1, 0), (place - far, after, -1, far)):
            out = beyond > 0
            if out.any():
                place[out] = edge + sign * band * far * (1 - np.exp(-beyond[out] / (band * far)))
    return source


def first_camera_pixels(cameras: CameraPath, frame: int, points_px: np.ndarray, far: float) -> np.ndarray:
    """float64 [N, 2]: where the first camera saw what camera `frame` sees at `points_px` [N, 2]."""
    homogeneous = np.concatenate([points_px, np.ones((len(points_px), 1))], axis=1)
    rays = homogeneous @ np.linalg.inv(cameras.intrinsics_px[frame]).T @ cameras.rotations[frame]
    centre, first = cameras.centres[frame], cameras.centres[0]
    ahead = cameras.rotations[0][2] * [1, 0, 1]
    ahead /= max(float(np.linalg.norm(ahead)), 1e-9)
    to_plane = far - (centre - first) @ ahead
    with np.errstate(divide="ignore", invalid="ignore"):
        ground = np.where(rays[:, 1] > 0, -centre[1] / rays[:, 1], np.inf)
        plane = np.where(rays @ ahead > 0, to_plane / (rays @ ahead), np.inf)
    reach = np.minimum(ground, np.where(plane > 0, plane, np.inf))
    reach = np.where(np.isfinite(reach), reach, 10 * far)
    world = centre + rays * reach[:, None]
    seen = (world - first) @ cameras.rotations[0].T
    seen[:, 2] = np.maximum(seen[:, 2], _NEAREST * far)
    pixels = seen @ cameras.intrinsics_px[0].T
    return pixels[:, :2] / pixels[:, 2:]


def _stretched(coarse: np.ndarray, width: int, height: int) -> np.ndarray:
    """float32 [rows, columns, 2] whose corners are the picture's corners -> [H, W, 2] at pixel centres."""
    rows, columns = coarse.shape[:2]
    across = np.tensordot(_line_weights(height, rows), coarse, 1)  # [H, columns, 2]
    return np.einsum("xc,hck->hxk", _line_weights(width, columns), across, optimize=True)


def _line_weights(pixels: int, knots: int) -> np.ndarray:
    """float32 [pixels, knots]: straight lines between evenly spaced knots, at pixel centres.

    OpenCV's own interpolation rounds to a 32nd of a knot's distance: a quarter of a pixel here, and pictures would ripple.
    """
    places = (np.arange(pixels, dtype=np.float32) + 0.5) * ((knots - 1) / pixels)
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(knots, dtype=np.float32)))
