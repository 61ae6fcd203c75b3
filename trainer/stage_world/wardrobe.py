"""Skin, hair and clothes as small textures: u around the part, front at 0.5; v from its lower to its upper end."""

from dataclasses import dataclass

import numpy as np

_SKIN = ((255, 219, 190), (241, 194, 160), (224, 172, 130), (198, 134, 90), (150, 96, 60), (100, 64, 44), (80, 52, 38))
_HAIR = (
    (25, 20, 18),
    (45, 32, 24),
    (80, 52, 34),
    (120, 84, 52),
    (190, 150, 90),
    (215, 185, 130),
    (140, 60, 35),
    (160, 155, 150),
)
_CLOTH = (
    (28, 30, 36), (55, 58, 66), (110, 112, 116), (200, 200, 198), (240, 238, 232), (40, 56, 96), (62, 96, 150),
    (120, 160, 200), (150, 40, 44),
    (196, 60, 52), (220, 120, 60), (226, 180, 80), (60, 92, 60), (92, 130, 84), (140, 150, 100), (96, 62, 90),
    (190, 130, 160), (120, 84, 58),
    (176, 150, 116), (40, 110, 116), (235, 215, 180), (170, 60, 100),
)  # fmt: skip
_TROUSERS = (
    (34, 40, 62),
    (52, 70, 108),
    (80, 100, 136),
    (28, 28, 32),
    (70, 70, 72),
    (120, 110, 96),
    (170, 156, 126),
    (88, 80, 60),
    (200, 196, 186),
    (100, 60, 50),
)
_SHOES = ((30, 28, 28), (235, 235, 232), (110, 72, 46), (150, 44, 44), (60, 70, 110), (160, 160, 160))


@dataclass(frozen=True)
class Outfit:
    """What the person wears. `textures[name]` float32 [h,w,3] in 0..1, sides are powers of two."""

    textures: dict[str, np.ndarray]
    looseness: float
    hem: float
    """Factor on the trousers' width at the ankle."""
    skirt_length: float
    """Fraction of the thigh, 0 without a skirt."""
    hair_volume: float
    hair_length: float
    hat: bool
    backpack: bool


def _pick(rng: np.random.Generator, colours: tuple, jitter: float = 0.05) -> np.ndarray:
    colour = np.asarray(colours[rng.integers(len(colours))], dtype=np.float32) / 255
    return np.clip(colour * rng.uniform(0.85, 1.1) + rng.normal(0, jitter * 0.5, 3), 0.03, 0.97).astype(np.float32)


def _plain(colour: np.ndarray, size: int = 16) -> np.ndarray:
    return np.broadcast_to(colour, (size, size, 3)).astype(np.float32).copy()


def _fabric(rng: np.random.Generator, colour: np.ndarray, size: int = 64) -> np.ndarray:
    """Plain, striped, checked or two-tone cloth, or a jacket."""
    cloth = _plain(colour, size)
    other = _pick(rng, _CLOTH)
    kind = rng.choice(["plain", "plain", "plain", "stripes", "vertical", "checks", "two_tone", "jacket"])
    v, u = np.mgrid[0:size, 0:size] / size
    bands = int(rng.integers(3, 6))
    if kind == "stripes":
        cloth[(v * bands) % 1 < rng.uniform(0.3, 0.6)] = other
    elif kind == "vertical":
        cloth[(u * 2 * bands) % 1 < 0.4] = other
    elif kind == "checks":
        cloth[(v * bands) % 1 < 0.5] = 0.5 * (colour + other)
        cloth[(u * 2 * bands) % 1 < 0.5] = 0.5 * cloth[(u * 2 * bands) % 1 < 0.5] + 0.5 * other
    elif kind == "two_tone":
        cloth[v > rng.uniform(0.35, 0.65)] = other
    elif kind == "jacket":
        cloth[np.abs(u - 0.5) < 0.06] = other
    return cloth


def _printed(rng: np.random.Generator, cloth: np.ndarray) -> np.ndarray:
    """The same cloth with a print on the chest."""
    v, u = np.mgrid[0 : len(cloth), 0 : len(cloth)] / len(cloth)
    cloth = cloth.copy()
    cloth[((u - 0.5) / 0.12) ** 2 + ((v - 0.6) / 0.16) ** 2 < 1] = _pick(rng, _CLOTH)
    return cloth


def _covered(skin: np.ndarray, cloth: np.ndarray, bare_below: float, size: int = 32) -> np.ndarray:
    """A limb whose lower fraction is bare."""
    texture = _plain(cloth, size)
    texture[: int(round(bare_below * size))] = skin
    return texture


def _face(rng: np.random.Generator, skin: np.ndarray, hair: np.ndarray, bald: bool, size: int = 64) -> np.ndarray:
    v, u = (np.mgrid[0:size, 0:size] + 0.5) / size
    azimuth, y = (u - 0.5) * 2 * np.pi, 2 * v - 1
    x = np.sin(azimuth) * np.sqrt(1 - y**2)
    front = np.cos(azimuth) > 0
    head = _plain(skin, size)
    blob = lambda cx, cy, rx, ry: front & (((np.abs(x) - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1)  # noqa: E731
    head[blob(0.5, -0.2, 0.2, 0.16)] = np.clip(skin * np.array([1.04, 0.93, 0.92]), 0, 1)
    head[blob(0.36, 0.2, 0.17, 0.10)] = 0.5 * skin + 0.45
    head[blob(0.36, 0.19, 0.10, 0.10)] = 0.08
    head[blob(0.36, 0.42, 0.2, 0.05)] = 0.6 * hair + 0.1 * skin
    head[blob(0.0, -0.47, 0.26, 0.07)] = skin * np.array([0.72, 0.42, 0.42])
    if rng.random() < 0.2:
        head[front & (y < -0.3) & ~blob(0.0, -0.45, 0.26, 0.08) & (np.abs(x) < 0.9)] = 0.6 * hair + 0.3 * skin
    if not bald:
        head[(y > 0.62 - 0.1 * np.cos(azimuth)) | ((np.abs(azimuth) > 1.5) & (y > -0.45))] = hair
    return head


def sample_outfit(rng: np.random.Generator) -> Outfit:
    """Dress a person: sleeves and trousers long or short, skirts, coats, shoes, hair, hats and bags."""
    skin, hair = _pick(rng, _SKIN, 0.02), _pick(rng, _HAIR, 0.03)
    shirt, trousers, shoes = _pick(rng, _CLOTH), _pick(rng, _TROUSERS), _pick(rng, _SHOES)
    fabric = _fabric(rng, shirt)
    sleeve = rng.choice(["long", "short", "none"], p=[0.5, 0.42, 0.08])
    legs = rng.choice(["trousers", "shorts", "skirt", "dress", "leggings"], p=[0.52, 0.16, 0.1, 0.1, 0.12])
    bald, skirted = rng.random() < 0.07, legs in ("skirt", "dress")
    skirt_cloth = fabric if legs == "dress" else _plain(_pick(rng, _CLOTH), 16)
    thigh_bare = {"trousers": 0.0, "leggings": 0.0, "shorts": 0.3}.get(str(legs), 1.0)
    shank_bare = {"trousers": 0.0, "leggings": 0.0}.get(str(legs), 1.0)
    if skirted and rng.random() < 0.4:
        trousers, thigh_bare, shank_bare = _pick(rng, _TROUSERS), 0.0, 0.0
    textures = {
        "skin": _plain(skin),
        "hair": _plain(hair),
        "head": _face(rng, skin, hair, bald),
        "shirt": _printed(rng, fabric) if rng.random() < 0.2 else fabric,
        "belly": fabric,
        "yoke": _plain(fabric[40:56].mean(axis=(0, 1))) if sleeve != "none" else _plain(shirt),
        "hips": skirt_cloth if skirted else _plain(trousers),
        "skirt": skirt_cloth,
        "upper_arm": _covered(skin, shirt, {"long": 0.0, "short": rng.uniform(0.3, 0.55), "none": 0.8}[str(sleeve)]),
        "forearm": _covered(skin, shirt, 0.05 if sleeve == "long" else 1.0),
        "thigh": _covered(skin, trousers, thigh_bare),
        "shank": _covered(skin, trousers, shank_bare),
        "shoe": _plain(shoes),
        "hat": _plain(_pick(rng, _CLOTH)),
        "bag": _plain(_pick(rng, _CLOTH)),
    }
    return Outfit(
        textures=textures,
        looseness=float(rng.uniform(0.95, 1.18)),
        hem=1.0 if shank_bare or legs == "leggings" else float(rng.uniform(1.0, 1.45)),
        skirt_length=float(rng.uniform(0.55, 1.0)) if skirted else 0.0,
        hair_volume=0.0 if bald else float(rng.uniform(1.02, 1.14)),
        hair_length=0.0 if bald or rng.random() < 0.5 else float(rng.uniform(0.2, 1.0)),
        hat=bool(rng.random() < 0.12),
        backpack=bool(rng.random() < 0.1),
    )
