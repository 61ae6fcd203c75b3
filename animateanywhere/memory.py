"""Keeps freed memory in the process: large tensors come and go at every step, and fetching their pages again costs more
than the arithmetic on small machines."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Numbers of glibc's malloc.h."""


def keep_freed_memory() -> bool:
    """Tell glibc to reuse freed blocks of any size. Returns False where there is no glibc; nothing changes there.

    Called once by a program's entry point, never on import.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 64 * 2**20))
    return all(mallopt(name, value) == 1 for name, value in settings)
