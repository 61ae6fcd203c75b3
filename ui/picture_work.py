"""Person and background pictures as the model will see them. No Gradio; heavy imports are inside the functions."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from animateanywhere.config import ModelConfig
from animateanywhere.errors import InputError
from ui.pose_work import PoseFound, PoseTask
from ui.services import Services

EDITOR_SIDE_PX = 720
KEEP_RGB, REMOVE_RGB = (0, 158, 115), (213, 94, 0)
"""Colours of the strokes: this belongs to the person; this does not."""
_WAITING = "Shown once the model is loaded: its size decides."
_LEFT_OUT = 0.35
"""Brightness of what is not part of a picture."""
_KEPT_PICTURES = 4
_NOTABLE_CROP = 0.02


@dataclass(frozen=True)
class Prepared:
    """A picture for the model and what to say about it; no picture if it cannot be made (yet)."""

    picture: np.ndarray | None  # uint8 [H, W, 3]
    kind: Literal["info", "good", "warning"]
    note: str
    editable: np.ndarray | None = None  # uint8 [H, W, 3]: to paint on
    has_people: bool = False


def prepare_person(path: Path, task: PoseTask | None, services: Services) -> Prepared:
    """Cut out and placed on the model's canvas. Raises InputError for a picture that cannot be used."""
    from animateanywhere.media import read_image

    image = read_image(path)
    model = services.shelf.view().model
    if model is None:
        return Prepared(None, "info", _WAITING)
    from animateanywhere.segmentation import place_on_canvas

    rgba, was_cut_out = _cut_out(path, path.stat().st_mtime_ns)
    picture = place_on_canvas(rgba, clip_size(task, model), model.reference_canvas)
    editable = _editable(image[..., :3], rgba[..., 3])
    people = 1 if was_cut_out else _count_people(path, path.stat().st_mtime_ns)
    if people > 1:
        note = f"{people} people found: the largest is used. Crop the picture to choose another, or refine the cut-out."
        return Prepared(picture, "warning", note, editable)
    return Prepared(picture, "good", "", editable)


def prepare_background(path: Path, task: PoseTask | None, services: Services) -> Prepared:
    """Cropped to the clip's shape. Raises InputError for a picture that cannot be used."""
    from animateanywhere.media import cover_crop, read_image

    image = read_image(path)[..., :3]
    model = services.shelf.view().model
    if model is None:
        return Prepared(None, "info", _WAITING)
    size = clip_size(task, model)
    picture, editable = cover_crop(image, size), _editable(image, None)
    framed = _crop_note(image.shape[1::-1], size)
    people = _count_people(path, path.stat().st_mtime_ns)
    if people:
        who = "Somebody is" if people == 1 else "People are"
        note = f"{who} in the background and would stay in the clip: clear them away below, or choose an empty place."
        return Prepared(picture, "warning", note, editable, True)
    if image.shape[1] < size[0] or image.shape[0] < size[1]:
        note = f"Only {image.shape[1]}×{image.shape[0]} pixels: it is enlarged to {size[0]}×{size[1]}."
        return Prepared(picture, "warning", f"{note} {framed}", editable)
    return Prepared(picture, "info", framed, editable)


def _crop_note(size: tuple[int, int], clip: tuple[int, int]) -> str:
    """How a picture of `size` becomes one of the clip's."""
    shape = "Landscape" if clip[0] >= clip[1] else "Portrait"
    wider = size[0] / size[1] * clip[1] / clip[0]
    lost = 1 - min(wider, 1 / wider)
    words = f"{shape}, {clip[0]}×{clip[1]} pixels, like the pose"
    if lost < _NOTABLE_CROP:
        return f"{words}: the whole picture is used."
    sides = "left and right" if wider > 1 else "above and below"
    return f"{words}: {lost:.0%} of the picture is cropped away, half of it each {sides}."


def refine_cut_out(path: Path, keep: np.ndarray, remove: np.ndarray, folder: Path) -> Path:
    """Write the person's picture with strokes, bool [h, w], done to its cut-out, as a png. Raises InputError."""
    from animateanywhere.segmentation import refined_cut_out

    rgba, _ = _cut_out(path, path.stat().st_mtime_ns)
    return _save(refined_cut_out(rgba, keep, remove), folder / f"{path.stem}_refined.png")


def clear_background(path: Path, strokes: np.ndarray | None, folder: Path) -> tuple[Path, Path]:
    """Write the place without its people and what is painted over: (before, after). Raises InputError if that is nothing."""
    import cv2

    from animateanywhere.clean_background import people_in
    from animateanywhere.media import limited_size, read_image, resized
    from animateanywhere.patch_fill import filled

    image = read_image(path)[..., :3]
    image = np.ascontiguousarray(resized(image, limited_size(*image.shape[1::-1], 2048)))
    hole = people_in(image)
    if strokes is not None:
        painted = cv2.resize(strokes.astype(np.uint8), image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        hole |= painted > 0
    if not hole.any():
        raise InputError("nobody was found in the background: paint over what should go, then press the button again")
    if hole.all():
        raise InputError("the whole background would go: paint less, or choose an empty place")
    before = _save(image, folder / "before.png")
    return before, _save(filled(image, hole), folder / f"{path.stem}_cleared.png")


def compose_scene(
    human: Path,
    place: Path,
    task: PoseTask,
    found: PoseFound | None,
    person: int,
    strength: float,
    model: ModelConfig,
) -> np.ndarray:
    """uint8 [H, W, 3]: the preview's first picture with the person. Raises InputError where that is not known.

    `found`: what was found in `task`, if something was; `strength`: how far the pose takes over the person's proportions.
    """
    from animateanywhere.config import PreviewConfig
    from animateanywhere.media import cover_crop, read_image
    from animateanywhere.prepared_pose import pose_for_person
    from animateanywhere.preview import PreviewInputs, person_in_place
    from animateanywhere.preview_files import found_joints

    joints = found.joints if found is not None and task.source == found.pose else task.source
    if joints is None:
        raise InputError(
            "the joints of the drawn skeleton cannot be told, so the person's place in the scene is not known"
        )
    if joints.suffix.lower() != ".json":
        raise InputError("shown once the pose has been extracted, on the next page")
    pose, _ = pose_for_person(
        found_joints(joints, fps=model.fps), human, person, strength, model.pose_style, task.detector
    )
    scene = cover_crop(read_image(place)[..., :3], PreviewConfig().size_for(*clip_size(task, model)))
    cut_out = _cut_out_for_preview(human, human.stat().st_mtime_ns)
    return person_in_place(PreviewInputs(*cut_out, scene, pose.sequence, model.num_frames, model.fps), person)


def strokes_of(value: dict | None, colour: tuple[int, int, int] | None = None) -> np.ndarray | None:
    """bool [H, W]: what was painted in an image editor, in about this `colour` (None: in any); None without strokes."""
    layers = [layer for layer in (value or {}).get("layers", ()) if layer is not None and layer.shape[2] == 4]
    if not layers:
        return None
    painted = np.zeros(layers[0].shape[:2], bool)
    for layer in layers:
        near = np.ones(painted.shape, bool)
        if colour is not None:
            other = REMOVE_RGB if colour == KEEP_RGB else KEEP_RGB
            away = [np.abs(layer[..., :3].astype(int) - rgb).sum(-1) for rgb in (colour, other)]
            near = away[0] <= away[1]
        painted |= (layer[..., 3] > 127) & near
    return painted if painted.any() else None


@lru_cache(maxsize=_KEPT_PICTURES)
def _cut_out(path: Path, changed_ns: int) -> tuple[np.ndarray, bool]:
    """uint8 [H, W, 4], and whether the picture came cut out. Cut out once: each change of the pose asks again."""
    from animateanywhere.media import read_image
    from animateanywhere.segmentation import cut_out_person

    image = read_image(path)
    rgba = cut_out_person(image)
    return rgba, rgba is image


@lru_cache(maxsize=_KEPT_PICTURES)
def _cut_out_for_preview(path: Path, changed_ns: int) -> tuple[np.ndarray, np.ndarray | None]:
    from animateanywhere.preview_files import cut_out_for_preview

    return cut_out_for_preview(path)


@lru_cache(maxsize=16)
def _count_people(path: Path, changed_ns: int) -> int:
    from animateanywhere.pose.detector import extract_pose

    try:
        return int(extract_pose(path).seen().any(0).sum())
    except InputError:  # nobody found
        return 0


def _editable(rgb: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """The picture to paint on, dark where it is not part of the cut-out."""
    from animateanywhere.media import limited_size, resized

    size = limited_size(*rgb.shape[1::-1], EDITOR_SIDE_PX)
    small = resized(rgb, size)
    if alpha is None:
        return small
    share = resized(np.dstack([alpha] * 3), size).astype(np.float32) / 255
    return (small * (_LEFT_OUT + (1 - _LEFT_OUT) * share)).astype(np.uint8)


def _save(picture: np.ndarray, path: Path) -> Path:
    from PIL import Image

    try:
        Image.fromarray(picture).save(path, compress_level=3)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}; free disk space") from error
    return path


def clip_size(task: PoseTask | None, model: ModelConfig) -> tuple[int, int]:
    """(W, H) in pixels: the pose's shape decides between landscape and portrait; landscape without a readable pose."""
    from animateanywhere.pose.detector import probe_pose

    if task is None:
        return model.width, model.height
    try:
        return model.size_for(*probe_pose(task.source).size)
    except InputError:  # the Pose tab already says what is wrong with it
        return model.width, model.height
