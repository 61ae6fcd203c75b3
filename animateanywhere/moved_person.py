"""The person's own picture moved by the pose: what a draft shows, and what a frame refiner sees beside the decoded frames.

Legend: T frames, H W a clip's size in pixels, H' W' a picture's.
"""

from dataclasses import replace

import numpy as np

from animateanywhere.cutout import CutOut, take_apart
from animateanywhere.implied_camera import seen_body
from animateanywhere.pose.sequence import PoseSequence
from animateanywhere.puppet import PuppetMotion, person_layers, puppet_motion

_SHARPER = 1.2
"""The person's picture is kept this much larger than it is shown."""


def moved_person(
    rgba: np.ndarray,
    joints: np.ndarray | None,
    pose: PoseSequence,
    size: tuple[int, int],
    num_frames: int,
    fps: float,
    person: int = 0,
) -> np.ndarray:
    """uint8 [T, H, W, 4], straight alpha, for a clip of `size` (W, H); limbs that the picture does not show are missing.

    `rgba` uint8 [H', W', 4] and `joints` float32 [133, 3] in its pixels, or None: as `cut_out_with_joints` gives them; `pose` in
    pixels of any picture. Raises InputError if the pose has no such person, or shows nobody whose size can be told.
    """
    cutout, motion = puppet(rgba, joints, pose.contained_in(size).resampled(fps, num_frames), num_frames, person)
    return np.stack(list(person_layers(cutout, motion, size, grey=False)))


def puppet(
    rgba: np.ndarray, joints: np.ndarray | None, pose: PoseSequence, num_frames: int, person: int
) -> tuple[CutOut, PuppetMotion]:
    """The same before it is drawn, of a pose that is in the clip's pixels and time."""
    motion = puppet_motion(seen_body(_held(pose, num_frames), person))
    return take_apart(rgba, joints, _SHARPER * float(motion.height_px.max())), motion


def _held(pose: PoseSequence, num_frames: int) -> PoseSequence:
    """`num_frames` frames; a pose that ends sooner stands still in its last frame."""
    held = np.minimum(np.arange(num_frames), pose.num_frames - 1)
    return replace(pose, joints_px=pose.joints_px[held], confidence=pose.confidence[held])
