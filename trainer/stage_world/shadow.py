"""The shadow that the person casts on the ground."""

import numpy as np
import torch

from trainer.stage_world.actions import Performance
from trainer.stage_world.cast import Canvas
from trainer.stage_world.scene import Light
from trainer.stage_world.shading import GROUND

_BONES = (
    ("foot_l", "shank_l", 0.07), ("shank_l", "thigh_l", 0.09), ("foot_r", "shank_r", 0.07),
    ("shank_r", "thigh_r", 0.09),
    ("pelvis", "neck", 0.17), ("head", "neck", 0.12), ("upper_arm_l", "forearm_l", 0.06), ("forearm_l", "hand_l", 0.05),
    ("upper_arm_r", "forearm_r", 0.06), ("forearm_r", "hand_r", 0.05),
)  # fmt: skip
"""Limbs from one bone's origin to another's, and their radii in metres for a person of 1.7 m."""
_MARGIN_M = 0.4
_DEEPEST = 0.85


def cast_shadow(colour: torch.Tensor, stage: Canvas, performance: Performance, height: float, light: Light) -> None:
    """Darken the ground in `colour` [3,T,2,R,S] where limbs stand before the light; softer the higher the limb."""
    rays = stage.rays
    ends, heights = _fallen_limbs(performance, light)
    corners = np.zeros((len(ends), ends.shape[1] * 2, 3))
    corners[:, :, [0, 2]] = ends.reshape(len(ends), -1, 2)
    (window,) = rays.windows(corners[None], np.array([_MARGIN_M]))
    if window is None:
        return
    index = stage.flat_index(window)  # [T,2,h,w]
    seen = (stage.depth, rays.directions[0], rays.directions[2], stage.surface)
    depth, dx, dz, surface = (plane.view(-1).index_select(0, index.view(-1)).view_as(index) for plane in seen)
    centre = rays.tensor(rays.centre)[..., None, None, None]
    px, pz = centre[:, 0] + depth * dx, centre[:, 2] + depth * dz
    away = torch.full_like(px, float("inf"))  # from the limbs' edges, in widths of their soft edges
    ends, heights = (
        rays.tensor(ends)[..., None, None, None],
        rays.tensor(heights)[..., None, None, None],
    )  # [T,L,2,2,1,1,1], [T,L,2,1,1,1]
    for s, (_, _, radius) in enumerate(_BONES):
        (ax, az), (bx, bz) = ends[:, s, 0].unbind(1), ends[:, s, 1].unbind(1)
        sx, sz = bx - ax, bz - az
        along = (((px - ax) * sx + (pz - az) * sz) / (sx * sx + sz * sz).clamp_min(1e-6)).clamp(0, 1)
        gap = torch.hypot(px - ax - along * sx, pz - az - along * sz)
        above = heights[:, s, 0] + along * (heights[:, s, 1] - heights[:, s, 0])
        away = torch.minimum(away, (gap - radius * height / 1.7) / (0.02 + 0.045 * above.clamp_min(0)))
    direct = rays.tensor(light.direct) * float(-light.towards[1])
    share = (direct / (direct + rays.tensor(light.ambient)) * _DEEPEST)[:, None]
    dark = torch.where(surface == GROUND, 1 - torch.sigmoid(away), 0.0).view(-1)
    at, flat = index.view(-1), colour.view(3, -1)
    for plane, weight in zip(flat, share, strict=True):
        plane.scatter_(0, at, plane.index_select(0, at) * (1 - weight * dark))


def _fallen_limbs(performance: Performance, light: Light) -> tuple[np.ndarray, np.ndarray]:
    """Limbs thrown onto the ground along the light: ends [T,L,2,2] (x, z) and their heights above ground [T,L,2]."""
    bones = performance.bones
    names = {name for pair in _BONES for name in pair[:2]}
    world = {n: performance.root + np.einsum("tij,tj->ti", performance.world_from_body, bones.origin[n]) for n in names}
    points = np.stack([np.stack([world[a], world[b]], axis=1) for a, b, _ in _BONES], axis=1)  # [T,L,2,3]
    ends = points[..., [0, 2]] - light.towards[[0, 2]] * (points[..., 1:2] / light.towards[1])
    return ends, -points[..., 1]
