"""Panoramas around an outdoor scene: sky, hills, trees, houses. Columns go once around, rows up from the ground."""

from pathlib import Path

import cv2
import numpy as np

from trainer.stage_world.photographs import photograph
from trainer.stage_world.textures import colour, facade, leaves, noise, toned

ROWS, COLUMNS = 256, 1024
_SKIES = (
    ((92, 142, 204), (190, 212, 232)), ((70, 120, 190), (210, 220, 226)), ((140, 160, 184), (206, 210, 214)),
    ((120, 150, 190), (244, 216, 180)),
    ((96, 104, 140), (240, 190, 150)), ((176, 184, 192), (216, 218, 220)), ((60, 96, 160), (160, 196, 226)),
)  # fmt: skip


def _profile(rng: np.random.Generator, power: float) -> np.ndarray:
    """A smooth periodic line, zero mean, unit deviation, [COLUMNS]."""
    line = noise(rng, 4, COLUMNS, power).mean(axis=0)
    return (line - line.mean()) / (line.std() + 1e-9)


def sky(rng: np.random.Generator) -> np.ndarray:
    """Gradient with clouds, [ROWS,COLUMNS,3]."""
    zenith, horizon = (np.asarray(c, dtype=np.float32) / 255 for c in _SKIES[rng.integers(len(_SKIES))])
    up = (np.arange(ROWS, dtype=np.float32)[:, None, None] / ROWS) ** 0.8
    picture = horizon * (1 - up) + zenith * up
    if rng.random() < 0.75:
        clouds = noise(rng, ROWS, COLUMNS, 1.7) + 0.3 * noise(rng, ROWS, COLUMNS, 1.0)
        cover = np.clip((clouds - rng.uniform(-0.3, 1.0)) * 0.6, 0, 1) * rng.uniform(0.4, 0.9)
        cloud = (0.93 - 0.1 * np.clip(clouds, -1, 1)) * cover
        picture = toned(picture, 1 - cover) + cloud[..., None]
    return np.broadcast_to(picture, (ROWS, COLUMNS, 3)).astype(np.float32).copy()


def _fill(picture: np.ndarray, top_m: np.ndarray, metres_per_row: float, paint: np.ndarray, haze: float):
    """Paint everything below the line `top_m` [COLUMNS], mixed with the horizon's colour."""
    rows = (np.arange(ROWS)[:, None] + 0.5) * metres_per_row
    below = rows < top_m[None]
    air = picture[ROWS // 8].mean(axis=0)
    picture[below] = (1 - haze) * paint[below] + haze * air


def hills(rng: np.random.Generator, metres_per_row: float) -> np.ndarray:
    """One to three ranges of hills, farther ones paler."""
    picture = sky(rng)
    tone = colour(rng, ((92, 112, 70), (112, 118, 84), (120, 104, 80), (80, 104, 92)))
    scale = metres_per_row * ROWS
    for k, haze in enumerate((0.65, 0.4, 0.15)[int(rng.integers(0, 3)) :]):
        top = scale * (0.20 - 0.035 * k + rng.uniform(0.02, 0.05) * _profile(rng, 1.6))
        shade = 0.85 + 0.16 * noise(rng, ROWS, COLUMNS, 1.1)
        _fill(picture, top, metres_per_row, toned(tone, shade) * (1 - 0.12 * k), haze)
    return picture


def trees(rng: np.random.Generator, metres_per_row: float) -> np.ndarray:
    """A wood's edge."""
    picture = sky(rng)
    scale = metres_per_row * ROWS
    foliage = np.tile(leaves(rng, 256), (1, COLUMNS // 256, 1))
    shade = 0.8 + 0.25 * noise(rng, ROWS, COLUMNS, 1.2)
    base = scale * rng.uniform(0.18, 0.38)
    for k, haze in enumerate((0.35, 0.08)):
        top = base * (1.0 - 0.35 * k) * (1 + 0.22 * _profile(rng, 1.0) + 0.06 * _profile(rng, 0.5))
        _fill(picture, top, metres_per_row, toned(np.roll(foliage, 90 * k, axis=1), shade) * (0.95 - 0.2 * k), haze)
    return picture


def houses(rng: np.random.Generator, metres_per_row: float) -> np.ndarray:
    """A row of buildings."""
    picture = sky(rng)
    facades = [facade(rng, 128) for _ in range(3)]
    at = 0
    while at < COLUMNS:
        wide = min(int(rng.integers(60, 150)), COLUMNS - at)
        tall = int(np.clip(rng.uniform(0.22, 0.7) * ROWS, 30, ROWS))
        front = facades[rng.integers(len(facades))] * rng.uniform(0.8, 1.1, 3).astype(np.float32)
        picture[:tall, at : at + wide] = 0.9 * front[np.ix_(np.arange(tall) % 128, np.arange(wide) % 128)] + 0.08
        picture[tall - 2 : tall, at : at + wide] *= 0.7
        at += wide + (int(rng.integers(5, 40)) if rng.random() < 0.3 else 0)
    street = trees(rng, metres_per_row)
    gaps = np.all(picture[2] == picture[ROWS // 3], axis=-1)
    picture[:, gaps] = street[:, gaps]
    return picture


def panorama_photograph(rng: np.random.Generator, path: Path) -> np.ndarray:
    """A crop of a photograph, mirrored until it goes around; ROWS x (2 x crop width), seamless."""
    picture = photograph(path)
    size = int(rng.integers(200, 257))
    y, x = int(rng.integers(0, 257 - size)), int(rng.integers(0, 257 - size))
    crop = picture[y : y + size, x : x + size]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    at = (np.arange(256) * size) // 256
    crop = crop[np.ix_(at, at)]
    if rng.random() < 0.4:  # out of focus, as behind a portrait
        crop = cv2.GaussianBlur(crop, (0, 0), float(rng.uniform(1.0, 4.0)))
    grey = crop.mean(axis=-1, keepdims=True)
    crop = grey + rng.uniform(0.5, 1.05) * (crop - grey)
    tint = rng.uniform(0.88, 1.12, 3).astype(np.float32)
    crop = np.clip(crop * tint * rng.uniform(0.85, 1.15), 0, 1)
    return np.concatenate([crop, crop[:, ::-1]], axis=1)


PANORAMAS = {"hills": hills, "trees": trees, "houses": houses}
