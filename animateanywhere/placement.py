"""A person's picture put into a place, where and as large as a pose has them: a still, in which nothing moves yet."""

from dataclasses import replace

import cv2
import numpy as np

from animateanywhere.errors import InputError
from animateanywhere.pose.others import person_cards
from animateanywhere.pose.retarget import placed_on_picture
from animateanywhere.pose.sequence import SEEN_CONFIDENCE, PoseSequence


def placed_in_scene(
    cut_out: np.ndarray, skeleton: PoseSequence, place: np.ndarray, pose: PoseSequence, person: int = 0
) -> np.ndarray:
    """uint8 [H, W, 3]: the cut-out over the place, at the first frame in which the pose shows the person.

    `cut_out` uint8 [h, w, 4]; `skeleton`: its joints, one frame; `place` uint8 [H, W, 3], the pose is letterboxed into it as
    for a model. Shoulders and size agree, arms and legs keep the picture's own pose. Raises InputError if the pose or the
    picture shows nobody.
    """
    card = next((card for card in person_cards(pose) if card.person == person), None)
    if card is None or not skeleton.seen().any():
        raise InputError("nobody is seen in the pose or in the person's picture, so there is no place to put them")
    frame = slice(card.first, card.first + 1)
    there = replace(pose.person(person), joints_px=pose.joints_px[frame, person : person + 1],
                    confidence=pose.confidence[frame, person : person + 1])  # fmt: skip
    placed = placed_on_picture(skeleton, there.contained_in(place.shape[1::-1]))
    known = skeleton.confidence[0, 0, :17] >= SEEN_CONFIDENCE
    before, after = skeleton.joints_px[0, 0, :17][known], placed.joints_px[0, 0, :17][known]
    scale = float(np.linalg.norm(np.ptp(after, axis=0)) / max(1e-6, np.linalg.norm(np.ptp(before, axis=0))))
    shift = (after - scale * before).mean(0)
    # Corners at whole numbers to OpenCV's centres.
    way = np.array([[scale, 0, shift[0] + scale / 2 - 0.5], [0, scale, shift[1] + scale / 2 - 0.5]])
    colour = cut_out.astype(np.float32)
    colour[..., :3] *= colour[..., 3:] / 255  # transparent pixels may hold any colour
    if scale < 0.5:
        colour = cv2.GaussianBlur(colour, (0, 0), 0.4 / scale)
    laid = cv2.warpAffine(colour, way, place.shape[1::-1], flags=cv2.INTER_LINEAR)
    return np.rint(np.clip(laid[..., :3] + place * (1 - laid[..., 3:] / 255), 0, 255)).astype(np.uint8)
