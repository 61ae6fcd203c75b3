"""Work in processes beside this one."""

import os
import signal
import time
from contextlib import closing

import pytest
import torch

from animateanywhere.errors import InputError
from trainer.workers import in_processes


def twice(number: int) -> tuple[int, int, int]:
    time.sleep(0.3 if number == 0 else 0)  # the first is the last to be done
    return 2 * number, os.getpid(), torch.get_num_threads()


def killed_by(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def mistaken_at_five(number: int) -> int:
    if number == 5:
        raise InputError(f"number {number} cannot be read")
    return number


def test_results_come_in_order_from_processes_of_one_thread_each():
    made = list(in_processes(twice, range(40), 2))
    assert [number for number, _, _ in made] == [2 * number for number in range(40)]
    assert os.getpid() not in {process for _, process, _ in made}
    assert {threads for _, _, threads in made} == {1}


def test_one_process_is_this_one():
    assert {process for _, process, _ in in_processes(twice, range(3), 1)} == {os.getpid()}
    assert list(in_processes(twice, [], 2)) == []


def test_a_killed_process_is_one_line():
    with pytest.raises(InputError, match="one of 2 processes .* was killed.*render_workers"):
        list(in_processes(killed_by, range(8), 2))


def test_no_more_is_begun_than_is_soon_asked_for_and_a_mistake_ends_it():
    asked = []
    with closing(in_processes(mistaken_at_five, (asked.append(n) or n for n in range(1000)), 2)) as made:
        assert next(made) == 0 and len(asked) < 20
        with pytest.raises(InputError, match="number 5 cannot be read"):
            list(made)
    assert len(asked) < 20
