"""Work shared out to processes of this machine, each on one thread."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

import torch

from animateanywhere.errors import InputError
from animateanywhere.memory import keep_freed_memory

Argument, Result = TypeVar("Argument"), TypeVar("Result")

WORTH_A_PROCESS = 8
"""Clips: for fewer, the seconds that a process takes to start are more than what it saves."""
_AHEAD = 4
"""Per process, how much is begun before it is asked for; finished work waits in memory."""


def in_processes(
    work: Callable[[Argument], Result], arguments: Iterable[Argument], num_processes: int
) -> Iterator[Result]:
    """`work` of each argument, in order; with fewer than two processes, here. Raises InputError if a process was killed."""
    if num_processes < 2:
        yield from map(work, arguments)
        return
    waiting = iter(arguments)
    # Not forked: threads of torch do not survive that.
    with ProcessPoolExecutor(num_processes, multiprocessing.get_context("spawn"), _begin) as pool:
        begun = deque(pool.submit(work, one) for one in islice(waiting, _AHEAD * num_processes))
        try:
            while begun:
                made = begun.popleft().result()
                begun.extend(pool.submit(work, one) for one in islice(waiting, 1))
                yield made
        except BrokenProcessPool as error:
            raise InputError(
                f"one of {num_processes} processes that make training data was killed, most likely for want of memory: set "
                "render_workers to a smaller number; what was made is kept"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the one that leads decides
    torch.set_num_threads(1)
    keep_freed_memory()
