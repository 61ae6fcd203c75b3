"""A training clip's background as its camera saw it: what a model with a moved background is shown beside the noise."""

import hashlib

import numpy as np

from animateanywhere.config import ModelConfig
from animateanywhere.errors import InputError
from animateanywhere.filmed_background import filmed_background
from animateanywhere.geometry.body_motion import observe
from animateanywhere.geometry.camera_variants import FAR_DISTANCES, first_view
from animateanywhere.implied_camera import seen_body
from animateanywhere.models import camera_regressor, depth_network
from animateanywhere.place_relief import filmed_place
from trainer.training_clip import TrainingClip


def truly_filmed_background(clip: TrainingClip, model: ModelConfig) -> np.ndarray:
    """uint8 [T, H, W, 3]: the picture of the first frame's background, moved for a model that is shown that.

    By the clip's own camera where that is known in metres above the ground, as stage world's are; else as in inference, with
    the caption as the prompt. Where nobody is seen whose size can be told, it stands still.
    """
    background = clip.background.numpy()
    if _stands_on_the_ground(clip):
        moved = _moved_by_true_camera(clip)
    else:
        moved, _ = filmed_background(background, clip.pose, model, num_frames=len(clip.video), prompt=clip.caption)
    return np.repeat(background[None], len(clip.video), axis=0) if moved is None else moved


def film_fingerprint() -> str:
    """Short hash of the networks that move a background: cached latents of moved ones are only good for these."""
    digest = hashlib.sha256()
    for weights in (camera_regressor.WEIGHTS, depth_network.WEIGHTS):
        digest.update(weights.read_bytes())
    return digest.hexdigest()[:12]


def _stands_on_the_ground(clip: TrainingClip) -> bool:
    """Prepared clips have their world in the first camera's centre: neither a ground nor a unit."""
    return clip.camera_confidence > 0 and bool((clip.cameras.centres[:, 1] < 0).all())


def _moved_by_true_camera(clip: TrainingClip) -> np.ndarray | None:
    """Distances by the rule of inference, with the lens that is known; None where nobody's distance can be told."""
    try:
        view = first_view(observe(seen_body(clip.pose)), clip.size, clip.fps)
    except InputError:  # inference has no camera then either
        return None
    distance = view.distance_m * float(clip.cameras.intrinsics_px[0, 0, 0]) / view.focal_px
    return np.stack(list(filmed_place(clip.background.numpy(), clip.cameras, FAR_DISTANCES * distance)))
