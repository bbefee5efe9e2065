"""Packages that only some formats need."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from relax.calculators.optional import extra, silence_output
from relax.core.errors import CalculatorError, UsageError

__all__ = ["needed"]


@contextlib.contextmanager
def needed(name: str, package: str) -> Iterator[None]:
    """Raise UsageError if ``package`` does not import within the block; the extra ``name`` has it."""
    try:
        with extra(name, package), silence_output():
            yield
    except CalculatorError as error:
        raise UsageError(str(error)) from error
