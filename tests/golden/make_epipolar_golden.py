"""Writes epipolar_kornia.json: what kornia says about ten pairs of cameras. `python make_epipolar_golden.py`.

Needs kornia (made with 0.9.0), which the project does not; the inputs are stored beside the answers, so the tests do
not. kornia's poses are world-to-camera and its matrices satisfy x2ᵀ F x1 = 0, as here; its F carries the baseline's length.
"""

import json
from pathlib import Path

import kornia.geometry.epipolar as reference
import numpy as np
import torch


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    """A turn of up to about 40 degrees, by Rodrigues' formula."""
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = rng.uniform(0.02, 0.7)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def one_pair(seed: int) -> dict:
    rng = np.random.default_rng(seed)
    width, height = 1360, 768
    intrinsics = [
        np.array([[f, 0, width / 2 + dx], [0, f * rng.uniform(0.9, 1.1), height / 2 + dy], [0, 0, 1]])
        for f, dx, dy in zip(rng.uniform(700, 2500, 2), rng.normal(0, 40, 2), rng.normal(0, 40, 2), strict=True)
    ]
    rotations = [random_rotation(rng), random_rotation(rng)]
    translations = [rng.normal(size=(3, 1)), rng.normal(size=(3, 1))]
    points = [rng.uniform([0, 0], [width, height], (6, 2)) for _ in range(2)]
    k1, k2, r1, r2, t1, t2, x1, x2 = (
        torch.from_numpy(a)[None] for pair in (intrinsics, rotations, translations, points) for a in pair
    )
    essential = reference.essential_from_Rt(r1, t1, r2, t2)
    fundamental = reference.fundamental_from_essential(essential, k1, k2)
    answers = {
        "fundamental": fundamental,
        "lines_in_second": reference.compute_correspond_epilines(x1, fundamental),
        "distance_in_second": reference.left_to_right_epipolar_distance(x1, x2, fundamental),
    }
    inputs = {"intrinsics": intrinsics, "rotations": rotations, "translations": translations, "points": points}
    return {name: np.asarray(value).tolist() for name, value in inputs.items()} | {
        name: value[0].tolist() for name, value in answers.items()
    }


if __name__ == "__main__":
    file = Path(__file__).with_name("epipolar_kornia.json")
    pairs = [one_pair(seed) for seed in range(10)]
    file.write_text(json.dumps({"image_size": [1360, 768], "pairs": pairs}))
