"""The small network from places to distances: what it promises whatever its weights."""

import pytest
import torch

from animateanywhere.errors import InputError
from animateanywhere.models.camera_regressor import WEIGHTS as OTHER
from animateanywhere.models.depth_network import (
    FARTHEST,
    MULTIPLE,
    NEAREST,
    DepthNetwork,
    load_depth_network,
    network_size,
    planes_nearness,
    save_depth_network,
)

WIDTHS = (4, 4, 8, 8)


def inputs(height=48, width=80):
    torch.manual_seed(0)
    ground = torch.linspace(-1, 3, height)[None, :, None].expand(2, height, width)
    return torch.rand(2, 3, height, width), ground, torch.linspace(-0.5, 0.5, width).expand(2, height, width)


def test_sizes_keep_the_picture_s_shape_about():
    assert network_size(168, 96) == (80, 48) and network_size(96, 168) == (48, 80)
    for size in ((1360, 768), (17, 900)):
        assert min(network_size(*size)) == 48 and not any(side % MULTIPLE for side in network_size(*size))


def test_untrained_it_sees_ground_and_far_plane():
    distance = DepthNetwork(WIDTHS)(*inputs())
    assert torch.allclose(distance, 1 / planes_nearness(inputs()[1]))
    assert float(distance[0, 0, 0]) == pytest.approx(2.0) and float(distance[0, -1, 0]) == pytest.approx(1 / 3)


def test_distances_stay_within_bounds_whatever_the_weights():
    network = DepthNetwork(WIDTHS)
    torch.nn.init.normal_(network.last.weight, std=5.0)
    distance = network(*inputs(80, 48))
    assert distance.shape == (2, 80, 48) and distance.min() >= NEAREST and distance.max() <= FARTHEST


def test_a_network_survives_the_disk(tmp_path):
    network = DepthNetwork(WIDTHS).eval()
    torch.nn.init.normal_(network.last.weight, std=0.1)
    save_depth_network(tmp_path / "a.safetensors", network, "nothing")
    again = load_depth_network(tmp_path / "a.safetensors")
    assert torch.allclose(again(*inputs()), network(*inputs()), rtol=0.02)


def test_another_network_s_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="not a depth network of this version: python -m trainer depth-network"):
        load_depth_network(OTHER)
    with pytest.raises(InputError, match="cannot read depth network"):
        load_depth_network(tmp_path / "none.safetensors")
