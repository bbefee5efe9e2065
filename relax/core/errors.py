"""The exceptions that a user sees.  Each message is one line: what is wrong, where, and what helps."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relax.core.result import Status

__all__ = [
    "CalculatorError",
    "InvalidStructure",
    "OutOfMemory",
    "RelaxationStopped",
    "UnsupportedStructure",
    "UsageError",
    "one_line",
]


def one_line(error: BaseException) -> str:
    """Return the type and the message of an exception in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}"


class CalculatorError(ValueError):
    """A calculator is not available."""


class InvalidStructure(ValueError):
    """A structure or its file cannot be used."""


class OutOfMemory(RuntimeError):
    """The structures do not fit into memory together."""


class UnsupportedStructure(ValueError):
    """A calculator, a constraint or a cell does not allow this structure to be relaxed."""


class UsageError(Exception):
    """The command cannot continue: an option or a file is wrong."""


class RelaxationStopped(RuntimeError):
    """The next step cannot be made.  ``run`` turns this into a status; ``step`` on its own raises it."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(f"{status}: {reason}")
        self.status: Status = status
        self.reason = reason

    def __reduce__(self) -> tuple[type[RelaxationStopped], tuple[Status, str]]:
        return type(self), (self.status, self.reason)
