"""The person's own picture moved by the pose: what a draft shows, and what a frame refiner sees beside the decoded frames.

Legend: T frames, H W a clip's size in pixels, H' W' a picture's.
"""

from dataclasses import replace

import numpy as np

from animateanywhere.cutout import CutOut, take_apart
from animateanywhere.implied_camera import seen_body
from animateanywhere.pose.sequence import SEEN_CONFIDENCE, PoseSequence
from animateanywhere.puppet import PuppetMotion, person_layers, puppet_motion

_SHARPER = 1.2
"""The person's picture is kept this much larger than it is shown."""
_FACE = slice(0, 3)


def moved_person(
    rgba: np.ndarray,
    joints: np.ndarray | None,
    pose: PoseSequence,
    size: tuple[int, int],
    num_frames: int,
    fps: float,
    person: int = 0,
) -> np.ndarray:
    """uint8 [T, H, W, 4], straight alpha, for a clip of `size` (W, H).

    Missing are limbs that the picture does not show, and the head where the pose shows its other side: no face on a nape.

    `rgba` uint8 [H', W', 4] and `joints` float32 [133, 3] in its pixels, or None: as `cut_out_with_joints` gives them; `pose` in
    pixels of any picture. Raises InputError if the pose has no such person, or shows nobody whose size can be told.
    """
    pose = held(pose.contained_in(size).resampled(fps, num_frames), num_frames)
    cutout, motion = puppet(rgba, joints, pose, person)
    towards = _shows_face(seen_body(pose, person).confidence) & ~motion.from_behind
    pictured = joints is None or bool(_shows_face(joints[None, :, 2])[0])
    return np.stack(list(person_layers(cutout, motion, size, grey=False, heads=towards == pictured)))


def puppet(rgba: np.ndarray, joints: np.ndarray | None, pose: PoseSequence, person: int) -> tuple[CutOut, PuppetMotion]:
    """The same before it is drawn, of a pose that is in the clip's pixels and time."""
    motion = puppet_motion(seen_body(pose, person))
    return take_apart(rgba, joints, _SHARPER * float(motion.height_px.max())), motion


def _shows_face(confidence: np.ndarray) -> np.ndarray:
    """bool [T] of confidences [T, 133]: nose or eyes are seen."""
    return (confidence[:, _FACE] >= SEEN_CONFIDENCE).any(1)


def held(pose: PoseSequence, num_frames: int) -> PoseSequence:
    """`num_frames` frames; a pose that ends sooner stands still in its last frame."""
    held = np.minimum(np.arange(num_frames), pose.num_frames - 1)
    return replace(pose, joints_px=pose.joints_px[held], confidence=pose.confidence[held])
