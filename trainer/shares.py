"""One step's batch in shares: some for each process, computed one after another, and what they add up to.

Random numbers are drawn for the whole batch by everybody and then cut, so a clip meets the same noise whoever computes
it. A share's losses are its part of the batch's mean: losses and gradients of all shares add up to the whole batch's.
"""

import hashlib
from dataclasses import dataclass

import torch

from animateanywhere.errors import InputError
from animateanywhere.losses import LossTerms


@dataclass(frozen=True)
class Share:
    """Clips `start` to `stop` of a step's batch of `total`."""

    start: int
    stop: int
    total: int

    def __len__(self) -> int:
        return self.stop - self.start

    @classmethod
    def whole(cls, total: int) -> "Share":
        return cls(0, total, total)

    @property
    def fraction(self) -> float:
        """Of the batch, 0..1."""
        return len(self) / self.total

    def of(self, rows):
        """Of what the whole batch has, a list or a tensor `[total, ...]`, this share's part."""
        return rows[self.start : self.stop]

    def normal(self, shape: tuple[int, ...], generator: torch.Generator, device="cpu") -> torch.Tensor:
        """Normal noise `[len(self), *shape]` on `device`.

        A GPU draws it itself, from a seed of the generator's: it would wait for the processor longer than for anything else.
        """
        device = torch.device(device)
        if device.type != "cpu":
            seed = int(torch.randint(2**62, (), generator=generator))
            generator = torch.Generator(device).manual_seed(seed)
        return self.of(torch.randn((self.total, *shape), generator=generator, device=device))

    def uniform(self, generator: torch.Generator) -> torch.Tensor:
        """`[len(self)]` in [0, 1)."""
        return self.of(torch.rand(self.total, generator=generator))

    def integers(self, high: int, generator: torch.Generator) -> torch.Tensor:
        """int64 `[len(self)]` below `high`."""
        return self.of(torch.randint(high, (self.total,), generator=generator))


def shares_of(batch_size: int, micro_batch_size: int, process: int, num_processes: int) -> list[Share]:
    """What `process` of `num_processes` computes of one batch, at most `micro_batch_size` clips at once (0: all it has).

    Every process gets as much as the others, in as many shares. Raises InputError if the batch cannot be divided so.
    """
    if batch_size % num_processes:
        raise InputError(
            f"batch_size {batch_size} does not divide among {num_processes} processes: "
            f"expected a multiple of {num_processes}"
        )
    count = batch_size // num_processes
    step = micro_batch_size or count
    first, end = process * count, (process + 1) * count
    return [Share(start, min(start + step, end), batch_size) for start in range(first, end, step)]


TERMS = ("latent", "perceptual", "epipolar")
MEANS = ("suppressed_share", "degenerate_share")


class StepSums:
    """What the shares of one step say, added up as plain numbers."""

    def __init__(self):
        self._sums = dict.fromkeys(("total", *TERMS, *MEANS, "constrained_clips"), 0.0)
        self._counts = dict.fromkeys(TERMS, 0.0)

    def add(self, terms: LossTerms, total: torch.Tensor) -> None:
        """`terms` and their weighted `total` of one share."""
        self._sums["total"] += float(total.detach())
        for name in TERMS:
            value = getattr(terms, name)
            if value is not None:
                self._sums[name] += float(value.detach())
                self._counts[name] += 1
        self._sums["constrained_clips"] += terms.constrained_clips
        for name in MEANS:
            if terms.constrained_clips:
                self._sums[name] += float(torch.as_tensor(getattr(terms, name)).detach()) * terms.constrained_clips

    def collect(self, add_up) -> None:
        """Add what the other processes have; `add_up` turns a list of numbers into the sums over processes."""
        keys, counts = list(self._sums), list(self._counts)
        sums = add_up([*self._sums.values(), *self._counts.values()])
        self._sums = dict(zip(keys, sums, strict=False))
        self._counts = dict(zip(counts, sums[len(keys) :], strict=True))

    @property
    def total(self) -> float:
        return self._sums["total"]

    def terms(self) -> dict[str, float]:
        """Every term that some share had."""
        return {name: self._sums[name] for name in TERMS if self._counts[name]}

    def means(self) -> dict[str, float]:
        """Means over all clips that the epipolar loss looked at; empty if it looked at none."""
        count = self._sums["constrained_clips"]
        return {name: self._sums[name] / count for name in MEANS} if count else {}


def step_generator(seed: int, stage_index: int, step: int) -> torch.Generator:
    """The random numbers of one step, well apart from those of every other step, stage and seed."""
    digest = hashlib.sha256(f"{seed}/{stage_index}/{step}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
