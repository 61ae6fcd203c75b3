"""Keep a terminal clean of what compiled libraries print about themselves, without hiding what they complain about."""

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_REDIRECTING = threading.RLock()
_CHATTER = re.compile(rb"(INFO|WARNING): |[IW]\d{4} |\s*$")
"""Lines of absl, glog and TensorFlow Lite below the level of an error."""


@contextmanager
def without_native_chatter() -> Iterator[None]:
    """Hold back what is written to file descriptor 2 meanwhile; afterwards all but info and warning lines appear.

    Python's own `sys.stderr` cannot do this: compiled code writes to the descriptor. One thread at a time.
    """
    with _REDIRECTING, tempfile.TemporaryFile() as held:
        if sys.stderr is not None:
            sys.stderr.flush()
        terminal = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            if sys.stderr is not None:
                sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            held.seek(0)
            for line in held:
                if not _CHATTER.match(line):
                    os.write(2, line)
