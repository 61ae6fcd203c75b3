"""Seeds of training, validation and test clips: disjoint by construction."""

from typing import Literal

from animateanywhere.errors import InputError

SPLIT_SIZE = 10**9
_SPLITS = ("train", "val", "test")


def split_seeds(split: Literal["train", "val", "test"], start: int, count: int) -> range:
    """`count` seeds of a split, from its `start`-th on. Raises InputError on an unknown split or past 10^9."""
    if split not in _SPLITS:
        raise InputError(f"split {split!r}: expected one of {', '.join(_SPLITS)}")
    if start < 0 or count < 0 or start + count > SPLIT_SIZE:
        raise InputError(f"seeds {start}..{start + count}: expected 0 to {SPLIT_SIZE} of split {split!r}")
    first = _SPLITS.index(split) * SPLIT_SIZE + start
    return range(first, first + count)
