"""A standing figure with all 133 joints, for tests of drawing, files and tracking."""

import numpy as np

from animateanywhere.pose.sequence import FACE, LEFT_HAND, NUM_JOINTS, RIGHT_HAND, PoseSequence

# COCO body joints of a person who faces the camera, in a picture of 100 x 200 units; the own left is on the right.
_BODY = np.array([
    (50, 30), (54, 27), (46, 27), (58, 30), (42, 30), (65, 55), (35, 55), (75, 85), (25, 85),
    (80, 110), (20, 110), (60, 110), (40, 110), (62, 145), (38, 145), (63, 180), (37, 180),
], np.float64)  # fmt: skip
_FEET = np.array([(66, 190), (69, 189), (62, 186), (34, 190), (31, 189), (38, 186)], np.float64)


def standing_joints(centre=(50.0, 100.0), scale=1.0) -> np.ndarray:
    """float64 [133, 2]: the figure moved so that (50, 100) lies at `centre`, and scaled about it."""
    joints = np.zeros((NUM_JOINTS, 2))
    joints[:17], joints[17:23] = _BODY, _FEET
    angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    joints[FACE] = (50, 30) + 8 * np.stack([np.cos(angle), np.sin(angle)], -1)
    for part, wrist in ((LEFT_HAND, 9), (RIGHT_HAND, 10)):
        finger, bone = np.divmod(np.arange(20), 4)
        joints[part.start] = _BODY[wrist]
        joints[part.start + 1 : part.stop] = _BODY[wrist] + np.stack([(finger - 2) * 3, 4 + 3 * bone], -1)
    return (joints - (50, 100)) * scale + centre


def standing_sequence(num_frames=3, size=(200, 200), fps=8.0, step=(2.0, 0.0), scale=0.9) -> PoseSequence:
    """One fully seen person who starts in the middle and moves by `step` pixels per frame."""
    centre = np.array(size) / 2
    joints = np.stack([standing_joints(centre + k * np.array(step), scale) for k in range(num_frames)])
    return PoseSequence.from_stage(joints, np.ones(joints.shape[:2]), size, fps)
