"""A small network from a picture of a place to how far away everything in it is.

It corrects the simplest place there is, level ground that ends at an upright plane, and so needs to know only where in the
picture that ground lies. Trained on stage world by `python -m trainer depth-network`.

Legend: B batch, h w picture at the network's size. Distances are in those to the person.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from animateanywhere.geometry.camera_variants import FAR_DISTANCES
from animateanywhere.models.small_weights import ASSETS, load_small, save_small

WEIGHTS = ASSETS / "depth_network.safetensors"
SHORT_SIDE, MULTIPLE = 48, 8
"""Pixels of the network's pictures: their short side, and what both sides are multiples of."""
NEAREST, FARTHEST = 0.15, 12.0
"""Distances to the person: nearer and farther things are told as that near and that far."""
_WORDS = {"format": "animateanywhere-depth-network-1"}
_NUM_INPUTS = 5
_WIDTHS = (20, 40, 72, 96)


def network_size(width: int, height: int) -> tuple[int, int]:
    """(w, h) of the network's picture of a picture of `width` x `height`."""
    scale = SHORT_SIDE / min(width, height)
    return tuple(max(MULTIPLE, round(side * scale / MULTIPLE) * MULTIPLE) for side in (width, height))


def planes_nearness(ground: torch.Tensor) -> torch.Tensor:
    """1 / distance of ground and far plane, from that of the ground alone (0 or less above the horizon)."""
    return ground.clamp(1 / FAR_DISTANCES, 1 / NEAREST)


class DepthNetwork(nn.Module):
    """Four sizes of the picture, down and up again with shortcuts, and one look at the whole."""

    def __init__(self, widths: tuple[int, ...] = _WIDTHS):
        super().__init__()
        ins = (_NUM_INPUTS, *widths[:-1])
        self.down = nn.ModuleList(_twice(a, b) for a, b in zip(ins, widths, strict=True))
        self.overview = nn.Linear(widths[-1], widths[-1])
        self.up = nn.ModuleList(_twice(a + b, b) for a, b in zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.last = nn.Conv2d(widths[0], 1, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, pictures: torch.Tensor, ground: torch.Tensor, across: torch.Tensor) -> torch.Tensor:
        """Pictures `[B, 3, h, w]` in 0..1, 1 / distance of the ground `[B, h, w]` and slope of each pixel's ray to the right
        `[B, h, w]` -> distance along the camera's z `[B, h, w]`. Untrained, it sees ground and far plane."""
        nearness = planes_nearness(ground)
        hidden = torch.cat([2 * pictures - 1, ground.clamp(-1, 4)[:, None], across[:, None]], dim=1)
        kept = []
        for number, block in enumerate(self.down):
            hidden = block(hidden if number == 0 else F.avg_pool2d(hidden, 2))
            kept.append(hidden)
        hidden = hidden + self.overview(hidden.mean((2, 3)))[:, :, None, None]
        for block, beside in zip(self.up, kept[-2::-1], strict=True):
            larger = F.interpolate(hidden, scale_factor=2, mode="bilinear", align_corners=False)
            hidden = block(torch.cat([larger, beside], dim=1))
        return (self.last(hidden)[:, 0].neg().exp() / nearness).clamp(NEAREST, FARTHEST)


def _twice(ins: int, outs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(ins, outs, 3, padding=1), nn.GroupNorm(4, outs), nn.GELU(),
        nn.Conv2d(outs, outs, 3, padding=1), nn.GroupNorm(4, outs), nn.GELU(),
    )  # fmt: skip


def save_depth_network(path: Path, network: DepthNetwork, trained_on: str) -> None:
    """Raises InputError if the file cannot be written."""
    save_small(path, network, _WORDS | {"trained_on": trained_on})


def load_depth_network(path: Path = WEIGHTS) -> DepthNetwork:
    """Raises InputError if the file is missing, damaged, or of another version."""
    tensors = load_small(path, _WORDS, "depth network", "python -m trainer depth-network")
    network = DepthNetwork(tuple(len(tensors[f"down.{k}.0.bias"]) for k in range(len(_WIDTHS))))
    network.load_state_dict(tensors)
    return network.eval()
