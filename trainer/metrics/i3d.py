"""I3D, the video classifier behind FVD: a clip to 400 numbers.

Sources: Carreira and Zisserman 2017; Unterthiner, van Steenkiste, Kurach, Marinier, Michalski and Gelly 2018.
"""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from trainer.metrics.lpips import signed

_SIDE_PX = 224
LEAST_FRAMES = 10
"""Shorter clips are not scored: FVD's own code asks for as many, and below 9 nothing is left for the last pooling."""
_HUMANVID_FRAMES = 24
_MIXED = {
    "Mixed_3b": (192, 64, 96, 128, 16, 32, 32),
    "Mixed_3c": (256, 128, 128, 192, 32, 96, 64),
    "Mixed_4b": (480, 192, 96, 208, 16, 48, 64),
    "Mixed_4c": (512, 160, 112, 224, 24, 64, 64),
    "Mixed_4d": (512, 128, 128, 256, 24, 64, 64),
    "Mixed_4e": (512, 112, 144, 288, 32, 64, 64),
    "Mixed_4f": (528, 256, 160, 320, 32, 128, 128),
    "Mixed_5b": (832, 256, 160, 320, 32, 128, 128),
    "Mixed_5c": (832, 384, 192, 384, 48, 128, 128),
}
"""Channels in, then out of the branches' convolutions: b0, b1a, b1b, b2a, b2b, b3b."""
_POOL_BEFORE = {"Mixed_3b": ((1, 3, 3), (1, 2, 2)), "Mixed_4b": ((3, 3, 3), (2, 2, 2)), "Mixed_5b": ((2, 2, 2),) * 2}


def _padded(x: torch.Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> torch.Tensor:
    """Zeros around [N, C, T, H, W] so that every stride has a full kernel; the odd one goes to the end."""
    missing = [max((math.ceil(n / s) - 1) * s + k - n, 0) for n, k, s in zip(x.shape[2:], kernel, stride, strict=True)]
    return F.pad(x, [side for m in reversed(missing) for side in (m // 2, m - m // 2)])


def _pool(x: torch.Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> torch.Tensor:
    return F.max_pool3d(_padded(x, kernel, stride), kernel, stride)


class _Unit(nn.Module):
    def __init__(self, width: int, out: int, kernel: int = 1, stride: int = 1):
        super().__init__()
        self._kernel, self._stride = (kernel,) * 3, (stride,) * 3
        self.conv3d = nn.Conv3d(width, out, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(out, eps=0.001)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.bn(self.conv3d(_padded(x, self._kernel, self._stride))))


class _Mixed(nn.Module):
    def __init__(self, width: int, b0: int, b1a: int, b1b: int, b2a: int, b2b: int, b3b: int):
        super().__init__()
        self.b0 = _Unit(width, b0)
        self.b1a, self.b1b = _Unit(width, b1a), _Unit(b1a, b1b, 3)
        self.b2a, self.b2b = _Unit(width, b2a), _Unit(b2a, b2b, 3)
        self.b3b = _Unit(width, b3b)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = _pool(x, (3, 3, 3), (1, 1, 1))
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(pooled)], 1)


class _Logits(nn.Module):
    def __init__(self, width: int, classes: int):
        super().__init__()
        self.conv3d = nn.Conv3d(width, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv3d(x)


class InceptionI3d(nn.Module):
    """Clips to the 400 logits of Kinetics-400, under the names of the published state dicts."""

    def __init__(self, classes: int = 400):
        super().__init__()
        self.Conv3d_1a_7x7 = _Unit(3, 64, 7, 2)
        self.Conv3d_2b_1x1, self.Conv3d_2c_3x3 = _Unit(64, 64), _Unit(64, 192, 3)
        for name, widths in _MIXED.items():
            self.add_module(name, _Mixed(*widths))
        self.logits = _Logits(1024, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """float [N, 3, T, 224, 224] in -1..1, T 9 or more, to [N, 400]."""
        x = _pool(self.Conv3d_1a_7x7(x), (1, 3, 3), (1, 2, 2))
        x = self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x))
        for name in _MIXED:
            if name in _POOL_BEFORE:
                x = _pool(x, *_POOL_BEFORE[name])
            x = getattr(self, name)(x)
        return self.logits(F.avg_pool3d(x, (2, 7, 7), 1)).mean((2, 3, 4))


@torch.no_grad()
def i3d_features(network: nn.Module, clip: np.ndarray) -> np.ndarray:
    """float64 [1, 400] of a clip uint8 `[T, H, W, 3]`, its shorter side scaled to 224 and the middle cut out.

    No rows if it has fewer than `LEAST_FRAMES` frames.
    """
    if len(clip) < LEAST_FRAMES:
        return np.empty((0, 400))
    frames = _squares(clip, next(network.parameters()).device)
    return network(frames.transpose(0, 1)[None]).double().cpu().numpy()


@torch.no_grad()
def fvd_humanvid_pairwise(network: nn.Module, clip: np.ndarray, truth: np.ndarray) -> float:
    """What HumanVid reports as FVD: squared distance of the logits of one clip and its true one, 0 or more.

    The mean over their first 10, 11, ... frames, at most 24. One pair has no covariance, so this is no Frechet distance
    of sets; it asks for the very clip. uint8 `[T, H, W, 3]`; NaN for fewer than 10 frames.
    Source: Wang et al. 2024 (HumanVid), their evaluation code.
    """
    lengths = range(LEAST_FRAMES, min(len(clip), _HUMANVID_FRAMES) + 1)
    distances = [
        float(((i3d_features(network, clip[:n]) - i3d_features(network, truth[:n])) ** 2).sum()) for n in lengths
    ]
    return float(np.mean(distances)) if distances else float("nan")


def _squares(clip: np.ndarray, device: torch.device) -> torch.Tensor:
    """float32 [T, 3, 224, 224] in -1..1."""
    height, width = clip.shape[1:3]
    scale = _SIDE_PX / min(height, width)
    size = (max(_SIDE_PX, math.ceil(height * scale)), max(_SIDE_PX, math.ceil(width * scale)))
    size = (_SIDE_PX, size[1]) if height <= width else (size[0], _SIDE_PX)
    larger = F.interpolate(signed(clip, device), size, mode="bilinear", align_corners=False)
    top, left = (size[0] - _SIDE_PX) // 2, (size[1] - _SIDE_PX) // 2
    return larger[..., top : top + _SIDE_PX, left : left + _SIDE_PX]
