"""Whether the process that wrote a file still lives: it holds a lock on the file, which the kernel drops however it ends."""

import errno
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

from animateanywhere.errors import InputError

RESERVED_BYTES = 16384
"""The file is padded to this size; emptied, it leaves room for the last words of a run whose disk is full."""
SILENT_S = 300.0
"""Where there are no locks (Windows, some network folders) a file untouched for longer is not held."""
_TAKEN = (errno.EAGAIN, errno.EACCES)
_PATIENCE_S = 1.0
_CHECK_S = 0.02
"""A reader holds the lock for an instant; whoever starts waits for it a little."""


@dataclass(frozen=True)
class Holder:
    """Who holds a file, or held it until it was killed."""

    pid: int
    host: str
    since: float
    """Seconds since 1970."""


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold `path` (made if missing) and say in it who does; emptied at the end, unless the process is killed.

    Raises InputError if another process holds it.
    """
    with open(path, "a+b") as file:
        if not _lock(file):
            raise InputError(
                f"{path.parent} is in use by another process: wait for it, stop it, or choose another folder"
            )
        try:
            file.truncate(0)
            words = json.dumps(vars(Holder(os.getpid(), socket.gethostname(), time.time())))
            file.write(words.encode().ljust(RESERVED_BYTES))
            file.flush()
            yield
        finally:
            file.truncate(0)


def is_held(path: Path) -> bool:
    """Whether a living process holds `path`; one that was killed does not live, even before anybody waits for it."""
    try:
        with open(path, "rb") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return False
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if error.errno in _TAKEN:
            return True
    return read_holder(path) is not None and last_sign_s(path) < SILENT_S


def read_holder(path: Path) -> Holder | None:
    """Who holds `path`, or did when it was killed; None if it was given back, or never held."""
    try:
        text = path.read_text(encoding="utf-8").strip()
        return Holder(**json.loads(text)) if text else None
    except (FileNotFoundError, ValueError, TypeError):  # a reader may meet it half-written
        return None


def give_sign(path: Path) -> None:
    """Note in the file's time that its holder is at work."""
    if path.exists():
        os.utime(path)


def last_sign_s(path: Path) -> float:
    """Seconds since the holder of `path` gave a sign of work."""
    return max(0.0, time.time() - path.stat().st_mtime)


def _lock(file) -> bool:
    """Whether it was free. A file system without locks cannot tell, and counts as free unless its holder is at work."""
    deadline = time.monotonic() + _PATIENCE_S
    while fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno not in _TAKEN:
                break
        if time.monotonic() > deadline:
            return False
        time.sleep(_CHECK_S)
    return not is_held(Path(file.name))
