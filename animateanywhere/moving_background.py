"""A photograph of a place as a moving camera would see it: ground, something upright far behind, and what stands between.

The explicit second stage of "first the camera, then the picture", and the baseline that a model's background is held
against beside the frozen one.
"""

from collections.abc import Iterator

import cv2
import numpy as np

from animateanywhere.errors import InputError
from animateanywhere.geometry.cameras import CameraPath

_MAP_COLUMNS = 80
"""Places across the picture that are worked out exactly; between them straight lines are good enough."""
_SIDES, _ABOVE, _BELOW = 0.4, 0.25, 0.1
"""Of width or height: how much beside an edge its mirror image may show. Below the picture is ground, never walls."""
_NEAREST = 0.05
"""Of the distance to the far plane: ground nearer than this to the first camera was never in the picture."""
_LOOKS = 32
"""How often a ray is asked whether it has met something, and the fineness of the net that finds nearest and farthest."""
_NEARER, _FARTHER = 0.5, 1.5
"""What comes into the picture may be so much nearer or farther than all that was in it."""
_EDGE = 0.8
"""Where the surface under a ray comes nearer by more than this from one look to the next, there is an outline: the ray passes
behind the thing. What it meets there the picture does not show; it is taken for what is seen beside the outline."""


def moving_background(
    background: np.ndarray, cameras: CameraPath, far: float, relief: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """Yield uint8 [H, W, 3], one per camera, from the picture uint8 [H, W, 3] that the first camera took.

    The world is the ground y = 0 (y down) up to an upright plane at `far` ahead of the first camera, in the path's unit. `relief`,
    float32 [h, w] over the whole picture: by how much farther than those (along the first camera's z) its parts are; None: 1.
    What the picture does not show is a mirror image of what lies beside the edge. Raises InputError if sizes differ or `far` is not
    positive.
    """
    height, width = background.shape[:2]
    if cameras.image_size != (width, height):
        raise InputError(f"background of {width}x{height} for cameras of {cameras.image_size}: bring both to one size")
    if not far > 0:
        raise InputError(f"far plane at {far}: expected a distance above 0")
    return (_seen_by(background, cameras, frame, far, relief) for frame in range(cameras.num_frames))


def lay_over(frames: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """uint8 [..., 3] under uint8 [..., 4] with straight alpha -> uint8 [..., 3]."""
    alpha = layer[..., 3:].astype(np.uint16)
    mixed = layer[..., :3] * alpha + frames * (255 - alpha)
    return ((mixed + 127) // 255).astype(np.uint8)


def _seen_by(
    background: np.ndarray, cameras: CameraPath, frame: int, far: float, relief: np.ndarray | None
) -> np.ndarray:
    if _sees_the_same(cameras, frame):
        return background.copy()
    height, width = background.shape[:2]
    step = max(2, round(width / _MAP_COLUMNS))
    columns, rows = width // step + 2, height // step + 2
    x, y = np.meshgrid(np.linspace(0, width, columns), np.linspace(0, height, rows))
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    if relief is None:
        source = first_camera_pixels(cameras, frame, points, far)
    else:
        source = first_camera_pixels_in_relief(cameras, frame, points, far, relief)
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


def first_camera_pixels_in_relief(
    cameras: CameraPath, frame: int, points_px: np.ndarray, far: float, relief: np.ndarray
) -> np.ndarray:
    """The same in a place with `relief`: each ray goes on until it meets the surface that the first camera's picture shows."""
    homogeneous = np.concatenate([points_px, np.ones((len(points_px), 1))], axis=1)
    rays = homogeneous @ np.linalg.inv(cameras.intrinsics_px[frame]).T @ cameras.rotations[frame]
    looks = _looks(cameras, far, relief)
    # Straight lines in the first camera's space: where each ray starts there, and where it goes. Axes apart: it is faster.
    start = (cameras.rotations[0] @ (cameras.centres[frame] - cameras.centres[0])).astype(np.float32)
    rays = np.ascontiguousarray((rays @ cameras.rotations[0].T).T, np.float32)  # [3, N]
    seen = [start[k] + rays[k] * looks[:, None] for k in range(3)]  # [L, N] each
    surface = _surface(cameras, far, relief, *_on_picture(cameras, *seen, far))
    behind = seen[2] / surface  # 1: on the surface
    crossed = (behind[:-1] < 1) & (behind[1:] >= 1)
    met = crossed & (surface[1:] > _EDGE * surface[:-1])
    first = np.where(met.any(0), met.argmax(0), np.where(crossed.any(0), crossed.argmax(0), _LOOKS - 2))
    each = np.arange(len(points_px))
    before, after = behind[first, each], behind[first + 1, each]
    part = np.where(met[first, each], np.clip((1 - before) / np.maximum(after - before, 1e-9), 0, 1), 0)
    reach = looks[first] + part * (looks[first + 1] - looks[first])
    return np.stack(_on_picture(cameras, *(start[k] + rays[k] * reach for k in range(3)), far), axis=-1)


def _looks(cameras: CameraPath, far: float, relief: np.ndarray) -> np.ndarray:
    """Distances along a ray at which it is asked whether it has met something."""
    x, y = np.meshgrid(*(np.linspace(0, side, _LOOKS, dtype=np.float32) for side in cameras.image_size))
    surface = _surface(cameras, far, relief, x, y)
    return np.geomspace(_NEARER * surface.min(), _FARTHER * surface.max(), _LOOKS, dtype=np.float32)


def _on_picture(cameras: CameraPath, x: np.ndarray, y: np.ndarray, z: np.ndarray, far: float) -> list[np.ndarray]:
    """Points before the first camera -> its pixels, x and y."""
    nearness = 1 / np.maximum(z, np.float32(_NEAREST * far))
    x, y = x * nearness, y * nearness
    return [a * x + b * y + c for a, b, c in cameras.intrinsics_px[0, :2].astype(np.float32)]


def _surface(cameras: CameraPath, far: float, relief: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Along the first camera's z, how far away the place is at its pixels; beside the picture as at its edge."""
    (width, height), (rows, columns) = cameras.image_size, relief.shape
    down = (cameras.rotations[0].T @ np.linalg.inv(cameras.intrinsics_px[0]))[1]
    down = (down / max(-cameras.centres[0, 1], 1e-6)).astype(np.float32)
    # Ground where it is nearer than the far plane.
    nearness = np.maximum(down[0] * x + down[1] * y + down[2], np.float32(1 / far))
    column = np.clip(x * np.float32(columns / width) - np.float32(0.5), -1, columns)
    row = np.clip(y * np.float32(rows / height) - np.float32(0.5), -1, rows)
    return cv2.remap(relief, column, row, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE) / nearness


def _sees_the_same(cameras: CameraPath, frame: int) -> bool:
    both = [np.concatenate([cameras.intrinsics_px[t], cameras.camera_from_world[t, :3]], axis=1) for t in (0, frame)]
    return bool(np.allclose(*both, rtol=0, atol=1e-6))


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
