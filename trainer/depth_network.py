"""Trains the small network from a picture of a place to distances, on empty places of stage world.

Legend: N pictures, B batch, h w the network's size.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from animateanywhere.errors import InputError
from animateanywhere.geometry.body_motion import SeenBody, observe
from animateanywhere.geometry.camera_variants import first_view, moving_camera
from animateanywhere.geometry.cameras import CameraPath
from animateanywhere.models.depth_network import (
    FARTHEST,
    NEAREST,
    DepthNetwork,
    network_size,
    save_depth_network,
)
from animateanywhere.place_relief import ground_and_rays
from trainer.config import DataConfig, DepthNetworkConfig
from trainer.dataset import clip_size
from trainer.perceptual.changes import relit
from trainer.presets import MINI_MODEL
from trainer.small_training import minimise
from trainer.stage_world.clip import StageClip
from trainer.stage_world.render import render_clip
from trainer.stage_world.seeds import split_seeds
from trainer.workers import in_processes

FRAMES_PER_CLIP, FPS = 3, 0.7
"""Moments far apart: a clip's scene costs as much as several of its frames."""
_STEP_WEIGHT = 2.0
"""Of the differences between neighbouring pixels, beside the distances: outlines are where parallax shows."""


@dataclass(frozen=True)
class PlacePictures:
    """Pictures of one orientation and how far everything in them is, in distances to the person."""

    pictures: torch.Tensor  # uint8 [N, 3, h, w]
    ground: torch.Tensor  # float32 [N, h, w], 1 / distance of the level ground
    across: torch.Tensor  # float32 [N, h, w], slope of the rays to the right
    distance: torch.Tensor  # float32 [N, h, w], along the camera's z

    def of(self, chosen: torch.Tensor) -> "PlacePictures":
        return PlacePictures(*(value[chosen] for value in vars(self).values()))


def places_of(clip: StageClip) -> Iterator[tuple[np.ndarray, ...]]:
    """A PlacePictures' rows, one for each frame that shows a person whose distance can be told.

    Every other camera is the one that inference takes it for, with a usual lens.
    """
    height, width = clip.video.shape[1:3]
    small = network_size(width, height)
    for t in range(len(clip.video)):
        body = SeenBody(clip.joints_px[t : t + 1], clip.joint_confidence[t : t + 1], (width, height), clip.fps)
        try:
            view = first_view(observe(body), body.image_size, body.fps)
        except InputError:
            continue
        one = slice(t, t + 1)
        camera = CameraPath(clip.intrinsics_px[one], clip.camera_from_world[one], (width, height), clip.fps)
        person_m = view.distance_m * float(camera.intrinsics_px[0, 0, 0]) / view.focal_px
        if (clip.seed + t) % 2:
            ground, across = ground_and_rays(camera, person_m, small)
        else:
            ground, across = ground_and_rays(moving_camera(view, 1), view.distance_m, small)
        distance = np.clip(clip.background_depth[t] / person_m, NEAREST, FARTHEST)
        nearness = cv2.resize((1 / distance).astype(np.float32), small, interpolation=cv2.INTER_AREA)
        picture = cv2.resize(clip.background_video[t], small, interpolation=cv2.INTER_AREA)
        yield picture.transpose(2, 0, 1), ground, across, 1 / nearness


def collect(split: str, first: int, num_clips: int, num_processes: int, on_done: Callable[[int], None]) -> list:
    """PlacePictures of the clips of a split, one for each orientation there is."""
    seeds = split_seeds(split, first, num_clips)
    rows: dict[tuple, list] = {}
    for done, made in enumerate(in_processes(_render, seeds, num_processes), 1):
        for row in made:
            rows.setdefault(row[0].shape, []).append(row)
        on_done(done)
    return [PlacePictures(*(torch.from_numpy(np.stack(v)) for v in zip(*some, strict=True))) for some in rows.values()]


def _render(seed: int) -> list[tuple[np.ndarray, ...]]:
    width, height = clip_size(seed, DataConfig(), MINI_MODEL)
    clip = render_clip(seed, num_frames=FRAMES_PER_CLIP, width=width, height=height, fps=FPS)
    return [tuple(np.ascontiguousarray(v) for v in row) for row in places_of(clip)]


def train_depth_network(config: DepthNetworkConfig, output: Path, say: Callable[[str], None]) -> None:
    """Train and write the weights to `output`. Raises InputError if that cannot be written."""
    told = lambda done: say(f"clip {done}/{config.num_clips}") if done % 250 == 0 else None  # noqa: E731
    places = collect("train", 0, config.num_clips, config.num_processes, told)
    network = fit(places, config, say)
    count = sum(len(some.pictures) for some in places)
    save_depth_network(output, network, f"{count} stage-world places, {config.num_steps} steps, seed {config.seed}")


def fit(places: list[PlacePictures], config: DepthNetworkConfig, say: Callable[[str], None]) -> DepthNetwork:
    torch.manual_seed(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    network = DepthNetwork()
    minimise(network, lambda: depth_loss(network, _batch(places, config.batch_size, generator), generator), config, say)
    return network


def _batch(places: list[PlacePictures], size: int, generator: torch.Generator) -> PlacePictures:
    """Random places of one orientation, half of them mirrored."""
    weights = torch.tensor([float(len(some.pictures)) for some in places])
    some = places[int(torch.multinomial(weights, 1, generator=generator))]
    batch = some.of(torch.randint(len(some.pictures), (size,), generator=generator))
    flip = torch.rand(size, generator=generator) < 0.5
    mirrored = [value.flip(-1) for value in (batch.pictures, batch.ground, -batch.across, batch.distance)]
    kept = vars(batch).values()
    pick = lambda a, b: torch.where(flip.reshape(-1, *[1] * (a.ndim - 1)), b, a)  # noqa: E731
    return PlacePictures(*(pick(a, b) for a, b in zip(kept, mirrored, strict=True)))


def depth_loss(network: DepthNetwork, batch: PlacePictures, generator: torch.Generator) -> torch.Tensor:
    """How far off 1 / distance is, which is what moves pixels, and its steps from pixel to pixel; pictures in other light."""
    (pictures,) = relit([batch.pictures.float() / 255], generator)
    told = 1 / network(pictures.clamp(0, 1), batch.ground, batch.across)
    off = told - 1 / batch.distance
    steps = off.diff(dim=1).abs().mean() + off.diff(dim=2).abs().mean()
    return off.abs().mean() + _STEP_WEIGHT * steps + 0.1 * (told * batch.distance).log().abs().mean()
