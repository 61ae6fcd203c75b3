"""Places of stage world and the network that learns them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from animateanywhere.models.depth_network import FARTHEST, NEAREST, planes_nearness
from trainer.config import DepthNetworkConfig
from trainer.depth_network import PlacePictures, depth_loss, fit, places_of
from trainer.stage_world.render import render_clip

CONFIG = DepthNetworkConfig(num_clips=2, num_steps=30, batch_size=4, learning_rate=3e-3)


@pytest.fixture(scope="module")
def clip():
    return render_clip(6, num_frames=3, fps=0.7, textures="procedural", framing="whole", photographer="hold")


@pytest.fixture(scope="module")
def places(clip) -> PlacePictures:
    return PlacePictures(*(torch.from_numpy(np.stack(v)) for v in zip(*places_of(clip), strict=True)))


def test_distances_are_the_renderer_s_in_those_to_the_person(clip, places):
    person = clip.joints_world[0, 11:13].mean(0) @ clip.camera_from_world[0, 2, :3] + clip.camera_from_world[0, 2, 3]
    told, true = places.distance[0], clip.background_depth[0] / person
    assert told.shape == (48, 80) and NEAREST <= told.min() and told.max() <= FARTHEST
    assert float(told[24, 40]) == pytest.approx(float(np.median(true[46:50, 82:86])), rel=0.25)


def test_the_ground_of_the_true_camera_is_where_the_renderer_has_it(clip, places):
    """Seed 6's second picture keeps the true camera: at its lower edge there is ground."""
    ratio = (places.distance[1] * planes_nearness(places.ground[1]))[-3:]
    assert float(ratio.median()) == pytest.approx(1.0, abs=0.05)


def test_learning_lowers_the_loss_and_repeats_itself(places):
    told = []
    first = fit([places], CONFIG, told.append)
    again = fit([places], CONFIG, told.append)
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))
    untrained = fit([places], replace(CONFIG, num_steps=1, learning_rate=1e-9), told.append)
    before, after = (float(depth_loss(n, places, torch.Generator().manual_seed(0))) for n in (untrained, first))
    assert after < 0.8 * before and told[0].startswith("step 30/30")
