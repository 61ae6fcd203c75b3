"""Made-up places and people for the tests of prepare."""

import cv2
import numpy as np

from animateanywhere.pose.sequence import NUM_JOINTS

STANDING = {
    0: (0.0, -0.9), 1: (-0.03, -0.93), 2: (0.03, -0.93), 3: (-0.06, -0.9), 4: (0.06, -0.9),
    5: (0.14, -0.7), 6: (-0.14, -0.7), 7: (0.2, -0.5), 8: (-0.2, -0.5), 9: (0.22, -0.3), 10: (-0.22, -0.3),
    11: (0.09, -0.4), 12: (-0.09, -0.4), 13: (0.1, -0.2), 14: (-0.1, -0.2), 15: (0.1, 0.0), 16: (-0.1, 0.0),
}  # fmt: skip
"""Body joints of a person of height 1 who stands on (0, 0)."""


def place(seed: int, width: int = 320, height: int = 180) -> np.ndarray:
    """uint8 [H, W, 3]: a textured picture in one seed's colours."""
    draw = np.random.default_rng(seed)
    dark, light = draw.integers(0, 100, 3), draw.integers(130, 255, 3)
    texture = np.zeros((height, width), np.float32)
    for cell in (4, 12, 40):
        rough = draw.random((height // cell + 2, width // cell + 2), np.float32)
        texture += cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)
    texture = np.clip((texture - texture.min()) / np.ptp(texture), 0, 1)[..., None]
    return np.clip(light * texture + dark * (1 - texture), 0, 255).astype(np.uint8)


def pan(picture: np.ndarray, num_frames: int, step_px: int, width: int = 320) -> list[np.ndarray]:
    """Windows of `width` that move to the right over a wide picture."""
    return [np.ascontiguousarray(picture[:, k * step_px : k * step_px + width]) for k in range(num_frames)]


def standing(x: float, foot_y: float, height: float, confidence: float = 0.9) -> np.ndarray:
    """float32 [133, 3]: the body joints of a standing person, hands, feet and face unseen."""
    joints = np.zeros((NUM_JOINTS, 3), np.float32)
    for joint, (dx, dy) in STANDING.items():
        joints[joint] = (x + dx * height, foot_y + dy * height, confidence)
    return joints
