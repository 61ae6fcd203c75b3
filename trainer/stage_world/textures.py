"""Procedural textures in photographic colours: float32 [h,w,3] in 0..1, tileable, sides powers of two."""

from functools import cache, reduce

import numpy as np


@cache
def _falloff(rows: int, columns: int, power: float) -> np.ndarray:
    fy, fx = np.fft.fftfreq(rows)[:, None] * rows, np.fft.rfftfreq(columns)[None] * columns
    radius = np.hypot(fy, fx)
    radius[0, 0] = np.inf
    return (radius**-power).astype(np.float32)


def noise(rng: np.random.Generator, rows: int, columns: int, power: float) -> np.ndarray:
    """1/f^power noise of zero mean and unit deviation, tileable, float32 [rows,columns]."""
    shape = (rows, columns // 2 + 1)
    spectrum = (
        rng.standard_normal(shape, dtype=np.float32) + 1j * rng.standard_normal(shape, dtype=np.float32)
    ) * _falloff(rows, columns, power)
    field = np.fft.irfft2(spectrum, s=(rows, columns)).astype(np.float32)
    return field / (field.std() + 1e-9)


def colour(rng: np.random.Generator, choices: tuple, spread: float = 0.03) -> np.ndarray:
    """One of the 0-255 colours, a little changed, float32 [3] in 0..1."""
    base = np.asarray(choices[rng.integers(len(choices))], dtype=np.float32) / 255
    return np.clip(base * rng.uniform(0.88, 1.1) + rng.normal(0, spread, 3), 0.03, 0.95).astype(np.float32)


def toned(colours: np.ndarray, *tones: np.ndarray) -> np.ndarray:
    """Colours [3] or [h,w,3] times tones [h,w], one after the other.

    By channel: numpy broadcasts over a last axis of 3 several times slower.
    """
    channels = [np.atleast_1d(colours[..., c]) for c in range(3)]
    return np.stack([reduce(np.multiply, tones, channel) for channel in channels], axis=-1)


def mottled(
    rng, size: int, base: np.ndarray, other: np.ndarray, amount: float = 0.35, power: float = 1.1
) -> np.ndarray:
    """Two colours mixed by noise with finer brightness grain."""
    blend = np.clip(0.5 + amount * noise(rng, size, size, power), 0, 1)
    grain = 1 + 0.06 * noise(rng, size, size, 0.6)
    return toned(toned(base, 1 - blend) + toned(other, blend), grain)


def grass(rng, size):
    base = colour(rng, ((86, 112, 52), (104, 122, 60), (70, 98, 48), (128, 130, 72)))
    return mottled(
        rng, size, base, base * rng.uniform(0.6, 0.8) + np.array([0.06, 0.04, 0.0]) * rng.random(), 0.32, 0.9
    )


def dirt(rng, size):
    base = colour(rng, ((150, 122, 90), (172, 148, 112), (120, 98, 74), (196, 178, 142), (214, 196, 160)))
    return mottled(rng, size, base, base * rng.uniform(0.68, 0.85), 0.35, 1.2)


def asphalt(rng, size):
    base = colour(rng, ((98, 98, 100), (120, 118, 116), (78, 80, 84), (140, 138, 134)), 0.012)
    texture = mottled(rng, size, base, base * 0.82, 0.3, 1.1)
    if rng.random() < 0.5:
        line, at = colour(rng, ((225, 225, 220), (220, 190, 90))), int(rng.integers(size))
        wide = max(2, size // 100)
        dashed = (np.arange(size) % (size // 4) < size // 7) if rng.random() < 0.5 else np.ones(size, bool)
        texture[np.ix_(np.arange(at, at + wide) % size, np.flatnonzero(dashed))] = line
    return texture


def snow(rng, size):
    return mottled(
        rng, size, colour(rng, ((188, 192, 198), (174, 180, 190)), 0.01), np.array([0.6, 0.64, 0.72]), 0.3, 1.4
    )


def _joints(rng, size, rows, columns, shift, joint, vary):
    """Brick lay-out: brightness of every stone [size,size] and where the joints are."""
    x = np.arange(size, dtype=np.float32) / size
    y = x[:, None]
    row = np.floor(y * rows).astype(int)
    across = x * columns + shift * (row % 2)
    stone = 1 + vary * rng.standard_normal((rows, columns)).astype(np.float32)
    wide = joint * min(rows, columns) / np.array([rows, columns])
    in_joint = ((y * rows) % 1 < wide[1] * rows / min(rows, columns)) | (
        across % 1 < wide[0] * columns / min(rows, columns)
    )
    return stone[row, np.floor(across).astype(int) % columns], in_joint


def bricks(rng, size):
    base = colour(
        rng, ((150, 84, 66), (172, 108, 84), (128, 74, 62), (186, 160, 130), (150, 140, 130), (200, 188, 170))
    )
    rows = int(rng.choice([16, 20, 24]))
    tone, gap = _joints(rng, size, rows, rows // 2, 0.5, 0.14, 0.09)
    texture = toned(mottled(rng, size, base, base * 0.85, 0.3, 1.2), tone)
    texture[gap] = 0.5 * texture[gap] + 0.5 * colour(rng, ((190, 184, 174), (150, 144, 136)))
    return texture


def tiles(rng, size):
    base = colour(
        rng, ((206, 200, 188), (178, 172, 162), (150, 150, 150), (190, 160, 130), (120, 130, 138), (224, 222, 216))
    )
    count = int(rng.choice([8, 10, 12, 16]))
    tone, gap = _joints(rng, size, count, count, 0.5 * (rng.random() < 0.3), 0.05, 0.035)
    if rng.random() < 0.25:
        y, x = np.mgrid[0:size, 0:size] * count // size
        tone = tone * np.where((x + y) % 2 == 0, 1.0, rng.uniform(0.6, 0.85))
    texture = toned(mottled(rng, size, base, base * 0.9, 0.3, 1.2), tone)
    texture[gap] *= 0.78
    return texture


def planks(rng, size):
    base = colour(
        rng, ((166, 122, 80), (130, 92, 60), (190, 152, 108), (104, 76, 54), (150, 132, 112), (206, 180, 140))
    )
    rows = int(rng.choice([12, 16, 24, 32]))
    tone, gap = _joints(rng, size, rows, int(rng.choice([2, 3, 4])), 0.5, 0.03, 0.1)
    streaks = np.repeat(noise(rng, size, max(8, size // 16), 0.5), size // max(8, size // 16), axis=1)
    texture = toned(base, tone * (1 + 0.05 * streaks))
    texture[gap] *= 0.7
    return texture.transpose(1, 0, 2).copy() if rng.random() < 0.5 else texture


def plaster(rng, size):
    base = colour(
        rng,
        ((226, 220, 206), (206, 204, 200), (236, 232, 224), (184, 190, 186), (200, 178, 150), (166, 182, 196),
        (190, 206, 190), (214, 190, 180),
         (120, 136, 150), (150, 110, 96), (96, 112, 104), (222, 206, 160)),
    )  # fmt: skip
    return mottled(rng, size, base, base * rng.uniform(0.86, 0.95), 0.3, 1.5)


def wallpaper(rng, size):
    base = colour(
        rng, ((216, 206, 186), (190, 200, 206), (206, 190, 190), (170, 178, 160), (120, 130, 150), (160, 120, 110))
    )
    texture = mottled(rng, size, base, base * 0.94, 0.3, 1.4)
    other = np.clip(base * rng.uniform(0.75, 0.9), 0, 1)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    count = int(rng.choice([8, 10, 14, 20]))
    if rng.random() < 0.55:
        texture[(x * count) % 1 < rng.uniform(0.15, 0.5)] *= other / base
    else:
        cell = ((x * count + 0.5 * (np.floor(y * count) % 2)) % 1 - 0.5) ** 2 + ((y * count) % 1 - 0.5) ** 2
        texture[cell < 0.07] *= other / base
    if rng.random() < 0.35:
        texture[: size // 3] = mottled(rng, size, other, other * 0.9, 0.3, 1.2)[: size // 3]
    return texture


def panels(rng, size):
    texture = planks(rng, size) * rng.uniform(0.8, 1.1)
    return np.clip(texture, 0, 1)


def concrete(rng, size):
    base = colour(rng, ((168, 166, 160), (140, 140, 138), (186, 180, 170), (120, 122, 124)), 0.015)
    texture = mottled(rng, size, base, base * 0.8, 0.35, 1.5)
    if rng.random() < 0.5:
        _, gap = _joints(rng, size, 4, int(rng.choice([2, 4])), 0.0, 0.02, 0.0)
        texture[gap] *= 0.8
    return texture


def carpet(rng, size):
    base = colour(rng, ((130, 60, 56), (70, 84, 110), (120, 114, 104), (150, 136, 112), (76, 90, 76), (96, 80, 96)))
    return mottled(rng, size, base, base * 0.88, 0.3, 0.7)


def leaves(rng, size):
    base = colour(rng, ((66, 88, 46), (82, 100, 54), (56, 76, 48), (108, 106, 58), (140, 100, 56), (74, 96, 66)))
    return mottled(rng, size, base * 1.1, base * 0.5, 0.4, 0.8)


def bark(rng, size):
    base = colour(rng, ((92, 74, 58), (110, 98, 84), (76, 62, 52)))
    streaks = np.repeat(noise(rng, max(8, size // 8), size, 0.5), size // max(8, size // 8), axis=0)
    return toned(base, 1 + 0.18 * streaks)


def facade(rng, size):
    """A wall of windows, for buildings."""
    wall = rng.choice(np.array([bricks, plaster, concrete], dtype=object), p=[0.35, 0.4, 0.25])(rng, size)
    rows, columns = int(rng.choice([2, 4])), int(rng.choice([4, 5, 6, 8]))
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    cy, cx = (y * rows) % 1, (x * columns) % 1
    low, wide = rng.uniform(0.25, 0.4), rng.uniform(0.2, 0.34)
    frame = (cy > low - 0.04) & (cy < 0.84) & (np.abs(cx - 0.5) < wide + 0.05)
    glass = (cy > low) & (cy < 0.8) & (np.abs(cx - 0.5) < wide)
    wall[frame] = colour(rng, ((230, 228, 222), (90, 80, 72), (60, 66, 74), (180, 172, 160)))
    pane = colour(rng, ((70, 84, 100), (50, 56, 64), (120, 140, 156), (90, 96, 100)))
    light = (0.75 + 0.5 * rng.random((rows, columns)))[(y * rows).astype(int), (x * columns).astype(int)]
    wall[glass] = np.clip(toned(pane, light * (0.8 + 0.4 * cy)), 0, 1)[glass]
    return wall


def poster(rng, size):
    """A framed picture: a small landscape or coloured shapes."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    sky = colour(rng, ((150, 180, 210), (220, 200, 170), (200, 210, 216), (90, 110, 150)))
    land = colour(rng, ((96, 110, 76), (150, 110, 80), (70, 84, 110), (180, 80, 60)))
    picture = np.where(
        (y > 0.45 + 0.1 * np.sin(6 * x + rng.uniform(0, 6)))[..., None], sky, land * (0.7 + 0.6 * y[..., None])
    )
    if rng.random() < 0.5:
        cx, cy, r = rng.uniform(0.3, 0.7), rng.uniform(0.35, 0.75), rng.uniform(0.1, 0.22)
        picture[np.hypot(x - cx, y - cy) < r] = colour(
            rng, ((226, 190, 90), (180, 60, 50), (230, 226, 214), (40, 50, 70))
        )
    border = np.maximum(np.abs(x - 0.5), np.abs(y - 0.5)) > 0.44
    picture[border] = colour(rng, ((230, 226, 218), (60, 48, 40), (30, 30, 32), (170, 140, 100)))
    return picture.astype(np.float32)


def shelf(rng, size):
    """Rows of books."""
    wood = colour(rng, ((120, 84, 56), (170, 130, 90), (220, 216, 208), (70, 56, 46)))
    texture = np.broadcast_to(wood * 0.45, (size, size, 3)).astype(np.float32).copy()
    rows = int(rng.choice([4, 5]))
    step = size // rows
    for row in range(rows):
        at = 2
        while at < size - 3:
            wide = int(rng.integers(max(3, size // 24), max(4, size // 10)))
            tall = int(step * rng.uniform(0.6, 0.85))
            texture[row * step + step // 8 : row * step + tall, at : at + wide] = colour(
                rng, ((140, 60, 50), (60, 80, 110), (200, 190, 170), (80, 100, 70), (50, 50, 54), (190, 150, 80))
            )
            at += wide + (int(rng.integers(2, 12)) if rng.random() < 0.15 else 0)
        texture[row * step : row * step + step // 8] = wood
    return texture


def cloth(rng, size):
    base = colour(
        rng,
        ((120, 60, 56), (70, 90, 116), (150, 140, 126), (90, 100, 80), (60, 60, 66), (190, 170, 140), (170, 120, 70)),
    )
    return mottled(rng, size, base, base * 0.9, 0.3, 1.0)


def painted(rng, size):
    """Painted wood or metal with wear."""
    base = colour(
        rng,
        (
            (180, 60, 50),
            (60, 100, 140),
            (220, 180, 80),
            (80, 120, 90),
            (230, 226, 218),
            (90, 94, 98),
            (150, 100, 60),
            (200, 120, 70),
        ),
    )
    return mottled(rng, size, base, base * 0.85, 0.3, 1.3)


def crate(rng, size):
    texture = planks(rng, size)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    edge = np.maximum(np.abs(x - 0.5), np.abs(y - 0.5)) > 0.42
    texture[edge] *= 0.75
    return texture
