"""Repairs that choose, join and name: who is followed, and which joint is the left one."""

from dataclasses import dataclass, replace

import numpy as np

from animateanywhere.errors import InputError
from animateanywhere.pose.figure import Figure
from animateanywhere.pose.sequence import PoseSequence
from animateanywhere.pose.sides import swapped_sides, with_sides_exchanged
from animateanywhere.pose.skeleton import SWAPPED


@dataclass(frozen=True)
class Choose:
    """Follow one person and drop the others."""

    person: int = 0
    """Number of the person: 0 is the largest."""


def choose(sequence: PoseSequence, given: Choose) -> PoseSequence:
    """Raises InputError if there is no such person."""
    return sequence.person(given.person)


@dataclass(frozen=True)
class Exchange:
    """Exchange two people from a frame on: their ways crossed, and the detector went on with the wrong one."""

    person: int = 0
    """One of the two."""
    other: int = 1
    """The other one."""
    frame: int = 0
    """The first frame in which they are exchanged."""


def exchange(sequence: PoseSequence, given: Exchange) -> PoseSequence:
    """Raises InputError if there is no such person or frame."""
    _check_person(sequence, given.person)
    _check_person(sequence, given.other)
    if not 0 <= given.frame < sequence.num_frames:
        raise InputError(f"exchange from frame {given.frame}: expected 0 to {sequence.num_frames - 1}")
    joints, confidence = sequence.joints_px.copy(), sequence.confidence.copy()
    later, both, crossed = slice(given.frame, None), [given.person, given.other], [given.other, given.person]
    joints[later, both] = sequence.joints_px[later, crossed]
    confidence[later, both] = sequence.confidence[later, crossed]
    return replace(sequence, joints_px=joints, confidence=confidence)


@dataclass(frozen=True)
class Join:
    """Take another person's joints where the chosen one is not seen: somebody left and came back as a new person."""

    person: int = 0
    """Whose gaps are filled."""
    other: int = 1
    """Who fills them; this person is gone afterwards."""


def join(sequence: PoseSequence, given: Join) -> PoseSequence:
    """Raises InputError if there is no such person, or both are the same."""
    _check_person(sequence, given.person)
    _check_person(sequence, given.other)
    if given.person == given.other:
        raise InputError(f"join person {given.person} with {given.other}: expected two different people")
    gone = ~sequence.seen()[:, given.person]
    joints, confidence = sequence.joints_px.copy(), sequence.confidence.copy()
    joints[gone, given.person] = sequence.joints_px[gone, given.other]
    confidence[gone, given.person] = sequence.confidence[gone, given.other]
    kept = [person for person in range(sequence.num_people) if person != given.other]
    return replace(sequence, joints_px=joints[:, kept], confidence=confidence[:, kept])


@dataclass(frozen=True)
class Unswap:
    """Give left and right back their names where they changed places."""


def unswap(sequence: PoseSequence, given: Unswap) -> PoseSequence:
    """Head, arms and legs are judged by themselves, for everybody."""
    for person in range(sequence.num_people):
        if sequence.seen()[:, person].any():
            swapped = swapped_sides(Figure.of(sequence, person))
            sequence = with_sides_exchanged(sequence, person, swapped)
    return sequence


@dataclass(frozen=True)
class Mirror:
    """Exchange left and right of the picture, as in a mirror; the joints' names follow."""


def mirror(sequence: PoseSequence, given: Mirror) -> PoseSequence:
    """Twice mirrored is the same again."""
    joints = sequence.joints_px[:, :, SWAPPED] * np.float32((-1, 1)) + np.float32((sequence.image_size[0], 0))
    confidence = sequence.confidence[:, :, SWAPPED]
    return replace(sequence, joints_px=np.where(confidence[..., None] > 0, joints, 0), confidence=confidence)


def _check_person(sequence: PoseSequence, person: int) -> None:
    sequence.person(person)
