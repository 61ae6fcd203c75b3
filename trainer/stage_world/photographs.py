"""Photographs that installed packages carry, read at run time as backdrops and never redistributed."""

import importlib.util
from functools import cache
from pathlib import Path

import cv2
import numpy as np

_PLACES = (
    ("gradio", "media_assets/images/*.jp*g"),
    ("gradio", "test_data/cheetah2.jpg"),
    ("skimage", "data/*.jp*g"),
    ("sklearn", "datasets/images/*.jpg"),
)


@cache
def photograph_paths() -> tuple[Path, ...]:
    """Photographs found beside installed packages, sorted by package and name; no package is imported."""
    found = []
    for package, pattern in _PLACES:
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            found += sorted(Path(folder).glob(pattern))
    return tuple(found)


@cache
def photograph(path: Path) -> np.ndarray | None:
    """float32 [256,256,3] in 0..1, rows upwards; None if the file is no colour picture."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None or min(picture.shape[:2]) < 200:
        return None
    picture = cv2.resize(picture, (256, 256), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(picture[::-1, :, ::-1]).astype(np.float32) / 255
