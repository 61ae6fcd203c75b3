"""A draft of a clip without any model: the cut-out person moved by the pose, the place as the implied camera would see it.

For looking before paying. It shows where the person will be and how the background will move; it does not show what a
model will make of either, and says so in the picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from animateanywhere.cutout import CutOut
from animateanywhere.errors import InputError
from animateanywhere.geometry.camera_variants import CameraVariant, ImpliedCamera
from animateanywhere.implied_camera import CameraReader, choose_variant, read_camera
from animateanywhere.moved_person import held, puppet
from animateanywhere.moving_background import lay_over
from animateanywhere.place_relief import filmed_place
from animateanywhere.pose.sequence import PoseSequence
from animateanywhere.puppet import PuppetMotion, person_layers

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_LETTERS = 0.026
"""Of the picture's longer side: height of the label's letters."""
_STRIP = 0.45
"""Brightness that is left under the label."""


@dataclass(frozen=True, eq=False)
class PreviewInputs:
    """One clip's inputs at the preview's size."""

    person: np.ndarray
    """uint8 [H', W', 4] of any size: the person cut out."""
    person_joints: np.ndarray | None
    """float32 [133, 3] in pixels of that picture; None: none were found."""
    background: np.ndarray
    """uint8 [H, W, 3]"""
    pose: PoseSequence
    """In pixels of any picture; it is fitted into the background's."""
    num_frames: int
    fps: float


@dataclass(frozen=True, eq=False)
class Draft:
    """What will be drawn, decided before any frame is."""

    camera: ImpliedCamera
    chosen: CameraVariant
    cutout: CutOut
    motion: PuppetMotion
    background: np.ndarray
    """uint8 [H, W, 3]"""
    notes: tuple[str, ...]

    def frames(self) -> Iterator[np.ndarray]:
        """Yield uint8 [H, W, 3] pictures, labelled as a draft."""
        words = f"DRAFT: {self.chosen.sentence} ({self.chosen.probability:.0%})"
        for picture in self.pictures():
            _label(picture, words)
            yield picture

    def pictures(self) -> Iterator[np.ndarray]:
        """The same without the label, to be measured, never to be shown as a clip."""
        places = filmed_place(self.background, self.chosen.cameras, self.camera.far_m)
        layers = person_layers(self.cutout, self.motion, self.background.shape[1::-1])
        for place, layer in zip(places, layers, strict=True):
            yield lay_over(place, layer)


def plan_draft(
    inputs: PreviewInputs,
    *,
    variant: str = "",
    prompt: str = "",
    person: int = 0,
    reader: CameraReader = "learned",
) -> Draft:
    """Read the camera off the pose, choose one of its variants, take the person apart.

    `variant`: a name of SENTENCES; if empty, the one whose sentence is in `prompt`, else the most probable. Raises
    InputError if the pose does not allow the variant, has no such person, or shows nobody whose size can be told.
    """
    pose = _fitted(inputs)
    camera = read_camera(
        pose, person=person, reader=reader, num_frames=inputs.num_frames, fps=inputs.fps, prompt=prompt
    )
    chosen, notes = choose_variant(camera, variant, prompt)
    cutout, motion = puppet(inputs.person, inputs.person_joints, held(pose, inputs.num_frames), person)
    return Draft(camera, chosen, cutout, motion, inputs.background, (*camera.notes, *notes, *cutout.notes))


def person_in_place(inputs: PreviewInputs, person: int = 0) -> np.ndarray:
    """uint8 [H, W, 3]: the draft's first picture in which the person is, before any camera has moved.

    Raises InputError if the pose has no such person, or shows nobody whose size can be told.
    """
    pose = held(_fitted(inputs), inputs.num_frames)
    cutout, motion = puppet(inputs.person, inputs.person_joints, pose, person)
    shown = np.flatnonzero(motion.shown)
    if not len(shown):
        raise InputError("nobody is seen in the pose, so there is no place to put the person")
    (layer,) = person_layers(cutout, motion.frames(slice(shown[0], shown[0] + 1)), inputs.background.shape[1::-1])
    return lay_over(inputs.background, layer)


def _fitted(inputs: PreviewInputs) -> PoseSequence:
    """The pose in the place's pixels and the clip's time."""
    height, width = inputs.background.shape[:2]
    return inputs.pose.contained_in((width, height)).resampled(inputs.fps, inputs.num_frames)


def _label(picture: np.ndarray, words: str) -> None:
    """Write in the upper right corner, in place, on a darkened strip: feet are below, players' own labels on the left."""
    height, width = picture.shape[:2]
    scale = _LETTERS * max(width, height) / 22
    (long, tall), below = cv2.getTextSize(words, _FONT, scale, 1)
    if long > width - 8:
        scale *= (width - 8) / long
        (long, tall), below = cv2.getTextSize(words, _FONT, scale, 1)
    left = max(0, width - long - 8)
    strip = picture[: tall + below + 6, left:]
    strip[:] = (strip * _STRIP).astype(np.uint8)
    cv2.putText(picture, words, (left + 4, tall + 3), _FONT, scale, (255, 255, 255), 1, cv2.LINE_AA)
