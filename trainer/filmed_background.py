"""A training clip's background as its camera saw it: what a model with a moved background is shown beside the noise."""

import numpy as np

from animateanywhere.errors import InputError
from animateanywhere.geometry.body_motion import observe
from animateanywhere.geometry.camera_variants import FAR_DISTANCES, first_view
from animateanywhere.implied_camera import choose_variant, read_camera, seen_body
from animateanywhere.moving_background import moving_background
from trainer.training_clip import TrainingClip


def filmed_background(clip: TrainingClip) -> np.ndarray:
    """uint8 [T, H, W, 3]: the picture of the first frame's background, moved.

    By the clip's own camera where that is known in metres above the ground, as stage world's are; else, as in inference, by
    the camera that the pose implies and the caption names. Where nobody is seen whose size can be told, it stands still.
    """
    background = clip.background.numpy()
    try:
        cameras, far = _true_camera(clip) if _stands_on_the_ground(clip) else _implied_camera(clip)
    except InputError:  # nobody to read a distance off: inference has no camera then either
        return np.ascontiguousarray(np.broadcast_to(background, clip.video.shape))
    return np.stack(list(moving_background(background, cameras, far)))


def _stands_on_the_ground(clip: TrainingClip) -> bool:
    """Prepared clips have their world in the first camera's centre: neither a ground nor a unit."""
    return clip.camera_confidence > 0 and bool((clip.cameras.centres[:, 1] < 0).all())


def _true_camera(clip: TrainingClip):
    """The camera, and the far plane by the rule of inference, with the lens that is known."""
    view = first_view(observe(seen_body(clip.pose)), clip.size, clip.fps)
    distance = view.distance_m * float(clip.cameras.intrinsics_px[0, 0, 0]) / view.focal_px
    return clip.cameras, FAR_DISTANCES * distance


def _implied_camera(clip: TrainingClip):
    told = read_camera(clip.pose, num_frames=len(clip.video), fps=clip.fps, prompt=clip.caption)
    return choose_variant(told, prompt=clip.caption)[0].cameras, told.far_m
