"""Textures of a scene in one mip-mapped table, and the filter from samples to pixels."""

import numpy as np
import torch
import torch.nn.functional as F


class Atlas:
    """Mip-mapped textures. Textures are float32 [h,w,3] in 0..1 with sides that are powers of two."""

    def __init__(self, textures: list[np.ndarray], device: torch.device):
        chunks, sizes, offsets, at = [], [], [], 0
        levels = max(_top_level(texture) for texture in textures) + 1
        for texture in textures:
            level = torch.as_tensor(np.ascontiguousarray(texture, dtype=np.float32), device=device).permute(2, 0, 1)
            row = []
            for k in range(_top_level(texture) + 1):
                level = F.avg_pool2d(level, 2) if k else level
                chunks.append(level.reshape(3, -1))
                row.append(at)
                at += chunks[-1].shape[1]
            offsets.append(row + [row[-1]] * (levels - len(row)))
            sizes.append((texture.shape[1], texture.shape[0], _top_level(texture)))
        self.planes = torch.cat(chunks, dim=1)  # [3, texels]
        self.offsets = torch.tensor(offsets, dtype=torch.int64, device=device)
        self.sizes = torch.tensor(sizes, dtype=torch.int64, device=device)

    def sample(
        self, texture: torch.Tensor | int, u: torch.Tensor, v: torch.Tensor, texels_per_px: torch.Tensor
    ) -> torch.Tensor:
        """Trilinear colours [3,N]; u, v in tiles, wrapping; `texels_per_px`: a pixel's footprint in full texels."""
        width, height, top = self.sizes[texture].unbind(-1)
        lod = torch.minimum(torch.log2(texels_per_px.clamp_min(1.0)), top.to(torch.float32))
        level = lod.to(torch.int64)
        fine = self._bilinear(texture, u, v, level, width, height)
        coarse = self._bilinear(texture, u, v, torch.minimum(level + 1, top), width, height)
        return torch.lerp(fine, coarse, lod - level)

    def _bilinear(self, texture, u, v, level, width, height) -> torch.Tensor:
        start = self.offsets[texture, level] if isinstance(texture, torch.Tensor) else self.offsets[texture][level]
        w, h = width >> level, height >> level
        x, y = u * w - 0.5, v * h - 0.5
        left, low = x.floor(), y.floor()
        fx, fy = x - left, y - low
        x0, y0 = left.to(torch.int64) & (w - 1), low.to(torch.int64) & (h - 1)
        x1, row0 = (x0 + 1) & (w - 1), start + y0 * w
        row1 = start + ((y0 + 1) & (h - 1)) * w
        corners = (row0 + x0, row0 + x1, row1 + x0, row1 + x1)
        out = torch.empty((3, len(u)), device=u.device)
        for channel, plane in zip(out, self.planes, strict=True):
            a, b, c, d = (torch.take(plane, corner) for corner in corners)
            torch.lerp(torch.lerp(a, b, fx), torch.lerp(c, d, fx), fy, out=channel)
        return out


def _top_level(texture: np.ndarray) -> int:
    return int(np.log2(min(texture.shape[:2])))


def is_shaded(rows: int, columns: int, device: torch.device) -> torch.Tensor:
    """Which samples of the half-pixel grid need a colour: pixel centres and pixel corners, bool [rows,columns]."""
    row, column = torch.arange(rows, device=device)[:, None], torch.arange(columns, device=device)[None]
    return (row + column) % 2 == 0


def to_pixels(samples: torch.Tensor) -> torch.Tensor:
    """Colours [3,T,2H+1,2W+1] at centres and corners to pixels [T,H,W,3]: half the centre, an eighth of each corner."""
    corners = samples[..., ::2, ::2]
    corners = corners[..., :-1, :] + corners[..., 1:, :]
    corners = corners[..., :-1] + corners[..., 1:]
    return (0.5 * samples[..., 1::2, 1::2] + 0.125 * corners).permute(1, 2, 3, 0)
