"""A place without people: where they are in a picture, and paint in their stead."""

import cv2
import numpy as np

from animateanywhere.media import limited_size, resized
from animateanywhere.pose.mediapipe_detector import MediapipeDetector
from animateanywhere.pose.mediapipe_masks import PersonMasker
from animateanywhere.pose.sequence import SEEN_BODY_JOINTS, SEEN_CONFIDENCE

_WORK_SIDE_PX = 1024
_PERSON = 0.3
"""How surely a pixel must belong to somebody to go: rather a little too much than a rim of hair that stays."""
_ROOM = 0.012
"""Of the longer side: shadows and soft edges around people."""
_PAINT_RADIUS_PX = 4


def people_in(picture: np.ndarray) -> np.ndarray:
    """bool [H, W]: everybody that the pose detector finds in uint8 [H, W, 3], with some room around them."""
    height, width = picture.shape[:2]
    small = np.ascontiguousarray(resized(picture, limited_size(width, height, _WORK_SIDE_PX)))
    people = np.zeros(small.shape[:2], np.uint8)
    with PersonMasker() as masker:
        for joints in next(iter(MediapipeDetector().detect([small])), ()):
            if (joints[:17, 2] >= SEEN_CONFIDENCE).sum() < SEEN_BODY_JOINTS:
                continue
            mask = masker.mask(small, joints)
            if mask is not None:
                people |= (mask > _PERSON).astype(np.uint8)
    reach = max(2, round(_ROOM * max(small.shape)))
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    grown = cv2.dilate(people, around)
    return cv2.resize(grown, (width, height), interpolation=cv2.INTER_NEAREST).astype(bool)


def painted_over(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] with the `hole`, bool [H, W], filled from its rim: smooth, without texture (Telea 2004)."""
    return cv2.inpaint(np.ascontiguousarray(picture), hole.astype(np.uint8), _PAINT_RADIUS_PX, cv2.INPAINT_TELEA)
