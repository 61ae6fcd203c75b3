"""One training clip on disk: pixels, labels, words; and files that are either whole or absent."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from animateanywhere.config import PoseStyle
from animateanywhere.errors import InputError
from animateanywhere.geometry.cameras import CameraPath
from animateanywhere.pose.draw import draw_pose
from animateanywhere.pose.neck import raise_head
from animateanywhere.pose.sequence import PoseSequence
from trainer.stage_world.clip import StageClip


@dataclass(frozen=True)
class TrainingClip:
    """What is kept of one clip: pixels, labels, words."""

    video: torch.Tensor  # uint8 [T, H, W, 3]
    background: torch.Tensor  # uint8 [H, W, 3], first frame without the person
    reference: torch.Tensor  # uint8 [H, W, 3]
    joints_px: torch.Tensor  # float32 [T, 133, 2]
    joint_confidence: torch.Tensor  # float32 [T, 133]
    human_mask: torch.Tensor  # bool [T, H, W]
    hand_mask: torch.Tensor  # bool [T, H, W]
    intrinsics_px: torch.Tensor  # float64 [T, 3, 3]
    camera_from_world: torch.Tensor  # float64 [T, 4, 4]
    caption: str
    fps: float
    camera_confidence: float = 1.0
    """0..1: how far the cameras can be trusted; 0 keeps the clip out of the epipolar loss."""

    @classmethod
    def from_stage(cls, clip: StageClip) -> "TrainingClip":
        names = ("video", "joints_px", "joint_confidence", "human_mask", "hand_mask", "intrinsics_px")
        tensors = {name: torch.as_tensor(getattr(clip, name)) for name in (*names, "camera_from_world")}
        return cls(
            **tensors,
            background=torch.as_tensor(clip.background_video[0].copy()),
            reference=torch.as_tensor(clip.reference_rgb),
            caption=clip.caption,
            fps=clip.fps,
        )

    @property
    def size(self) -> tuple[int, int]:
        """(W, H) in pixels."""
        return self.background.shape[1], self.background.shape[0]

    @property
    def pose(self) -> PoseSequence:
        return PoseSequence.from_stage(self.joints_px.numpy(), self.joint_confidence.numpy(), self.size, self.fps)

    @property
    def cameras(self) -> CameraPath:
        """What they are worth is `camera_confidence`."""
        return CameraPath(self.intrinsics_px.numpy(), self.camera_from_world.numpy(), self.size, self.fps)

    def pose_frames(self, style: PoseStyle) -> np.ndarray:
        """The pose as the model sees it, here as in inference, uint8 `[T, H, W, 3]`."""
        return draw_pose(raise_head(self.pose), self.size, style)

    def save(self, path: Path) -> None:
        """Write to `path` in one piece."""
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, torch.Tensor)}
        words = {"caption": self.caption, "fps": repr(self.fps), "camera_confidence": repr(self.camera_confidence)}
        write_whole(path, tensors, words)

    @classmethod
    def load(cls, path: Path) -> "TrainingClip":
        """Read a clip. Raises InputError if the file is damaged."""
        tensors, metadata = read_tensors(path)
        confidence = float(metadata.get("camera_confidence", 1.0))
        return cls(**tensors, caption=metadata["caption"], fps=float(metadata["fps"]), camera_confidence=confidence)


def write_whole(path: Path, tensors: dict, metadata: dict[str, str]) -> None:
    """Write a safetensors file that is either whole or absent. Raises InputError when the disk is full."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_file({name: t.contiguous() for name, t in tensors.items()}, draft, metadata)
        os.replace(draft, path)
    except (OSError, SafetensorError) as error:
        draft.unlink(missing_ok=True)
        raise InputError(f"cannot write {path}: {error}; free some disk space or choose another folder") from error


def read_tensors(path: Path) -> tuple[dict, dict[str, str]]:
    """Tensors and metadata of a safetensors file. Raises InputError naming the file if it is damaged."""
    try:
        with safe_open(path, "pt") as opened:
            metadata = opened.metadata() or {}
        return load_file(path), metadata
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot read {path}: {error}; delete it and it will be made again") from error
