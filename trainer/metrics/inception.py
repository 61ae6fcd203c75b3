"""Inception-v3 as FID uses it: pictures to 2048 numbers each.

Sources: Szegedy, Vanhoucke, Ioffe, Shlens and Wojna 2016; Heusel, Ramsauer, Unterthiner, Nessler and Hochreiter 2017.
The network of 2015-12-05 differs from torchvision's in its poolings, see `_Block`.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from trainer.metrics.lpips import signed

_SIDE_PX = 299
_FRAMES_AT_ONCE = 8

Conv = tuple[str, int, tuple[int, int], int]
"""Name, channels out, kernel (height, width), stride. Strided ones have no padding, the others keep the size."""


class _BasicConv(nn.Module):
    def __init__(self, width: int, out: int, kernel: tuple[int, int], stride: int, padded: bool = True):
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2) if padded and stride == 1 else 0
        self.conv = nn.Conv2d(width, out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=0.001)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.bn(self.conv(x)))


class _Block(nn.Module):
    """Branches side by side, joined by channel; each is a chain of convolutions that may end in two at once.

    `pooled`: a pooling of 3 before the branch named branch_pool ("average" leaves the padding out of its mean, "largest"
    is what the network of 2015 has in its last block), or, with "halve", one of stride 2 as a branch of its own.
    """

    def __init__(self, width: int, chains: tuple[tuple[Conv | tuple[Conv, Conv], ...], ...], pooled: str):
        super().__init__()
        self._pooled = pooled
        self._chains: list[list[tuple[str, ...]]] = []
        self.width = width if pooled == "halve" else 0
        for chain in chains:
            names, now = [], width
            for link in chain:
                ends = (link,) if isinstance(link[0], str) else link
                for name, out, kernel, stride in ends:
                    self.add_module(name, _BasicConv(now, out, kernel, stride))
                names.append(tuple(end[0] for end in ends))
                now = sum(end[1] for end in ends)
            self._chains.append(names)
            self.width += now

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        joined = [self._through(chain, x) for chain in self._chains]
        if self._pooled == "halve":
            joined.append(F.max_pool2d(x, 3, 2))
        return torch.cat(joined, 1)

    def _through(self, chain: list[tuple[str, ...]], x: torch.Tensor) -> torch.Tensor:
        if chain[0] == ("branch_pool",):
            largest = self._pooled == "largest"
            x = F.max_pool2d(x, 3, 1, 1) if largest else F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        for names in chain:
            x = torch.cat([getattr(self, name)(x) for name in names], 1)
        return x


_ONE, _THREE, _FIVE, _WIDE, _TALL, _LINE, _COLUMN = (1, 1), (3, 3), (5, 5), (1, 7), (7, 1), (1, 3), (3, 1)


def _block_a(width: int, pool: int) -> _Block:
    tripled = (("branch3x3dbl_1", 64, _ONE, 1), ("branch3x3dbl_2", 96, _THREE, 1), ("branch3x3dbl_3", 96, _THREE, 1))
    fives = (("branch5x5_1", 48, _ONE, 1), ("branch5x5_2", 64, _FIVE, 1))
    return _Block(width, ((("branch1x1", 64, _ONE, 1),), fives, tripled, (("branch_pool", pool, _ONE, 1),)), "average")


def _block_b(width: int) -> _Block:
    tripled = (("branch3x3dbl_1", 64, _ONE, 1), ("branch3x3dbl_2", 96, _THREE, 1), ("branch3x3dbl_3", 96, _THREE, 2))
    return _Block(width, ((("branch3x3", 384, _THREE, 2),), tripled), "halve")


def _block_c(width: int, narrow: int) -> _Block:
    sevens = (("branch7x7_1", narrow, _ONE, 1), ("branch7x7_2", narrow, _WIDE, 1), ("branch7x7_3", 192, _TALL, 1))
    twice = (
        ("branch7x7dbl_1", narrow, _ONE, 1),
        ("branch7x7dbl_2", narrow, _TALL, 1),
        ("branch7x7dbl_3", narrow, _WIDE, 1),
        ("branch7x7dbl_4", narrow, _TALL, 1),
        ("branch7x7dbl_5", 192, _WIDE, 1),
    )
    return _Block(width, ((("branch1x1", 192, _ONE, 1),), sevens, twice, (("branch_pool", 192, _ONE, 1),)), "average")


def _block_d(width: int) -> _Block:
    threes = (("branch3x3_1", 192, _ONE, 1), ("branch3x3_2", 320, _THREE, 2))
    sevens = (
        ("branch7x7x3_1", 192, _ONE, 1),
        ("branch7x7x3_2", 192, _WIDE, 1),
        ("branch7x7x3_3", 192, _TALL, 1),
        ("branch7x7x3_4", 192, _THREE, 2),
    )
    return _Block(width, (threes, sevens), "halve")


def _block_e(width: int, pooled: str) -> _Block:
    threes = (
        ("branch3x3_1", 384, _ONE, 1),
        (("branch3x3_2a", 384, _LINE, 1), ("branch3x3_2b", 384, _COLUMN, 1)),
    )
    twice = (
        ("branch3x3dbl_1", 448, _ONE, 1),
        ("branch3x3dbl_2", 384, _THREE, 1),
        (("branch3x3dbl_3a", 384, _LINE, 1), ("branch3x3dbl_3b", 384, _COLUMN, 1)),
    )
    return _Block(width, ((("branch1x1", 320, _ONE, 1),), threes, twice, (("branch_pool", 192, _ONE, 1),)), pooled)


class InceptionV3(nn.Module):
    """Up to the pooled features of 2048, under torchvision's names; the classifier is left out."""

    def __init__(self):
        super().__init__()
        self.Conv2d_1a_3x3 = _BasicConv(3, 32, _THREE, 2)
        self.Conv2d_2a_3x3 = _BasicConv(32, 32, _THREE, 1, padded=False)
        self.Conv2d_2b_3x3 = _BasicConv(32, 64, _THREE, 1)
        self.Conv2d_3b_1x1 = _BasicConv(64, 80, _ONE, 1)
        self.Conv2d_4a_3x3 = _BasicConv(80, 192, _THREE, 1, padded=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _block_a(192, 32), _block_a(256, 64), _block_a(288, 64)
        self.Mixed_6a, self.Mixed_6b = _block_b(288), _block_c(768, 128)
        self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = _block_c(768, 160), _block_c(768, 160), _block_c(768, 192)
        self.Mixed_7a = _block_d(768)
        self.Mixed_7b, self.Mixed_7c = _block_e(1280, "average"), _block_e(2048, "largest")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """float [N, 3, 299, 299] in -1..1 to [N, 2048]."""
        x = F.max_pool2d(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))), 3, 2)
        x = F.max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)), 3, 2)
        for name, block in self.named_children():
            if name.startswith("Mixed"):
                x = block(x)
        return x.mean((2, 3))


@torch.no_grad()
def inception_features(network: InceptionV3, clip: np.ndarray) -> np.ndarray:
    """float64 [T, 2048] of the frames of uint8 `[T, H, W, 3]`, each scaled to 299x299 (bilinear), whatever its shape."""
    device = network.Conv2d_1a_3x3.conv.weight.device
    parts = []
    for start in range(0, len(clip), _FRAMES_AT_ONCE):
        pictures = signed(clip[start : start + _FRAMES_AT_ONCE], device)
        square = F.interpolate(pictures, (_SIDE_PX, _SIDE_PX), mode="bilinear", align_corners=False)
        parts.append(network(square).double().cpu().numpy())
    return np.concatenate(parts)
