"""What a step's time goes into: a clock that tests turn by hand."""

import pytest
import torch

from trainer import data_time
from trainer.data_time import DataClock, StepTimes

CPU = torch.device("cpu")


class Work(torch.nn.Module):
    """Takes some seconds of the clock."""

    def __init__(self, clock: list[float], seconds: float):
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def forward(self, value: float = 0.0) -> float:
        self.clock[0] += self.seconds
        return value


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(data_time, "monotonic", lambda: now[0])
    return now


def test_batches_and_the_encoder_count_and_nothing_else(clock):
    encoder, network, batch = Work(clock, 2.0), Work(clock, 16.0), Work(clock, 0.5)
    with DataClock(encoder, CPU) as step:
        next_batch = step.timed(batch)
        for share in (1.0, 2.0):
            assert next_batch(share) == share
            network(encoder(share))
    assert step.seconds == 5.0
    encoder()
    assert step.seconds == 5.0, "after its step a clock stands still"


def test_a_step_that_fails_leaves_no_clock_on_the_encoder(clock):
    encoder = Work(clock, 2.0)
    with pytest.raises(MemoryError), DataClock(encoder, CPU):
        raise MemoryError
    assert not encoder._forward_hooks and not encoder._forward_pre_hooks


def test_an_encoder_that_is_trained_is_no_data(clock):
    encoder, batch = Work(clock, 2.0), Work(clock, 0.5)
    with DataClock(None, CPU) as step:
        encoder(step.timed(batch)())
    assert step.seconds == 0.5


def test_the_times_of_a_stage_are_told_as_means_and_a_share():
    times = StepTimes()
    assert str(times) == "no steps"
    for seconds, data_seconds in ((1.0, 0.1), (3.0, 0.3)):
        times.add(seconds, data_seconds)
    assert str(times) == "2 s/step, of it 0.2 s for data (10.0%)"
