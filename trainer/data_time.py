"""How much of a run's steps goes into data: whether a renderer, a disk or an encoder keeps the networks waiting."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

import torch


class DataClock:
    """Seconds in which one step builds its batch and encodes what changes at every step, the noisy backgrounds.

    A context around the step. `encoder`: every call of it counts; None where it is itself what is trained.
    """

    def __init__(self, encoder: torch.nn.Module | None, device: torch.device):
        self.seconds = 0.0
        self._encoder, self._device = encoder, device
        self._hooks, self._began = [], 0.0

    def __enter__(self) -> "DataClock":
        if self._encoder is not None:
            self._hooks = [
                self._encoder.register_forward_pre_hook(lambda *_: self._begin()),
                self._encoder.register_forward_hook(lambda *_: self._end()),
            ]
        return self

    def __exit__(self, *error) -> None:
        for hook in self._hooks:
            hook.remove()

    def timed(self, next_batch: Callable) -> Callable:
        """The same function, on the clock."""

        def timed_batch(*inputs):
            self._begin()
            batch = next_batch(*inputs)
            self._end()
            return batch

        return timed_batch

    def _begin(self) -> None:
        self._wait()
        self._began = monotonic()

    def _end(self) -> None:
        self._wait()
        self.seconds += monotonic() - self._began

    def _wait(self) -> None:
        """A GPU works on while the program goes on: without this its work would count for whoever waits for it next."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


@dataclass
class StepTimes:
    """Sums over the steps of a stage that this process made."""

    steps: int = 0
    seconds: float = 0.0
    data_seconds: float = 0.0

    def add(self, seconds: float, data_seconds: float) -> None:
        self.steps += 1
        self.seconds += seconds
        self.data_seconds += data_seconds

    def __str__(self) -> str:
        if not self.seconds:
            return "no steps"
        step_s, data_s = self.seconds / self.steps, self.data_seconds / self.steps
        return f"{step_s:.3g} s/step, of it {data_s:.2g} s for data ({self.data_seconds / self.seconds:.1%})"
