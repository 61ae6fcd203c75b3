"""The one person a shot is about, followed through it, and where in the shot clips of that person lie."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from animateanywhere.clip_camera import draw_people
from animateanywhere.pose.detector import PoseDetector
from animateanywhere.pose.sequence import BODY, LEFT_HAND, RIGHT_HAND, SEEN_CONFIDENCE, PoseSequence
from animateanywhere.pose.tracking import link_people

_LONGEST_GAP_S = 0.3
"""Detectors lose people for a moment; a clip may hold gaps of up to this length."""
_HAND_ROOM = 0.12
"""Of a hand's extent: skin around the outermost joints."""
_FOREARM_HAND = 0.35
"""Of a forearm's length: how far a hand reaches beyond its wrist."""
_ARMS = ((7, 9, LEFT_HAND), (8, 10, RIGHT_HAND))
"""Elbow and wrist among the body joints, and the hand's joints."""


@dataclass(frozen=True, eq=False)
class ShotPeople:
    """Who is in a shot, in pixels of the pictures it was looked at in."""

    person: np.ndarray  # float32 [T, 133, 3] x, y, confidence of the one the shot is about; zeros where not found
    others: np.ndarray  # float32 [T, P, 133, 3]
    seen: np.ndarray  # bool [T]: the person's body is in view
    fps: float

    @cached_property
    def bridged(self) -> np.ndarray:
        """float32 [T, 133, 3]: the person's joints; in gaps, on a straight line between the frames around them."""
        found = np.flatnonzero(self.person[..., 2].any(1))
        frames = np.arange(len(self.person))
        after = found[np.minimum(np.searchsorted(found, frames), len(found) - 1)]
        before = found[np.maximum(np.searchsorted(found, frames, side="right") - 1, 0)]
        share = np.clip((frames - before) / np.maximum(after - before, 1), 0, 1)[:, None, None].astype(np.float32)
        joints = self.person[before] * (1 - share) + self.person[after] * share
        joints[..., 2] = np.minimum(self.person[before, :, 2], self.person[after, :, 2])
        return joints

    def covered(self, frame: int, shape: tuple[int, int]) -> np.ndarray:
        """bool [H, W]: on and closely around everybody in a frame."""
        person = [self.bridged[frame]] if self.present[frame] else []
        return draw_people([*person, *self.others[frame]], shape)

    def others_covered(self, frame: int, shape: tuple[int, int]) -> np.ndarray:
        """bool [H, W]: on and closely around everybody but the person in a frame."""
        return draw_people(self.others[frame], shape)

    @cached_property
    def present(self) -> np.ndarray:
        """bool [T]: the person is in view, short gaps included."""
        present = np.zeros(len(self.seen), bool)
        for run in self.runs():
            present[run.start : run.stop] = True
        return present

    def runs(self) -> list[range]:
        """Stretches of frames in which the person is in view but for short gaps."""
        patience = max(1, round(_LONGEST_GAP_S * self.fps))
        found = np.flatnonzero(self.seen)
        if not len(found):
            return []
        breaks = np.flatnonzero(np.diff(found) > patience + 1)
        firsts, lasts = found[np.r_[0, breaks + 1]], found[np.r_[breaks, len(found) - 1]]
        return [range(int(a), int(b) + 1) for a, b in zip(firsts, lasts, strict=True)]


def find_people(frames: Iterable[np.ndarray], finder: PoseDetector, fps: float) -> ShotPeople | None:
    """Follow everybody through uint8 [H, W, 3] pictures of one shot and choose the one there longest and largest.

    None if nobody is found. `frames` may be consumed lazily; it must yield at least one.
    """
    size = (1, 1)

    def measured() -> Iterator[np.ndarray]:
        nonlocal size
        for frame in frames:
            size = frame.shape[1::-1]
            yield frame

    with closing(finder.detect(measured())) as found:
        rows = link_people(list(found), fps)
    return choose_person(rows, size, fps)


def choose_person(rows: np.ndarray, size: tuple[int, int], fps: float) -> ShotPeople | None:
    """float32 [T, P, 133, 3] joints in pictures of `size` (W, H) -> the person with the largest frames x height."""
    if not len(rows):
        return None
    sequence = PoseSequence(rows[..., :2], np.clip(rows[..., 2], 0, 1), size, fps)
    seen, boxes = sequence.seen(), sequence.boxes_px()
    heights = boxes[..., 3] - boxes[..., 1]
    weight = np.array([heights[seen[:, p], p].sum() for p in range(sequence.num_people)])
    best = int(weight.argmax())
    if weight[best] <= 0:
        return None
    return ShotPeople(rows[:, best], np.delete(rows, best, axis=1), seen[:, best], fps)


def windows_in(run: range, num_frames: int) -> list[range]:
    """As many windows of `num_frames` as fit side by side into a run, spread over it evenly."""
    count = len(run) // num_frames
    starts = np.linspace(run.start, run.stop - num_frames, count).round().astype(int) if count > 1 else [run.start]
    return [range(int(start), int(start) + num_frames) for start in starts] if count else []


def body_height(joints: np.ndarray) -> float:
    """Median height in pixels of the seen body joints of float32 [T, 133, 3]; 0 if none is seen."""
    heights = []
    for row in joints:
        known = row[BODY][row[BODY, 2] >= SEEN_CONFIDENCE]
        if len(known) > 1:
            heights.append(float(np.ptp(known[:, 1])))
    return float(np.median(heights)) if heights else 0.0


def hand_mask(joints: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """bool [H, W]: both hands of one person's joints [133, 3]; by the fingers, or where a forearm points."""
    mask = np.zeros(shape, np.uint8)
    for elbow, wrist, hand in _ARMS:
        fingers = joints[hand][joints[hand, 2] >= SEEN_CONFIDENCE, :2]
        if len(fingers) >= 3:
            _fill_around(mask, fingers)
        elif (joints[[elbow, wrist], 2] >= SEEN_CONFIDENCE).all():
            arm = joints[wrist, :2] - joints[elbow, :2]
            middle = joints[wrist, :2] + arm * (_FOREARM_HAND / 2)
            radius = max(1, round(float(np.linalg.norm(arm)) * _FOREARM_HAND / 2))
            cv2.circle(mask, np.rint(middle - 0.5).astype(int).tolist(), radius, 1, cv2.FILLED)
    return mask > 0


def _fill_around(mask: np.ndarray, points: np.ndarray) -> None:
    hull = cv2.convexHull(np.rint(points - 0.5).astype(np.int32))
    thickness = max(1, round(2 * _HAND_ROOM * float(np.ptp(points, axis=0).max())))
    cv2.fillConvexPoly(mask, hull, 1)
    cv2.polylines(mask, [hull], True, 1, thickness)
