"""Rooms and outdoor sets built around the paths of person and camera."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from trainer.stage_world import textures as tx
from trainer.stage_world.backdrop import PANORAMAS, panorama_photograph
from trainer.stage_world.cast import Boxes, Cones
from trainer.stage_world.photographs import photograph, photograph_paths
from trainer.stage_world.props import PropKit, furnish_outdoors, furnish_room

GROUND_SPAN_M = 24.0
"""Metres after which the ground's texture repeats."""
_GROUND_TEXELS = 512
_LIGHT_TEXELS = 128


@dataclass(frozen=True)
class Light:
    """Direction towards the light (unit, world) and the colours of direct and ambient light."""

    towards: np.ndarray
    direct: np.ndarray
    ambient: np.ndarray


@dataclass(frozen=True)
class Room:
    """An axis-aligned room; its floor is y = 0. `textures`: walls at x low, x high, z low, z high, then the ceiling."""

    low: np.ndarray
    high: np.ndarray
    textures: tuple[int, int, int, int, int]
    wall_span_m: float


@dataclass(frozen=True)
class Surround:
    """A cylinder around an outdoor scene that carries a panorama."""

    centre: np.ndarray
    radius: float
    texture: int
    height_m: float
    """Metres that the panorama is tall; above, its top row goes on."""
    repeats: float
    turn: float


@dataclass(frozen=True)
class Scene:
    """Everything that stands still. `textures[0]` is the ground."""

    kind: str
    textures: list[np.ndarray]
    ground_origin: np.ndarray
    """float64 [2]: where (x, z) the ground's texture begins."""
    shell: Room | Surround
    boxes: Boxes
    blobs: Cones
    light: Light = field(repr=False)


def _sample_light(rng: np.random.Generator, indoors: bool) -> Light:
    elevation, azimuth = rng.uniform(0.75, 1.35), rng.uniform(-np.pi, np.pi)
    towards = np.array(
        [np.cos(elevation) * np.sin(azimuth), -np.sin(elevation), -np.cos(elevation) * np.abs(np.cos(azimuth))]
    )
    towards /= np.linalg.norm(towards)
    warm = rng.uniform(-0.06, 0.08)
    direct = rng.uniform(0.3, 0.45) if indoors else rng.uniform(0.42, 0.65)
    ambient = rng.uniform(0.68, 0.85) if indoors else rng.uniform(0.58, 0.72)
    tint = np.array([1 + warm, 1.0, 1 - warm])
    return Light(towards, direct * tint, ambient * (2 - tint) * rng.uniform(0.92, 1.05))


def build_scene(
    rng: np.random.Generator,
    person_path: np.ndarray,
    camera_path: np.ndarray,
    view_yaw: float,
    textures: Literal["auto", "procedural"],
) -> Scene:
    """A scene whose walls and props keep clear of the ground paths [T,3] of person and camera."""
    photos = [p for p in photograph_paths() if photograph(p) is not None] if textures == "auto" else []
    photo = photos[rng.integers(len(photos))] if photos and rng.random() < 0.3 else None
    indoors = rng.random() < (0.42 if photo is None else 0.25)
    light = _sample_light(rng, indoors)
    around = np.concatenate([person_path, camera_path])[:, [0, 2]]
    kit = PropKit(rng, person_path[:, [0, 2]], camera_path[:, [0, 2]], view_yaw, light.towards)
    kit.textures.append(np.zeros((_GROUND_TEXELS, _GROUND_TEXELS, 3), np.float32))
    if indoors:
        shell, kind = _room(rng, kit, around, photo), "room"
        furnish_room(kit, shell.low, shell.high)
        maker = (tx.planks, tx.tiles, tx.carpet, tx.planks, tx.concrete)[rng.integers(5)]
    else:
        shell, kind = _outdoors(rng, kit, around, view_yaw, photo)
        furnish_outdoors(kit, kind)
        choices = (
            (tx.asphalt, tx.tiles, tx.concrete, tx.asphalt, tx.grass)
            if kind == "houses"
            else (tx.grass, tx.dirt, tx.grass, tx.asphalt, tx.snow, tx.dirt, tx.tiles)
        )
        maker = choices[rng.integers(len(choices))]
    ground_origin = around.mean(axis=0) - GROUND_SPAN_M / 2
    if photo is not None:
        kind = f"photograph:{photo.name}"
    ground = np.asarray(maker(rng, _GROUND_TEXELS), np.float32)
    if photo is not None:
        ground = _tinted_like(ground, photo)
    large = 1 + 0.06 * tx.noise(rng, _GROUND_TEXELS, _GROUND_TEXELS, 1.8)
    ground = tx.toned(ground, large, _ground_light(kit, ground_origin, shell))
    kit.textures[0] = np.clip(ground, 0, 1).astype(np.float32)
    return Scene(kind, kit.textures, ground_origin, shell, kit.boxes(), kit.blobs(len(person_path)), light)


def _tinted_like(ground: np.ndarray, photo: Path) -> np.ndarray:
    """The ground with its mean colour drawn halfway to that of the photograph's lower part."""
    mean = ground.mean(axis=(0, 1))
    wanted = 0.5 * mean + 0.5 * photograph(photo)[:90].mean(axis=(0, 1)).clip(0.2, 0.75)
    return ground * (wanted / mean)


def _room(rng, kit: PropKit, around: np.ndarray, photo: Path | None) -> Room:
    low, high = around.min(axis=0), around.max(axis=0)
    margin = rng.uniform(0.7, 2.5, 4)
    margin[3] = rng.uniform(1.2, 4.0)
    height = float(rng.uniform(2.5, 3.6))
    wall = (tx.plaster, tx.plaster, tx.wallpaper, tx.bricks, tx.panels, tx.concrete, tx.tiles)[rng.integers(7)]
    first = np.asarray(wall(rng, 256), np.float32)
    second = np.clip(first * rng.uniform(0.85, 1.1, 3), 0, 1) if rng.random() < 0.7 else tx.plaster(rng, 256)
    walls = [kit.add_texture(_corner_shade(np.asarray(w, np.float32))) for w in (first, second)]
    back = walls[0]
    if photo is not None:
        back = kit.add_texture(panorama_photograph(rng, photo))
    ceiling = kit.add_texture(np.clip(tx.plaster(rng, 64) * 0.4 + 0.5, 0, 1))
    return Room(
        low=np.array([low[0] - margin[0], -height, low[1] - margin[2]]),
        high=np.array([high[0] + margin[1], 0.0, high[1] + margin[3]]),
        textures=(walls[1], walls[1], walls[0], back, ceiling),
        wall_span_m=height * (1.0 if photo is not None else float(rng.uniform(1.0, 1.6))),
    )


def _corner_shade(wall: np.ndarray) -> np.ndarray:
    """Walls get darker towards the floor, and a skirting board."""
    up = np.arange(len(wall), dtype=np.float32)[:, None, None] / len(wall)
    shaded = wall * (1 - 0.22 * np.exp(-up / 0.08))
    shaded[:8] = 0.75 * shaded[:8].mean(axis=(0, 1)) if wall.mean() < 0.5 else 0.9
    return shaded


def _outdoors(rng, kit: PropKit, around: np.ndarray, view_yaw: float, photo: Path | None) -> tuple[Surround, str]:
    centre = 0.5 * (around.min(axis=0) + around.max(axis=0))
    extent = np.linalg.norm(around - centre, axis=1).max()
    if photo is not None:
        radius = float(extent + rng.uniform(5, 14))
        height = float(radius * rng.uniform(0.9, 1.3))
        texture = kit.add_texture(panorama_photograph(rng, photo))
        repeats = max(1, round(2 * np.pi * radius / (2 * height)))
        return Surround(centre, radius, texture, height, repeats, rng.uniform(0, 1)), "photograph"
    kind = str(rng.choice(list(PANORAMAS), p=[0.34, 0.33, 0.33]))
    radius = float(extent + (rng.uniform(9, 26) if kind != "hills" else rng.uniform(18, 45)))
    height = radius * 2 * np.pi / 4  # square texels: 1024 around, 256 up
    texture = kit.add_texture(PANORAMAS[kind](rng, height / 256))
    return Surround(centre, radius, texture, height, 1, rng.uniform(0, 1)), kind


def _ground_light(kit: PropKit, origin: np.ndarray, shell: Room | Surround) -> np.ndarray:
    """Shadows of props and the room's corners on the ground, [512,512]."""
    at = (np.arange(_LIGHT_TEXELS) + 0.5) * (GROUND_SPAN_M / _LIGHT_TEXELS)
    x, z = (origin[0] + at)[None, :], (origin[1] + at)[:, None]
    light = np.ones((_LIGHT_TEXELS, _LIGHT_TEXELS))
    for cx, cz, hx, hz, yaw, reach in kit.footprints:
        u = np.abs(np.cos(yaw) * (x - cx) + np.sin(yaw) * (z - cz)) - hx
        w = np.abs(-np.sin(yaw) * (x - cx) + np.cos(yaw) * (z - cz)) - hz
        away = np.hypot(np.clip(u, 0, None), np.clip(w, 0, None))
        light *= 1 - 0.45 * np.exp(-away / reach)
    if isinstance(shell, Room):
        near = np.minimum(
            np.minimum(x - shell.low[0], shell.high[0] - x), np.minimum(z - shell.low[2], shell.high[2] - z)
        )
        light *= 1 - 0.25 * np.exp(-np.clip(near, 0, None) / 0.4)
    grown = np.repeat(np.repeat(light, 4, axis=0), 4, axis=1)
    for axis in (0, 1):  # box blur twice: bilinear growth without seams
        grown = (
            grown
            + np.roll(grown, 1, axis)
            + np.roll(grown, -1, axis)
            + np.roll(grown, 2, axis)
            + np.roll(grown, -2, axis)
        ) / 5
    return grown
