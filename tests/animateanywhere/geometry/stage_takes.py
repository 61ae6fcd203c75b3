"""Scores of both camera readers on stage-world takes: filmed once for all tests that ask."""

import functools

from trainer.implied_camera import TakeScore, score_takes


@functools.cache
def stage_scores(method: str) -> tuple[TakeScore, ...]:
    """One method, "geometric" or "learned", on takes of the validation split."""
    return tuple(score for score in _all() if score.method == method)


@functools.cache
def _all() -> tuple[TakeScore, ...]:
    return tuple(score_takes("val", 160))
