"""One person of a pose sequence with what every check needs to know of them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from animateanywhere.pose.proportions import Proportions, measure
from animateanywhere.pose.sequence import BODY, FACE, LEFT_HAND, RIGHT_HAND, SEEN_CONFIDENCE, PoseSequence
from animateanywhere.pose.skeleton import HIPS, SHOULDERS

_HANDS = (*range(LEFT_HAND.start, LEFT_HAND.stop), *range(RIGHT_HAND.start, RIGHT_HAND.stop))
_ARMS = (7, 8, 9, 10)


@dataclass(frozen=True, eq=False)
class Figure:
    """Joints of one person, in pixels of the sequence's picture."""

    joints: np.ndarray  # float64 [T, 133, 2]
    confidence: np.ndarray  # float32 [T, 133]
    known: np.ndarray  # bool [T, 133]
    seen: np.ndarray  # bool [T]: enough of the body
    size: tuple[int, int]
    fps: float
    proportions: Proportions

    @classmethod
    def of(cls, sequence: PoseSequence, person: int = 0) -> "Figure":
        """Raises InputError if there is no such person."""
        one = sequence.person(person)
        joints, confidence = one.joints_px[:, 0].astype(np.float64), one.confidence[:, 0]
        known = confidence >= SEEN_CONFIDENCE
        return cls(joints, confidence, known, one.seen()[:, 0], one.image_size, one.fps, measure(one))

    @property
    def num_frames(self) -> int:
        return len(self.joints)

    @property
    def height_px(self) -> np.ndarray:
        """float64 [T]: how tall the person would stand in each frame."""
        return self.proportions.height_px

    @cached_property
    def face_only(self) -> np.ndarray:
        """bool [T]: a head and nothing of the body below it."""
        head = self.known[:, :5].sum(1) + (self.known[:, FACE].mean(1) > 0.5) * 3 >= 3
        return head & ~self.known[:, 5:17].any(1)

    @cached_property
    def hands_only(self) -> np.ndarray:
        """bool [T]: hands, perhaps with their arms, and nothing else of the body."""
        body = self.known[:, BODY].copy()
        body[:, _ARMS] = False
        return (self.known[:, _HANDS].sum(1) >= 5) & ~body.any(1)

    @cached_property
    def trunk(self) -> tuple[np.ndarray, np.ndarray]:
        """From the shoulders' middle to the hips', float64 [T, 2], and where both are known, bool [T]."""
        ends = [self.joints[:, list(pair)].mean(1) for pair in (SHOULDERS, HIPS)]
        return ends[1] - ends[0], self.known[:, [*SHOULDERS, *HIPS]].all(1)
