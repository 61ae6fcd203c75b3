"""Left and right that changed places: a detector takes the left arm for the right one, or a json was flipped.

Two things tell it. From one frame to the next, both sides jump to where the other was. And a body cannot look at the
camera while its shoulders are turned away, nor can its hips face away from its shoulders.
"""

from dataclasses import replace

import numpy as np

from animateanywhere.pose.figure import Figure
from animateanywhere.pose.sequence import FACE, PoseSequence
from animateanywhere.pose.skeleton import HIPS, LOWER_SIDES, SHOULDERS, SWAPPED, UPPER_SIDES
from animateanywhere.pose.tracks import runs_of

GROUPS = {"head": (*range(5), *range(FACE.start, FACE.stop)), "arms": UPPER_SIDES, "legs": LOWER_SIDES}
"""Joints that are swapped together."""

_PAIRS = {"arms": ((5, 6), (7, 8), (9, 10)), "legs": ((11, 12), (13, 14), (15, 16))}
_CLEARLY_SHORTER = 0.5
_SURE_MOVE, _FASTEST_S = 0.05, 1.5
"""Mean move of a group's joints, in standing heights, that nobody makes in a frame: a share, and a speed per second."""
_FACING = {"arms": 0.10, "legs": 0.05}
"""Distance across shoulders or hips, in standing heights, that says which way the body faces."""
_FRONTAL = 0.25
"""How far the nose may lie off the face's middle, of the jaw's width, in a face that looks at the camera."""


def swapped_sides(figure: Figure) -> dict[str, np.ndarray]:
    """For head, arms and legs, bool [T]: left and right of this group have changed places."""
    head, frontal = _face(figure)
    arms = _resolved(figure, "arms", _facing(figure, "arms") * np.where(frontal, -1, 0))
    chest = _facing(figure, "arms") * np.where(arms, -1, 1)
    legs = _resolved(figure, "legs", -_facing(figure, "legs") * chest)
    return {"head": head, "arms": arms, "legs": legs}


def with_sides_exchanged(sequence: PoseSequence, person: int, exchanged: dict[str, np.ndarray]) -> PoseSequence:
    """Left and right joints of each group change names where bool [T] says so, in one person."""
    joints, confidence = sequence.joints_px.copy(), sequence.confidence.copy()
    for group, frames in exchanged.items():
        members = np.array(GROUPS[group])
        at = np.flatnonzero(frames)[:, None]
        joints[at, person, members] = sequence.joints_px[at, person, SWAPPED[members]]
        confidence[at, person, members] = sequence.confidence[at, person, SWAPPED[members]]
    return replace(sequence, joints_px=joints, confidence=confidence)


def _face(figure: Figure) -> tuple[np.ndarray, np.ndarray]:
    """bool [T] each: the face's points are mirrored; a face looks at the camera."""
    seen = figure.known[:, FACE].mean(1) > 0.5
    right, left, brow, chin, nose = (figure.joints[:, FACE.start + point] for point in (0, 16, 27, 8, 30))
    across = left - right
    width = np.maximum(np.linalg.norm(across, axis=-1), 1e-6)
    turned = np.abs(((nose - (left + right) / 2) * across).sum(-1)) / width**2
    mirrored = _cross(across, chin - brow) < 0
    return seen & mirrored & (turned < _FRONTAL), seen & (turned < _FRONTAL)


def _facing(figure: Figure, group: str) -> np.ndarray:
    """int [T]: 1 the shoulders (or hips) face the camera, -1 they face away, 0 from the side or not known."""
    left, right = SHOULDERS if group == "arms" else HIPS
    trunk, known = figure.trunk
    across = _cross(figure.joints[:, left] - figure.joints[:, right], trunk)
    across = across / np.maximum(np.linalg.norm(trunk, axis=-1), 1e-6) / figure.height_px
    return np.where(known & (np.abs(across) > _FACING[group]), np.sign(across), 0).astype(int)


def _resolved(figure: Figure, group: str, evidence: np.ndarray) -> np.ndarray:
    """bool [T] from changes over time and from `evidence` per frame: 1 swapped, -1 right, 0 unknown."""
    parity = np.cumsum(_changes(figure, group)) % 2
    said = (evidence * np.where(parity, 1, -1)).sum()  # negative: the frames of parity 0 are the swapped ones
    if said < 0 or (said == 0 and parity[figure.seen].mean() > 0.5 if figure.seen.any() else False):
        parity = 1 - parity
    swapped = parity.astype(bool)
    against = (evidence == np.where(swapped, -1, 1)) & (evidence != 0)
    shortest = 1 if figure.fps < 12 else 2
    for run in runs_of(against):
        if len(run) >= shortest:
            swapped[run.start : run.stop] ^= True
    return swapped & figure.seen


def _changes(figure: Figure, group: str) -> np.ndarray:
    """bool [T]: from the last seen frame to this one, both sides go to where the other side was."""
    changes = np.zeros(figure.num_frames, bool)
    at = np.flatnonzero(figure.seen)
    if len(at) < 2:
        return changes
    pairs = np.array(_PAIRS[group])
    left, right = figure.joints[at][:, pairs[:, 0]], figure.joints[at][:, pairs[:, 1]]  # [S, 3, 2]
    known = figure.known[at][:, pairs].all(-1)
    both = (known[1:] & known[:-1]).astype(np.float64)

    def moved(to_left: np.ndarray, to_right: np.ndarray) -> np.ndarray:
        far = np.linalg.norm(to_left - left[:-1], axis=-1) + np.linalg.norm(to_right - right[:-1], axis=-1)
        return (far * both).sum(1) / np.maximum(both.sum(1), 1) / 2 / figure.height_px[at[1:]]

    kept, crossed = moved(left[1:], right[1:]), moved(right[1:], left[1:])
    sure = kept > _SURE_MOVE + _FASTEST_S / figure.fps
    changes[at[1:]] = sure & (crossed < _CLEARLY_SHORTER * kept) & (both.sum(1) >= 2)
    return changes


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
