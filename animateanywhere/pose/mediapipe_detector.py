"""People found with the models inside the mediapipe wheel: nothing is downloaded.

mediapipe's ready-made pose solution follows one person. Here its parts are wired so that several are followed: one
graph finds people in the picture (and in square tiles of it, for small ones), one graph per person follows the body inside
that person's own rotated square, which the last frame's body gives, and one looks at both hands and the face. The next
frame's body does not wait for this frame's hands: both are looked at side by side.
"""

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from animateanywhere.errors import InputError
from animateanywhere.native_stderr import without_native_chatter
from animateanywhere.pose.sequence import FACE, LEFT_HAND, NUM_JOINTS, RIGHT_HAND

_FIND_GRAPH = """
input_stream: "image"
output_stream: "people"
node { calculator: "PoseDetectionCpu" input_stream: "IMAGE:image" output_stream: "DETECTIONS:people" }
"""
_PARTS = ("left_hand", "right_hand", "face")
_BODY_GRAPH = """
input_stream: "image"
input_stream: "roi"
output_stream: "body"
output_stream: "square"
input_side_packet: "complexity"
node {
  calculator: "PoseLandmarkByRoiCpu"
  input_side_packet: "MODEL_COMPLEXITY:complexity"
  input_stream: "IMAGE:image" input_stream: "ROI:roi"
  output_stream: "LANDMARKS:body" output_stream: "AUXILIARY_LANDMARKS:square"
}
"""
_PARTS_GRAPH = """
input_stream: "image"
input_stream: "body"
output_stream: "left_hand"
output_stream: "right_hand"
output_stream: "face"
input_side_packet: "irises"
node {
  calculator: "HandLandmarksLeftAndRightCpu"
  input_stream: "IMAGE:image" input_stream: "POSE_LANDMARKS:body"
  output_stream: "LEFT_HAND_LANDMARKS:left_hand" output_stream: "RIGHT_HAND_LANDMARKS:right_hand"
}
node {
  calculator: "SplitNormalizedLandmarkListCalculator"
  input_stream: "body" output_stream: "head"
  options: { [mediapipe.SplitVectorCalculatorOptions.ext] { ranges: { begin: 0 end: 11 } } }
}
node {
  calculator: "FaceLandmarksFromPoseCpu"
  input_side_packet: "REFINE_LANDMARKS:irises"
  input_stream: "IMAGE:image" input_stream: "FACE_LANDMARKS_FROM_POSE:head"
  output_stream: "FACE_LANDMARKS:face"
}
"""

# mediapipe's 33 body points in COCO-WholeBody order: 17 body joints, then (COCO index, point) of toes and heels.
# There is no small toe among the 33: joints 18 and 21 stay unseen.
_COCO_BODY = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
_COCO_FEET = ((17, 31), (19, 29), (20, 32), (22, 30))
# The 68 points of the iBUG face scheme among the 468 of the face mesh: jaw, brows, nose, eyes, outer and inner lips.
_FACE_68 = (
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301,
    168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip
_LEFT_WRIST, _RIGHT_WRIST, _NOSE = 9, 10, 0

_SQUARE_MARGIN = 1.25
_LOOK_EVERY = 24
"""Frames between two looks for people who came into the picture."""
_FULL_SCORE, _TILE_SCORE, _SMALL_TILE_SCORE = 0.5, 0.55, 0.7
"""Tiles show parts of things, so a person found in one must be surer."""
_LEAST_VISIBILITY = 0.6
"""Mean visibility of head and shoulders below which a find is not a person."""
_TRIAL_STEPS, _STEADY = 4, 0.035
"""Looked at again and again, a real person's joints settle (mean move of under 2 % of the body was measured); what
furniture is mistaken for wanders by 4 % and more, or is lost."""
_HIDDEN_CONFIDENCE = 0.35
"""A joint that the model places inside the picture but behind something keeps at least this: it is still drawn."""
_PART_CONFIDENCE = 0.9
"""Hands and faces come with yes or no only."""


@dataclass(frozen=True)
class Square:
    """Rotated square around a person: centre and side in pixels, rotation in radians."""

    x: float
    y: float
    side: float
    rotation: float

    @classmethod
    def around(cls, centre: tuple[float, float], rim: tuple[float, float]) -> "Square":
        """From the hip centre and a point on the circle around the whole body, above the head (both in pixels)."""
        dx, dy = rim[0] - centre[0], rim[1] - centre[1]
        side = 2 * math.hypot(dx, dy) * _SQUARE_MARGIN
        return cls(*centre, side, math.pi / 2 - math.atan2(-dy, dx))

    def region(self, width: int, height: int):
        """As mediapipe's graphs take it: relative to the picture's size."""
        from mediapipe.framework.formats.rect_pb2 import NormalizedRect

        return NormalizedRect(
            x_center=self.x / width,
            y_center=self.y / height,
            width=self.side / width,
            height=self.side / height,
            rotation=self.rotation,
        )

    def is_near(self, other: "Square") -> bool:
        """The same person seen twice."""
        return math.hypot(self.x - other.x, self.y - other.y) < 0.2 * max(self.side, other.side)


class MediapipeDetector:
    """Finds up to `max_people` people with body, hands and face. Works offline. See `PoseDetector`."""

    name = "mediapipe"

    def __init__(self, max_people: int = 4):
        self.max_people = max_people

    def detect(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield float32 [people, 133, 3] (x, y in pixels, confidence) per uint8 [H, W, 3] frame, in order.

        Takes a frame before the one before it is yielded.
        """
        with ExitStack() as graphs:
            finder = graphs.enter_context(Finder())
            workers = graphs.enter_context(ThreadPoolExecutor(self.max_people))
            followers: list[Follower] = []
            waiting: list[Glimpse] | None = None
            for index, frame in enumerate(frames):
                frame = np.ascontiguousarray(frame)
                with without_native_chatter():  # one for all threads: there is one descriptor to write to
                    people = workers.map(Glimpse.joints, waiting or ())
                    rows = [follower.step(frame) for follower in followers]
                    people = list(people)
                if waiting is not None:
                    yield _stacked(people)
                followers = self._keep(followers, rows)
                if index % _LOOK_EVERY == 0 or not followers:
                    thorough = index % _LOOK_EVERY == 0
                    self.add_newcomers(frame, finder.find(frame, tiles=thorough), followers, graphs)
                waiting = [follower.glimpse for follower in followers]
            if waiting is not None:
                with without_native_chatter():
                    people = [glimpse.joints() for glimpse in waiting]
                yield _stacked(people)

    def _keep(self, followers: list["Follower"], found: list[bool]) -> list["Follower"]:
        """Drop whoever was lost, and the younger of two followers that ended up on one person."""
        kept = []
        for follower, is_found in zip(followers, found, strict=True):
            if is_found and not any(follower.square.is_near(other.square) for other in kept):
                kept.append(follower)
            else:
                follower.close()
        return kept

    def add_newcomers(self, frame, squares: list[Square], followers: list["Follower"], graphs: ExitStack) -> None:
        """Follow whoever stands in `squares` and is not followed yet; `graphs` closes what is opened."""
        for square in squares:
            if len(followers) >= self.max_people:
                return
            if any(square.is_near(other.square) for other in followers):
                continue
            newcomer = graphs.enter_context(Follower(square))
            is_person = newcomer.settles_on_a_person(frame)
            if is_person and not any(newcomer.square.is_near(other.square) for other in followers):
                followers.append(newcomer)
            else:
                newcomer.close()


class Graph:
    """One running mediapipe graph, closed once."""

    def __init__(self, config: str, outputs: tuple[str, ...], side_inputs: dict, first: dict):
        """`first`: inputs to start on. Models load in threads of their own, and say so, until a picture is done."""
        solution_base = _import_solution_base()
        with without_native_chatter():
            self._solution = solution_base.SolutionBase(
                graph_config=config, outputs=list(outputs), side_inputs=side_inputs
            )
            self._solution.process(first)

    def run(self, inputs: dict):
        with without_native_chatter():
            return self.process(inputs)

    def process(self, inputs: dict):
        """`run` for a caller that holds back what compiled code prints: in a thread beside others nobody else can."""
        return self._solution.process(inputs)

    def close(self) -> None:
        if self._solution is not None:
            with without_native_chatter():
                self._solution.close()
            self._solution = None

    def __enter__(self):
        return self

    def __exit__(self, *_exception) -> None:
        self.close()


class Finder(Graph):
    """Where people may be in a picture."""

    def __init__(self):
        super().__init__(_FIND_GRAPH, ("people",), {}, {"image": np.zeros((32, 32, 3), np.uint8)})

    def find(self, frame: np.ndarray, tiles: bool) -> list[Square]:
        """Squares around people, surest first; `tiles` also looks closer, at small people, and takes longer."""
        height, width = frame.shape[:2]
        found = self._find_in(frame, 0, 0, _FULL_SCORE)
        if tiles:
            for side, score in ((min(width, height), _TILE_SCORE), (min(width, height) // 2, _SMALL_TILE_SCORE)):
                for left, top in _tile_corners(width, height, side):
                    found += self._find_in(frame[top : top + side, left : left + side], left, top, score)
        found.sort(key=lambda scored: -scored[0])
        return [square for _, square in found]

    def _find_in(self, picture: np.ndarray, left: int, top: int, least_score: float) -> list[tuple[float, Square]]:
        height, width = picture.shape[:2]
        found = []
        for person in self.run({"image": np.ascontiguousarray(picture)}).people or []:
            points = person.location_data.relative_keypoints
            centre, rim = ((left + point.x * width, top + point.y * height) for point in points[:2])
            if person.score[0] >= least_score:
                found.append((person.score[0], Square.around(centre, rim)))
        return found


@dataclass(frozen=True, eq=False)
class Glimpse:
    """A body seen in one frame, whose hands and face were not looked at yet."""

    frame: np.ndarray  # uint8 [H, W, 3]
    body: object  # mediapipe's NormalizedLandmarkList of 33 points
    parts: Graph

    def joints(self) -> np.ndarray:
        """float32 [133, 3] in pixels. Hands are followed from frame to frame: ask in the order of the frames, once each."""
        height, width = self.frame.shape[:2]
        seen = self.parts.process({"image": self.frame, "body": self.body})
        return _wholebody(self.body, seen, width, height)


class GraphHolder:
    """A context manager that closes the graphs it holds."""

    _graphs: ExitStack

    def __enter__(self):
        return self

    def __exit__(self, *_exception) -> None:
        self.close()

    def close(self) -> None:
        self._graphs.close()


class Follower(GraphHolder):
    """Follows one person from frame to frame."""

    def __init__(self, square: Square):
        with ExitStack() as graphs:
            blank = np.zeros((32, 32, 3), np.uint8)
            roi = Square(16, 16, 32, 0).region(32, 32)
            body = Graph(_BODY_GRAPH, ("body", "square"), {"complexity": 1}, {"image": blank, "roi": roi})
            self._body = graphs.enter_context(body)
            parts = Graph(_PARTS_GRAPH, _PARTS, {"irises": False}, {"image": blank, "body": _nobody()})
            self._parts = graphs.enter_context(parts)
            self._graphs = graphs.pop_all()
        self.square = square
        self.glimpse: Glimpse | None = None
        """Of the last frame."""

    def step(self, frame: np.ndarray) -> bool:
        """Update `glimpse` and `square`; False if the person is lost."""
        height, width = frame.shape[:2]
        seen = self._body.process({"image": frame, "roi": self.square.region(width, height)})
        if seen.body is None or seen.square is None:
            return False
        centre, rim = ((point.x * width, point.y * height) for point in seen.square.landmark[:2])
        self.square = Square.around(centre, rim)
        self.glimpse = Glimpse(frame, seen.body, self._parts)
        return bool(math.hypot(rim[0] - centre[0], rim[1] - centre[1]) > 4)

    def settles_on_a_person(self, frame: np.ndarray) -> bool:
        """Whether the coarse square of a finder leads to a person: looks at the same picture several times."""
        height, width = frame.shape[:2]
        after = np.zeros((17, 2))
        for _ in range(_TRIAL_STEPS):
            before = after
            with without_native_chatter():
                is_found = self.step(frame)
            if not is_found:
                return False
            points = _points(self.glimpse.body, width, height)
            after = points[list(_COCO_BODY), :2]
        moved = np.linalg.norm(after - before, axis=1).mean() / max(1.0, np.linalg.norm(np.ptp(after, axis=0)))
        return bool(moved <= _STEADY and points[:13, 2].mean() >= _LEAST_VISIBILITY)


def _nobody():
    """Points that no hand and no face is looked for at."""
    from mediapipe.framework.formats.landmark_pb2 import NormalizedLandmark, NormalizedLandmarkList

    return NormalizedLandmarkList(landmark=[NormalizedLandmark(x=0.5, y=0.5)] * 33)


def _stacked(people: list[np.ndarray]) -> np.ndarray:
    return np.stack(people) if people else np.zeros((0, NUM_JOINTS, 3), np.float32)


def _points(body, width: int, height: int) -> np.ndarray:
    """[33, 4]: x and y in pixels, visibility, presence."""
    return np.array([(p.x * width, p.y * height, p.visibility, p.presence) for p in body.landmark])


def _wholebody(body, seen, width: int, height: int) -> np.ndarray:
    """One person's mediapipe points, and the hands and face `seen`, -> float32 [133, 3] in pixels."""
    joints = np.zeros((NUM_JOINTS, 3), np.float32)
    points = _points(body, width, height)
    inside = (points[:, 0] >= 0) & (points[:, 0] <= width) & (points[:, 1] >= 0) & (points[:, 1] <= height)
    confidence = points[:, 3] * (_HIDDEN_CONFIDENCE + (1 - _HIDDEN_CONFIDENCE) * points[:, 2])
    rows = np.concatenate([points[:, :2], np.where(inside, confidence, 0)[:, None]], 1)
    joints[:17] = rows[list(_COCO_BODY)]
    for joint, point in _COCO_FEET:
        joints[joint] = rows[point]
    body_size = float(np.ptp(points[:, :2], axis=0).max())
    _attach(joints, LEFT_HAND, _pixels(seen.left_hand, width, height), _LEFT_WRIST, body_size)
    _attach(joints, RIGHT_HAND, _pixels(seen.right_hand, width, height), _RIGHT_WRIST, body_size)
    face = _pixels(seen.face, width, height)
    _attach(joints, FACE, None if face is None else face[list(_FACE_68)], _NOSE, body_size)
    joints[:, 2] = np.clip(joints[:, 2], 0, 1)
    return joints


def _pixels(landmarks, width: int, height: int) -> np.ndarray | None:
    if landmarks is None:
        return None
    return np.array([(point.x * width, point.y * height) for point in landmarks.landmark])


def _attach(joints: np.ndarray, part: slice, points: np.ndarray | None, anchor: int, body_size: float) -> None:
    """Put a hand or the face in, unless it lies away from the body joint it belongs to: then it is somebody else's."""
    if points is None:
        return
    nearest = np.linalg.norm(points - joints[anchor, :2], axis=1).min()
    if nearest < 0.1 * body_size:
        joints[part, :2] = points
        joints[part, 2] = _PART_CONFIDENCE


def _tile_corners(width: int, height: int, side: int) -> Iterator[tuple[int, int]]:
    """Left top corners of squares that cover the picture, overlapping by 40 % or more."""
    columns, rows = (max(1, math.ceil((length - side) / (side * 0.6)) + 1) for length in (width, height))
    for top in np.linspace(0, height - side, rows).round().astype(int):
        for left in np.linspace(0, width - side, columns).round().astype(int):
            yield int(left), int(top)


def _import_solution_base():
    try:
        with without_native_chatter():
            # The solutions register the protocol buffers that the graphs name.
            from mediapipe.python import solution_base
            from mediapipe.python.solutions import holistic, selfie_segmentation  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"detector mediapipe cannot be loaded ({error}): pip install mediapipe==0.10.21, or choose rtmlib"
        ) from error
    return solution_base
