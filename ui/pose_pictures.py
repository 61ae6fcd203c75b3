"""What the Pose tab shows of a pose: two videos, its frames, its people, a check-up, a ghost on the photo. No Gradio."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from animateanywhere.cancel import CancelToken
from animateanywhere.config import ModelConfig
from animateanywhere.errors import InputError
from ui.jobs import Step
from ui.pose_edits import PoseEdit
from ui.pose_work import PREVIEW_FRAMES, PREVIEW_SIDE_PX, PoseFound, PoseTask, find_pose

if TYPE_CHECKING:
    from animateanywhere.pose.detector import PoseInput
    from animateanywhere.pose.findings import CheckUp
    from animateanywhere.pose.sequence import PoseSequence
    from animateanywhere.pose.source_frames import SourceFrames

THUMBNAIL_PX = 128
GHOST_SIDE_PX = 480
_GHOST_STRENGTH = 0.8
_PAPER_RGB = (231, 230, 230)


@dataclass(frozen=True)
class FitRequest:
    """Give the pose the proportions of the person in a picture."""

    human: Path
    strength: float
    """0 (off) to 1."""


@dataclass(frozen=True)
class Fit:
    """What was done to fit the pose to the person."""

    ghost: Path | None
    """The person's picture with the fitted pose over it; None if it could not be fitted."""
    lines: tuple[str, ...]
    """For a person to read."""


@dataclass(frozen=True, eq=False)
class PoseShown:
    """A pose as the page shows it."""

    found: PoseFound
    edit: PoseEdit
    overlay: Path | None
    """The pose over its frames; None if there are no frames."""
    drawing: Path
    """The pose as the model reads it."""
    frames: tuple[Path, ...]
    """Every `stride`-th frame of the overlay, or of the drawing if there is none."""
    stride: int
    num_frames: int
    checkup: "CheckUp | None"
    """None: a drawing whose joints cannot be told."""
    people: tuple[Path, ...]
    """A picture of each of the check-up's people."""
    request: FitRequest | None
    fit: Fit | None
    """What came of the request; None without one."""


def find_and_draw(
    task: PoseTask, model: ModelConfig, folder: Path, report: Callable[[Step], None], cancel: CancelToken
) -> PoseShown:
    """`find_pose`, then `draw_pictures` of the largest person; all files go to `folder`."""
    found = find_pose(task, model, folder, report, cancel)
    report(Step("pictures", 0, 1))
    return draw_pictures(found, PoseEdit(found.pose), None, model, folder)


@dataclass(frozen=True)
class _Asked:
    """What pictures are asked for, and where they go."""

    found: PoseFound
    edit: PoseEdit
    fit: FitRequest | None
    model: ModelConfig
    folder: Path


def draw_pictures(
    found: PoseFound, edit: PoseEdit, fit: FitRequest | None, model: ModelConfig, folder: Path
) -> PoseShown:
    """Write everything that is shown of an edited pose to `folder`. Raises InputError on a person who is not in it."""
    from animateanywhere.media import VideoFrames, write_video
    from animateanywhere.overlay import laid_over, number_people
    from animateanywhere.pose.checkup import check_up

    asked = _Asked(found, edit, fit, model, folder)
    pose, joints, source = _load(found, edit)
    num_frames = found.num_frames if joints is None else joints.num_frames
    stride = _stride(num_frames)
    count, fps = -(-num_frames // stride), (found.fps if joints is None else joints.fps) / stride
    below = None if source is None else _frames_below(found, source, joints, stride)
    size = below.shape[2:0:-1] if below is not None else _preview_size(pose.source_size)
    checkup = None if joints is None else check_up(joints, edit.person)
    fitted, fit_done = _fitted(pose, asked)
    drawn = pose.frames(size, count, fps, model.pose_style, edit.person)
    read = drawn if fitted is pose else fitted.frames(size, count, fps, model.pose_style, edit.person)
    drawing, overlay, over = folder / "pose.mp4", None, read
    write_video(VideoFrames(read, fps), drawing)
    if below is not None:
        over, overlay = laid_over(drawn, below), folder / "pose_over_video.mp4"
        if joints.num_people > 1:
            number_people(over, joints.resampled(fps, count).contained_in(size).boxes_px())
        write_video(VideoFrames(over, fps), overlay)
    frames = tuple(_write_picture(frame, folder / f"frame_{k * stride:05d}.jpg") for k, frame in enumerate(over))
    people = () if checkup is None else _thumbnails(checkup, below, joints, stride, asked)
    return PoseShown(found, edit, overlay, drawing, frames, stride, num_frames, checkup, people, fit, fit_done)


def _stride(num_frames: int) -> int:
    return -(-num_frames // PREVIEW_FRAMES)


def _load(found: PoseFound, edit: PoseEdit) -> "tuple[PoseInput, PoseSequence | None, SourceFrames | None]":
    """The edited pose as it is drawn, its joints if they can be told, and which frames lie under it if there are any."""
    from animateanywhere.pose.detector import PoseInput, load_pose_input
    from animateanywhere.pose.sequence import PoseSequence
    from animateanywhere.pose.source_frames import repaired_with_source

    if found.is_drawn and not edit.steps:
        stride = _stride(found.num_frames)
        pose = load_pose_input(found.pose, fps=found.fps / stride, max_frames=-(-found.num_frames // stride))
        return pose, found.joints and PoseSequence.from_json(found.joints), None
    sequence, source = repaired_with_source(PoseSequence.from_json(found.joints), edit.steps)
    sequence = sequence.quantised()
    without_frames = found.is_drawn or found.task.source.suffix.lower() == ".json"
    pose = PoseInput("sequence", sequence, None, sequence.image_size, sequence.fps)
    return pose, sequence, None if without_frames else source


def _frames_below(found: PoseFound, source: "SourceFrames", sequence: "PoseSequence", stride: int) -> np.ndarray:
    """uint8 [count, H, W, 3]: the video's own picture under every `stride`-th frame, turned as the repairs turned it."""
    import cv2

    from animateanywhere.pose.sequence import PoseSequence

    wanted = source.index[::stride]
    pictures = _read_frames(found, set(wanted.tolist()))
    height, width = next(iter(pictures.values())).shape[:2]
    was, now = PoseSequence.from_json(found.joints).image_size, sequence.image_size
    if was == now and np.allclose(source.to_pose, np.eye(3)[:2], atol=1e-6):
        return np.stack([pictures[index] for index in wanted.tolist()])
    scale = max(width, height) / max(now)
    size = max(8, round(now[0] * scale)), max(8, round(now[1] * scale))
    # To pixels of the pose with corners at whole numbers, through the repairs, and back to OpenCV's centres.
    before = np.array([[was[0] / width, 0, was[0] / width / 2], [0, was[1] / height, was[1] / height / 2], [0, 0, 1]])
    after = np.diag([size[0] / now[0], size[1] / now[1]])
    way = after @ source.to_pose @ before - [[0, 0, 0.5], [0, 0, 0.5]]
    return np.stack([cv2.warpAffine(pictures[index], way, size, flags=cv2.INTER_AREA) for index in wanted.tolist()])


def _read_frames(found: PoseFound, wanted: set[int]) -> dict[int, np.ndarray]:
    """Pictures of the video at the pose's own ticks, by their number; a video that ends sooner gives its last one."""
    from contextlib import closing

    from animateanywhere.media import iter_video, limited_size, read_image, resized
    from animateanywhere.pose.detector import IMAGE_SUFFIXES

    source = found.task.source
    if source.suffix.lower() in IMAGE_SUFFIXES:
        image = _opaque(read_image(source))
        frames = (picture for picture in [resized(image, limited_size(*image.shape[1::-1], PREVIEW_SIDE_PX))])
    else:
        frames = iter_video(source, fps=found.fps, max_frames=max(wanted) + 1, longest_side=PREVIEW_SIDE_PX)
    kept, last = {}, None
    with closing(frames):
        for number, frame in enumerate(frames):
            last = np.ascontiguousarray(frame[:, ::-1]) if found.task.mirror else frame
            if number in wanted:
                kept[number] = last
    return {number: kept.get(number, last) for number in wanted}


def _fitted(pose: "PoseInput", shown: _Asked) -> "tuple[PoseInput, Fit | None]":
    """The pose with the picture's proportions as Generate gives them to it, and its ghost on the picture."""
    from animateanywhere.prepared_pose import pose_for_person

    fit, person, style = shown.fit, shown.edit.person, shown.model.pose_style
    if fit is None or not fit.strength:
        return pose, None
    human, detector = fit.human, shown.found.task.detector
    try:
        human = skeleton_of(human, human.stat().st_mtime_ns, detector)
    except (InputError, OSError):
        pass  # pose_for_person says why
    fitted, lines = pose_for_person(pose, human, person, fit.strength, style, detector)
    return fitted, Fit(None if fitted is pose else _draw_ghost(fitted, human, shown), lines)


def _draw_ghost(fitted: "PoseInput", skeleton: "PoseSequence", shown: _Asked) -> Path:
    """The fitted pose, in the frame that shows it best, over the person's picture."""
    from animateanywhere.media import limited_size, read_image, resized
    from animateanywhere.overlay import laid_over
    from animateanywhere.pose.draw import draw_pose
    from animateanywhere.pose.others import person_cards
    from animateanywhere.pose.retarget import placed_on_picture

    person = shown.edit.person
    best = next((card.frame for card in person_cards(fitted.sequence) if card.person == person), 0)
    placed = placed_on_picture(fitted.sequence, skeleton, person, best)
    picture = _opaque(read_image(shown.fit.human))
    picture = resized(picture, limited_size(*picture.shape[1::-1], GHOST_SIDE_PX))
    alone = replace(placed, joints_px=placed.joints_px[best : best + 1], confidence=placed.confidence[best : best + 1])
    drawn = draw_pose(alone, picture.shape[1::-1], shown.model.pose_style)
    ghost = laid_over(drawn, picture[None])[0] * _GHOST_STRENGTH + picture * (1 - _GHOST_STRENGTH)
    return _write_picture(ghost.astype(np.uint8), shown.folder / "ghost.jpg")


@lru_cache(maxsize=8)
def skeleton_of(human: Path, changed_ns: int, detector: str) -> "PoseSequence":
    """Joints of the person in a picture, looked for once. Raises InputError if there are none."""
    from animateanywhere.prepared_pose import reference_skeleton

    return reference_skeleton(human, detector)


def _thumbnails(
    checkup: "CheckUp", below: np.ndarray | None, joints: "PoseSequence", stride: int, shown: _Asked
) -> tuple[Path, ...]:
    """Each person where they are seen best, cut out of the video, or drawn if there is none."""
    from animateanywhere.media import limited_size, resized
    from animateanywhere.pose.draw import draw_pose

    paths = []
    for card in checkup.people if len(checkup.people) > 1 else ():
        if below is not None:
            picture = below[min(card.frame // stride, len(below) - 1)]
        else:
            frame = slice(card.frame, card.frame + 1)
            alone = replace(joints, joints_px=joints.joints_px[frame], confidence=joints.confidence[frame])
            picture = draw_pose(alone, _preview_size(joints.image_size), shown.model.pose_style, card.person)[0]
        scale = np.array(picture.shape[1::-1]) / joints.image_size
        left, top, right, bottom = np.rint(np.array(card.box_px) * np.tile(scale, 2)).astype(int).tolist()
        crop = picture[top : max(bottom, top + 8), left : max(right, left + 8)]
        crop = resized(np.ascontiguousarray(crop), limited_size(*crop.shape[1::-1], THUMBNAIL_PX))
        paths.append(_write_picture(crop, shown.folder / f"person_{card.person}.jpg"))
    return tuple(paths)


def _write_picture(picture: np.ndarray, path: Path) -> Path:
    """Write uint8 [H, W, 3] as jpg. Raises InputError if the disk refuses."""
    from PIL import Image

    try:
        Image.fromarray(picture).save(path, quality=88)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}; free disk space") from error
    return path


def _preview_size(size: tuple[int, int]) -> tuple[int, int]:
    from animateanywhere.media import limited_size

    width, height = limited_size(*size, PREVIEW_SIDE_PX)
    return max(8, width), max(8, height)


def _opaque(image: np.ndarray) -> np.ndarray:
    """A transparent picture on the grey that models see."""
    if image.shape[2] == 3:
        return image
    alpha = image[..., 3:].astype(np.float32) / 255
    return np.rint(image[..., :3] * alpha + np.float32(_PAPER_RGB) * (1 - alpha)).astype(np.uint8)
