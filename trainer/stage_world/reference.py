"""The reference picture: the same person in another pose, seen a little differently, on a flat canvas."""

from dataclasses import dataclass

import numpy as np
import torch

from trainer.stage_world.actions import perform
from trainer.stage_world.atlas import Atlas, to_pixels
from trainer.stage_world.cast import Canvas, Cones, Rays
from trainer.stage_world.labels import project_joints
from trainer.stage_world.movements import sample_style
from trainer.stage_world.person import Actor, actor_cones
from trainer.stage_world.scene import Light
from trainer.stage_world.shading import Shader, paint_cones
from trainer.stage_world.take import joints_in_world

REFERENCE_CANVAS_RGB = (231, 230, 230)
_ACTIONS = ("stand", "stand", "wave", "walk", "dance", "clap", "stretch")
_PERSON = 1


@dataclass(frozen=True, eq=False)
class ReferencePicture:
    """The person centred; they fill about 92 % of the height or the width."""

    rgb: np.ndarray
    """uint8 [H,W,3]"""
    mask: np.ndarray
    """bool [H,W]: where the person is."""
    joints: np.ndarray
    """float32 [133,3]: pixels and confidence, as a detector gives them."""

    @property
    def rgba(self) -> np.ndarray:
        """uint8 [H,W,4]: cut out."""
        return np.dstack([self.rgb, np.where(self.mask, 255, 0).astype(np.uint8)])


def render_reference(
    actor: Actor, rng: np.random.Generator, width: int, height: int, device: torch.device, light: Light, scale: int = 1
) -> ReferencePicture:
    """`scale`: so many times larger than `width` x `height`; what is seen stays the same."""
    moment = int(rng.integers(1, 24))
    style, turn = sample_style(rng), rng.normal(0, 0.4)
    action = str(rng.choice(_ACTIONS))
    performance = perform(action, actor.shape, style, moment + 1, 8.0, heading=turn, in_place=True).at(moment)
    cones = actor_cones(actor, performance, 0)
    eye = np.array([0.0, -rng.uniform(0.4, 0.9), -4.5]) * actor.shape.height
    rays = _enlarged(_fitted_rays(cones, eye, rng, width, height, device), scale)
    nothing = torch.zeros(rays.grid, dtype=torch.int32, device=device)
    canvas = Canvas(rays, torch.full(rays.grid, float("inf"), device=device), nothing)
    canvas.add_cones(cones, _PERSON)
    flat = torch.tensor(REFERENCE_CANVAS_RGB, dtype=torch.float32, device=device).div(255)
    picture = flat[:, None, None, None, None].expand(3, *rays.grid).clone()
    paint_cones(picture, canvas, Shader(rays, Atlas(actor.textures, device), light), cones, _PERSON)
    rgb = (to_pixels(picture)[0].clamp(0, 1) * 255 + 0.5).to(torch.uint8)
    joints, gaze = joints_in_world(actor.shape, performance)
    pixels, confidence = project_joints(joints, gaze, rays, np.full((1, rays.height, rays.width), np.inf))
    return ReferencePicture(
        rgb.cpu().numpy(),
        (canvas.surface[0, 1, :-1, :-1] >= _PERSON).cpu().numpy(),
        np.concatenate([pixels[0], confidence[0, :, None]], axis=1),
    )


def _enlarged(rays: Rays, scale: int) -> Rays:
    width, height = scale * rays.width, scale * rays.height
    focal, principal = scale * rays.focal_px, scale * rays.principal_px
    return Rays(rays.centre, rays.world_from_camera, focal, principal, width, height, rays.device)


def _fitted_rays(cones: Cones, eye: np.ndarray, rng, width: int, height: int, device: torch.device) -> Rays:
    """A camera at `eye` that looks along +z, its focal length and principal point chosen so that the person fits."""
    start = cones.origin[:, 0]
    ends = np.concatenate([start, start + cones.axis[:, 0] * cones.length[:, None]]) - eye
    spread = np.tile(cones.reach, 2)[:, None] / ends[:, 2:]
    # reach is a part's widest radius; thin parts would make the box too large by it
    slack = np.where(np.tile(cones.hand, 2), 0.5, 0.85)[:, None]
    flat = ends[:, :2] / ends[:, 2:]
    low, high = (flat - slack * spread).min(axis=0), (flat + slack * spread).max(axis=0)
    size = np.array([width, height])
    focal = rng.uniform(0.9, 0.94) * (size / (high - low)).min()
    principal = size / 2 - focal * 0.5 * (low + high) + np.clip(rng.normal(0, 0.008, 2), -0.02, 0.02) * size
    return Rays(eye[None], np.eye(3)[None], np.array([focal]), principal[None], width, height, device)
