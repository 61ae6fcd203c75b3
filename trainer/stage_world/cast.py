"""Ray casting of round cones and boxes for all frames of a clip at once.

A ray is `centre + depth * direction`; directions have z = 1 in the camera frame, so the ray parameter is the depth.
Samples are the corners (0) and the centres (1) of pixels, [T,2,R,S] with R = H+1 rows and S = W+1 columns; the last row and
column of the centres lie outside the picture, and nobody reads them.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

_NEAR = 0.05
_FLAT = 1e-12
"""Rays along a cone's side, for which the quadratic has no square term up to this, miss it."""
_OFFSETS_PX = np.array([[0.0], [0.5]])
"""Of corners and centres against whole pixels."""


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
class Window:
    """A rectangle of samples in every frame, of the same size in all."""

    x0: np.ndarray
    """int64 [T]: first column."""
    y0: np.ndarray
    """int64 [T]: first row."""
    width: int
    height: int


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
    def grid(self) -> tuple[int, int, int, int]:
        """(frames, corners and centres, sample rows, sample columns)"""
        return len(self.centre), len(_OFFSETS_PX), self.height + 1, self.width + 1

    def tensor(self, values: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.asarray(values, dtype=np.float32), device=self.device)

    def slopes(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Camera-frame x/z of every column [T,2,S] and y/z of every row [T,2,R]."""
        _, _, rows, columns = self.grid
        focal = self.focal_px[:, None, None]
        x = (np.arange(columns) + _OFFSETS_PX - self.principal_px[:, :1, None]) / focal
        y = (np.arange(rows) + _OFFSETS_PX - self.principal_px[:, 1:, None]) / focal
        return self.tensor(x), self.tensor(y)

    @cached_property
    def directions(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """World components of all ray directions, each [T,2,R,S]."""
        return _turned(self.tensor(self.world_from_camera), *self.slopes())

    def windows(self, points: np.ndarray, reach: np.ndarray) -> list[Window | None]:
        """Of P things the rectangles around spheres of radius `reach` [P] at `points` [P,T,K,3]. None: unseen in all frames."""
        seen = np.einsum("tji,ptkj->ptki", self.world_from_camera, points - self.centre[:, None])
        reach = reach[:, None, None]
        near, far = seen[..., 2] - reach, (seen[..., 2] + reach).clip(_NEAR)
        crossing = near.min(axis=2) < _NEAR
        size = np.array([self.grid[3], self.grid[2]])
        low, high = [], []
        for axis in (0, 1):
            left, right = ((seen[..., axis] + side) * self.focal_px[:, None] for side in (-reach, reach))
            edge, in_front = self.principal_px[:, axis], np.maximum(near, _NEAR)
            lo = edge + np.minimum(left / in_front, left / far).min(axis=2)
            hi = edge + np.maximum(right / in_front, right / far).max(axis=2)
            lo, hi = np.where(crossing, 0, lo), np.where(crossing, size[axis], hi)
            # A pixel's samples lie at its corner and half a pixel on; one pixel more for rounding.
            low.append(np.clip(np.floor(lo - 0.5), 0, size[axis]).astype(np.int64))
            high.append(np.clip(np.floor(hi) + 2, 0, size[axis]).astype(np.int64))
        extent = np.stack(high) - np.stack(low)  # [2,P,T]
        visible = (extent > 0).all(axis=0) & ((seen[..., 2] + reach).max(axis=2) > _NEAR)
        extent = np.where(visible, extent, 0).max(axis=2)  # [2,P]
        start = np.minimum(low, (size[:, None] - extent)[..., None])  # [2,P,T]
        return [Window(*start[:, p], *extent[:, p].tolist()) if visible[p].any() else None for p in range(len(points))]


def _turned(matrix: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Components [T,2,R,S] of matrix [T,3,3] @ (x, y, 1) for slopes x [T,2,S] and y [T,2,R]."""
    m = matrix[..., None, None]
    return tuple((m[:, i, 0] * x)[:, :, None] + (m[:, i, 1] * y + m[:, i, 2])[..., None] for i in range(3))


class Canvas:
    """Depth and surface number of the nearest surface at every sample."""

    def __init__(self, rays: Rays, depth: torch.Tensor, surface: torch.Tensor):
        self.rays = rays
        self.depth = depth  # float32 [T,2,R,S]
        self.surface = surface  # int32 [T,2,R,S]
        self._x, self._y = rays.slopes()

    def copy(self) -> "Canvas":
        return Canvas(self.rays, self.depth.clone(), self.surface.clone())

    def flat_index(self, window: Window) -> torch.Tensor:
        """Flat sample indices [T,2,h,w] of a window."""
        frames, kinds, rows, columns = self.rays.grid
        first = np.arange(frames * kinds).reshape(frames, kinds) * rows + window.y0[:, None]
        first = torch.as_tensor(first * columns + window.x0[:, None], device=self.depth.device)
        down = torch.arange(window.height, device=first.device) * columns
        return first[..., None, None] + (down[:, None] + torch.arange(window.width, device=first.device))

    def _merge(self, window: Window, depth: torch.Tensor, number: int):
        """Put surface `number` where its `depth` [T,2,h,w], infinite where it is not, is the least so far."""
        index, depth = self.flat_index(window).view(-1), depth.reshape(-1)
        flat_depth, flat_surface = self.depth.view(-1), self.surface.view(-1)
        old = flat_depth.index_select(0, index)
        surface = torch.where(depth < old, number, flat_surface.index_select(0, index))
        flat_surface.scatter_(0, index, surface)
        flat_depth.scatter_(0, index, torch.minimum(depth, old))

    def _directions(self, window: Window, local_from_camera: torch.Tensor):
        """Components [T,2,h,w] of the window's rays in a frame that `local_from_camera` [T,3,3] leads to."""
        columns, rows = (
            torch.as_tensor(first[:, None] + np.arange(count), device=self.rays.device)[:, None].expand(-1, 2, -1)
            for first, count in ((window.x0, window.width), (window.y0, window.height))
        )
        return _turned(local_from_camera, self._x.gather(2, columns), self._y.gather(2, rows))

    def _local(self, local_from_world: np.ndarray, origin: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Cameras as P things with these frames [P,T,3,3] and origins [P,T,3] see them.

        local_from_camera [P,T,3,3] and the cameras' centres [P,3,T,1,1,1].
        """
        rays = self.rays
        matrix = rays.tensor(local_from_world @ rays.world_from_camera)
        centre = rays.tensor(np.einsum("ptij,ptj->pit", local_from_world, rays.centre - origin))
        return matrix, centre[..., None, None, None]

    def add_cones(self, cones: Cones, first_number: int):
        """Merge round cones; part p becomes surface `first_number + p`."""
        ends = np.stack([cones.origin, cones.origin + cones.axis * cones.length[:, None, None]], axis=2)
        matrix, start = self._local(cones.local_from_world, cones.origin)
        for p, window in enumerate(self.rays.windows(ends, cones.reach)):
            if window is None:
                continue
            length, ra, rb = (float(values[p]) for values in (cones.length, cones.radius_a, cones.radius_b))
            direction = self._directions(window, matrix[p])
            depth = _cone_depth(start[p], direction, length, ra, rb, bool(cones.open_a[p]))
            self._merge(window, depth, first_number + p)

    def add_boxes(self, boxes: Boxes, first_number: int):
        """Merge boxes; box p becomes surface `first_number + p`."""
        frames, turn = self.rays.grid[0], boxes.local_from_world()
        unit = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
        corners = boxes.centre[:, None] + (boxes.half[:, None] * unit) @ turn  # [P,8,3]
        over_frames = lambda a: np.broadcast_to(a[:, None], (len(a), frames, *a.shape[1:]))  # noqa: E731
        matrix, start = self._local(over_frames(turn), over_frames(boxes.centre))
        for p, window in enumerate(self.rays.windows(over_frames(corners), np.zeros(len(corners)))):
            if window is None:
                continue
            direction = self._directions(window, matrix[p])
            enter = torch.full_like(direction[0], _NEAR)
            leave = torch.full_like(direction[0], float("inf"))
            for axis in range(3):
                inverse = 1.0 / torch.where(direction[axis].abs() < 1e-9, 1e-9, direction[axis])
                middle, spread = -start[p, axis] * inverse, inverse.abs() * float(boxes.half[p, axis])
                enter, leave = torch.maximum(enter, middle - spread), torch.minimum(leave, middle + spread)
            met = (enter < leave) & (enter > _NEAR)
            self._merge(window, torch.where(met, enter, float("inf")), first_number + p)


def _cone_depth(start, direction, length: float, ra: float, rb: float, open_a: bool) -> torch.Tensor:
    """Depth of the nearest hit of rays with a round cone in its own frame, infinite where there is none.

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
    side = (-b - root.clamp_min(0).sqrt()) / a.clamp_min(_FLAT)
    along = (oy + side * dy - sin * ra) / cos2
    # One comparison of the least of several numbers costs less than several comparisons.
    on_side = (_least(root, a - _FLAT, side - _NEAR) > 0) & (torch.minimum(along, length - along) >= 0)
    depth = torch.where(on_side, side, float("inf"))
    norm = across_dd + dy * dy
    for end, radius in ((length, rb),) if open_a else ((0.0, ra), (length, rb)):
        y = oy - end
        half = across_od + y * dy
        root = half * half - norm * (across_oo + y * y - radius * radius)
        cap = (-half - root.clamp_min(0).sqrt()) / norm
        depth = torch.where(_least(root, cap - _NEAR, depth - cap) > 0, cap, depth)
    return depth


def _least(first: torch.Tensor, second: torch.Tensor, third: torch.Tensor) -> torch.Tensor:
    return torch.minimum(torch.minimum(first, second), third)
