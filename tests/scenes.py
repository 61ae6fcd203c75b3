"""Synthetic cameras and points: the same background point seen in two frames, for tests that hold geometry to its word."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from animateanywhere.geometry.cameras import CameraPath, intrinsics_from_fov, look_from
from animateanywhere.latent_grid import LatentGrid


@dataclass(frozen=True)
class Matches:
    """N background points that lie inside both pictures."""

    pixels_i: np.ndarray
    """float64 [N, 2]"""
    pixels_j: np.ndarray
    """float64 [N, 2]"""


def wandering_path(num_frames: int, image_size: tuple[int, int], seed: int = 0, *, step: float = 0.25) -> CameraPath:
    """A camera that walks, turns about all three axes and zooms a little: no axis, no symmetry, no constant intrinsics."""
    rng = np.random.default_rng(seed)
    turns = np.cumsum(rng.normal([0.004, -0.012, 0.008], 0.01, (num_frames, 3)), 0)
    centres = np.cumsum(rng.normal([step, 0.4 * step, 0.5 * step], 0.2 * step, (num_frames, 3)), 0)
    intrinsics = intrinsics_from_fov(60, image_size, num_frames)
    intrinsics[:, [0, 1], [0, 1]] *= np.linspace(1, 1.1, num_frames)[:, None]
    intrinsics[:, 0, 2] += 0.03 * image_size[0]
    return CameraPath(intrinsics, look_from(centres, Rotation.from_rotvec(turns).as_matrix()), image_size)


def matches(
    path: CameraPath,
    frame_i: int,
    frame_j: int,
    rng: np.random.Generator,
    count: int = 2000,
    depths: tuple[float, float] = (2.0, 20.0),
    centres_of_px: int = 0,
) -> Matches:
    """Up to `count` points: anywhere in frame i, log-uniform in depth, kept if frame j sees them.

    `centres_of_px`: in frame i they lie at the centre of their token of this many pixels instead.
    """
    width, height = path.image_size
    pixels = rng.uniform([0, 0], [width, height], (count, 2))
    if centres_of_px:
        pixels = (pixels // centres_of_px + 0.5) * centres_of_px
    depth = np.exp(rng.uniform(*np.log(depths), count))
    rays = np.concatenate([pixels, np.ones((count, 1))], 1) @ np.linalg.inv(path.intrinsics_px[frame_i]).T
    in_camera = np.concatenate([rays * depth[:, None], np.ones((count, 1))], 1)
    world = in_camera @ np.linalg.inv(path.camera_from_world[frame_i]).T
    seen, _ = path.projected(world[:, :3], frame_j)
    inside = ((seen >= 0) & (seen < [width, height])).all(1)
    return Matches(pixels[inside], seen[inside])


def tokens_of(pixels: np.ndarray, grid: LatentGrid, token_frame: int) -> np.ndarray:
    """int64 [N]: the flat number of the token of `token_frame` that each pixel position [N, 2] falls into."""
    _, height, width = grid.token_shape
    x, y = (pixels // grid.token_stride_px).astype(int).T
    return (token_frame * height + y) * width + x
