"""What a picture of a place holds beside ground and far plane: which parts of it are nearer or farther than those."""

from collections.abc import Iterator
from functools import cache

import cv2
import numpy as np
import torch

from animateanywhere.geometry.camera_variants import FAR_DISTANCES
from animateanywhere.geometry.cameras import CameraPath
from animateanywhere.models.depth_network import DepthNetwork, load_depth_network, network_size, planes_nearness
from animateanywhere.moving_background import moving_background


def filmed_place(background: np.ndarray, cameras: CameraPath, far: float) -> Iterator[np.ndarray]:
    """Yield uint8 [H, W, 3], one per camera, from the picture uint8 [H, W, 3] that the first camera took.

    `far`: where the place ends if nothing in the picture says otherwise, FAR_DISTANCES times as far as the person. Raises
    InputError as `moving_background` does.
    """
    return moving_background(background, cameras, far, place_relief(background, cameras, far / FAR_DISTANCES))


@torch.no_grad()
def place_relief(background: np.ndarray, cameras: CameraPath, person: float) -> np.ndarray:
    """float32 [H, W]: distance along the first camera's z over that of ground and far plane.

    `person`: distance to the person, in the path's unit.
    """
    height, width = background.shape[:2]
    size = network_size(width, height)
    small = cv2.resize(background, size, interpolation=cv2.INTER_AREA)
    ground, across = (torch.from_numpy(v)[None] for v in ground_and_rays(cameras, person, size))
    picture = torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255
    distance = _network()(picture, ground, across)
    return cv2.resize((distance * planes_nearness(ground))[0].numpy(), (width, height))


@cache
def _network() -> DepthNetwork:
    return load_depth_network()


def ground_and_rays(cameras: CameraPath, person: float, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """float32 [h, w] twice, at the middles of `size` (w, h) cells of the first camera's picture: distance to the person over
    that of the level ground y = 0, negative above the horizon; and the slope of the ray to the right."""
    (width, height), (columns, rows) = cameras.image_size, size
    x, y = np.meshgrid((np.arange(columns) + 0.5) * width / columns, (np.arange(rows) + 0.5) * height / rows)
    rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(cameras.intrinsics_px[0]).T
    down = (rays @ cameras.rotations[0])[..., 1]
    above_ground = max(float(-cameras.centres[0, 1]), 1e-6)
    return (down * person / above_ground).astype(np.float32), rays[..., 0].astype(np.float32)
