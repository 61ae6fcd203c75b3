"""One window of a shot to one training clip."""

from dataclasses import dataclass

import cv2
import numpy as np

from animateanywhere.cancel import CancelToken
from animateanywhere.geometry.cameras import CameraPath
from animateanywhere.media import limited_size, resized
from animateanywhere.pose.sequence import BODY, SEEN_CONFIDENCE, PoseSequence
from trainer.prepare.background import Inpainter, donors_for, uncover
from trainer.prepare.cameras import WindowCamera, unknown_camera, window_from_file, window_from_video
from trainer.prepare.crop import Crop
from trainer.prepare.people import ShotPeople, body_height, hand_mask
from trainer.prepare.reference import Reference, pick_reference
from trainer.prepare.settings import PrepareConfig

_LEAST_SEEN = 0.9
"""Share of a clip's frames in which the person's body must be in the clip's part of the picture."""
_BACKGROUND_SIDE_PX = 512
"""Longer side of the pictures the background is cleared in, or the clip's own where that is larger."""
_HALO = 0.035
"""Of the body's height: the person's soft outline and contact shadow, cleared from the background with it."""


class DroppedError(Exception):
    """This window gives no clip. The message says why, for the report."""


@dataclass(frozen=True, eq=False)
class Shot:
    """One shot in memory."""

    start: int
    """Tick of its first frame: frame k shows the video at (start + k) / fps."""
    frames: list[np.ndarray]  # uint8 [h, w, 3]
    people: ShotPeople
    masks: list[np.ndarray]  # bool [h, w]: the person


@dataclass(frozen=True, eq=False)
class PreparedClip:
    """A clip's pixels and labels, in the clip's own pixels, before they become tensors."""

    video: np.ndarray  # uint8 [T, H, W, 3]
    background: np.ndarray  # uint8 [H, W, 3]
    reference: Reference
    joints: np.ndarray  # float32 [T, 133, 3]
    human_mask: np.ndarray  # bool [T, H, W]
    hand_mask: np.ndarray  # bool [T, H, W]
    camera: WindowCamera
    caption: str
    fps: float
    background_seen: float
    """0..1: share of the cleared background that other frames showed; the rest is painted."""

    @property
    def size(self) -> tuple[int, int]:
        """(W, H) in pixels."""
        return self.video.shape[2], self.video.shape[1]

    def pose(self) -> PoseSequence:
        return PoseSequence.from_stage(self.joints[..., :2], self.joints[..., 2], self.size, self.fps)

    def pose_seen(self) -> float:
        """Share of the body's joints that were found, mean over the frames, 0..1."""
        return float((self.joints[:, BODY, 2] >= SEEN_CONFIDENCE).mean())

    def as_training_clip(self):
        """The same as a `TrainingClip`."""
        # torch takes seconds to load: a run that finds everything done needs none.
        import torch

        from trainer.training_clip import TrainingClip

        tensors = {
            "video": self.video,
            "background": self.background,
            "reference": self.reference.picture,
            "joints_px": self.joints[..., :2],
            "joint_confidence": self.joints[..., 2],
            "human_mask": self.human_mask,
            "hand_mask": self.hand_mask,
            "intrinsics_px": self.camera.path.intrinsics_px,
            "camera_from_world": self.camera.path.camera_from_world,
        }
        return TrainingClip(
            **{name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in tensors.items()},
            caption=self.caption,
            fps=self.fps,
            camera_confidence=self.camera.confidence,
        )


@dataclass(frozen=True, eq=False)
class GivenCameras:
    """What the camera file says, or why it says nothing; unused when cameras are estimated."""

    path: CameraPath | None
    trouble: str


def make_clip(
    shot: Shot,
    window: range,
    config: PrepareConfig,
    inpainter: Inpainter,
    given: GivenCameras | None,
    caption: str,
    identity: str,
    cancel: CancelToken | None = None,
) -> PreparedClip:
    """Cut `window` (frames of the shot) out and label it. `identity` decides the random choices.

    Raises DroppedError, Cancelled.
    """
    frames = shot.frames[window.start : window.stop]
    height, width = frames[0].shape[:2]
    crop = Crop((width, height), config.clip_size(width, height))
    placed = crop.joints(shot.people.bridged[window.start : window.stop])
    _check_person(placed, crop.target, config)
    reference = pick_reference(shot.frames, shot.people, window, crop.target, identity)
    if reference is None:
        raise DroppedError("the person cannot be cut out of any frame for the reference picture")
    masks, hands = _masks(shot, window)
    camera = _camera(shot, window, masks, config, given, crop, cancel)
    video = np.stack([crop.picture(frame) for frame in frames])
    human = np.stack([crop.mask(mask) for mask in masks])
    background, seen = _background(shot, window, masks, video, human, crop, inpainter)
    return PreparedClip(
        video=video,
        background=background,
        reference=reference,
        joints=placed,
        human_mask=human,
        hand_mask=np.stack([crop.mask(hand) for hand in hands]) & human,
        camera=camera,
        caption=caption,
        fps=config.fps,
        background_seen=seen,
    )


def _check_person(joints: np.ndarray, size: tuple[int, int], config: PrepareConfig) -> None:
    """Raises DroppedError if the person is too small, or cut off by the crop, in a clip of `size` (W, H)."""
    seen = PoseSequence(joints[:, None, :, :2], joints[:, None, :, 2], size, config.fps).seen()[:, 0]
    if seen.mean() < _LEAST_SEEN:
        raise DroppedError(f"the person is in the clip's part of the picture in {seen.mean():.0%} of its frames only")
    share = body_height(joints) / size[1]
    if share < config.smallest_person:
        raise DroppedError(
            f"the person is small: {share:.0%} of the picture's height, at least {config.smallest_person:.0%} are wanted"
        )


def _masks(shot: Shot, window: range) -> tuple[np.ndarray, np.ndarray]:
    """bool [T, h, w] each: the person with the hands, and the hands."""
    masks = np.stack([shot.masks[frame] for frame in window])
    hands = np.stack([_hands(shot.people.bridged[frame], mask) for frame, mask in zip(window, masks, strict=True)])
    return masks | hands, hands


def _hands(joints: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """bool [h, w]: hands, where they lie on the person or just beside: masks end at the wrist now and then."""
    reach = max(3, round(0.03 * body_height(joints[None])))
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return hand_mask(joints, mask.shape) & (cv2.dilate(mask.astype(np.uint8), around) > 0)


def _camera(
    shot: Shot,
    window: range,
    masks: np.ndarray,
    config: PrepareConfig,
    given: GivenCameras | None,
    crop: Crop,
    cancel: CancelToken | None,
) -> WindowCamera:
    if config.cameras == "none":
        return unknown_camera(len(window), config.fps, crop, "No cameras were asked for.")
    if config.cameras_from_files:
        if given.path is None:
            return unknown_camera(len(window), config.fps, crop, f"No cameras: {given.trouble}.")
        ticks = range(shot.start + window.start, shot.start + window.stop)
        return window_from_file(given.path, ticks, config.fps, crop)
    covered = masks | np.stack([shot.people.covered(frame, masks.shape[1:]) for frame in window])
    return window_from_video(shot.frames[window.start : window.stop], covered, config.fps, crop, cancel)


def _background(
    shot: Shot,
    window: range,
    masks: np.ndarray,
    video: np.ndarray,
    human: np.ndarray,
    crop: Crop,
    inpainter: Inpainter,
) -> tuple[np.ndarray, float]:
    """The clip's first frame without the person, uint8 [H, W, 3], and which share of it was seen elsewhere."""
    first, shape = window.start, masks.shape[1:]
    reach = max(3, round(_HALO * body_height(shot.people.bridged[first][None])))
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    hole = cv2.dilate(masks[0].astype(np.uint8), around) > 0
    donors = donors_for(first, len(shot.frames))
    covered = [shot.people.others_covered(frame, shape) | shot.masks[frame] for frame in donors]
    size = limited_size(*crop.source, max(_BACKGROUND_SIDE_PX, *crop.scaled))
    uncovered = uncover(
        resized(shot.frames[first], size),
        _scaled(hole, size),
        [resized(shot.frames[frame], size) for frame in donors],
        [_scaled(people, size) for people in covered],
    )
    seen = 1 - uncovered.left.sum() / max(1, uncovered.hole.sum())
    picture = crop.picture(uncovered.picture)
    left = cv2.dilate(crop.mask(uncovered.left).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    if left.any():
        holes = human.copy()
        holes[0] = left
        picture = inpainter.fill(np.concatenate([picture[None], video[1:]]), holes)
    # What was not cleared is the first frame, to the bit.
    kept = ~crop.mask(uncovered.hole) & ~left & ~human[0]
    picture = np.where(kept[..., None], video[0], picture)
    return np.ascontiguousarray(picture), float(seen)


def _scaled(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """bool [h, w] to `size` (W, H): pixels covered in any part."""
    return cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
