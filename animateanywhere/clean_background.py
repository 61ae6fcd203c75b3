"""A place without people: where they are in a picture, and quick paint in their stead; `patch_fill` takes longer over it."""

import cv2
import numpy as np

from animateanywhere.media import limited_size, resized
from animateanywhere.pose.mediapipe_detector import MediapipeDetector
from animateanywhere.pose.mediapipe_masks import PersonMasker, foreground_mask
from animateanywhere.pose.sequence import SEEN_BODY_JOINTS, SEEN_CONFIDENCE

_WORK_SIDE_PX = 1024
_MOST_PEOPLE, _MOST_LOOKS = 16, 4
"""In one look, and how often: who stands beside or behind somebody is found once that one is painted over."""
_PERSON = 0.3
"""How surely a pixel must belong to somebody to go: rather a little too much than a rim of hair that stays."""
_FOREGROUND = 0.25
"""The same where no joints say who it is."""
_ROOM = 0.012
"""Of the longer side: shadows and soft edges around people."""
_PAINT_RADIUS_PX = 4


def people_in(picture: np.ndarray) -> np.ndarray:
    """bool [H, W]: everybody that the pose detector finds in uint8 [H, W, 3], with some room around them."""
    height, width = picture.shape[:2]
    small = np.ascontiguousarray(resized(picture, limited_size(width, height, _WORK_SIDE_PX)))
    people = np.zeros(small.shape[:2], np.uint8)
    left = small
    for _ in range(_MOST_LOOKS):
        found = _found_in(left)
        if not found.any():
            break
        people |= found
        left = painted_over(small, _grown(people))
    if people.any():
        people |= _what_hangs_together((foreground_mask(small) > _FOREGROUND).astype(np.uint8), people)
    return cv2.resize(_grown(people), (width, height), interpolation=cv2.INTER_NEAREST).astype(bool)


def painted_over(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] with the `hole`, bool [H, W], filled from its rim: at once, smooth, without texture (Telea 2004)."""
    return cv2.inpaint(np.ascontiguousarray(picture), hole.astype(np.uint8), _PAINT_RADIUS_PX, cv2.INPAINT_TELEA)


def _found_in(small: np.ndarray) -> np.ndarray:
    """uint8 [h, w]: 1 where the detector sees bodies."""
    people = np.zeros(small.shape[:2], np.uint8)
    with PersonMasker() as masker:
        for joints in next(iter(MediapipeDetector(_MOST_PEOPLE).detect([small])), ()):
            if (joints[:17, 2] >= SEEN_CONFIDENCE).sum() < SEEN_BODY_JOINTS:
                continue
            mask = masker.mask(small, joints)
            if mask is not None:
                people |= (mask > _PERSON).astype(np.uint8)
    return people


def _what_hangs_together(foreground: np.ndarray, people: np.ndarray) -> np.ndarray:
    """uint8 [h, w]: the parts of the foreground in which somebody was found."""
    _, parts = cv2.connectedComponents(foreground)
    met = np.unique(parts[(people > 0) & (foreground > 0)])
    return np.isin(parts, met[met > 0]).astype(np.uint8)


def _grown(people: np.ndarray) -> np.ndarray:
    reach = max(2, round(_ROOM * max(people.shape)))
    return cv2.dilate(people, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1)))
