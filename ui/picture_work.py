"""Person and background pictures as the model will see them. No Gradio; heavy imports are inside the functions."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from animateanywhere.config import ModelConfig
from animateanywhere.errors import InputError
from ui.pose_work import PoseTask
from ui.services import Services

_WAITING = "Shown once the model is loaded: its size decides."


@dataclass(frozen=True)
class Prepared:
    """A picture for the model and what to say about it; no picture if it cannot be made (yet)."""

    picture: np.ndarray | None  # uint8 [H, W, 3]
    kind: Literal["info", "good", "warning"]
    note: str


def prepare_person(path: Path, task: PoseTask | None, services: Services) -> Prepared:
    """Cut out and placed on the model's canvas. Raises InputError for a picture that cannot be used."""
    from animateanywhere.media import read_image

    image = read_image(path)
    model = services.shelf.view().model
    if model is None:
        return Prepared(None, "info", _WAITING)
    from animateanywhere.segmentation import cut_out_person, place_on_canvas

    rgba = cut_out_person(image)
    picture = place_on_canvas(rgba, clip_size(task, model), model.reference_canvas)
    if rgba is image:
        return Prepared(picture, "good", "")
    people = _count_people(path)
    if people > 1:
        note = f"{people} people found: the largest is used. Crop the picture to choose another."
        return Prepared(picture, "warning", note)
    return Prepared(picture, "good", "")


def prepare_background(path: Path, task: PoseTask | None, services: Services) -> Prepared:
    """Cropped to the clip's shape. Raises InputError for a picture that cannot be used."""
    from animateanywhere.media import cover_crop, read_image

    image = read_image(path)[..., :3]
    model = services.shelf.view().model
    if model is None:
        return Prepared(None, "info", _WAITING)
    size = clip_size(task, model)
    picture = cover_crop(image, size)
    if image.shape[1] < size[0] or image.shape[0] < size[1]:
        note = f"Only {image.shape[1]}×{image.shape[0]} pixels: it is enlarged to {size[0]}×{size[1]}."
        return Prepared(picture, "warning", note)
    people = _count_people(path)
    if people:
        who = "1 person" if people == 1 else f"{people} people"
        note = f"{who} found in the background. They stay in the clip: an empty place works better."
        return Prepared(picture, "warning", note)
    return Prepared(picture, "good", "")


def _count_people(path: Path) -> int:
    from animateanywhere.pose.detector import extract_pose

    try:
        return int(extract_pose(path).seen().any(0).sum())
    except InputError:  # nobody found
        return 0


def clip_size(task: PoseTask | None, model: ModelConfig) -> tuple[int, int]:
    """(W, H) in pixels: the pose's shape decides between landscape and portrait; landscape without a readable pose."""
    from animateanywhere.pose.detector import probe_pose

    if task is None:
        return model.width, model.height
    try:
        return model.size_for(*probe_pose(task.source).size)
    except InputError:  # the Pose tab already says what is wrong with it
        return model.width, model.height
