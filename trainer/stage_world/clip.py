"""One clip of the stage world with every label."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class StageClip:
    """A rendered clip and its exact labels.

    Pixels: (0, 0) is the corner of the first pixel, centres at +0.5. Cameras: OpenCV axes (x right, y down, z forward),
    `p_camera = camera_from_world @ p_world`; world up is -y and the ground is y = 0; metres.
    """

    video: np.ndarray
    """uint8 [T,H,W,3]."""
    background_video: np.ndarray
    """uint8 [T,H,W,3]: same camera, props and light; neither the person nor the person's shadow."""
    joints_px: np.ndarray
    """float32 [T,133,2], COCO-WholeBody order."""
    joint_confidence: np.ndarray
    """float32 [T,133]: 1 seen, 0.4 hidden by a prop, 0 out of frame, behind the camera, or a face turned away."""
    joints_world: np.ndarray
    """float32 [T,133,3], metres."""
    human_mask: np.ndarray
    """bool [T,H,W]: the person is what the pixel's centre sees."""
    hand_mask: np.ndarray
    """bool [T,H,W]: subset of `human_mask`."""
    depth: np.ndarray
    """float32 [T,H,W]: z in the camera frame at the pixel's centre, metres, person included."""
    background_depth: np.ndarray
    """float32 [T,H,W]: the same without the person."""
    reference_rgb: np.ndarray
    """uint8 [H,W,3]: the same person in another pose on flat (231,230,230)."""
    reference_mask: np.ndarray
    """bool [H,W]."""
    intrinsics_px: np.ndarray
    """float64 [T,3,3]."""
    camera_from_world: np.ndarray
    """float64 [T,4,4]."""
    caption: str
    action: str
    photographer: str
    backdrop: str
    """What surrounds the person, such as 'hills' or 'photograph:lion.jpg'."""
    seed: int
    fps: float
