"""Exact labels of a rendered clip: masks, depth, joints in pixels, intrinsics."""

import numpy as np
import torch

from trainer.stage_world.cast import Canvas, Cones, Rays
from trainer.stage_world.landmarks import FACE, HEAD_FRONT, NUM_JOINTS

HIDDEN_CONFIDENCE = 0.4
"""Confidence of a joint behind a prop."""
_HIDDEN_BY_M = 0.12


def camera_rays(
    camera_from_world: np.ndarray, focal_px: np.ndarray, width: int, height: int, device: str | torch.device = "cpu"
) -> Rays:
    """Cameras [T,4,4] with focal lengths [T] and the principal point in the middle of the picture."""
    rotation = camera_from_world[:, :3, :3]
    centre = -np.einsum("tji,tj->ti", rotation, camera_from_world[:, :3, 3])
    principal = np.broadcast_to(np.array([width / 2, height / 2]), (len(centre), 2))
    return Rays(centre, rotation.transpose(0, 2, 1).copy(), focal_px, principal, width, height, torch.device(device))


def centre_depth(canvas: Canvas) -> np.ndarray:
    """Depth at pixel centres, float32 [T,H,W]."""
    return canvas.depth[:, 1, :-1, :-1].contiguous().cpu().numpy()


def person_masks(canvas: Canvas, cones: Cones, first_number: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels whose centre sees the person, and those that see a hand: bool [T,H,W] each."""
    number = canvas.surface[:, 1, :-1, :-1].to(torch.int64) - first_number
    human = number >= 0
    hand = torch.as_tensor(cones.hand, device=number.device)[number.clamp_min(0)] & human
    return human.cpu().numpy(), hand.cpu().numpy()


def intrinsics_px(rays: Rays) -> np.ndarray:
    """float64 [T,3,3]"""
    matrix = np.zeros((len(rays.centre), 3, 3))
    matrix[:, 0, 0] = matrix[:, 1, 1] = rays.focal_px
    matrix[:, :2, 2] = rays.principal_px
    matrix[:, 2, 2] = 1.0
    return matrix


def project_joints(
    joints: np.ndarray, gaze: np.ndarray, rays: Rays, background_depth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [T,133,2] and confidences [T,133], float32, of world joints [T,133,3]; `gaze` [T,3]: the head's front.

    1 seen, 0.4 behind a prop, 0 out of frame or behind the camera. The 68 face points are 0 in profile and from behind,
    nose and eyes from behind, as detectors lose them there; other joints that the body itself hides keep 1.
    """
    seen = np.einsum("tji,tkj->tki", rays.world_from_camera, joints - rays.centre[:, None])
    depth = seen[..., 2]
    scale = rays.focal_px[:, None] / np.where(np.abs(depth) < 1e-3, 1e-3, depth)
    pixels = scale[..., None] * seen[..., :2] + rays.principal_px[:, None]
    inside = (depth > 0.05) & (pixels >= 0).all(-1) & (pixels[..., 0] < rays.width) & (pixels[..., 1] < rays.height)
    column = np.clip(pixels[..., 0], 0, rays.width - 1).astype(int)
    row = np.clip(pixels[..., 1], 0, rays.height - 1).astype(int)
    scenery = background_depth[np.arange(len(joints))[:, None], row, column]
    confidence = np.where(scenery < depth - _HIDDEN_BY_M, HIDDEN_CONFIDENCE, 1.0)
    to_camera = rays.centre - joints[:, 0]
    facing = (gaze * to_camera).sum(-1) / np.linalg.norm(to_camera, axis=-1)
    number = np.arange(NUM_JOINTS)
    confidence[(facing < 0.1)[:, None] & np.isin(number, number[FACE])] = 0.0
    confidence[(facing < -0.2)[:, None] & np.isin(number, HEAD_FRONT)] = 0.0
    return pixels.astype(np.float32), np.where(inside, confidence, 0.0).astype(np.float32)
