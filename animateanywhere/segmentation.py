"""The person cut out of a picture, and placed on the flat canvas that the reference network expects."""

import cv2
import numpy as np

from animateanywhere.errors import InputError
from animateanywhere.media import limited_size, resized
from animateanywhere.pose.mediapipe_masks import largest_person_mask
from animateanywhere.pose.sequence import LEFT_HAND, RIGHT_HAND

_TRANSPARENT, _TRANSPARENT_SHARE = 250, 0.01
"""An alpha channel with more than this share of pixels below this value was made on purpose."""
_VISIBLE = 16
_PAPER = 230
_WORK_SIDE_PX = 1024
_SURE_INSIDE, _SURE_OUTSIDE = 0.9, 0.3
_SURE_JOINT = 0.8
# Shoulder to wrist and hip to ankle, in COCO's body joints.
_LIMBS = ((5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16))
_UNSURE_RIM = 0.008
"""Of the picture's longer side: how far the true outline may be from the mask's."""
_SMALLEST_PART, _SMALLEST_HOLE = 0.01, 0.001
"""Of the person's area: smaller separate parts are dropped, smaller holes are filled."""
_FITTED = 0.92
"""Share of the canvas that the person fills in height or width."""


def cut_out_person(image: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3|4] -> uint8 [H, W, 4]: the largest person, everything else transparent.

    A picture that is already cut out (an alpha channel in use) keeps its alpha. Raises InputError if it shows nobody.
    """
    return image if _is_cut_out(image) else _cut_out(image[..., :3])[0]


def cut_out_with_joints(image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """The same, and that person's joints in pixels of the picture: float32 [133, 3] as a `PoseDetector` gives them.

    None if the detector sees nobody in a picture that is already cut out, such as a drawing. Raises InputError as above.
    """
    if not _is_cut_out(image):
        return _cut_out(image[..., :3])
    alpha = image[..., 3:].astype(np.float32) / 255
    opaque = np.rint(image[..., :3] * alpha + _PAPER * (1 - alpha)).astype(np.uint8)
    small, scale = _small(opaque)
    found = largest_person_mask(small)
    return image, None if found is None else found[1] * np.float32([*scale, 1])


def _is_cut_out(image: np.ndarray) -> bool:
    """Whether the alpha channel says something. Raises InputError if it says that there is nothing."""
    if image.shape[2] != 4 or (image[..., 3] < _TRANSPARENT).mean() <= _TRANSPARENT_SHARE:
        return False
    if not (image[..., 3] >= _VISIBLE).any():
        raise InputError("the person's picture is wholly transparent: give one that shows a person")
    return True


def _cut_out(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    height, width = image.shape[:2]
    small, scale = _small(image)
    found = largest_person_mask(small)
    if found is None or not (found[0] > 0.5).any():
        raise InputError("nobody found in the person's picture: give one that shows a person, or a PNG already cut out")
    alpha = cv2.resize(_refined_alpha(small, *found), (width, height), interpolation=cv2.INTER_LINEAR)
    rgba = np.dstack([image, np.rint(np.clip(alpha, 0, 1) * 255).astype(np.uint8)])
    return rgba, found[1] * np.float32([*scale, 1])


def _small(image: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """The picture at working size, and factors (x, y) back to its own."""
    height, width = image.shape[:2]
    small = np.ascontiguousarray(resized(image, limited_size(width, height, _WORK_SIDE_PX)))
    return small, (width / small.shape[1], height / small.shape[0])


def refined_cut_out(rgba: np.ndarray, added: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 4] with what a person painted: `added` and `removed`, bool [h, w] of any size with the same aspect.

    Where both are painted, it is removed. Edges are soft over a pixel or two of the strokes' own picture. Raises InputError
    if nothing is left.
    """
    height, width = rgba.shape[:2]
    add, remove = (
        cv2.resize(cv2.GaussianBlur(strokes.astype(np.float32), (0, 0), 0.7), (width, height))
        for strokes in (added, removed)
    )
    alpha = np.maximum(rgba[..., 3] / np.float32(255), add) * (1 - remove)
    refined = np.dstack([rgba[..., :3], np.rint(np.clip(alpha, 0, 1) * 255).astype(np.uint8)])
    if not (refined[..., 3] >= _VISIBLE).any():
        raise InputError("the strokes remove the whole person: paint less in the colour that removes")
    return refined


def place_on_canvas(rgba: np.ndarray, size: tuple[int, int], canvas_rgb: tuple[int, int, int]) -> np.ndarray:
    """uint8 [H, W, 4] -> uint8 [H', W', 3] of `size` (W', H'): the visible part centred and fitted on a flat colour.

    It fills 92 % of the canvas in height or width, whichever is reached first. Raises InputError if nothing is visible.
    """
    rows, columns = (np.nonzero((rgba[..., 3] >= _VISIBLE).any(axis))[0] for axis in (1, 0))
    if not len(rows):
        raise InputError("the person's picture is wholly transparent: give one that shows a person")
    person = rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = _FITTED * min(size[0] / person.shape[1], size[1] / person.shape[0])
    width, height = max(1, round(person.shape[1] * scale)), max(1, round(person.shape[0] * scale))
    person = resized(person, (width, height)).astype(np.float32)
    alpha = person[..., 3:] / 255
    canvas = np.empty((size[1], size[0], 3), np.float32)
    canvas[:] = canvas_rgb
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    window = canvas[top : top + height, left : left + width]
    window[:] = person[..., :3] * alpha + window * (1 - alpha)
    return np.rint(canvas).astype(np.uint8)


def _refined_alpha(image: np.ndarray, mask: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Move the coarse mask's outline [H, W] to the edges in the picture; float32 [H, W], 0..1."""
    reach = max(2, round(_UNSURE_RIM * max(image.shape[:2])))
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    inside = cv2.erode((mask > _SURE_INSIDE).astype(np.uint8), around).astype(bool) | _bones(mask.shape, joints, reach)
    outside = (cv2.dilate((mask > _SURE_OUTSIDE).astype(np.uint8), around) == 0) & ~inside
    person = (mask > 0.5) | inside
    if inside.any() and outside.any():
        labels = np.where(person, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
        labels[inside], labels[outside] = cv2.GC_FGD, cv2.GC_BGD
        box = _box_of(~outside, margin=4 * reach)
        window = labels[box].copy()
        cv2.setRNGSeed(0)  # GrabCut's colour clusters start at random: the same picture must give the same cut-out
        cv2.grabCut(np.ascontiguousarray(image[box]), window, None, np.zeros((1, 65)), np.zeros((1, 65)), 3)
        person = np.zeros_like(person)
        person[box] = (window == cv2.GC_FGD) | (window == cv2.GC_PR_FGD)
    return _guided(image, _whole(person, inside).astype(np.float32), radius=max(1, reach // 3))


def _bones(shape: tuple[int, int], joints: np.ndarray, width: int) -> np.ndarray:
    """bool [H, W]: thin lines along arms, legs and fingers, where a mask is often too short."""
    drawn = np.zeros(shape, np.uint8)
    points = np.rint(joints[:, :2]).astype(int)
    fingers = [(hand.start + root, hand.start + root + 1) for hand in (LEFT_HAND, RIGHT_HAND) for root in range(1, 20)]
    for a, b in (*_LIMBS, *[(a, b) for a, b in fingers if (a - LEFT_HAND.start) % 21 % 4 != 0]):
        if joints[a, 2] >= _SURE_JOINT and joints[b, 2] >= _SURE_JOINT:
            thickness = max(1, width // 4) if a >= LEFT_HAND.start else max(1, width // 2)
            cv2.line(drawn, points[a].tolist(), points[b].tolist(), 1, thickness)
    return drawn.astype(bool)


def _whole(person: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Drop parts that are small or nowhere sure, fill small holes; real gaps, as between arm and body, stay open."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(person.astype(np.uint8), connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= _SMALLEST_PART * person.sum()
    sure = np.isin(np.arange(len(stats)), labels[inside])
    person = person & (large & sure)[labels]
    _, labels, stats, _ = cv2.connectedComponentsWithStats((~person).astype(np.uint8), connectivity=4)
    return person | (stats[:, cv2.CC_STAT_AREA] < _SMALLEST_HOLE * person.sum())[labels]


def _guided(image: np.ndarray, solid: np.ndarray, radius: int, smoothness: float = 1e-4) -> np.ndarray:
    """Soften a 0/1 mask along the picture's edges.  Source: He et al., Guided Image Filtering, ECCV 2010, eq. 5-8."""
    guide = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    window = (2 * radius + 1, 2 * radius + 1)
    mean_guide, mean_solid = cv2.blur(guide, window), cv2.blur(solid, window)
    slope = (cv2.blur(guide * solid, window) - mean_guide * mean_solid) / (
        cv2.blur(guide * guide, window) - mean_guide**2 + smoothness
    )
    offset = mean_solid - slope * mean_guide
    return np.clip(cv2.blur(slope, window) * guide + cv2.blur(offset, window), 0, 1)


def _box_of(area: np.ndarray, margin: int) -> tuple[slice, slice]:
    rows, columns = (np.nonzero(area.any(axis))[0] for axis in (1, 0))
    return (
        slice(max(0, rows[0] - margin), rows[-1] + 1 + margin),
        slice(max(0, columns[0] - margin), columns[-1] + 1 + margin),
    )
