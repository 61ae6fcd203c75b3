"""What a person may choose for `prepare`. No torch here: the parser builds its options from these fields."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from animateanywhere.errors import InputError
from animateanywhere.model_folder import read_info, resolve_model
from trainer.presets import MINI_MODEL

VERSION = 1
"""Raised when the same video and settings would give other clips: older ones are then made again."""
CAMERA_SOURCES = ("estimate", "none", "json", "re10k", "humanvid-c2w", "humanvid-w2c", "colmap")


@dataclass(frozen=True)
class PrepareConfig:
    """How videos become clips. Every field takes part in the clips' identity."""

    width: int = MINI_MODEL.width
    """Width of landscape clips in pixels, a multiple of 8; portrait videos swap width and height."""
    height: int = MINI_MODEL.height
    """Height of landscape clips in pixels, a multiple of 8."""
    num_frames: int = MINI_MODEL.num_frames
    """Frames of one clip, a multiple of 8."""
    fps: float = MINI_MODEL.fps
    """Frames per second that videos are sampled at: the model's."""
    detector: Literal["mediapipe", "rtmlib"] = "mediapipe"
    """Who finds joints: mediapipe (offline) or rtmlib (better, downloads its models once)."""
    masks: Literal["mediapipe", "grounded-sam"] = "mediapipe"
    """Who outlines the person: mediapipe (offline) or GroundingDINO with SAM 2 (better, downloads its weights once)."""
    cameras: Literal["estimate", "none", "json", "re10k", "humanvid-c2w", "humanvid-w2c", "colmap"] = "estimate"
    """Estimated from the background, none, or the format of the camera files that lie beside the videos."""
    camera_suffix: str = ".camera.txt"
    """Camera file of clip.mp4 with the default: clip.camera.txt in the same folder (with colmap, a folder's name)."""
    caption_suffix: str = ".txt"
    """Caption file of clip.mp4 with the default: clip.txt in the same folder."""
    inpainter: str = "opencv"
    """Who paints background that no frame shows: opencv, or MODULE:CALLABLE giving an object like prepare's Inpainter."""
    smallest_person: float = 0.15
    """Clips whose person is lower than this share of the picture's height are dropped."""

    def __post_init__(self):
        for name in ("width", "height", "num_frames"):
            value = getattr(self, name)
            if value < 8 or value % 8:
                raise InputError(f"{name.replace('_', '-')} {value}: expected a multiple of 8, at least 8")
        if self.height > self.width:
            raise InputError(f"size {self.width}x{self.height}: give the landscape size, portrait clips swap it")
        if not 0 < self.fps <= 120:
            raise InputError(f"fps {self.fps:g}: expected more than 0 and at most 120")
        if not 0 <= self.smallest_person < 1:
            raise InputError(f"smallest-person {self.smallest_person:g}: expected 0 to 1")
        if self.cameras not in CAMERA_SOURCES:
            raise InputError(f"cameras {self.cameras!r}: expected one of {', '.join(CAMERA_SOURCES)}")
        if self.camera_suffix == self.caption_suffix and self.cameras not in ("estimate", "none"):
            raise InputError(
                f"camera-suffix and caption-suffix are both {self.camera_suffix!r}: expected two names, choose another"
            )

    @property
    def cameras_from_files(self) -> bool:
        return self.cameras not in ("estimate", "none")

    def clip_size(self, width: int, height: int) -> tuple[int, int]:
        """(W, H) of clips of a `width` x `height` video: the landscape size, or its sides swapped."""
        return (self.width, self.height) if width >= height else (self.height, self.width)

    def key(self) -> str:
        """12 hex digits: the settings and this program's version of the work."""
        text = json.dumps([VERSION, dataclasses.asdict(self)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def model_to_encode_for(name: str, config: PrepareConfig) -> Path:
    """Folder of a model that takes clips of this size. Raises InputError if there is none or it takes others."""
    folder = resolve_model(name)
    model = read_info(folder).model
    takes = (model.width, model.height, model.num_frames)
    if takes != (config.width, config.height, config.num_frames):
        raise InputError(
            f"encode-for {name}: it takes {model.num_frames} frames of {model.width}x{model.height}, the clips have "
            f"{config.num_frames} of {config.width}x{config.height}: give prepare its size, or leave encode-for out"
        )
    return folder
