"""The perceptual loss and the network format it reads."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from animateanywhere.errors import InputError
from animateanywhere.perceptual import (
    EMBEDDED_NETWORK,
    STAGE_WORLD,
    PerceptualNetwork,
    load_perceptual_network,
    perceptual_loss,
)


def vgg_list(plan=((4, 4), (6,), (8, 8), (8,), (8,))) -> nn.Sequential:
    """Layers as torchvision lists them: convolution, ReLU, ..., pooling."""
    torch.manual_seed(0)
    layers, channels = [], 3
    for block in plan:
        for width in block:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def state_of(layers: nn.Sequential) -> dict[str, torch.Tensor]:
    return {f"features.{name}": tensor for name, tensor in layers.state_dict().items()}


def test_feature_maps_are_those_of_the_flat_list():
    layers = vgg_list()
    network = PerceptualNetwork.from_state_dict(state_of(layers) | {"classifier.0.weight": torch.zeros(2, 2)})
    pictures = torch.rand(2, 3, 32, 48) * 2 - 1
    hidden = ((pictures + 1) / 2 - network.mean) / network.std
    before_pooling = []
    for layer in layers:
        if isinstance(layer, nn.MaxPool2d):
            before_pooling.append(hidden)
        hidden = layer(hidden)
    got = network(pictures)
    assert [g.shape[1:] for g in got] == [(4, 32, 48), (6, 16, 24), (8, 8, 12), (8, 4, 6)]
    assert all(torch.allclose(g, e, atol=1e-6) for g, e in zip(got, before_pooling, strict=False))
    assert not any(p.requires_grad for p in network.parameters())


def test_the_loss_is_zero_for_equal_pictures_and_counts_hands_twice():
    network = PerceptualNetwork.from_state_dict(state_of(vgg_list(((4,),))))
    truth = torch.rand(1, 3, 16, 16) * 2 - 1
    everywhere, nowhere = torch.ones(1, 16, 16, dtype=torch.bool), torch.zeros(1, 16, 16, dtype=torch.bool)
    assert perceptual_loss(network, truth.clone(), truth, nowhere) == 0
    made = (truth * 0.5).requires_grad_(True)
    plain, hands = (perceptual_loss(network, made, truth, mask) for mask in (nowhere, everywhere))
    assert float(hands.detach()) == pytest.approx(2 * float(plain.detach())) and plain > 0
    expected = (network(made.detach())[0] - network(truth)[0]).abs().mean()
    assert float(plain.detach()) == pytest.approx(float(expected))
    plain.backward()
    assert made.grad.abs().max() > 0


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_are_read_from_both_kinds_of_file(tmp_path, suffix):
    state, path = state_of(vgg_list()), tmp_path / f"net{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    network = load_perceptual_network(str(path))
    assert torch.equal(network.blocks[1][0].weight, state["features.5.weight"])


def test_a_network_is_written_under_the_names_it_was_read_under():
    state = state_of(vgg_list(((4, 4), (6,), (8, 8), (8,))))
    written = PerceptualNetwork.from_state_dict(state).vgg_state_dict()
    assert written.keys() == state.keys() and all(torch.equal(written[name], state[name]) for name in state)


def test_the_projects_own_network_is_there_small_and_balanced():
    assert EMBEDDED_NETWORK.stat().st_size < 400_000
    network = load_perceptual_network(STAGE_WORLD)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    features = network(torch.rand(2, 3, 64, 96) * 2 - 1)
    assert [tuple(f.shape[1:]) for f in features] == [(16, 64, 96), (32, 32, 48), (48, 16, 24), (64, 8, 12)]
    assert all(0.05 < float(f.mean()) < 20 for f in features), "no block drowns another"


def test_what_is_no_such_network_is_one_clear_line(tmp_path):
    state = state_of(vgg_list())
    broken = {
        "empty": {"a": torch.zeros(1)},
        "order": {name.replace("features.2.", "features.4."): t for name, t in state.items()},
        "kind": state | {"features.0.weight": torch.zeros(4, 3, 5, 5)},
    }
    for name, tensors in broken.items():
        save_file(tensors, tmp_path / f"{name}.safetensors")
        with pytest.raises(InputError, match="perceptual network"):
            load_perceptual_network(str(tmp_path / f"{name}.safetensors"))
    with pytest.raises(InputError, match="expected stage-world, a .safetensors"):
        load_perceptual_network(str(tmp_path / "missing.safetensors"))
    (tmp_path / "text.pth").write_text("no tensors")
    with pytest.raises(InputError, match="text.pth"):
        load_perceptual_network(str(tmp_path / "text.pth"))
