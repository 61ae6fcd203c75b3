"""Ray casting of round cones and boxes for all frames of a clip at once.

A ray is `centre + depth * direction`; directions have z = 1 in the camera frame, so the ray parameter is the depth.
Sample columns lie at x = 0, 0.5, 1 ... W pixels (rows likewise), so samples of odd row and column are pixel centres.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

_NEAR = 0.05


@dataclass(frozen=True)
class Cones:
    """Round cones per frame. Local frame: axis along y from sphere a (origin) to sphere b, scaled across. Float64."""

    local_from_world: np.ndarray
    """[P,T,3,3]; not orthogonal where a part is squashed."""
    origin: np.ndarray
    """[P,T,3]"""
    axis: np.ndarray
    """[P,T,3] Unit vector in the world from sphere a to sphere b."""
    length: np.ndarray
    """[P], larger than the difference of the radii."""
    radius_a: np.ndarray
    radius_b: np.ndarray
    texture: np.ndarray
    hand: np.ndarray
    open_a: np.ndarray
    """[P] bool: no cap at end a, as on a skirt's hem."""
    reach: np.ndarray
    """[P] Largest distance in metres of the surface from the axis segment."""


@dataclass(frozen=True)
class Boxes:
    """Still boxes that stand turned about the vertical."""

    centre: np.ndarray
    """[P,3]"""
    half: np.ndarray
    """[P,3]"""
    yaw: np.ndarray
    """[P]"""
    texture: np.ndarray
    """[P,3] for faces across x, y, z."""
    texture_size: np.ndarray
    """[P] Metres that one tile of the texture spans; 0 stretches it once over each face."""

    def local_from_world(self) -> np.ndarray:
        """[P,3,3]"""
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        matrix = np.zeros((len(self.yaw), 3, 3))
        matrix[:, 0, 0], matrix[:, 0, 2], matrix[:, 1, 1], matrix[:, 2, 0], matrix[:, 2, 2] = cos, sin, 1.0, -sin, cos
        return matrix


@dataclass(frozen=True)
class Rays:
    """Cameras of all frames and their sample grid."""

    centre: np.ndarray
    """float64 [T,3]"""
    world_from_camera: np.ndarray
    """float64 [T,3,3]"""
    focal_px: np.ndarray
    """float64 [T]"""
    principal_px: np.ndarray
    """float64 [T,2]"""
    width: int
    height: int
    device: torch.device

    @property
    def grid(self) -> tuple[int, int, int]:
        """(frames, sample rows, sample columns)"""
        return len(self.centre), 2 * self.height + 1, 2 * self.width + 1

    def tensor(self, values: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.asarray(values, dtype=np.float32), device=self.device)

    def slopes(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Camera-frame x/z of every column [T,Ws] and y/z of every row [T,Hs]."""
        _, rows, columns = self.grid
        x = (np.arange(columns) / 2 - self.principal_px[:, :1]) / self.focal_px[:, None]
        y = (np.arange(rows) / 2 - self.principal_px[:, 1:]) / self.focal_px[:, None]
        return self.tensor(x), self.tensor(y)

    @cached_property
    def directions(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """World components of all ray directions, each [T,Hs,Ws]."""
        x, y = self.slopes()
        r = self.tensor(self.world_from_camera)
        return tuple(
            (r[:, i, 0, None] * x)[:, None, :] + (r[:, i, 1, None] * y + r[:, i, 2, None])[:, :, None] for i in range(3)
        )

    def window(self, points: np.ndarray, reach: float | np.ndarray) -> tuple[np.ndarray, np.ndarray, int, int] | None:
        """Sample rectangles around spheres of radius `reach` at `points` [T,K,3].

        x0 [T], y0 [T], width and height in samples; None: unseen in all frames.
        """
        seen = np.einsum("tji,tkj->tki", self.world_from_camera, points - self.centre[:, None])
        near = seen[..., 2] - reach
        if (seen[..., 2] + reach).max() < _NEAR:
            return None
        scale = 2 * self.focal_px[:, None] / np.maximum(near, _NEAR)
        size = np.array([self.grid[2], self.grid[1]])
        low, high = [], []
        for axis in (0, 1):
            at = seen[..., axis]
            edge = 2 * self.principal_px[:, axis, None]
            lo = edge + np.minimum(
                (at - reach) * scale, (at - reach) * 2 * self.focal_px[:, None] / (seen[..., 2] + reach).clip(_NEAR)
            )
            hi = edge + np.maximum(
                (at + reach) * scale, (at + reach) * 2 * self.focal_px[:, None] / (seen[..., 2] + reach).clip(_NEAR)
            )
            lo, hi = lo.min(axis=1), hi.max(axis=1)
            crossing = near.min(axis=1) < _NEAR
            lo, hi = np.where(crossing, 0, lo), np.where(crossing, size[axis], hi)
            low.append(np.clip(np.floor(lo) - 1, 0, size[axis]).astype(np.int64))
            high.append(np.clip(np.ceil(hi) + 2, 0, size[axis]).astype(np.int64))
        visible = (high[0] > low[0]) & (high[1] > low[1]) & ((seen[..., 2] + reach).max(axis=1) > _NEAR)
        if not visible.any():
            return None
        width, height = int((high[0] - low[0])[visible].max()), int((high[1] - low[1])[visible].max())
        return np.minimum(low[0], size[0] - width), np.minimum(low[1], size[1] - height), width, height


class Canvas:
    """Depth and surface number of the nearest surface at every sample."""

    def __init__(self, rays: Rays, depth: torch.Tensor, surface: torch.Tensor):
        self.rays = rays
        self.depth = depth  # float32 [T,Hs,Ws]
        self.surface = surface  # int32 [T,Hs,Ws]
        self._x, self._y = rays.slopes()

    def copy(self) -> "Canvas":
        return Canvas(self.rays, self.depth.clone(), self.surface.clone())

    def flat_index(self, window) -> torch.Tensor:
        """Flat sample indices [T,h,w] of a window."""
        x0, y0, width, height = window
        frames, rows, columns = self.rays.grid
        device = self.depth.device
        start = torch.as_tensor(np.arange(frames) * rows * columns + y0 * columns + x0, device=device)
        down, across = torch.arange(height, device=device) * columns, torch.arange(width, device=device)
        return start[:, None, None] + (down[:, None] + across)

    def _merge(self, window, depth: torch.Tensor, hit: torch.Tensor, number: int):
        index = self.flat_index(window).view(-1)
        flat_depth, flat_surface = self.depth.view(-1), self.surface.view(-1)
        old = flat_depth[index]
        nearer = hit.reshape(-1) & (depth.reshape(-1) < old)
        flat_depth[index] = torch.where(nearer, depth.reshape(-1), old)
        flat_surface[index] = torch.where(nearer, number, flat_surface[index])

    def _local_rays(self, window, local_from_world: np.ndarray, origin: np.ndarray):
        """Ray origins ([T,1,1] each) and directions ([T,h,w] each) in a primitive's frame; inputs [T,3,3], [T,3]."""
        x0, y0, width, height = window
        rays = self.rays
        matrix = rays.tensor(local_from_world @ rays.world_from_camera)
        start = rays.tensor(np.einsum("tij,tj->ti", local_from_world, rays.centre - origin))
        columns = torch.as_tensor(x0[:, None] + np.arange(width), device=rays.device)
        rows = torch.as_tensor(y0[:, None] + np.arange(height), device=rays.device)
        x, y = self._x.gather(1, columns), self._y.gather(1, rows)
        directions = [
            (matrix[:, i, 0, None] * x)[:, None, :] + (matrix[:, i, 1, None] * y + matrix[:, i, 2, None])[:, :, None]
            for i in range(3)
        ]
        return [start[:, i, None, None] for i in range(3)], directions

    def add_cones(self, cones: Cones, first_number: int):
        """Merge round cones; part p becomes surface `first_number + p`."""
        for p in range(len(cones.length)):
            ends = np.stack([cones.origin[p], cones.origin[p] + cones.axis[p] * cones.length[p]], axis=1)
            window = self.rays.window(ends, cones.reach[p])
            if window is None:
                continue
            start, direction = self._local_rays(window, cones.local_from_world[p], cones.origin[p])
            length, ra, rb = (float(values[p]) for values in (cones.length, cones.radius_a, cones.radius_b))
            depth, hit = _cone_depth(start, direction, length, ra, rb, bool(cones.open_a[p]))
            self._merge(window, depth, hit, first_number + p)

    def add_boxes(self, boxes: Boxes, first_number: int):
        """Merge boxes; box p becomes surface `first_number + p`."""
        frames = self.rays.grid[0]
        matrices = boxes.local_from_world()
        for p in range(len(boxes.yaw)):
            corners = boxes.half[p] * np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
            corners = boxes.centre[p] + corners @ matrices[p]
            window = self.rays.window(np.broadcast_to(corners, (frames, 8, 3)), 0.0)
            if window is None:
                continue
            repeat = lambda a: np.broadcast_to(a, (frames, *a.shape))  # noqa: E731
            start, direction = self._local_rays(window, repeat(matrices[p]), repeat(boxes.centre[p]))
            enter = torch.full_like(direction[0], _NEAR)
            leave = torch.full_like(direction[0], float("inf"))
            for axis in range(3):
                inverse = 1.0 / torch.where(direction[axis].abs() < 1e-9, 1e-9, direction[axis])
                middle, spread = -start[axis] * inverse, inverse.abs() * float(boxes.half[p, axis])
                enter, leave = torch.maximum(enter, middle - spread), torch.minimum(leave, middle + spread)
            self._merge(window, enter, (enter < leave) & (enter > _NEAR), first_number + p)


def _cone_depth(
    start, direction, length: float, ra: float, rb: float, open_a: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Nearest hit of rays with a round cone in its own frame: depth and whether there is one.

    The side is the cone tangent to both spheres: cos*rho + sin*y = ra, sin = (ra-rb)/length, rho off the axis.
    """
    (ox, oy, oz), (dx, dy, dz) = start, direction
    sin = (ra - rb) / length
    cos2 = 1.0 - sin * sin
    across_dd, across_od = dx * dx + dz * dz, ox * dx + oz * dz
    across_oo = ox * ox + oz * oz
    q = ra - sin * oy
    a = cos2 * across_dd - sin * sin * dy * dy
    b = cos2 * across_od + sin * dy * q
    c = cos2 * across_oo - q * q
    root = b * b - a * c
    side = (-b - root.clamp_min(0).sqrt()) / torch.where(a > 1e-12, a, 1.0)
    along = (oy + side * dy - sin * ra) / cos2
    depth = torch.where(
        (root > 0) & (a > 1e-12) & (along >= 0) & (along <= length) & (side > _NEAR), side, float("inf")
    )
    norm = across_dd + dy * dy
    for end, radius in ((length, rb),) if open_a else ((0.0, ra), (length, rb)):
        y = oy - end
        half = across_od + y * dy
        root = half * half - norm * (across_oo + y * y - radius * radius)
        cap = (-half - root.clamp_min(0).sqrt()) / norm
        depth = torch.where((root > 0) & (cap > _NEAR) & (cap < depth), cap, depth)
    return depth, torch.isfinite(depth)
