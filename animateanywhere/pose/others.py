"""The other people of a clip: who crosses the chosen one's way, who goes on where the chosen one ends, who is as large."""

from dataclasses import dataclass

import numpy as np

from animateanywhere.pose.proportions import measure
from animateanywhere.pose.sequence import BODY, SEEN_CONFIDENCE, PoseSequence
from animateanywhere.pose.tracks import bridged, runs_of

_CLOSE = 0.3
"""Standing heights between two bodies' middles: one hides the other in part."""
_BEFORE_S = 0.5
"""Look this far before and after a meeting to tell who goes where."""
_SIZE_WEIGHT = 2.0
"""A change of size by a factor e counts as much as being this many heights away from where one was heading."""
_CLEARLY_BETTER, _LEAST_GAIN = 0.6, 0.4
_SAME_SIZE = 1.4
_SELDOM_TOGETHER = 0.1


@dataclass(frozen=True)
class Meeting:
    """Two people so close that one may be taken for the other."""

    other: int
    first: int
    last: int
    """Frames, the last included."""
    exchanged: bool
    """Afterwards each goes on where the other was heading: the two were mixed up."""


@dataclass(frozen=True)
class PersonCard:
    """One person of a clip, to choose from."""

    person: int
    frame: int
    """In which the person is seen best."""
    box_px: tuple[int, int, int, int]
    """Left, top, right, bottom around the whole body in that frame, with some room, inside the picture."""
    coverage: float
    """Share of frames, 0..1."""
    first: int
    last: int
    """Frames between which the person is seen, the last included."""
    height_share: float
    """Standing height over the picture's height, a median over the frames."""

    def describe(self) -> str:
        """One line for a person."""
        return f"seen in {self.coverage:.0%} of the frames, {self.height_share:.0%} of the picture's height"


def person_cards(sequence: PoseSequence) -> tuple[PersonCard, ...]:
    """A card for everybody who is seen in some frame, in the sequence's order."""
    seen = sequence.seen()
    return tuple(
        _card(sequence, person, seen[:, person]) for person in range(sequence.num_people) if seen[:, person].any()
    )


def _card(sequence: PoseSequence, person: int, seen: np.ndarray) -> PersonCard:
    at = np.flatnonzero(seen)
    sure = sequence.confidence[at, person, BODY].mean(1)
    middle = -np.abs(np.linspace(-1, 1, len(at))) * 0.01  # of equally good frames, one in the middle
    frame = int(at[np.argmax(sure + middle)])
    width, height = sequence.image_size
    known = sequence.confidence[frame, person] >= SEEN_CONFIDENCE
    points = sequence.joints_px[frame, person][known]
    room = 0.12 * max(1.0, float(np.ptp(points, axis=0).max()))
    left, top = np.clip(np.floor(points.min(0) - room), 0, (width - 1, height - 1)).astype(int)
    right, bottom = np.clip(np.ceil(points.max(0) + room), (left + 1, top + 1), (width, height)).astype(int)
    share = float(np.median(measure(sequence, person).height_px[at])) / height
    box = (int(left), int(top), int(right), int(bottom))
    return PersonCard(person, frame, box, float(seen.mean()), int(at[0]), int(at[-1]), share)


def meetings(sequence: PoseSequence, person: int) -> tuple[Meeting, ...]:
    """When the chosen person and another pass each other, first to last."""
    seen = sequence.seen()
    if not seen[:, person].any():
        return ()
    mine = _Path.of(sequence, person)
    found = []
    for other in range(sequence.num_people):
        if other != person and seen[:, other].any():
            found += _meetings_with(other, mine, _Path.of(sequence, other), sequence.fps)
    return tuple(sorted(found, key=lambda meeting: meeting.first))


def going_on(sequence: PoseSequence, person: int) -> tuple[int, ...]:
    """People seen where the chosen one is not, hardly ever at the same time, and of about the same size."""
    seen = sequence.seen()
    mine, alike = seen[:, person], []
    if not mine.any():
        return ()
    height = np.median(measure(sequence, person).height_px[mine])
    for other in range(sequence.num_people):
        theirs = seen[:, other]
        if other == person or not (theirs & ~mine).any() or (theirs & mine).sum() > _SELDOM_TOGETHER * theirs.sum():
            continue
        ratio = np.median(measure(sequence, other).height_px[theirs]) / height
        if 1 / _SAME_SIZE < ratio < _SAME_SIZE:
            alike.append(other)
    return tuple(alike)


@dataclass(frozen=True, eq=False)
class _Path:
    middle: np.ndarray  # float64 [T, 2], gaps closed
    height_px: np.ndarray  # float64 [T]
    first: int
    last: int

    @classmethod
    def of(cls, sequence: PoseSequence, person: int) -> "_Path":
        known = sequence.confidence[:, person, BODY] >= SEEN_CONFIDENCE
        seen = sequence.seen()[:, person]
        body = np.where(known[..., None], sequence.joints_px[:, person, BODY].astype(np.float64), np.nan)
        body[~seen] = 0.0
        at = np.flatnonzero(seen)
        middle = bridged(np.nanmedian(body, axis=1), seen)
        return cls(middle, measure(sequence, person).height_px, int(at[0]), int(at[-1]))


def _meetings_with(other: int, mine: _Path, theirs: _Path, fps: float) -> list[Meeting]:
    frames = np.arange(len(mine.middle))
    present = (frames >= max(mine.first, theirs.first)) & (frames <= min(mine.last, theirs.last))
    height = (mine.height_px + theirs.height_px) / 2
    close = present & (np.linalg.norm(mine.middle - theirs.middle, axis=-1) < _CLOSE * height)
    look = max(2, round(_BEFORE_S * fps))
    return [
        Meeting(other, run.start, run.stop - 1, _is_exchanged(mine, theirs, run, look, present))
        for run in runs_of(close)
    ]


def _is_exchanged(mine: _Path, theirs: _Path, run: range, look: int, present: np.ndarray) -> bool:
    """Whether both go on better with the names exchanged: by where they were heading, and by their sizes."""
    before, after = run.start - 1, run.stop
    if before - 1 < 0 or after >= len(present) or not (present[before] and present[before - 1] and present[after]):
        return False
    start = max(before - look, max(mine.first, theirs.first))

    def cost(a: _Path, b: _Path) -> float:
        """How badly path b after the meeting goes on from path a before it."""
        pace = (a.middle[before] - a.middle[start]) / max(1, before - start)
        expected = a.middle[before] + pace * (after - before)
        away = np.linalg.norm(b.middle[after] - expected) / a.height_px[before]
        return float(away + _SIZE_WEIGHT * abs(np.log(b.height_px[after] / a.height_px[before])))

    kept = cost(mine, mine) + cost(theirs, theirs)
    exchanged = cost(mine, theirs) + cost(theirs, mine)
    return exchanged < _CLEARLY_BETTER * kept and kept - exchanged > _LEAST_GAIN
