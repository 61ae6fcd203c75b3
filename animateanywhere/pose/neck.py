"""How far a head may hang: no further from its body's line than necks bend.

Detectors set the head of somebody who wears a cap or a rucksack and is seen from the side before the shoulders instead of above
them. Nobody upright looks like that, and a model that is shown it draws a person without a head.
"""

from dataclasses import dataclass, replace

import numpy as np

from animateanywhere.pose.figure import Figure
from animateanywhere.pose.sequence import FACE, PoseSequence
from animateanywhere.pose.skeleton import EARS, HEAD, LIMBS, SHOULDERS

MOST_BENT = np.radians(30)
"""Between the line from hips to shoulders and that from shoulders to ears. Looking at a phone in the hand takes about this much;
upright people of stage world stay below 17 degrees."""
_IN_FULL, _TOWARDS_CAMERA = 0.9, 0.75
"""Of a trunk's length: below the second it points at the camera and says nothing, in between it counts in part."""
_SHORT_TRUNK = 0.86
"""Of a grown person's: who seems to have a shorter one throughout is seen from above or below."""
_UPRIGHT, _LYING = np.radians(30), np.radians(50)
"""Of a trunk against the vertical, in the same way: who lies or stoops may hold the head anywhere."""
_HANGS = np.radians(10)
"""Too far by this much is worth telling."""


def head_turn(figure: Figure) -> np.ndarray:
    """float64 [T]: by how much to turn the head about the middle of the shoulders, radians from +x to +y; 0: it is right."""
    trunk, trunk_known = figure.trunk
    body, shoulders = -trunk, figure.joints[:, list(SHOULDERS)].mean(1)
    head = figure.joints[:, list(EARS)].mean(1) - shoulders
    known = trunk_known & figure.known[:, list(EARS)].all(1) & figure.seen
    bent = np.arctan2(body[:, 0] * head[:, 1] - body[:, 1] * head[:, 0], (body * head).sum(-1))
    share = max(figure.proportions.of("torso").share or 0.0, _SHORT_TRUNK * LIMBS["torso"].share)
    full = share * np.maximum(figure.height_px, 1e-6)
    seen = np.linalg.norm(body, axis=-1) / full
    leaning = np.abs(np.arctan2(body[:, 0], -body[:, 1]))
    counts = _between(seen, _TOWARDS_CAMERA, _IN_FULL) * _between(leaning, _LYING, _UPRIGHT)
    too_far = np.sign(bent) * np.maximum(np.abs(bent) - MOST_BENT, 0)
    return np.where(known, -counts * too_far, 0.0)


def hanging(figure: Figure) -> np.ndarray:
    """bool [T]: frames in which the head hangs plainly lower than a neck allows."""
    return np.abs(head_turn(figure)) > _HANGS


@dataclass(frozen=True)
class RaiseHead:
    """Put a head that was found before the shoulders of an upright body back on its neck."""


def raise_head(sequence: PoseSequence, given: RaiseHead = RaiseHead()) -> PoseSequence:
    """Everybody's head and face, turned about the shoulders to where necks bend at most; else the same sequence."""
    joints, changed = sequence.joints_px.copy(), False
    head = [*range(HEAD.start, HEAD.stop), *range(FACE.start, FACE.stop)]
    for person in range(sequence.num_people):
        if not sequence.seen()[:, person].any():
            continue
        figure = Figure.of(sequence, person)
        turn = head_turn(figure)
        changed = changed or bool(turn.any())
        middle = figure.joints[:, list(SHOULDERS)].mean(1)[:, None]
        raised = middle + _turned(figure.joints[:, head] - middle, turn[:, None])
        there = (figure.confidence[:, head] > 0) & (turn != 0)[:, None]
        joints[:, person, head] = np.where(there[..., None], raised, joints[:, person, head])
    return replace(sequence, joints_px=joints).quantised() if changed else sequence


def _between(value: np.ndarray, at_0: float, at_1: float) -> np.ndarray:
    return np.clip((value - at_0) / (at_1 - at_0), 0, 1)


def _turned(offsets: np.ndarray, radians: np.ndarray) -> np.ndarray:
    """Offsets [..., 2], turned from +x to +y."""
    c, s = np.cos(radians), np.sin(radians)
    return np.stack([c * offsets[..., 0] - s * offsets[..., 1], s * offsets[..., 0] + c * offsets[..., 1]], axis=-1)
