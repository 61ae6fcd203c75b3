"""One person's mask, from the models inside the mediapipe wheel: nothing is downloaded."""

from contextlib import ExitStack

import numpy as np

from animateanywhere.native_stderr import without_native_chatter
from animateanywhere.pose.mediapipe_detector import Finder, Follower, Graph, GraphHolder, MediapipeDetector, Square
from animateanywhere.pose.sequence import BODY, SEEN_CONFIDENCE

_BODY_MASK_GRAPH = """
input_stream: "image"
input_stream: "roi"
output_stream: "mask"
input_side_packet: "complexity"
input_side_packet: "with_mask"
node {
  calculator: "PoseLandmarkByRoiCpu"
  input_side_packet: "MODEL_COMPLEXITY:complexity" input_side_packet: "ENABLE_SEGMENTATION:with_mask"
  input_stream: "IMAGE:image" input_stream: "ROI:roi"
  output_stream: "SEGMENTATION_MASK:mask"
}
"""
_PICTURE_MASK_GRAPH = """
input_stream: "image"
output_stream: "mask"
input_side_packet: "landscape"
node {
  calculator: "SelfieSegmentationCpu"
  input_side_packet: "MODEL_SELECTION:landscape"
  input_stream: "IMAGE:image"
  output_stream: "SEGMENTATION_MASK:mask"
}
"""

_BODY_MASK_WEIGHT = 0.65
"""The body's own mask knows whose arm it is, the picture's mask has cleaner outlines but takes other things along."""
_HIPS, _SHOULDERS = [11, 12], [5, 6]
_HEAD_ROOM = 1.15
"""The circle around a whole body reaches this much further than its farthest joint: joints end below the hair."""


def largest_person_mask(image: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """How surely each pixel of uint8 [H, W, 3] belongs to its largest person: float32 [H, W], 0..1. None: nobody.

    With it that person's joints, float32 [133, 3] as a `PoseDetector` gives them. Others beside the person are not
    marked.
    """
    image = np.ascontiguousarray(image)
    with ExitStack() as graphs:
        followers: list[Follower] = []
        squares = graphs.enter_context(Finder()).find(image, tiles=True)
        MediapipeDetector().add_newcomers(image, squares, followers, graphs)
        if not followers:
            return None
        largest = max(followers, key=lambda follower: follower.square.side)
        with without_native_chatter():
            joints = largest.glimpse.joints()
        masker = graphs.enter_context(PersonMasker())
        mask = masker.mask(image, joints, largest.square)
    return None if mask is None else (mask, joints)


def foreground_mask(image: np.ndarray) -> np.ndarray:
    """How surely each pixel of uint8 [H, W, 3] belongs to anybody near the camera: float32 [H, W], 0..1.

    It marks other things too where nobody is there: ask a detector first.
    """
    inputs = {"image": np.ascontiguousarray(image)}
    with Graph(_PICTURE_MASK_GRAPH, ("mask",), {"landscape": 1}, inputs) as graph:
        mask = graph.run(inputs).mask
    return (
        np.zeros(image.shape[:2], np.float32) if mask is None else np.array(mask, np.float32).reshape(image.shape[:2])
    )


class PersonMasker(GraphHolder):
    """Marks one person, whose joints are known, in picture after picture.

    Two models decide together: one looks along the body, the other at the picture around it.
    """

    def __init__(self):
        self._graphs = ExitStack()
        self._body: Graph | None = None
        self._picture: Graph | None = None

    def mask(self, image: np.ndarray, joints: np.ndarray, square: Square | None = None) -> np.ndarray | None:
        """How surely each pixel of uint8 [H, W, 3] belongs to the person with `joints` [133, 3]: float32 [H, W], 0..1.

        None where the models do not see a person there. `square` saves working it out from the joints.
        """
        height, width = image.shape[:2]
        square = square or _square_of(joints)
        if square is None:
            return None
        body = {"image": image, "roi": square.region(width, height)}
        left, top, right, bottom = _box_around(joints, width, height)
        if right <= left or bottom <= top:
            return None
        picture = {"image": np.ascontiguousarray(image[top:bottom, left:right])}
        if self._body is None:
            side_inputs = {"complexity": 1, "with_mask": True}
            self._body = self._graphs.enter_context(Graph(_BODY_MASK_GRAPH, ("mask",), side_inputs, body))
            self._picture = self._graphs.enter_context(Graph(_PICTURE_MASK_GRAPH, ("mask",), {"landscape": 0}, picture))
        mask, around = self._body.run(body).mask, self._picture.run(picture).mask
        if mask is None or around is None:
            return None
        combined = np.array(mask, np.float32).reshape(height, width) * _BODY_MASK_WEIGHT
        around = np.asarray(around, np.float32).reshape(bottom - top, right - left)
        combined[top:bottom, left:right] += around * (1 - _BODY_MASK_WEIGHT)
        return np.clip(combined, 0, 1)


def _square_of(joints: np.ndarray) -> Square | None:
    """The square that mediapipe would put around a body with these joints [133, 3]; None if its hips are not known."""
    known = joints[BODY][joints[BODY, 2] >= SEEN_CONFIDENCE, :2]
    if not len(known) or not joints[_HIPS + _SHOULDERS, :2].any(1).all():
        return None
    centre, chest = joints[_HIPS, :2].mean(0), joints[_SHOULDERS, :2].mean(0)
    up = chest - centre
    length = float(np.linalg.norm(up))
    if length < 1:
        return None
    reach = float(np.linalg.norm(known - centre, axis=1).max()) * _HEAD_ROOM
    rim = centre + up / length * max(reach, 1.6 * length)
    return Square.around((float(centre[0]), float(centre[1])), (float(rim[0]), float(rim[1])))


def _box_around(joints: np.ndarray, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a person's joints with room for hair and clothes, inside the picture."""
    points = joints[joints[:, 2] > 0, :2]
    low, high = points.min(0), points.max(0)
    margin = 0.2 * (high - low).max()
    left, top = np.maximum(low - margin, 0).astype(int)
    right, bottom = np.minimum(high + margin + 1, (width, height)).astype(int)
    return int(left), int(top), int(right), int(bottom)
