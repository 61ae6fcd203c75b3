"""Which pixels are the person's: a choice of segmenters, each restricted to the person that was followed."""

from typing import Protocol

import cv2
import numpy as np

from animateanywhere.cancel import CancelToken
from animateanywhere.clip_camera import draw_people
from animateanywhere.errors import InputError
from animateanywhere.pose.mediapipe_masks import PersonMasker
from animateanywhere.pose.sequence import SEEN_CONFIDENCE

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


def person_masks(
    segmenter: PersonSegmenter,
    frames: list[np.ndarray],
    joints: np.ndarray,
    others: np.ndarray,
    cancel: CancelToken | None = None,
) -> np.ndarray:
    """bool [T, H, W]: the person with `joints` [T, 133, 3] in uint8 [H, W, 3] frames, not the `others` [T, P, 133, 3].

    Where the segmenter sees nobody, the body is drawn from its joints. Raises Cancelled.
    """
    masks = np.zeros((len(frames), *frames[0].shape[:2]), bool)
    for t, frame in enumerate(frames):
        if cancel is not None:
            cancel.raise_if_set()
        drawn = draw_people([joints[t]], masks.shape[1:])
        outline = segmenter.outline(np.ascontiguousarray(frame), joints[t])
        if outline is None:
            masks[t] = drawn
            continue
        outline = outline & ~(draw_people(others[t], masks.shape[1:]) & ~drawn)
        own = _parts_on(outline, _skeleton(joints[t], masks.shape[1:]))
        masks[t] = own if own.any() else drawn
    return masks


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
