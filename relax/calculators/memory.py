"""Computer memory: torch's errors when it runs out, and reuse of what a process frees."""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Iterator

from relax.core.errors import OutOfMemory

__all__ = ["keep_memory", "memory_watched"]

SIGNS = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""Texts in torch's error messages when memory has run out."""

# Option numbers from glibc's malloc.h.
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4


@contextlib.contextmanager
def memory_watched() -> Iterator[None]:
    """Raise OutOfMemory in place of torch's various exceptions when memory runs out."""
    import torch

    try:
        yield
    except (MemoryError, RuntimeError) as error:
        words = str(error)
        if isinstance(error, RuntimeError) and not any(sign in words for sign in SIGNS):
            raise
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise OutOfMemory(" ".join(words.split()) or "out of memory") from error


@functools.cache
def keep_memory() -> bool:
    """Let the process keep freed memory for good, and return whether this is possible.

    glibc returns the memory of large arrays to the kernel when they are freed, and requests new pages for the
    next ones.  In the forward and backward pass of a potential this can take as long as the computation.
    The setting acts on the whole process, whose memory then stays at its peak.  With another C library
    nothing happens.
    """
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version.restype = ctypes.c_char_p
        libc.gnu_get_libc_version()
        mallopt = libc.mallopt
    except (AttributeError, OSError, TypeError):
        return False
    settings = ((MMAP_MAX, 0), (TRIM_THRESHOLD, 2**31 - 1), (TOP_PAD, 256 * 2**20))
    return all([mallopt(option, value) for option, value in settings])
