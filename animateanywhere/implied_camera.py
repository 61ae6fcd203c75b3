"""The camera that a pose implies: what the command line and the page call."""

from dataclasses import replace
from typing import Literal

import numpy as np

from animateanywhere.geometry.body_motion import SeenBody
from animateanywhere.geometry.camera_from_pose import implied_camera
from animateanywhere.geometry.camera_variants import CameraVariant, ImpliedCamera, asked_for, standing_camera
from animateanywhere.models.camera_regressor import FPS, load_regressor, regressed_camera
from animateanywhere.pose.sequence import PoseSequence

CameraReader = Literal["geometric", "learned"]
_FEW_FPS = 4.0
"""Below this a step falls between two frames."""


def seen_body(pose: PoseSequence, person: int = 0) -> SeenBody:
    """One person of a pose as the geometry takes it. Raises InputError if there is no such person."""
    one = pose.person(person)
    return SeenBody(one.joints_px[:, 0], one.confidence[:, 0], one.image_size, one.fps)


def read_camera(
    pose: PoseSequence,
    *,
    person: int = 0,
    reader: CameraReader = "learned",
    num_frames: int | None = None,
    fps: float | None = None,
    prompt: str = "",
) -> ImpliedCamera:
    """How the camera may have moved that saw one person move like this; paths in the pose's own pixels.

    Paths have `num_frames` cameras at `fps` (None: the pose's own); after the pose's end the camera stands. The variant that
    `prompt` names is among the answers however improbable it is, if the reader knows how it would move. Raises InputError
    if there is no such person, or nobody is seen whose size can be told.
    """
    fps, num_frames = fps or pose.fps, num_frames or pose.num_frames
    body = seen_body(pose.resampled(FPS), person)
    if body.num_frames < 2:
        told = standing_camera(body)
    elif reader == "geometric":
        told = implied_camera(body, asked_for(prompt))
    else:
        told = regressed_camera(body, load_regressor(), asked_for(prompt))
    if pose.fps < _FEW_FPS:
        note = f"{pose.fps:g} frames per second are too few to see steps: give a pose with {_FEW_FPS:g} or more"
        told = replace(told, notes=(*told.notes, note))
    return replace(told, variants=tuple(_timed(variant, num_frames, fps) for variant in told.variants))


def choose_variant(
    camera: ImpliedCamera, variant: str = "", prompt: str = "", seed: int | None = None
) -> tuple[CameraVariant, tuple[str, ...]]:
    """The variant that is asked for by name, in words, or not at all; and what there is to say about that.

    Not asked for, it is the most probable one, or with a `seed` drawn: it stands if that is likelier than not, else each of those
    that move comes as often as it is probable. Raises InputError if the pose does not allow the named one.
    """
    if variant:
        return camera.named(variant), ()
    asked = [one for one in camera.variants if one.name == asked_for(prompt)]
    if asked:
        return asked[0], ()
    chosen, how = camera.variants[0], "the most probable one is drawn"
    if seed is not None:
        chosen, how = _drawn(camera, seed), "the seed chose one"
    return chosen, (f"the prompt names none of the camera's variants: {how}",) if prompt.strip() else ()


def _drawn(camera: ImpliedCamera, seed: int) -> CameraVariant:
    moving = [one for one in camera.variants if one.name != "hold"]
    chances = np.array([one.probability for one in moving])
    if chances.sum() <= 0.5:
        return camera.named("hold")
    return moving[np.random.default_rng(seed).choice(len(moving), p=chances / chances.sum())]


def _timed(variant: CameraVariant, num_frames: int, fps: float) -> CameraVariant:
    cameras = variant.cameras
    positions = np.minimum(np.arange(num_frames) * (cameras.fps / fps), cameras.num_frames - 1)
    return replace(variant, cameras=replace(cameras.interpolated(positions), fps=fps))
