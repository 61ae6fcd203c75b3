"""Two real stage-world clips of a camera that moves and turns, and what can go wrong with a clip."""

from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from animateanywhere.geometry.cameras import CameraPath
from trainer.stage_world.clip import StageClip
from trainer.stage_world.render import render_clip


@dataclass(frozen=True, eq=False)
class Filmed:
    """A clip and what the metrics are told of it."""

    video: np.ndarray
    person: np.ndarray
    background: np.ndarray
    """Its first frame without the person."""
    cameras: CameraPath
    depth: np.ndarray
    """Of the background."""
    caption: str


def film(seed: int, photographer: str) -> Filmed:
    clip: StageClip = render_clip(
        seed, width=128, height=72, num_frames=16, textures="procedural", photographer=photographer
    )
    cameras = CameraPath(clip.intrinsics_px, clip.camera_from_world, (128, 72), clip.fps)
    return Filmed(clip.video, clip.human_mask, clip.background_video[0], cameras, clip.background_depth, clip.caption)


@pytest.fixture(scope="session")
def crane() -> Filmed:
    """The camera rises 2 m and tilts 7 degrees."""
    return film(11, "crane")


@pytest.fixture(scope="session")
def orbit() -> Filmed:
    """The camera goes 2 m around the person and pans 29 degrees."""
    return film(25, "orbit")


@pytest.fixture(scope="session")
def other_camera() -> Filmed:
    """The place and person of `crane`, filmed by a camera on a walk beside them."""
    return film(11, "handheld")


def blurred(filmed: Filmed) -> np.ndarray:
    return np.stack([cv2.GaussianBlur(picture, (0, 0), 2) for picture in filmed.video])


def shuffled(filmed: Filmed) -> np.ndarray:
    return filmed.video[np.random.default_rng(0).permutation(len(filmed.video))]


def frozen(filmed: Filmed) -> np.ndarray:
    return np.repeat(filmed.background[None], len(filmed.video), 0)


def backwards(filmed: Filmed) -> np.ndarray:
    return filmed.video[::-1].copy()
