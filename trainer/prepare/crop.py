"""From the pictures a video is looked at in to a clip's own pixels: scaled to cover, the overhang cut off."""

from dataclasses import dataclass

import cv2
import numpy as np

from animateanywhere.geometry.cameras import CameraPath
from animateanywhere.media import resized


@dataclass(frozen=True)
class Crop:
    """What `media.cover_crop` does to a picture of `source` (W, H), for everything that belongs to the picture."""

    source: tuple[int, int]
    target: tuple[int, int]

    @property
    def scaled(self) -> tuple[int, int]:
        """(W, H) before the overhang is cut off."""
        scale = max(t / s for t, s in zip(self.target, self.source, strict=True))
        return tuple(max(t, round(s * scale)) for t, s in zip(self.target, self.source, strict=True))

    @property
    def corner(self) -> tuple[int, int]:
        """(left, top) of the clip in the scaled picture."""
        return tuple((s - t) // 2 for s, t in zip(self.scaled, self.target, strict=True))

    def picture(self, frame: np.ndarray) -> np.ndarray:
        """uint8 [h, w, 3], of the source's size or the same picture at another scale -> uint8 [H, W, 3]."""
        (left, top), (width, height) = self.corner, self.target
        return np.ascontiguousarray(resized(frame, self.scaled)[top : top + height, left : left + width])

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """bool [h, w], at any scale -> bool [H, W]: pixels at least half covered."""
        (left, top), (width, height) = self.corner, self.target
        area = cv2.resize(mask.astype(np.float32), self.scaled, interpolation=cv2.INTER_AREA)
        return area[top : top + height, left : left + width] >= 0.5

    def joints(self, joints: np.ndarray) -> np.ndarray:
        """float32 [..., 3] (x, y, confidence) into the clip's pixels; what is cut off gets confidence 0."""
        factor = np.float32(self.scaled) / np.float32(self.source)
        moved = np.array(joints, np.float32)
        moved[..., :2] = moved[..., :2] * factor - np.float32(self.corner)
        inside = ((moved[..., :2] >= 0) & (moved[..., :2] <= np.float32(self.target))).all(-1)
        moved[..., 2] = np.where(inside, np.clip(moved[..., 2], 0, 1), 0)
        return moved

    def cameras(self, path: CameraPath) -> CameraPath:
        """Cameras of the uncropped pictures, at any scale, as cameras of the clip."""
        return path.resized(*self.source).cover_cropped(*self.target)
