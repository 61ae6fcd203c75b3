"""What can go wrong with a picture of a person, what hardly matters, and how a distance tells them apart.

Damage: a limb missing, a limb elsewhere, the person blurred, a hand blurred. Harmless: noise, brightness, colour cast, a
slow slope of light, contrast, each spread over the window and scaled to the damage's squared error. Squared error finds
them equal by construction; a mean absolute difference of pixels finds what is spread out always worse.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from trainer.perceptual.labelled import JOINTS, LabelledPicture

LIMBS = tuple(tuple(JOINTS.index(joint) for joint in limb) for limb in ((7, 9, 103), (8, 10, 124), (13, 15), (14, 16)))
"""Forearm with hand, and lower leg, on both sides."""
WINDOW_PX = 64
DAMAGES = ("limb missing", "limb elsewhere", "person blurred", "hand blurred")
HARMLESS = ("noise", "brightness", "colour cast", "slope of light", "contrast")
_SHORTEST_LIMB_PX, _SMALLEST_HAND_PX = 8, 6
_BLUR_PX = 1.5

Distance = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Changed pictures `[N, 3, H, W]` in [-1, 1] and the true one `[1, 3, H, W]` -> `[N]`."""


@dataclass(frozen=True)
class Trial:
    """One damaged picture and its harmless rivals of the same squared error."""

    damage: str
    truth: np.ndarray  # float32 [64, 64, 3] in 0..1
    damaged: np.ndarray
    harmless: dict[str, np.ndarray]


def trials(pictures: list[LabelledPicture], seed: int = 0) -> Iterator[Trial]:
    """Up to four for each picture that shows a whole limb of some size."""
    rng = np.random.default_rng(seed)
    for picture in pictures:
        limb = _limb(picture, rng)
        if limb is None:
            continue
        window = _window(picture.human_mask)
        truth = picture.picture.astype(np.float32) / 255
        for name, changed in damaged_versions(picture, limb, rng).items():
            energy = float(np.mean((changed - truth)[window] ** 2))
            if energy > 1e-6:
                yield Trial(name, truth[window], changed[window], harmless_versions(truth[window], energy, rng))


def _limb(picture: LabelledPicture, rng: np.random.Generator) -> np.ndarray | None:
    """Joints [2 or 3, 2] in pixels of a limb that is seen."""
    seen = [picture.joints_px[list(limb)] for limb in LIMBS if picture.joint_seen[list(limb)].all()]
    long = [joints for joints in seen if _length(joints) >= _SHORTEST_LIMB_PX]
    return long[rng.integers(len(long))] if long else None


def _length(joints: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(joints, axis=0), axis=1).sum())


def _window(person: np.ndarray) -> tuple[slice, slice]:
    corner = np.clip(np.argwhere(person).mean(0) - WINDOW_PX / 2, 0, np.array(person.shape) - WINDOW_PX).astype(int)
    return tuple(slice(at, at + WINDOW_PX) for at in corner.tolist())


def damaged_versions(picture: LabelledPicture, limb: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """float32 [H, W, 3] in 0..1 by the names in DAMAGES; no "hand blurred" where no hand is seen."""
    truth, empty = (p.astype(np.float32) / 255 for p in (picture.picture, picture.empty))
    length, canvas = _length(limb), np.zeros(truth.shape[:2], np.uint8)
    thickness = max(1, round(0.44 * length))
    cv2.polylines(canvas, [np.round(limb).astype(np.int32)], False, 1, thickness)
    limb_mask = _soft((canvas > 0) & picture.human_mask)
    missing = truth + (empty - truth) * limb_mask
    angle = rng.uniform(0, 2 * np.pi)
    way = max(3.0, 0.4 * length) * np.array([np.cos(angle), np.sin(angle)])
    moved, moved_mask = (_moved(layer, way) for layer in (truth, limb_mask))
    blurred = cv2.GaussianBlur(truth, (0, 0), _BLUR_PX)
    versions = {
        "limb missing": missing,
        "limb elsewhere": missing + (moved - missing) * moved_mask,
        "person blurred": truth + (blurred - truth) * _soft(picture.human_mask),
    }
    if picture.hand_mask.sum() >= _SMALLEST_HAND_PX:
        around = cv2.dilate(picture.hand_mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        versions["hand blurred"] = truth + (blurred - truth) * _soft(around)
    return versions


def _soft(mask: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.7)[..., None]


def _moved(layer: np.ndarray, way: np.ndarray) -> np.ndarray:
    shift = np.array([[1, 0, way[0]], [0, 1, way[1]]], np.float32)
    return cv2.warpAffine(layer, shift, layer.shape[1::-1]).reshape(layer.shape)


def harmless_versions(truth: np.ndarray, energy: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """float32 [H, W, 3] by the names in HARMLESS, each with a mean squared change of `energy`."""
    height, width, _ = truth.shape
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    angle, sign, cast = rng.uniform(0, 2 * np.pi), rng.choice([-1, 1]), rng.normal(size=3)
    changes = (
        rng.normal(size=truth.shape),
        np.full(truth.shape, sign),
        np.broadcast_to(cast - cast.mean(), truth.shape),
        np.repeat((np.cos(angle) * x + np.sin(angle) * y)[..., None], 3, axis=-1),
        sign * (truth - truth.mean((0, 1))),
    )
    scaled = (change * np.sqrt(energy / np.mean(change**2)) for change in changes)
    return {name: (truth + change).astype(np.float32) for name, change in zip(HARMLESS, scaled, strict=True)}


def right_order(distance: Distance, some_trials: list[Trial]) -> dict[tuple[str, str], float]:
    """Share of trials, 0..1, in which the damage is farther from the truth than its rival, by (damage, rival)."""
    found: dict[tuple[str, str], list[bool]] = {}
    for trial in some_trials:
        stacked = np.stack([trial.truth, trial.damaged, *trial.harmless.values()])
        seen = torch.from_numpy(stacked).permute(0, 3, 1, 2) * 2 - 1
        with torch.no_grad():
            much, *little = distance(seen[1:], seen[:1]).tolist()
        for rival, less in zip(trial.harmless, little, strict=True):
            found.setdefault((trial.damage, rival), []).append(much > less)
    return {pair: float(np.mean(answers)) for pair, answers in found.items()}


def pixel_distance(changed: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference."""
    return (changed - truth).abs().mean((1, 2, 3))


def gradient_distance(changed: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of the steps from pixel to pixel: what edges alone can tell."""
    return sum((changed - truth).diff(dim=dim).abs().mean((1, 2, 3)) for dim in (-1, -2))


def perceptual_distance(network) -> Distance:
    """Equation 6 without hands, of each picture by itself."""

    def distance(changed: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        pairs = zip(network(changed), network(truth), strict=True)
        return torch.stack([(got - wanted).abs().mean((1, 2, 3)) for got, wanted in pairs]).mean(0)

    return distance
