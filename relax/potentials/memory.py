"""How torch says that memory ran out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from relax.potentials.potential import OutOfMemory

__all__ = ["memory_watched"]

SIGNS = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")


@contextlib.contextmanager
def memory_watched() -> Iterator[None]:
    """Turn torch's many ways to say that memory ran out into OutOfMemory."""
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
