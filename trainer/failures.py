"""How a run ends badly: what the person is told to do, and where it is written down."""

import contextlib
import errno
import gc
import os
import shutil
import socket
import traceback
from contextlib import ExitStack

import torch
from safetensors import SafetensorError

from animateanywhere.errors import Cancelled, InputError
from trainer.events import EventWriter, RunFinished, RunStarted, last_events
from trainer.process_lock import hold
from trainer.run_folder import DRAFT, RunFolder

LESS_MEMORY = "lower batch_size, the model's num_frames, or its width and height"
"""What takes memory in training, most of it first."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_ROOM_WORDS = tuple(os.strerror(number) for number in _NO_ROOM)
_NO_MEMORY_WORDS = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")
"""What torch's allocators say in errors that have no type of their own: of the CPU, of CUDA's libraries."""
MEMORY_ERRORS = (MemoryError, RuntimeError, OSError)
"""Kinds of error that `is_out_of_memory` is worth asking about."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the machine or the GPU had no memory left."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY_WORDS)


def is_disk_full(error: BaseException) -> bool:
    """Whether a file could not be written for want of room: the disk, a quota, or the largest size of a file."""
    if isinstance(error, OSError):
        return error.errno in _NO_ROOM
    return isinstance(error, SafetensorError) and any(words in str(error) for words in _NO_ROOM_WORDS)


def what_to_do(error: BaseException) -> str | None:
    """One line for what a person can repair; None for everything else."""
    if isinstance(error, InputError):
        return str(error)
    if is_out_of_memory(error):
        where = "the GPU's memory" if isinstance(error, torch.OutOfMemoryError) else "memory"
        return f"{where} ran out: {LESS_MEMORY}; then go on with --resume"
    if is_disk_full(error):
        name = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
        return f"the disk is full{name}: free some space, then go on with --resume from the last checkpoint"
    return None


def diverged(folder: RunFolder, stage: str, step: int) -> str:
    """One line for a run whose weights are broken."""
    onwards = (
        f"go on from {folder.last.resolve().name} with --resume --config COPY" if folder.last.exists() else "start anew"
    )
    return (
        f"stage {stage}, step {step}: the loss or its gradient is no finite number any more: set a smaller learning_rate "
        f"in a copy of {folder.config} and {onwards}"
    )


def free_memory() -> None:
    """Give back what nothing refers to any more."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


class RecordedRun:
    """Around all work of a training process: says in the run folder who runs it, and how it failed.

    Raises InputError on entering if another process runs it, and in place of errors that a person can repair. All others
    pass through. log.txt gets the traceback of both.
    """

    def __init__(self, folder: RunFolder):
        self._folder = folder
        self._held = ExitStack()

    def __enter__(self) -> "RecordedRun":
        self._held.enter_context(hold(self._folder.process))
        EventWriter(self._folder.events).write(RunStarted(os.getpid(), socket.gethostname()))
        return self

    def __exit__(self, kind, error, trace) -> None:
        with self._held:
            if error is None:
                return
            if isinstance(error, Cancelled):
                self._write_down_stop()
                return
            advice = what_to_do(error)
            self._write_down(error, advice or f"internal error, see log.txt: {type(error).__name__}: {error}")
            if advice is not None and not isinstance(error, InputError):
                raise InputError(advice) from error

    def _write_down_stop(self) -> None:
        """A run that was stopped between its stages has not said so itself."""
        if not isinstance(last_events(self._folder.events)[-1], RunFinished):
            EventWriter(self._folder.events).write(RunFinished("stopped"))

    def _write_down(self, error: BaseException, message: str) -> None:
        """A disk may be too full even for this; the person then reads it on the screen alone."""
        for unfinished in (self._folder.checkpoints, self._folder.samples):
            shutil.rmtree(unfinished / DRAFT, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.truncate(self._folder.process, 0)  # gives back the room that was kept for these lines
            with open(self._folder.log, "a", encoding="utf-8") as log:
                log.write("".join(traceback.format_exception(error)))
                log.write(f"failed: {message}\n")
        with contextlib.suppress(OSError):
            EventWriter(self._folder.events).write(RunFinished("failed", message))
