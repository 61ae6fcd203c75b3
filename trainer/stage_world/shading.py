"""Colours of the surfaces that the rays met. Everything is planar: colours [3,N], vectors as three [N] tensors."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from trainer.stage_world.atlas import Atlas
from trainer.stage_world.cast import Boxes, Canvas, Cones, Rays
from trainer.stage_world.scene import GROUND_SPAN_M, Light, Room, Scene, Surround

GROUND, SHELL, FIRST_PROP = 0, 1, 2
_SLANT_FLOOR = 0.06
"""A surface seen at a more grazing angle (sine) is filtered as at this one."""


def empty_scene_canvas(rays: Rays, scene: Scene) -> Canvas:
    """Depth and surface of ground and shell (room or surround) at every sample."""
    dx, dy, dz = rays.directions
    origin = rays.tensor(rays.centre)[..., None, None, None]  # [T,3,1,1,1]
    safe = lambda d: torch.where(d.abs() < 1e-9, 1e-9, d)  # noqa: E731
    ground = torch.where(dy > 1e-9, -origin[:, 1] / safe(dy), float("inf"))
    if isinstance(scene.shell, Room):
        low, high = (rays.tensor(side) for side in (scene.shell.low, scene.shell.high))
        across = (torch.where(dx > 0, high[0], low[0]) - origin[:, 0]) / safe(dx)
        along = (torch.where(dz > 0, high[2], low[2]) - origin[:, 2]) / safe(dz)
        up = torch.where(dy < -1e-9, (low[1] - origin[:, 1]) / safe(dy), float("inf"))
        shell = torch.minimum(torch.minimum(across, along), up)
    else:
        centre = rays.tensor(scene.shell.centre)
        ox, oz = origin[:, 0] - centre[0], origin[:, 2] - centre[1]
        a = dx * dx + dz * dz
        b = ox * dx + oz * dz
        shell = (-b + (b * b - a * (ox * ox + oz * oz - scene.shell.radius**2)).sqrt()) / a
    return Canvas(rays, torch.minimum(ground, shell), torch.where(ground < shell, GROUND, SHELL).to(torch.int32))


def add_props(canvas: Canvas, scene: Scene) -> None:
    """Merge the scene's boxes and round props."""
    canvas.add_boxes(scene.boxes, FIRST_PROP)
    canvas.add_cones(scene.blobs, FIRST_PROP + len(scene.boxes.yaw))


@dataclass(frozen=True)
class Hits:
    """Where N samples met a surface: flat sample index, frame, depth, a pixel's metres, world point, ray direction."""

    index: torch.Tensor
    frame: torch.Tensor
    depth: torch.Tensor
    pixel_m: torch.Tensor
    point: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    direction: tuple[torch.Tensor, torch.Tensor, torch.Tensor]

    def footprint(self, along_normal: torch.Tensor) -> torch.Tensor:
        """Metres that the pixel covers, between the short and the long axis of its stretched footprint.

        `along_normal`: the ray direction's component [N] along the unit normal.
        """
        dx, dy, dz = self.direction
        slant = along_normal.abs() * (dx * dx + dy * dy + dz * dz).rsqrt()
        return self.pixel_m * slant.clamp_min(_SLANT_FLOOR).rsqrt()


def hits_at(rays: Rays, depth: torch.Tensor, index: torch.Tensor) -> Hits:
    """Look up the hits of flat sample indices in a canvas's depth."""
    frame = index.to(torch.int32) // (depth.numel() // len(depth))
    depth, *direction = looked_up((depth.view(-1), *(d.view(-1) for d in rays.directions)), index)
    *centre, focal_px = looked_up(rays.tensor(np.column_stack([rays.centre, rays.focal_px])).T, frame)
    point = tuple(torch.addcmul(c, depth, d) for c, d in zip(centre, direction, strict=True))
    return Hits(index, frame, depth, depth / focal_px, point, tuple(direction))


def looked_up(columns: Iterable[torch.Tensor], row: torch.Tensor) -> list[torch.Tensor]:
    """Of each column [R] the rows [N]; index_select is several times faster than indexing or `take`."""
    return [column.index_select(0, row) for column in columns]


def _pick(rows: torch.Tensor, axis: torch.Tensor) -> torch.Tensor:
    """rows [3,N] at axis [N]."""
    return rows.gather(0, axis[None].to(torch.int64))[0]


def _nearest(gaps) -> torch.Tensor:
    """Number of the smallest |gap|, int32 [N]; several times faster than argmin over a stack."""
    least, number = gaps[0].abs(), torch.zeros_like(gaps[0], dtype=torch.int32)
    for k in range(1, len(gaps)):
        gap = gaps[k].abs()
        number = torch.where(gap < least, k, number)
        least = torch.minimum(least, gap)
    return number


class Shader:
    """Paints hits with one atlas and one light."""

    def __init__(self, rays: Rays, atlas: Atlas, light: Light):
        self.rays, self.atlas = rays, atlas
        self.towards = [float(v) for v in light.towards]
        self.direct, self.ambient = rays.tensor(light.direct)[:, None], rays.tensor(light.ambient)[:, None]

    def lit(self, nx: torch.Tensor, ny: torch.Tensor, nz: torch.Tensor) -> torch.Tensor:
        """Light [3,N] on unit normals: lambert, and a sky that is brighter than the ground."""
        lambert = (nx * self.towards[0] + ny * self.towards[1] + nz * self.towards[2]).clamp_min(0)
        return self.ambient * (0.91 - 0.09 * ny) + self.direct * lambert

    def _numbers(self, values: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(values, dtype=torch.int32, device=self.rays.device)

    def _lit_constant(self, normals: np.ndarray) -> torch.Tensor:
        return self.lit(*self.rays.tensor(normals).unbind(1))

    def ground(self, hits: Hits, origin: np.ndarray) -> torch.Tensor:
        texels = hits.footprint(hits.direction[1]) * (float(self.atlas.sizes[0, 0]) / GROUND_SPAN_M)
        u, v = ((hits.point[axis] - float(origin[k])) / GROUND_SPAN_M for k, axis in enumerate((0, 2)))
        return self.atlas.sample(0, u, v, texels) * self._lit_constant(np.array([[0.0, -1.0, 0.0]]))

    def surround(self, hits: Hits, shell: Surround) -> torch.Tensor:
        """The panorama keeps its own light."""
        x, z = hits.point[0] - float(shell.centre[0]), hits.point[2] - float(shell.centre[1])
        u = torch.atan2(x, z) * (shell.repeats / (2 * np.pi)) + shell.turn
        rows = float(self.atlas.sizes[shell.texture, 1])
        v = (hits.point[1] / -shell.height_m).clamp(0.5 / rows, 1 - 0.5 / rows)
        return self.atlas.sample(shell.texture, u, v, hits.pixel_m * (rows / shell.height_m))

    def room(self, hits: Hits, room: Room) -> torch.Tensor:
        x, y, z = hits.point
        (x0, y0, z0), (x1, _, z1) = room.low.tolist(), room.high.tolist()
        wall = _nearest((x - x0, x1 - x, z - z0, z1 - z, y - y0))
        normals = np.array([[1, 0, 0], [-1, 0, 0], [0, 0, 1], [0, 0, -1], [0, 1, 0]])
        texture = torch.tensor(room.textures, dtype=torch.int32, device=wall.device).index_select(0, wall)
        ceiling = wall == 4
        columns, rows, _ = self.atlas.size(texture)
        u = torch.where(wall < 2, z, x) / (room.wall_span_m * columns / rows)
        v = torch.where(ceiling, z / room.wall_span_m, (y / y0).clamp(0.004, 0.996))
        facing = torch.where(wall < 2, hits.direction[0], torch.where(ceiling, hits.direction[1], hits.direction[2]))
        texels = hits.footprint(facing) * rows * max(1 / -y0, 1 / room.wall_span_m)
        return self.atlas.sample(texture, u, v, texels) * torch.stack(looked_up(self._lit_constant(normals), wall))

    def boxes(self, hits: Hits, number: torch.Tensor, boxes: Boxes) -> torch.Tensor:
        table = self.rays.tensor(
            np.column_stack([boxes.centre, boxes.half, np.cos(boxes.yaw), np.sin(boxes.yaw), boxes.texture_size])
        )
        cx, cy, cz, hx, hy, hz, cos, sin, span = looked_up(table.T, number)
        x, z = hits.point[0] - cx, hits.point[2] - cz
        local = torch.stack([cos * x + sin * z, hits.point[1] - cy, cos * z - sin * x])
        half = torch.stack([hx, hy, hz])
        face = _nearest(half / local.abs().clamp_min(1e-9))
        across, upward = torch.where(face == 0, 2, 0), torch.where(face == 1, 2, 1)
        half_u, half_v = _pick(half, across), _pick(half, upward)
        u, v = _pick(local, across) + half_u, half_v - _pick(local, upward)
        tile_u, tile_v = torch.where(span > 0, span, 2 * half_u), torch.where(span > 0, span, 2 * half_v)
        # a stretched texture must not wrap around at its edges
        inset = torch.where(span > 0, 0.0, 0.012)
        u, v = u / tile_u * (1 - 2 * inset) + inset, v / tile_v * (1 - 2 * inset) + inset
        texture = self._numbers(boxes.texture).view(-1).index_select(0, 3 * number + face)
        sign = torch.sign(_pick(local, face))
        is_x, is_y, is_z = (face == 0) * sign, (face == 1) * sign, (face == 2) * sign
        normal = (cos * is_x - sin * is_z, is_y, sin * is_x + cos * is_z)
        facing = sum(d * n for d, n in zip(hits.direction, normal, strict=True))
        texels = hits.footprint(facing) * self.atlas.size(texture)[0] / torch.minimum(tile_u, tile_v)
        contact = 1 - 0.3 * torch.exp(hits.point[1].clamp_max(0) / 0.15) * (face != 1)
        return self.atlas.sample(texture, u, v, texels) * self.lit(*normal) * contact

    def cones(self, hits: Hits, number: torch.Tensor, cones: Cones) -> torch.Tensor:
        parts, frames = cones.origin.shape[:2]
        row = number * frames + hits.frame
        matrix = looked_up(self.rays.tensor(cones.local_from_world).reshape(parts * frames, 9).T, row)
        origin = looked_up(self.rays.tensor(cones.origin).reshape(parts * frames, 3).T, row)
        x, y, z = (hits.point[i] - origin[i] for i in range(3))
        lx, ly, lz = (matrix[3 * i] * x + matrix[3 * i + 1] * y + matrix[3 * i + 2] * z for i in range(3))
        length, ra, rb = looked_up(self.rays.tensor(np.stack([cones.length, cones.radius_a, cones.radius_b])), number)
        sin = (ra - rb) / length
        along = torch.where(length < 5e-3, 0.0, ((ly - sin * ra) / (1 - sin * sin)).clamp_min(0).minimum(length))
        tilt = sin * (1 - sin * sin).rsqrt() * (lx * lx + lz * lz).sqrt()
        up = torch.where((along > 0) & (along < length), tilt, ly - along)
        nx, ny, nz = (matrix[i] * lx + matrix[3 + i] * up + matrix[6 + i] * lz for i in range(3))
        scale = (nx * nx + ny * ny + nz * nz).clamp_min(1e-18).rsqrt()
        texture = self._numbers(cones.texture).index_select(0, number)
        u = torch.atan2(lx, lz) / (2 * np.pi) + 0.5
        whole = length + ra + rb
        v = ((ly + ra) / whole).clamp(0.03, 0.97)
        texels = hits.pixel_m * self.atlas.size(texture)[1] / whole
        return self.atlas.sample(texture, u, v, texels) * self.lit(nx * scale, ny * scale, nz * scale)


def shade_background(canvas: Canvas, scene: Scene, shader: Shader) -> torch.Tensor:
    """Colours without the person at pixel centres and corners, float32 [3,T,2,R,S]."""
    surface, rays = canvas.surface.view(-1), canvas.rays
    colour = torch.zeros((3, surface.numel()), device=surface.device)
    num_boxes = len(scene.boxes.yaw)
    props = (surface >= FIRST_PROP).nonzero()[:, 0]
    number = surface.index_select(0, props) - FIRST_PROP
    is_box = number < num_boxes
    paint_shell = shader.room if isinstance(scene.shell, Room) else shader.surround
    jobs = (
        ((surface == GROUND).nonzero()[:, 0], lambda hits: shader.ground(hits, scene.ground_origin)),
        ((surface == SHELL).nonzero()[:, 0], lambda hits: paint_shell(hits, scene.shell)),
        (props[is_box], lambda hits: shader.boxes(hits, number[is_box], scene.boxes)),
        (props[~is_box], lambda hits: shader.cones(hits, number[~is_box] - num_boxes, scene.blobs)),
    )
    for index, paint in jobs:
        if len(index):
            write(colour, index, paint(hits_at(rays, canvas.depth, index)))
    return colour.view(3, *canvas.surface.shape)


def write(colour: torch.Tensor, index: torch.Tensor, values: torch.Tensor) -> None:
    """colour[:, index] = values, plane by plane."""
    for plane, value in zip(colour, values, strict=True):
        plane.scatter_(0, index, value)


def paint_cones(colour: torch.Tensor, canvas: Canvas, shader: Shader, cones: Cones, first_number: int) -> None:
    """Paint the samples of `colour` [3,T,2,R,S] where the canvas shows these cones: surfaces from `first_number` on."""
    surface = canvas.surface.view(-1)
    index = (surface >= first_number).nonzero()[:, 0]
    if len(index):
        number = surface.index_select(0, index) - first_number
        write(colour.view(3, -1), index, shader.cones(hits_at(canvas.rays, canvas.depth, index), number, cones))
