"""Render one clip of the stage world with every label."""

from typing import Literal

import numpy as np
import torch

from animateanywhere.errors import InputError
from trainer.stage_world.actions import ACTIONS
from trainer.stage_world.atlas import Atlas, to_pixels
from trainer.stage_world.cast import Rays
from trainer.stage_world.clip import StageClip
from trainer.stage_world.labels import camera_rays, centre_depth, intrinsics_px, person_masks, project_joints
from trainer.stage_world.person import actor_cones
from trainer.stage_world.photographer import FRAMINGS, PHOTOGRAPHERS, look
from trainer.stage_world.reference import ReferencePicture, render_reference
from trainer.stage_world.shading import Shader, add_props, empty_scene_canvas, paint_cones, shade_background
from trainer.stage_world.shadow import cast_shadow
from trainer.stage_world.shot import Shot, plan_shot
from trainer.stage_world.take import joints_in_world, random_stream

_PERSON = 1000
"""Surface number of the person's first part, above those of any scene."""


def render_clip(
    seed: int,
    *,
    num_frames: int = 24,
    width: int = 168,
    height: int = 96,
    fps: float = 8.0,
    device: str | torch.device = "cpu",
    textures: Literal["auto", "procedural"] = "auto",
    action: str | None = None,
    photographer: str | None = None,
    framing: str | None = None,
    bow: bool = False,
) -> StageClip:
    """Render the clip of a seed: the same arguments on the same device give the same clip.

    `textures="auto"` also uses photographs that installed packages carry, if there are any; `"procedural"` never does.
    `action`, `photographer` and `framing` replace the drawn ones; `bow`: the person bows forward or looks down.
    Raises InputError on a negative seed, an unknown name, a size below 16x16, no frames or fps below 0.1.
    """
    _check(seed, num_frames, width, height, fps, textures, action=action, photographer=photographer, framing=framing)
    shot = plan_shot(
        seed, num_frames=num_frames, width=width, height=height, fps=fps,
        textures=textures, action=action, photographer=photographer, framing=framing, bow=bow,
    )  # fmt: skip
    camera_from_world = look(shot.camera_path)
    rays = camera_rays(camera_from_world, shot.camera_path.focal_px, width, height, device)
    reference = _reference(shot, seed, width, height, rays.device)
    return StageClip(
        **_render(shot, rays),
        reference_rgb=reference.rgb,
        reference_mask=reference.mask,
        intrinsics_px=intrinsics_px(rays),
        camera_from_world=camera_from_world,
        caption=shot.caption,
        action=shot.action,
        photographer=shot.photographer,
        backdrop=shot.scene.kind,
        seed=seed,
        fps=fps,
    )


def render_person_picture(
    seed: int, *, scale: int, width: int, height: int, device: str | torch.device = "cpu", **planned
) -> ReferencePicture:
    """The reference picture of a seed's clip, `scale` times as large. `planned`: what else `plan_shot` takes."""
    shot = plan_shot(seed, width=width, height=height, **planned)
    return _reference(shot, seed, width, height, torch.device(device), scale)


def _reference(
    shot: Shot, seed: int, width: int, height: int, device: torch.device, scale: int = 1
) -> ReferencePicture:
    return render_reference(shot.actor, random_stream(seed, 4), width, height, device, shot.scene.light, scale)


def _render(shot: Shot, rays: Rays) -> dict[str, np.ndarray]:
    """The fields of a StageClip that the camera sees."""
    scene, performance = shot.scene, shot.performance
    shader = Shader(rays, Atlas(scene.textures + shot.actor.textures, rays.device), scene.light)
    cones = actor_cones(shot.actor, performance, len(scene.textures))
    stage = empty_scene_canvas(rays, scene)
    add_props(stage, scene)
    full = stage.copy()
    full.add_cones(cones, _PERSON)
    background = shade_background(stage, scene, shader)
    picture = background.clone()
    cast_shadow(picture, stage, performance, shot.actor.shape.height, scene.light)
    paint_cones(picture, full, shader, cones, _PERSON)

    joints, gaze = joints_in_world(shot.actor.shape, performance)
    human_mask, hand_mask = person_masks(full, cones, _PERSON)
    background_depth = centre_depth(stage)
    joints_px, joint_confidence = project_joints(joints, gaze, rays, background_depth)
    return dict(
        video=_to_uint8(to_pixels(picture)),
        background_video=_to_uint8(to_pixels(background)),
        joints_px=joints_px,
        joint_confidence=joint_confidence,
        joints_world=joints.astype(np.float32),
        human_mask=human_mask,
        hand_mask=hand_mask,
        depth=centre_depth(full),
        background_depth=background_depth,
    )


def _check(seed, num_frames, width, height, fps, textures, **chosen):
    if seed < 0:
        raise InputError(f"seed {seed}: expected a whole number from 0 on")
    if num_frames < 1 or min(width, height) < 16 or fps < 0.1:
        raise InputError(
            f"clip of {num_frames} frames of {width}x{height} at {fps} fps: expected 1 frame, 16x16, 0.1 fps or more"
        )
    if textures not in ("auto", "procedural"):
        raise InputError(f"textures {textures!r}: expected 'auto' or 'procedural'")
    for what, known in (("action", ACTIONS), ("photographer", PHOTOGRAPHERS), ("framing", FRAMINGS)):
        if chosen[what] is not None and chosen[what] not in known:
            raise InputError(f"{what} {chosen[what]!r}: expected one of {', '.join(known)}")


def _to_uint8(colour: torch.Tensor) -> np.ndarray:
    return (colour.clamp(0, 1) * 255 + 0.5).to(torch.uint8).cpu().numpy()
