"""People found frame by frame become persons followed over time."""

from dataclasses import dataclass, field

import numpy as np

from animateanywhere.pose.sequence import BODY, NUM_JOINTS, SEEN_BODY_JOINTS, SEEN_CONFIDENCE

_FARTHEST_STEP = 1.0
"""A person moves less than this many times the own extent between two looks."""
_FORGET_AFTER_S = 1.0
_SHORTEST_TRACK = 3
"""Shorter tracks are mistakes of the detector, unless the whole clip is hardly longer."""
_LEAST_SHARE = 0.1
"""Tracks seen less than this share of the longest one are passers-by or mistakes."""


@dataclass
class _Track:
    frames: list[int] = field(default_factory=list)
    rows: list[np.ndarray] = field(default_factory=list)


def link_people(frames: list[np.ndarray], fps: float) -> np.ndarray:
    """Per-frame finds, float32 [people, 133, 3] each, to float32 [T, P, 133, 3]; zeros where a person is not found.

    Each find goes to the nearest person seen within the last second; others start new persons. P is at least 1: if
    nobody was found in any frame, one person with confidence 0 throughout.
    """
    tracks: list[_Track] = []
    patience = max(1, round(_FORGET_AFTER_S * fps))
    for index, people in enumerate(frames):
        people = [row for row in people if _is_seen(row)]
        open_tracks = [track for track in tracks if index - track.frames[-1] <= patience]
        for track, row in _assign(open_tracks, people):
            if track is None:
                track = _Track()
                tracks.append(track)
            track.frames.append(index)
            track.rows.append(row)
    longest = max((len(track.frames) for track in tracks), default=0)
    least = max(_LEAST_SHARE * longest, min(_SHORTEST_TRACK, len(frames) / 2))
    tracks = [track for track in tracks if len(track.frames) >= least]
    linked = np.zeros((len(frames), max(1, len(tracks)), NUM_JOINTS, 3), np.float32)
    for person, track in enumerate(tracks):
        linked[track.frames, person] = track.rows
    return linked


def _assign(tracks: list[_Track], people: list[np.ndarray]) -> list[tuple[_Track | None, np.ndarray]]:
    """Pair each find with the track it continues (None: a new one), nearest pairs first, each used once."""
    distances = sorted(
        (_distance(track.rows[-1], row), t, p) for t, track in enumerate(tracks) for p, row in enumerate(people)
    )
    track_of: dict[int, int] = {}
    for distance, t, p in distances:
        if distance <= _FARTHEST_STEP and p not in track_of and t not in track_of.values():
            track_of[p] = t
    return [(tracks[track_of[p]] if p in track_of else None, row) for p, row in enumerate(people)]


def _is_seen(row: np.ndarray) -> bool:
    return int((row[BODY, 2] >= SEEN_CONFIDENCE).sum()) >= SEEN_BODY_JOINTS


def _distance(before: np.ndarray, after: np.ndarray) -> float:
    """Mean distance of body joints known in both, in units of the body's own extent; infinite if none is."""
    known = (before[BODY, 2] >= SEEN_CONFIDENCE) & (after[BODY, 2] >= SEEN_CONFIDENCE)
    if not known.any():
        return np.inf
    extent = max(1.0, np.ptp(before[BODY, :2][before[BODY, 2] >= SEEN_CONFIDENCE], axis=0).max())
    return float(np.linalg.norm(before[BODY, :2][known] - after[BODY, :2][known], axis=1).mean() / extent)
