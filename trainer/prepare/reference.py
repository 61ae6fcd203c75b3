"""The person's picture: a random frame outside the clip's window where there is one, cut out as at inference."""

import hashlib
from dataclasses import dataclass

import numpy as np

from animateanywhere.errors import InputError
from animateanywhere.pose.sequence import BODY, SEEN_CONFIDENCE
from animateanywhere.segmentation import cut_out_person, place_on_canvas
from trainer.prepare.people import ShotPeople
from trainer.presets import MINI_MODEL

_TRIES = 6
_AS_MUCH_SEEN = 0.9
"""Of the most body joints seen in any frame: a frame that shows less of the person is taken only if there is no other."""
_ROOM = 0.35
"""Of the body's extent, left around the person before cutting out: others who stand further away are not in it."""


@dataclass(frozen=True, eq=False)
class Reference:
    """The person on the flat canvas."""

    picture: np.ndarray  # uint8 [H, W, 3]
    frame: int
    """Number of the frame in its shot."""
    outside: bool
    """The frame lies outside the clip's window."""


def pick_reference(
    frames: list[np.ndarray], people: ShotPeople, window: range, size: tuple[int, int], identity: str
) -> Reference | None:
    """A random frame of the shot by the hash of `identity`, the person cut out and placed on a canvas of `size` (W, H).

    None if the person cannot be cut out of any of the frames tried.
    """
    for frame in _candidates(people, window, identity)[:_TRIES]:
        try:
            rgba = cut_out_person(_around(frames[frame], people.person[frame]))
            picture = place_on_canvas(rgba, size, MINI_MODEL.reference_canvas)
        except InputError:  # nobody found in this frame's picture: the next one may do
            continue
        return Reference(picture, frame, frame not in window)
    return None


def _candidates(people: ShotPeople, window: range, identity: str) -> list[int]:
    """Frames with the person, in random order: well seen ones outside the window first."""
    known = (people.person[:, BODY, 2] >= SEEN_CONFIDENCE).sum(1)
    well_seen = known >= _AS_MUCH_SEEN * known.max()
    seed = int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8], "big")
    order = np.random.default_rng(seed).permutation(np.flatnonzero(people.seen))
    return sorted((int(frame) for frame in order), key=lambda frame: (not well_seen[frame], frame in window))


def _around(frame: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """The part of uint8 [H, W, 3] around a person."""
    points = joints[joints[:, 2] >= SEEN_CONFIDENCE, :2]
    low, high = points.min(0), points.max(0)
    room = _ROOM * float((high - low).max())
    left, top = np.maximum(low - room, 0).astype(int)
    right, bottom = np.minimum(high + room + 1, frame.shape[1::-1]).astype(int)
    return np.ascontiguousarray(frame[top:bottom, left:right])
