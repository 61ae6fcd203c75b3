"""A small network that draws a decoded frame once more, knowing that very frame's pose, its background, and the person's picture.

A small VAE makes one picture of several frames: limbs that move, faces and patterns are gone in its latents, and no denoiser
can bring them back. Where they belong the drawn pose says, frame by frame; what they look like the person's own picture,
moved by that pose. Trained on stage world by `python -m trainer frame-refiner`.

Legend: N frames, H W a picture's size, even numbers.
"""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

WIDTHS = (48, 96, 128)
"""Channels at half, quarter and eighth of a picture's size."""
_FOLD = 2
"""Pixels of a side that become channels: the network works at half size."""
_NUM_INPUTS = 13
_OUTPUTS = (3, 1, 1)
"""Channels of what is added, and of the two shares; these are not limited to 0..1."""
_BLOCKS = 2
_LAID, _SOLID = 0.7, 0.5
"""Share of the person's moved picture that is laid over what the network drew, and the alpha from which on: what stage world
never showed it, such as a photograph's face, the network takes for a fault. Within stage world's people it costs nothing."""
_AT_ONCE = 8
"""Frames of one call: more take memory and no less time."""


class FrameRefiner(nn.Module):
    """Three sizes, down and up again with shortcuts. For every pixel it says what is added to the frame, and how far the frame goes
    over into the moved person laid on it and into the background shown. Untrained it changes nothing."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS):
        super().__init__()
        self.widths = tuple(widths)
        self.first = nn.Conv2d(_NUM_INPUTS * _FOLD**2, widths[0], 3, padding=1)
        self.down = nn.ModuleList(_blocks(width) for width in widths)
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in zip(widths, widths[1:], strict=False))
        self.grow = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in zip(widths[-2::-1], widths[:0:-1], strict=True))
        self.up = nn.ModuleList(_blocks(width) for width in widths[-2::-1])
        self.last = nn.Conv2d(widths[0], sum(_OUTPUTS) * _FOLD**2, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    @property
    def device(self) -> torch.device:
        return self.last.weight.device

    def forward(
        self, frames: torch.Tensor, shown: torch.Tensor, pose: torch.Tensor, person: torch.Tensor
    ) -> torch.Tensor:
        """Decoded frames, backgrounds shown and drawn poses `[N, 3, H, W]`, the moved person `[N, 4, H, W]`, colour multiplied by
        alpha, all in [-1, 1] -> frames like the first, not clamped."""
        hidden = self.first(F.pixel_unshuffle(torch.cat([frames, shown, pose, person], dim=1), _FOLD))
        kept = []
        for number, blocks in enumerate(self.down):
            hidden = blocks(self.shrink[number - 1](hidden) if number else hidden)
            kept.append(hidden)
        for narrow, blocks, beside in zip(self.grow, self.up, kept[-2::-1], strict=True):
            larger = F.interpolate(narrow(hidden), size=beside.shape[-2:], mode="bilinear", align_corners=False)
            hidden = blocks(larger + beside)
        added, of_person, of_shown = F.pixel_shuffle(self.last(hidden), _FOLD).split(_OUTPUTS, dim=1)
        colour, alpha = person.add(1).div(2).split([3, 1], dim=1)
        laid = 2 * colour - alpha + (1 - alpha) * frames
        return frames + added + of_person * (laid - frames) + of_shown * (shown - frames)


class _Residual(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.inner = nn.Conv2d(width, width, 3, padding=1)
        self.outer = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden + self.outer(F.gelu(self.inner(F.gelu(hidden))))


def _blocks(width: int) -> nn.Sequential:
    return nn.Sequential(*(_Residual(width) for _ in range(_BLOCKS)))


def widths_of(state: Mapping[str, torch.Tensor]) -> tuple[int, ...]:
    """`widths` of the network that these tensors are of. Raises KeyError if they are of another kind."""
    levels = {name.split(".")[1] for name in state if name.startswith("down.")}
    return tuple(len(state[f"down.{level}.0.inner.bias"]) for level in sorted(levels))


@torch.no_grad()
def refine_frames(
    refiner: FrameRefiner, clip: np.ndarray, shown: np.ndarray, pose_frames: np.ndarray, person: np.ndarray | None
) -> np.ndarray:
    """A clip, the background shown and the drawn pose, all uint8 `[T, H, W, 3]` -> the clip drawn once more, alike.

    `person`: uint8 `[T, H, W, 4]`, straight alpha; None: it is not known what the moved person looks like. Where it is solid, it is
    laid over what the network drew, by a share.
    """
    if person is None:
        person = np.zeros((*clip.shape[:3], 4), np.uint8)
    made = []
    for start in range(0, len(clip), _AT_ONCE):
        parts = [as_input(part[start : start + _AT_ONCE]) for part in (clip, shown, pose_frames)]
        parts.append(person_input(torch.from_numpy(person[start : start + _AT_ONCE]).permute(0, 3, 1, 2).float() / 255))
        made.append(refiner(*(part.to(refiner.device, refiner.last.weight.dtype) for part in parts)))
    drawn = ((torch.cat(made).float() + 1) * 127.5).clamp(0, 255).permute(0, 2, 3, 1).cpu().numpy()
    share = _LAID * np.clip((person[..., 3:] / np.float32(255) - _SOLID) / (1 - _SOLID), 0, 1)
    return np.rint(drawn + share * (person[..., :3] - drawn)).astype(np.uint8)


def as_input(pictures: np.ndarray) -> torch.Tensor:
    """uint8 `[N, H, W, 3]` -> float32 `[N, 3, H, W]` in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def person_input(layers: torch.Tensor) -> torch.Tensor:
    """`[N, 4, H, W]` in 0..1, straight alpha -> the same in [-1, 1], colour multiplied by alpha."""
    colour, alpha = layers[:, :3], layers[:, 3:]
    return torch.cat([colour * alpha, alpha], dim=1) * 2 - 1
