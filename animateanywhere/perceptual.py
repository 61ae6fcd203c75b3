"""The perceptual loss (paper III-D, equation 6): what a convolutional network sees in two pictures, compared.

Any network in torchvision's VGG format serves: `features.N.weight` and `features.N.bias` of 3x3 convolutions, each
followed by a ReLU, with 2x2 pooling in between, numbered as in a flat list of all of them. VGG-16 is one of them. The
one that lies in assets/perceptual was trained by this project on stage world (`python -m trainer perceptual`).
"""

import pickle
import re
from pathlib import Path

import torch
import torch.nn.functional as F
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from animateanywhere.errors import InputError

STAGE_WORLD = "stage-world"
"""Names the network that lies in the project itself."""
EMBEDDED_NETWORK = Path(__file__).resolve().parents[1] / "assets" / "perceptual" / "stage_world.safetensors"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_COMPARED_BLOCKS = 4
"""Convolutions up to the fourth pooling: later ones know what is seen, not how it looks."""
_UNREADABLE = (
    OSError,
    ValueError,
    RuntimeError,
    pickle.UnpicklingError,
    SafetensorError,
    HfHubHTTPError,
    HFValidationError,
)
_KEY = re.compile(r"features\.(\d+)\.(weight|bias)")


class PerceptualNetwork(nn.Module):
    """The first blocks of a network in VGG format, frozen; gives each block's last feature map."""

    def __init__(self, blocks: list[list[nn.Conv2d]]):
        super().__init__()
        self.blocks = nn.ModuleList(nn.ModuleList(block) for block in blocks)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))
        self.requires_grad_(False).eval()

    def forward(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """`[N, 3, H, W]` in [-1, 1] -> one `[N, C, H/2^k, W/2^k]` per block k = 0, 1, ..."""
        hidden = ((pictures + 1) / 2 - self.mean) / self.std
        features = []
        for number, block in enumerate(self.blocks):
            hidden = F.max_pool2d(hidden, 2) if number else hidden
            for convolution in block:
                hidden = F.relu(convolution(hidden))
            features.append(hidden)
        return features

    def vgg_state_dict(self) -> dict[str, torch.Tensor]:
        """Weights and biases under torchvision's names: what `from_state_dict` reads."""
        state, index = {}, 0
        for block in self.blocks:
            for convolution in block:
                state |= {f"features.{index}.{name}": tensor for name, tensor in convolution.state_dict().items()}
                index += 2  # its ReLU
            index += 1  # the pooling
        return state

    @classmethod
    def from_state_dict(cls, state: dict[str, torch.Tensor]) -> "PerceptualNetwork":
        """Of any depth and width in VGG format. Raises InputError if it is not one."""
        found = {int(m[1]): name for name in state if (m := _KEY.fullmatch(name)) and m[2] == "weight"}
        blocks: list[list[nn.Conv2d]] = [[]]
        previous, channels = -2, 3
        for index in sorted(found):
            weight, bias = state[found[index]], state.get(f"features.{index}.bias")
            if weight.ndim != 4 or bias is None or weight.shape[1:] != (channels, 3, 3):
                raise InputError(
                    f"perceptual network: features.{index} is {list(weight.shape)}, expected a 3x3 convolution"
                )
            if index - previous == 3:  # convolution, ReLU, pooling, convolution
                blocks.append([])
            elif index - previous != 2:
                raise InputError(
                    f"perceptual network: features.{index} after features.{previous} is not in VGG's order"
                )
            convolution = nn.Conv2d(channels, len(weight), 3, padding=1)
            convolution.load_state_dict({"weight": weight, "bias": bias})
            blocks[-1].append(convolution)
            previous, channels = index, len(weight)
        if not found:
            raise InputError(
                "perceptual network: no features.N.weight inside, expected weights in torchvision's VGG format"
            )
        return cls(blocks[:_COMPARED_BLOCKS])


def load_perceptual_network(source: str) -> PerceptualNetwork:
    """`stage-world`, a .safetensors or .pth file, or a Hub id whose model.safetensors is in VGG format
    (timm/vgg16.tv_in1k).

    Nothing is unpickled but tensors. Raises InputError if it cannot be read or is of another kind.
    """
    path = EMBEDDED_NETWORK if source == STAGE_WORLD else Path(source)
    try:
        if path != EMBEDDED_NETWORK and not path.is_file():
            path = Path(hf_hub_download(source, "model.safetensors"))
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except _UNREADABLE as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"cannot read the perceptual network {source!r}: {reason}; "
            f"expected {STAGE_WORLD}, a .safetensors or .pth file or a Hub id"
        ) from error
    return PerceptualNetwork.from_state_dict(state)


def perceptual_loss(
    network: PerceptualNetwork, made: torch.Tensor, truth: torch.Tensor, hand_mask: torch.Tensor
) -> torch.Tensor:
    """Equation 6: mean absolute difference of feature maps, weighted by 1 + `hand_mask`, mean over blocks; 0-d.

    `made`, `truth` `[N, 3, H, W]` in [-1, 1], `hand_mask` bool `[N, H, W]`. Gradients reach `made` only.
    """
    with torch.no_grad():
        expected = network(truth)
    weight = 1 + hand_mask[:, None].to(made.dtype)
    terms = []
    for got, wanted in zip(network(made), expected, strict=True):
        scaled = F.adaptive_avg_pool2d(weight, got.shape[-2:])
        terms.append(((got - wanted).abs() * scaled).mean())
    return torch.stack(terms).mean()
