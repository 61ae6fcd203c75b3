"""Clips of a made-up place whose camera is known: textured boards at several depths, warped into every frame."""

import cv2
import numpy as np

from animateanywhere.geometry.cameras import CameraPath
from animateanywhere.media import VideoFrames

SIZE = (192, 128)
_WALL = (9.0, (-16.0, 16.0), (-9.0, 9.0))
_BOARDS = (
    (7.0, (-6.0, -2.5), (-3.0, 3.0)),
    (6.0, (2.0, 4.5), (-2.5, 1.0)),
    (4.5, (-1.2, 0.8), (-1.8, -0.4)),
    (4.0, (-2.4, -1.2), (-0.3, 1.5)),
    (3.5, (0.9, 2.0), (0.2, 1.4)),
    (3.0, (-0.9, 0.3), (0.7, 1.4)),
)
"""Depth along z, and reach along x and y, far ones first; the first camera stands at the origin and looks along +z."""
_UNITS_PER_TEXEL = 0.03


def film(path: CameraPath, *, seed: int = 0, noise: float = 1.0, boards=(_WALL, *_BOARDS)) -> VideoFrames:
    """What the cameras of `path` see, with camera noise of `noise` grey levels."""
    rng = np.random.default_rng(seed)
    textures = [_texture(rng, reach_x, reach_y) for _, reach_x, reach_y in boards]
    frames = []
    for intrinsics, pose in zip(path.intrinsics_px, path.camera_from_world, strict=True):
        picture = np.full((path.image_size[1], path.image_size[0], 3), 90, np.uint8)
        for (depth, reach_x, reach_y), texture in zip(boards, textures, strict=True):
            _paint(picture, texture, _pixel_from_texel(intrinsics, pose, depth, reach_x[0], reach_y[0]))
        noisy = picture + rng.normal(0, noise, picture.shape)
        frames.append(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))
    return VideoFrames(np.stack(frames), path.fps)


def angle_between_deg(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """[T, 3, 3] and [T, 3, 3] rotations -> [T] degrees."""
    cosine = (np.einsum("tij,tij->t", a, b) - 1) / 2
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def camera_errors(found: CameraPath, true: CameraPath) -> tuple[np.ndarray, np.ndarray]:
    """Degrees: wrong turn since the first frame [T], wrong direction of the way since the first frame [T'].

    Both seen from the first camera; directions only where the true camera has gone a quarter of its longest way or more.
    """
    turns, ways = [], []
    for path in (found, true):
        first = path.rotations[0]
        turns.append(path.rotations @ first.T)
        ways.append((path.centres - path.centres[0]) @ first.T)
    length = np.linalg.norm(ways[1], axis=1)
    far = length > max(0.25 * length.max(), 1e-9)
    cosine = (ways[0] * ways[1]).sum(1)[far] / np.maximum(np.linalg.norm(ways[0], axis=1)[far], 1e-12) / length[far]
    return angle_between_deg(*turns), np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def _texture(rng: np.random.Generator, reach_x, reach_y) -> np.ndarray:
    width, height = (int((reach[1] - reach[0]) / _UNITS_PER_TEXEL) for reach in (reach_x, reach_y))
    picture = np.zeros((height, width, 3), np.float32)
    for size in (3, 9, 27):
        coarse = rng.normal(0, 1, (height // size + 2, width // size + 2, 3)).astype(np.float32)
        picture += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + 30 * picture, 0, 255).astype(np.uint8)


def _pixel_from_texel(intrinsics: np.ndarray, pose: np.ndarray, depth: float, left: float, top: float) -> np.ndarray:
    world_from_texel = np.array([[_UNITS_PER_TEXEL, 0, left], [0, _UNITS_PER_TEXEL, top], [0, 0, depth], [0, 0, 1]])
    half = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1.0]])
    return half @ intrinsics @ pose[:3] @ world_from_texel


def _paint(picture: np.ndarray, texture: np.ndarray, pixel_from_texel: np.ndarray) -> None:
    size = picture.shape[1::-1]
    seen = cv2.warpPerspective(np.full(texture.shape[:2], 255, np.uint8), pixel_from_texel, size)
    colours = cv2.warpPerspective(
        texture, pixel_from_texel, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    share = seen[..., None].astype(np.float32) / 255
    picture[:] = np.rint(picture * (1 - share) + colours * share).astype(np.uint8)
