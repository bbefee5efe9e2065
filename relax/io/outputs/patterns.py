"""The names of files that each structure of a run has, from a pattern."""

from __future__ import annotations

from pathlib import Path

from relax.core.errors import UsageError

__all__ = ["check_pattern", "is_pattern", "named"]

FIELDS = ("name", "place", "formula")


def is_pattern(target: str) -> bool:
    """Return whether ``target`` is a pattern such as ``"logs/{name}.log"``."""
    return "{" in target


def check_pattern(flag: str, target: str) -> None:
    """Raise UsageError where ``target``, given with ``flag``, is a pattern with a field that is none."""
    try:
        named(target, "name", 0, "formula")
    except (KeyError, IndexError, ValueError, AttributeError):
        fields = " ".join(f"{{{field}}}" for field in FIELDS)
        raise UsageError(f"{flag} {target}: this is no pattern; its fields are {fields}") from None


def named(target: str, source: str, place: int, formula: str) -> Path:
    """Return the file of a structure.

    Parameters
    ----------
    target
        The pattern, with the fields ``{name}``, ``{place}`` and ``{formula}``.
    source
        The name of the structure: its file, and ``#`` with the frame.  ``{name}`` is that without folders.
    place
        Its number in the run.
    formula
        Its chemical formula.
    """
    name = Path(source).name.replace("#", "-")
    return Path(target.format(name=name, place=place, formula=formula))
