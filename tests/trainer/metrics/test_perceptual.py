"""The distance through the project's own network."""

import numpy as np
import pytest
import torch

from animateanywhere.perceptual import STAGE_WORLD, load_perceptual_network, perceptual_loss
from trainer.metrics.perceptual import stage_world_distance

RANDOM = np.random.default_rng(0)
CLIP, TRUTH = (RANDOM.integers(0, 256, (10, 32, 48, 3), np.uint8) for _ in range(2))


def test_over_the_whole_frame_it_is_the_loss_without_hands():
    made, truth = (torch.from_numpy(v).permute(0, 3, 1, 2) / 127.5 - 1 for v in (CLIP, TRUTH))
    hands = torch.zeros(made[:, 0].shape, dtype=torch.bool)
    expected = perceptual_loss(load_perceptual_network(STAGE_WORLD), made, truth, hands)
    assert stage_world_distance(CLIP, TRUTH) == pytest.approx(float(expected), rel=1e-5)


def test_a_mask_leaves_out_what_differs_elsewhere():
    left = np.zeros((10, 32, 48), bool)
    left[:, :, :16] = True
    changed = TRUTH.copy()
    changed[:, :, 40:] = CLIP[:, :, 40:]
    assert stage_world_distance(changed, TRUTH, left) < 0.05 * stage_world_distance(changed, TRUTH, ~left)
    assert np.isnan(stage_world_distance(CLIP, TRUTH, np.zeros_like(left)))
