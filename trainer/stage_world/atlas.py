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
            level = torch.as_tensor(np.ascontiguousarray(texture, dtype=np.float32), device=device)
            level = level.permute(2, 0, 1).contiguous()
            row = []
            for k in range(_top_level(texture) + 1):
                level = F.avg_pool2d(level, 2) if k else level
                chunks.append(level.reshape(3, -1))
                row.append(at)
                at += chunks[-1].shape[1]
            offsets.append(row + [row[-1]] * (levels - len(row)))
            sizes.append((texture.shape[1], texture.shape[0], _top_level(texture)))
        self._planes = torch.cat(chunks, dim=1)  # [3, texels]
        # Four-byte whole numbers are looked up and added several times faster than eight-byte ones.
        self._starts = torch.tensor(offsets, dtype=torch.int32, device=device)
        self.sizes = torch.tensor(sizes, dtype=torch.int32, device=device)

    def size(self, texture: torch.Tensor | int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Width, height and highest level of textures, int32 [N] each, or of one texture, [] each."""
        if isinstance(texture, int):
            return self.sizes[texture].unbind()
        return tuple(column.index_select(0, texture) for column in self.sizes.unbind(1))

    def sample(
        self, texture: torch.Tensor | int, u: torch.Tensor, v: torch.Tensor, texels_per_px: torch.Tensor
    ) -> torch.Tensor:
        """Trilinear colours [3,N]; u, v in tiles, wrapping; `texels_per_px`: a pixel's footprint in full texels.

        `texture`: int32 [N], or one for all.
        """
        width, height, top = self.size(texture)
        lod = torch.minimum(torch.log2(texels_per_px.clamp_min(1.0)), top.to(torch.float32))
        level = lod.to(torch.int32)
        fine = self._bilinear(texture, u, v, level, width, height)
        coarse = self._bilinear(texture, u, v, torch.minimum(level + 1, top), width, height)
        return torch.lerp(fine, coarse, lod - level)

    def _bilinear(self, texture, u, v, level, width, height) -> torch.Tensor:
        start = self._starts.view(-1).index_select(0, texture * self._starts.shape[1] + level)
        w, h = width >> level, height >> level
        x, y = u * w - 0.5, v * h - 0.5
        left, low = x.floor(), y.floor()
        fx, fy = x - left, y - low
        x0, y0 = left.to(torch.int32) & (w - 1), low.to(torch.int32) & (h - 1)
        x1, row0 = (x0 + 1) & (w - 1), start + y0 * w
        row1 = start + ((y0 + 1) & (h - 1)) * w
        corners = (row0 + x0, row0 + x1, row1 + x0, row1 + x1)
        out = torch.empty((3, len(u)), device=u.device)
        for channel, plane in zip(out, self._planes, strict=True):
            a, b, c, d = (plane.index_select(0, corner) for corner in corners)
            torch.lerp(torch.lerp(a, b, fx), torch.lerp(c, d, fx), fy, out=channel)
        return out


def _top_level(texture: np.ndarray) -> int:
    return int(np.log2(min(texture.shape[:2])))


def to_pixels(samples: torch.Tensor) -> torch.Tensor:
    """Colours [3,T,2,H+1,W+1] at corners and centres to pixels [T,H,W,3]: half the centre, an eighth of each corner."""
    corners, centres = samples[:, :, 0], samples[:, :, 1, :-1, :-1]
    corners = corners[..., :-1, :] + corners[..., 1:, :]
    corners = corners[..., :-1] + corners[..., 1:]
    return (0.5 * centres + 0.125 * corners).permute(1, 2, 3, 0)
