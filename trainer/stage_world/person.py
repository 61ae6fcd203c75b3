"""The person: proportions, and the body as round cones hung on bones."""

from dataclasses import dataclass

import numpy as np

from trainer.stage_world.actions import Performance
from trainer.stage_world.cast import Cones
from trainer.stage_world.skeleton import BodyShape
from trainer.stage_world.wardrobe import Outfit, sample_outfit


@dataclass(frozen=True)
class Part:
    """A round cone in a bone's frame: spheres of radius ra at `a` and rb at `b`, squashed across its axis."""

    bone: str
    a: tuple[float, float, float]
    b: tuple[float, float, float]
    ra: float
    rb: float
    texture: str
    squash: tuple[float, float] = (1.0, 1.0)
    """Factors on its width (x) and thickness (z)."""
    hand: bool = False
    open_a: bool = False
    """No cap at `a`."""


@dataclass(frozen=True)
class Actor:
    """One person: proportions and clothes."""

    shape: BodyShape
    outfit: Outfit

    @property
    def textures(self) -> list[np.ndarray]:
        return list(self.outfit.textures.values())


def cast_actor(rng: np.random.Generator) -> Actor:
    """Draw a person."""
    return Actor(sample_shape(rng), sample_outfit(rng))


def actor_cones(actor: Actor, performance: Performance, first_texture: int) -> Cones:
    """The performing person as round cones; the actor's textures begin at `first_texture` of the atlas."""
    index = {name: first_texture + i for i, name in enumerate(actor.outfit.textures)}
    return person_cones(body_parts(actor.shape, actor.outfit), performance, index)


def sample_shape(rng: np.random.Generator) -> BodyShape:
    """Draw proportions: mostly adults of 1.5-1.9 m, some children of 1.1-1.4 m."""
    child = rng.random() < 0.12
    height = float(rng.uniform(1.1, 1.4) if child else np.clip(rng.normal(1.7, 0.09), 1.5, 1.9))
    vary = lambda spread: float(rng.uniform(1 - spread, 1 + spread))  # noqa: E731
    leg = height * (0.455 if child else 0.48) * vary(0.03)
    head = height * (0.165 if child else 0.132) * vary(0.05)
    neck = 0.045 * height * vary(0.15)
    ankle = 0.075 * height / 1.7
    return BodyShape(
        height=height,
        leg=leg,
        thigh=0.51 * leg,
        shank=0.49 * leg,
        foot=0.15 * height * vary(0.05),
        hip_width=0.115 * height * vary(0.1),
        spine=height - leg - ankle - 0.02 - neck - 0.95 * head,
        shoulder_width=0.215 * height * vary(0.08),
        upper_arm=0.175 * height * vary(0.05),
        forearm=0.150 * height * vary(0.05),
        hand=0.105 * height * vary(0.06),
        neck=neck,
        head=head,
        girth=vary(0.16) * height / 1.7,
    )


def body_parts(shape: BodyShape, outfit: Outfit) -> list[Part]:
    """All round cones of one dressed person."""
    parts = _torso(shape, outfit) + _head(shape, outfit)
    for side, sign in (("l", 1.0), ("r", -1.0)):
        parts += _arm(shape, outfit, side, sign) + _leg(shape, outfit, side)
    return parts


def _torso(shape: BodyShape, outfit: Outfit) -> list[Part]:
    g, s, half = shape.girth, shape.spine, shape.shoulder_width / 2
    loose, hem = outfit.looseness, (0, -0.14 * s, 0)
    parts = [
        Part("pelvis", (0, -0.04 * g, 0), (0, 0.07 * g, 0), 0.125 * g, 0.138 * g, "hips", (1.12, 0.78)),
        Part("belly", hem, (0, 0.36 * s, 0), 0.152 * g * loose, 0.13 * g * loose, "belly", (1.04, 0.8), open_a=True),
        Part("chest", (0, 0.0, 0), (0, 0.30 * s, 0), 0.132 * g * loose, 0.145 * g * loose, "shirt", (1.08, 0.72)),
        Part(
            "chest", (-0.8 * half, 0.43 * s, 0), (0.8 * half, 0.43 * s, 0), 0.062 * g * loose, 0.062 * g * loose, "yoke"
        ),
        Part("chest", (0, 0.48 * s, 0.0), (0, 0.58 * s + shape.neck, 0.01), 0.055 * g, 0.05 * g, "skin"),
    ]
    if outfit.backpack:
        parts.append(
            Part("chest", (0, 0.02 * s, -0.17 * g), (0, 0.3 * s, -0.17 * g), 0.11 * g, 0.1 * g, "bag", (1.0, 0.7))
        )
    return parts


def _head(shape: BodyShape, outfit: Outfit) -> list[Part]:
    h, v = shape.head, outfit.hair_volume
    parts = [
        Part("head", (0, 0, 0), (0, 1e-3, 0), 0.5 * h, 0.5 * h, "head", (0.72, 0.84)),
        Part("head", (0, -0.08 * h, 0.40 * h), (0, 0.0, 0.38 * h), 0.055 * h, 0.04 * h, "skin"),
    ]
    for x in (-0.34 * h, 0.34 * h):  # ears
        low, high = (x, -0.02 * h, -0.02 * h), (x, 0.06 * h, -0.02 * h)
        parts.append(Part("head", low, high, 0.06 * h, 0.06 * h, "skin", (0.6, 1.0)))
    if v > 0:
        low, high = (0, 0.07 * h, -0.07 * h), (0, 0.071 * h + 1e-3, -0.07 * h)
        parts.append(Part("head", low, high, 0.49 * h * v, 0.49 * h * v, "hair", (0.78, 0.84)))
    if outfit.hair_length > 0:
        low, high = (0, -(0.15 + 0.75 * outfit.hair_length) * h, -0.24 * h), (0, 0.1 * h, -0.12 * h)
        parts.append(Part("head", low, high, 0.2 * h, 0.36 * h, "hair", (1.15, 0.75)))
    if outfit.hat:
        low, high = (0, 0.26 * h, 0.0), (0, 0.36 * h, -0.02 * h)
        parts.append(Part("head", low, high, 0.40 * h, 0.32 * h, "hat", (0.98, 1.12)))
    return parts


def _arm(shape: BodyShape, outfit: Outfit, side: str, sign: float) -> list[Part]:
    g, hand, loose = shape.girth, shape.hand, outfit.looseness
    upper, fore = shape.upper_arm, shape.forearm
    return [
        Part(f"upper_arm_{side}", (0, -upper, 0), (0, 0, 0), 0.042 * g, 0.056 * g * loose, "upper_arm"),
        Part(f"forearm_{side}", (0, -fore, 0), (0, 0, 0), 0.03 * g, 0.043 * g, "forearm"),
        Part(
            f"hand_{side}", (0, -0.46 * hand, 0), (0, -0.1 * hand, 0),
            0.22 * hand, 0.17 * hand, "skin", (0.55, 1.0), True,
        ),
        Part(f"fingers_{side}", (0, -0.38 * hand, 0), (0, 0.0, 0), 0.15 * hand, 0.19 * hand, "skin", (0.5, 1.0), True),
        Part(
            f"hand_{side}", (-0.05 * sign * hand, -0.45 * hand, 0.3 * hand), (0, -0.15 * hand, 0.12 * hand),
            0.07 * hand, 0.08 * hand, "skin", (1.0, 1.0), True,
        ),
    ]  # fmt: skip


def _leg(shape: BodyShape, outfit: Outfit, side: str) -> list[Part]:
    g, foot, sole = shape.girth, shape.foot, 0.075 * shape.height / 1.7
    loose = outfit.looseness
    shoe = 0.042 * shape.height / 1.7
    parts = [
        Part(f"thigh_{side}", (0, -shape.thigh, 0), (0, 0.02, 0), 0.058 * g * loose, 0.088 * g * loose, "thigh"),
        Part(f"shank_{side}", (0, -shape.shank, 0), (0, 0, 0), 0.042 * g * outfit.hem, 0.057 * g * loose, "shank"),
        Part(
            f"foot_{side}",
            (0, shoe - sole, -0.1 * foot),
            (0, shoe - sole, 0.58 * foot),
            shoe,
            0.85 * shoe,
            "shoe",
            (1.1, 1.0),
        ),
        Part(
            f"foot_{side}",
            (0, 0.8 * shoe - sole, -0.14 * foot),
            (0, 0.02, -0.02 * foot),
            1.0 * shoe,
            0.95 * shoe,
            "shoe",
        ),
    ]
    if outfit.skirt_length > 0:  # one half of the skirt on each thigh, so that it moves with the legs
        wide = (0.11 + 0.06 * outfit.skirt_length) * g
        hem = (0, -outfit.skirt_length * shape.thigh, 0)
        parts.append(Part(f"thigh_{side}", hem, (0, 0.02, 0), wide, 0.1 * g, "skirt", (1.1, 1.0), open_a=True))
    return parts


def person_cones(parts: list[Part], performance: Performance, texture_index: dict[str, int]) -> Cones:
    """The parts in the world, one row per part and frame."""
    bones, turn = performance.bones, performance.world_from_body
    a, b, squash = (np.array([getattr(part, name) for part in parts], float) for name in ("a", "b", "squash"))
    length = np.linalg.norm(b - a, axis=1)
    axis = (b - a) / length[:, None]  # [P,3]
    side = np.where(np.abs(axis[:, :1]) < 0.9, [1.0, 0, 0], [0, 0, 1.0])
    side = side - axis * (side * axis).sum(axis=1, keepdims=True)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    local = np.stack([side / squash[:, :1], axis, np.cross(side, axis) / squash[:, 1:]], axis=1)  # in the bone's frame
    world_from_bone = turn @ np.stack([bones.rotation[part.bone] for part in parts])  # [P,T,3,3]
    at = np.stack([bones.point(part.bone, part.a) for part in parts])  # [P,T,3] in the body's frame
    return Cones(
        local_from_world=local[:, None] @ world_from_bone.swapaxes(2, 3),
        origin=performance.root + np.einsum("tij,ptj->pti", turn, at),
        axis=np.einsum("ptij,pj->pti", world_from_bone, axis),
        length=length,
        radius_a=np.array([p.ra for p in parts]),
        radius_b=np.array([p.rb for p in parts]),
        texture=np.array([texture_index[p.texture] for p in parts]),
        hand=np.array([p.hand for p in parts]),
        open_a=np.array([p.open_a for p in parts]),
        reach=np.array([max(p.ra, p.rb) * max(1.0, *p.squash) for p in parts]),
    )
