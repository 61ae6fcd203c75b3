"""Which pixels are the person's: a choice of segmenters, each restricted to the person that was followed."""

from collections.abc import Iterator
from typing import Protocol

import cv2
import numpy as np

from animateanywhere.clip_camera import draw_people
from animateanywhere.errors import InputError
from animateanywhere.pose.mediapipe_masks import PersonMasker
from animateanywhere.pose.sequence import SEEN_CONFIDENCE
from trainer.prepare.people import ShotPeople

_BONES = ((5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16), (5, 6), (11, 12), (5, 11), (6, 12))
_SMALLEST_PART = 0.01
"""Of the person's area: smaller separate parts are noise."""


class PersonSegmenter(Protocol):
    """Outlines one person whose joints are known. Closed after the last shot."""

    name: str

    def outline(self, frame: np.ndarray, joints: np.ndarray) -> np.ndarray | None:
        """bool [H, W] of uint8 [H, W, 3]: the person with joints float32 [133, 3]; None where it sees none."""
        ...

    def close(self) -> None: ...


class MediapipeSegmenter:
    """mediapipe's body and selfie models; offline."""

    name = "mediapipe"

    def __init__(self):
        self._masker = PersonMasker()

    def outline(self, frame: np.ndarray, joints: np.ndarray) -> np.ndarray | None:
        sure = self._masker.mask(frame, joints)
        return None if sure is None else sure > 0.5

    def close(self) -> None:
        self._masker.close()


def create_segmenter(name: str) -> PersonSegmenter:
    """`mediapipe` or `grounded-sam`. Raises InputError on another name, or if its weights cannot be had."""
    if name == "mediapipe":
        return MediapipeSegmenter()
    if name == "grounded-sam":
        from trainer.prepare.grounded_sam import GroundedSamSegmenter

        return GroundedSamSegmenter()
    raise InputError(f"masks {name!r}: expected mediapipe or grounded-sam")


def person_masks(segmenter: PersonSegmenter, frames: list[np.ndarray], people: ShotPeople) -> Iterator[np.ndarray]:
    """Yield bool [H, W] per uint8 [H, W, 3] frame of a shot: the person the shot is about, and not the others in it.

    Where the segmenter sees nobody, the body is drawn from its joints; where the person is not in view, nothing is.
    """
    shape = frames[0].shape[:2]
    for frame, joints, others, present in zip(frames, people.bridged, people.others, people.present, strict=True):
        if not present:
            yield np.zeros(shape, bool)
            continue
        drawn = draw_people([joints], shape)
        outline = segmenter.outline(np.ascontiguousarray(frame), joints)
        if outline is None:
            yield drawn
            continue
        outline = outline & ~(draw_people(others, shape) & ~drawn)
        own = _parts_on(outline, _skeleton(joints, shape))
        yield own if own.any() else drawn


def _skeleton(joints: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    drawn = np.zeros(shape, np.uint8)
    points = np.rint(joints[:, :2] - 0.5).astype(int)
    for a, b in _BONES:
        if min(joints[a, 2], joints[b, 2]) >= SEEN_CONFIDENCE:
            cv2.line(drawn, points[a].tolist(), points[b].tolist(), 1, 1)
    return drawn > 0


def _parts_on(outline: np.ndarray, skeleton: np.ndarray) -> np.ndarray:
    """The connected parts of an outline that lie on the person's bones, but for specks."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(outline.astype(np.uint8), connectivity=8)
    touched = np.zeros(len(stats), bool)
    touched[np.unique(labels[skeleton & outline])] = True
    touched[0] = False
    touched &= stats[:, cv2.CC_STAT_AREA] >= _SMALLEST_PART * outline.sum()
    return touched[labels]
