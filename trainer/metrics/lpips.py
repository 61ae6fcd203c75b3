"""LPIPS: how far apart two pictures look, by the features of a network trained on ImageNet.

Source: Zhang, Isola, Efros, Shechtman and Wang 2018, equation 1 with their learnt heads, version 0.1.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
"""ImageNet's mean and deviation of red, green and blue for values of -1..1."""
_TINY = 1e-10
_FRAMES_AT_ONCE = 8


class _Backbone(nn.Module):
    """The convolutions of a torchvision classifier, under its names; `TAPS` are the layers whose output is compared."""

    CHANNELS: tuple[int, ...]
    TAPS: tuple[int, ...]

    def __init__(self, layers: list[nn.Module]):
        super().__init__()
        self.features = nn.Sequential(*layers)

    def forward(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """float [N, 3, H, W], standardised, to one [N, C, h, w] for each of CHANNELS."""
        found = []
        for number, layer in enumerate(self.features):
            pictures = layer(pictures)
            if number in self.TAPS:
                found.append(pictures)
        return found


class Vgg16Features(_Backbone):
    """Source: Simonyan and Zisserman 2015, configuration D."""

    CHANNELS = (64, 128, 256, 512, 512)
    TAPS = (3, 8, 15, 22, 29)

    def __init__(self):
        layers, width = [], 3
        for step in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512):
            layers += [nn.Conv2d(width, step, 3, padding=1), nn.ReLU()] if step else [nn.MaxPool2d(2)]
            width = step or width
        super().__init__(layers)


class AlexNetFeatures(_Backbone):
    """Source: Krizhevsky 2014, as torchvision has it."""

    CHANNELS = (64, 192, 384, 256, 256)
    TAPS = (1, 4, 7, 9, 11)

    def __init__(self):
        first = [nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)]
        second = [nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)]
        rest = [(192, 384), (384, 256), (256, 256)]
        super().__init__(first + second + [m for a, b in rest for m in (nn.Conv2d(a, b, 3, padding=1), nn.ReLU())])


class _Head(nn.Module):
    """One weight per channel, under the name that the published files have."""

    def __init__(self, channels: int):
        super().__init__()
        self.model = nn.Sequential(nn.Identity(), nn.Conv2d(channels, 1, 1, bias=False))


class LpipsHeads(nn.Module):
    """The learnt weight of every channel of every compared layer."""

    def __init__(self, channels: tuple[int, ...]):
        super().__init__()
        for number, width in enumerate(channels):
            self.add_module(f"lin{number}", _Head(width))

    def weigh(self, number: int, difference: torch.Tensor) -> torch.Tensor:
        """[N, C, h, w] to [N, 1, h, w]."""
        return getattr(self, f"lin{number}").model(difference)


class Lpips(nn.Module):
    """Perceptual distance of pictures; 0 for equal ones, larger is farther."""

    def __init__(self, backbone: _Backbone, heads: LpipsHeads):
        super().__init__()
        self.backbone, self.heads = backbone, heads
        self.register_buffer("shift", torch.tensor(_SHIFT).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(_SCALE).view(1, 3, 1, 1), persistent=False)

    def forward(self, pictures: torch.Tensor, truth: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """float [N]: distance of pictures [N, 3, H, W] in -1..1.

        `mask` bool [N, H, W]: the mean over its pixels of the distances scaled up to the picture's size; NaN if empty.
        Without one, the mean over each layer's own grid, as published.
        """
        pairs = zip(self._features(pictures), self._features(truth), strict=True)
        total = pictures.new_zeros(len(pictures))
        for number, (a, b) in enumerate(pairs):
            distance = self.heads.weigh(number, (a - b) ** 2)
            if mask is None:
                total = total + distance.mean((1, 2, 3))
            else:
                full = F.interpolate(distance, size=mask.shape[1:], mode="bilinear", align_corners=False)[:, 0]
                total = total + (full * mask).sum((1, 2)) / mask.sum((1, 2))
        return total

    def _features(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        found = self.backbone((pictures - self.shift) / self.scale)
        return [f / (f.square().sum(1, keepdim=True).sqrt() + _TINY) for f in found]


@torch.no_grad()
def lpips_distance(network: Lpips, clip: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Mean over the frames of uint8 `[T, H, W, 3]` clips, 0 or more; `mask` bool `[T, H, W]`; NaN if it is empty."""
    device = network.shift.device
    values = []
    for start in range(0, len(clip), _FRAMES_AT_ONCE):
        part = slice(start, start + _FRAMES_AT_ONCE)
        inside = None if mask is None else torch.as_tensor(mask[part], device=device)
        values.append(network(signed(clip[part], device), signed(truth[part], device), inside).cpu().numpy())
    told = np.concatenate(values)
    told = told[np.isfinite(told)]
    return float(told.mean()) if len(told) else float("nan")


def signed(clip: np.ndarray, device: torch.device | str) -> torch.Tensor:
    """float32 [T, 3, H, W] in -1..1 of uint8 [T, H, W, 3]."""
    return torch.tensor(clip, device=device).permute(0, 3, 1, 2).float() / 127.5 - 1
