"""Stage-world people as exact pose sequences: the same performance by two bodies, and a picture of either."""

import dataclasses

import numpy as np
import torch

from animateanywhere.pose.sequence import PoseSequence
from trainer.stage_world.actions import perform
from trainer.stage_world.cast import Rays
from trainer.stage_world.labels import project_joints
from trainer.stage_world.landmarks import body_joints, head_forward
from trainer.stage_world.movements import sample_style
from trainer.stage_world.person import sample_shape
from trainer.stage_world.skeleton import BodyShape, contact_points

SIZE = (640, 480)
PHOTO = (480, 640)


def body_shape(seed: int, child: bool = False) -> BodyShape:
    """A grown person or a child, 1.7 m tall on paper either way, so that only proportions differ."""
    rng = np.random.default_rng([seed, 5])
    while True:
        shape = sample_shape(rng)
        if (shape.height < 1.45) == child:
            return scaled(shape, 1.7 / shape.height)


def scaled(shape: BodyShape, factor: float) -> BodyShape:
    return dataclasses.replace(shape, **{f.name: getattr(shape, f.name) * factor for f in dataclasses.fields(shape)})


def staged(
    shape: BodyShape,
    action: str,
    seed: int = 0,
    num_frames: int = 48,
    fps: float = 12.0,
    follow: bool = False,
    **options,
) -> PoseSequence:
    """What a camera at chest height, 4.5 m away, sees of an action; `follow`: it moves along with the body."""
    return _filmed(*_performed(shape, action, seed, num_frames, fps, **options), SIZE, fps, follow)[0]


def planted(shape: BodyShape, action: str, seed: int = 0, num_frames: int = 48, fps: float = 12.0) -> np.ndarray:
    """bool [T, 2]: the left, the right sole touches the ground and does not move."""
    performance, _, _ = _performed(shape, action, seed, num_frames, fps)
    soles = performance.root[:, None] + np.einsum(
        "tij,tkj->tki", performance.world_from_body, contact_points(shape, performance.bones)
    )
    soles = soles.reshape(len(soles), 2, 2, 3)
    low = soles[..., 1].max(-1) > -0.03
    still = np.linalg.norm(np.gradient(soles.mean(2), axis=0), axis=-1) * fps < 0.25
    return low & still


def photo_of(shape: BodyShape, seed: int = 0, action: str = "stand") -> PoseSequence:
    """One frame of a person who stands turned a little, as in a photo."""
    rng = np.random.default_rng([seed, 9])
    performance, joints, gaze = _performed(shape, action, seed + 50, 4, 8.0, heading=rng.normal(0, 0.3))
    return _filmed(performance, joints[3:], gaze[3:], PHOTO, 1.0, False)[0]


def _performed(shape, action, seed, num_frames, fps, heading=0.0, in_place=False):
    style = sample_style(np.random.default_rng([seed, 3]))
    performance = perform(action, shape, style, num_frames, fps, heading=heading, in_place=in_place)
    turn = performance.world_from_body
    joints = performance.root[:, None] + np.einsum("tij,tkj->tki", turn, body_joints(shape, performance.bones))
    return performance, joints, np.einsum("tij,tj->ti", turn, head_forward(performance.bones))


def _filmed(performance, joints, gaze, size, fps, follow):
    count = len(joints)
    middle = np.zeros((count, 2)) if not follow else performance.root[:count, [0, 2]]
    centre = np.stack([middle[:, 0], np.full(count, -1.2), middle[:, 1] - 4.5], axis=1)
    focal, principal = np.full(count, 0.9 * size[1]), np.tile((size[0] / 2, size[1] / 2), (count, 1))
    rays = Rays(centre, np.tile(np.eye(3), (count, 1, 1)), focal, principal, *size, torch.device("cpu"))
    pixels, confidence = project_joints(joints, gaze, rays, np.full((count, size[1], size[0]), np.inf))
    return PoseSequence(pixels[:, None], confidence[:, None], size, fps), rays
