"""A pose as the pictures a model reads: the OpenPose skeleton with DWPose's hands and face, on black.

Layout and colours follow what DWPose draws (github.com/IDEA-Research/DWPose): 18 hues 20 degrees apart, limbs at 60 %
brightness under full-brightness joints, rainbow fingers with blue joints, white face points.
"""

import colorsys

import cv2
import numpy as np

from animateanywhere.config import PoseStyle
from animateanywhere.errors import InputError
from animateanywhere.pose.sequence import BODY, FACE, LEFT_HAND, RIGHT_HAND, PoseSequence

# OpenPose's 18 body joints as COCO indices; the neck, joint 1, is computed (None).
OPENPOSE_FROM_COCO = (0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
_NECK, _LEFT_SHOULDER, _RIGHT_SHOULDER = 1, 5, 6
LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10),
    (1, 11), (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
# (COCO-WholeBody ankle, foot joint, hue index): each foot joint hangs on its ankle in the shin's hue.
_FOOT_LIMBS = ((15, 17, 11), (15, 18, 11), (15, 19, 11), (16, 20, 8), (16, 21, 8), (16, 22, 8))
_FINGER_BONES = tuple((0 if k % 4 == 1 else k - 1, k) for k in range(1, 21))


def _hue(degrees: float) -> tuple[int, int, int]:
    return tuple(round(255 * channel) for channel in colorsys.hsv_to_rgb(degrees / 360, 1, 1))


JOINT_RGB = tuple(_hue(20 * k) for k in range(18))
"""Colour of each OpenPose body joint; limb k has the colour of entry k."""
LIMB_BRIGHTNESS = 0.6
"""Limbs are darker than joints, so that a joint shows where limbs cross."""
LIMB_RGB = tuple(tuple(round(LIMB_BRIGHTNESS * channel) for channel in colour) for colour in JOINT_RGB[:17])
_FINGER_RGB = tuple(_hue(360 * k / 20) for k in range(20))
_FINGER_JOINT_RGB = (0, 0, 255)
_FACE_RGB = (255, 255, 255)

# Sizes relative to the limb width. DWPose's own ratios turn a hand of a 96 pixel picture into one blot.
_FINGER_WIDTH, _FINGER_JOINT_WIDTH, _FACE_POINT_WIDTH = 0.3, 0.5, 0.4
_ELLIPSE_POINTS = 16
_SUBPIXEL_BITS = 4
_FAR_PICTURES = 4
"""A joint further outside than this many picture sizes is not drawn: fixed-point drawing would overflow."""


def draw_pose(sequence: PoseSequence, size: tuple[int, int], style: PoseStyle, person: int = 0) -> np.ndarray:
    """Draw one person of `sequence` on black, letterboxed into `size` (W, H) pixels.

    Returns uint8 [T, H, W, 3], anti-aliased; the same input gives the same pixels. Joints below
    `style.min_confidence` are left out with the limbs that end in them. Raises InputError if there is no such person.
    """
    width, height = size
    if min(size) < 8 or max(size) > 8192:
        raise InputError(f"pose picture {width}x{height}: expected 8 to 8192 pixels a side")
    placed = sequence.person(person).contained_in(size)
    joints, confidence = placed.joints_px[:, 0], placed.confidence[:, 0]
    far = np.abs(joints - np.float32(size) / 2).max(-1) > _FAR_PICTURES * max(size)
    shown = (confidence >= style.min_confidence) & (confidence > 0) & ~far
    factor = 4 if min(size) <= 256 else 2
    stroke = style.stick_width * min(size) * factor
    # Corner convention to OpenCV's pixel centres, on the supersampled canvas.
    points = joints.astype(np.float64) * factor - 0.5
    pictures = np.empty((len(joints), height, width, 3), np.uint8)
    canvas = np.empty((height * factor, width * factor, 3), np.uint8)
    for frame in range(len(joints)):
        canvas[:] = 0
        _draw_body(canvas, points[frame], shown[frame], stroke, style)
        if style.draw_hands:
            _draw_hand(canvas, points[frame, LEFT_HAND], shown[frame, LEFT_HAND], stroke)
            _draw_hand(canvas, points[frame, RIGHT_HAND], shown[frame, RIGHT_HAND], stroke)
        if style.draw_face:
            _draw_dots(canvas, points[frame, FACE][shown[frame, FACE]], stroke * _FACE_POINT_WIDTH, _FACE_RGB)
        cv2.resize(canvas, (width, height), dst=pictures[frame], interpolation=cv2.INTER_AREA)
    return pictures


def openpose_body(joints: np.ndarray, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """COCO joints [133, 2] and which are shown [133] -> OpenPose's 18 (with the neck between the shoulders)."""
    order = [0 if index is None else index for index in OPENPOSE_FROM_COCO]
    body, body_shown = joints[BODY][order], shown[BODY][order].copy()
    body[_NECK] = (joints[_LEFT_SHOULDER] + joints[_RIGHT_SHOULDER]) / 2
    body_shown[_NECK] = shown[_LEFT_SHOULDER] and shown[_RIGHT_SHOULDER]
    return body, body_shown


def _draw_body(canvas: np.ndarray, joints: np.ndarray, shown: np.ndarray, stroke: float, style: PoseStyle) -> None:
    body, body_shown = openpose_body(joints, shown)
    limbs = [(body[a], body[b], LIMB_RGB[k]) for k, (a, b) in enumerate(LIMBS) if body_shown[a] and body_shown[b]]
    dots = [(body[k], JOINT_RGB[k]) for k in range(18) if body_shown[k]]
    if style.draw_feet:
        for ankle, foot, hue in _FOOT_LIMBS:
            if shown[ankle] and shown[foot]:
                limbs.append((joints[ankle], joints[foot], LIMB_RGB[hue]))
                dots.append((joints[foot], JOINT_RGB[hue]))
    if limbs:
        starts, ends, colours = zip(*limbs, strict=True)
        polygons = _fixed(_ellipses(np.array(starts), np.array(ends), stroke / 2))
        for polygon, colour in zip(polygons, colours, strict=True):
            cv2.fillConvexPoly(canvas, polygon, colour, cv2.LINE_8, _SUBPIXEL_BITS)
    for point, colour in dots:
        _draw_dots(canvas, point[None], stroke, colour)


def _draw_hand(canvas: np.ndarray, joints: np.ndarray, shown: np.ndarray, stroke: float) -> None:
    fixed, thickness = _fixed(joints), max(1, round(stroke * _FINGER_WIDTH))
    for (a, b), colour in zip(_FINGER_BONES, _FINGER_RGB, strict=True):
        if shown[a] and shown[b]:
            cv2.line(canvas, fixed[a].tolist(), fixed[b].tolist(), colour, thickness, cv2.LINE_8, _SUBPIXEL_BITS)
    _draw_dots(canvas, joints[shown], stroke * _FINGER_JOINT_WIDTH, _FINGER_JOINT_RGB)


def _draw_dots(canvas: np.ndarray, points: np.ndarray, diameter: float, colour: tuple[int, int, int]) -> None:
    radius = max(1, round(diameter / 2 * 2**_SUBPIXEL_BITS))
    for point in _fixed(points).tolist():
        cv2.circle(canvas, point, radius, colour, cv2.FILLED, cv2.LINE_8, _SUBPIXEL_BITS)


def _ellipses(starts: np.ndarray, ends: np.ndarray, half_width: float) -> np.ndarray:
    """[L, 2] limb ends -> [L, points, 2] outlines: a limb is an ellipse that tapers into both joints."""
    along = (ends - starts) / 2
    length = np.linalg.norm(along, axis=-1, keepdims=True)
    across = np.stack([-along[:, 1], along[:, 0]], -1) * (half_width / np.maximum(length, 1e-6))
    angle = np.linspace(0, 2 * np.pi, _ELLIPSE_POINTS, endpoint=False)[:, None]  # [points, 1]
    return (starts + ends)[:, None] / 2 + np.cos(angle) * along[:, None] + np.sin(angle) * across[:, None]


def _fixed(points: np.ndarray) -> np.ndarray:
    """Float pixels to OpenCV's fixed-point coordinates."""
    return np.rint(points * 2**_SUBPIXEL_BITS).astype(np.int32)
