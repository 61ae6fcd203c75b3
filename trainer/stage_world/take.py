"""Who does what and who films it how, without a place around them: all that joints and cameras need, in milliseconds."""

from dataclasses import dataclass, replace

import numpy as np

from animateanywhere.geometry.cameras import CameraPath as PinholePath
from animateanywhere.pose.sequence import PoseSequence
from trainer.stage_world.actions import ACTIONS, Performance, choose_action, perform
from trainer.stage_world.captions import caption_of
from trainer.stage_world.labels import camera_rays, intrinsics_px, project_joints
from trainer.stage_world.landmarks import body_joints, head_forward
from trainer.stage_world.movements import bowed, sample_style
from trainer.stage_world.person import sample_shape
from trainer.stage_world.photographer import (
    PHOTOGRAPHERS,
    CameraPath,
    Framing,
    choose_photographer,
    look,
    sample_framing,
    watch,
)
from trainer.stage_world.skeleton import BodyShape

_TREADMILL_SHARE = 0.08
_SEEN_FROM_BEHIND_SHARE = 0.08


@dataclass(frozen=True)
class Take:
    """One person, one action, one photographer."""

    shape: BodyShape
    action: str
    in_place: bool
    """A travelling action on a treadmill."""
    performance: Performance
    photographer: str
    framing: Framing
    camera_path: CameraPath
    sentence: str
    """What the camera does."""
    caption: str


def plan_take(
    seed: int,
    *,
    num_frames: int,
    width: int,
    height: int,
    fps: float,
    action: str | None = None,
    photographer: str | None = None,
    framing: str | None = None,
    bow: bool = False,
) -> Take:
    """Draw a take. Each part has its own random stream, so that a change to one leaves the others of a seed alone."""
    shape, rng = sample_shape(random_stream(seed, 0)), random_stream(seed, 1)
    drawn = choose_action(rng)
    action = action or drawn
    in_place = bool(ACTIONS[action].travels and rng.random() < _TREADMILL_SHARE)
    drawn = choose_photographer(rng, ACTIONS[action].travels and not in_place)
    photographer = photographer or ("hold" if in_place else drawn)
    view = sample_framing(random_stream(seed, 2), shape.height, width, height, framing)
    heading = _choose_heading(rng, action, photographer) - view.view_yaw
    style = sample_style(rng)
    if bow:
        style = bowed(style, random_stream(seed, 5))
    performance = perform(action, shape, style, num_frames, fps, heading=heading)
    if in_place:
        performance = on_treadmill(performance, fps)
    path = PHOTOGRAPHERS[photographer].shoot(watch(performance.root, fps), view)
    sentence = PHOTOGRAPHERS[photographer].sentences[0 if view.side > 0 else 1]
    caption = caption_of(action, sentence, in_place)
    return Take(shape, action, in_place, performance, photographer, view, path, sentence, caption)


def on_treadmill(performance: Performance, fps: float) -> Performance:
    """The same steps over a belt that goes as the person does on average.

    Within a step the body still swings to and fro, as it does on a real belt: for a camera beside it this is what a camera
    that follows the person over the ground sees.
    """
    return replace(performance, root=performance.root - watch(performance.root, fps).path)


@dataclass(frozen=True)
class FilmedTake:
    """What the camera of a take sees of the person, and the camera itself."""

    pose: PoseSequence
    """Nothing hides the person: there are no props."""
    cameras: PinholePath
    """World: metres, y down, the ground is y = 0, the person's path starts at x = z = 0."""
    distance_m: np.ndarray
    """float64 [T]: to the pelvis, along the camera's z."""


def film(take: Take, *, width: int, height: int, fps: float) -> FilmedTake:
    """Joints and cameras in pixels of `width` x `height`; nothing is rendered."""
    camera_from_world = look(take.camera_path)
    rays = camera_rays(camera_from_world, take.camera_path.focal_px, width, height)
    joints, gaze = joints_in_world(take.shape, take.performance)
    nothing_before = np.broadcast_to(np.inf, (len(joints), height, width))
    pixels, confidence = project_joints(joints, gaze, rays, nothing_before)
    cameras = PinholePath(intrinsics_px(rays), camera_from_world, (width, height), fps)
    distance = (cameras.rotations[:, 2] * (take.performance.root - cameras.centres)).sum(1)
    return FilmedTake(PoseSequence.from_stage(pixels, confidence, (width, height), fps), cameras, distance)


def joints_in_world(shape: BodyShape, performance: Performance) -> tuple[np.ndarray, np.ndarray]:
    """float64 [T,133,3], metres, and the direction of the gaze [T,3]."""
    turn, bones = performance.world_from_body, performance.bones
    joints = performance.root[:, None] + np.einsum("tij,tkj->tki", turn, body_joints(shape, bones))
    return joints, np.einsum("tij,tj->ti", turn, head_forward(bones))


def random_stream(seed: int, number: int) -> np.random.Generator:
    """One of a seed's independent random streams."""
    return np.random.default_rng([seed, number])


def _choose_heading(rng: np.random.Generator, action: str, photographer: str) -> float:
    """Radians against the view; 0 turns the person's front to the camera."""
    if ACTIONS[action].travels:
        return np.pi * float(rng.choice(PHOTOGRAPHERS[photographer].headings)) + rng.normal(0, 0.1)
    back = np.pi if rng.random() < _SEEN_FROM_BEHIND_SHARE else 0.0
    return back + rng.normal(0, 0.55)
