"""Structures of earlier calculations, with what was computed for them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ase import Atoms

from relax.core.errors import InvalidStructure, UsageError
from relax.io.read import read_numbered
from relax.io.write import snapshot

__all__ = ["has_forces", "known_structures"]


def known_structures(given: Any) -> list[Atoms]:
    """Return the structures of earlier calculations, each with what was computed for it.

    Parameters
    ----------
    given
        A file that ASE reads, with a slice as in ``FILE@SLICE`` or without, an ``Atoms``, or several of these
        in a sequence.  The calculators of the ``Atoms`` are not called.

    Raises
    ------
    TypeError
        It is something else.
    UsageError
        A file cannot be read, or no structure in it has an energy and forces.
    """
    words = "give files, or Atoms with energies and forces"
    several = [given] if isinstance(given, str | Path | Atoms) else given
    if not isinstance(several, Iterable):
        raise TypeError(f"known= is a {type(given).__name__}; {words}")
    found: list[Atoms] = []
    own: list[Atoms] = []
    for one in several:
        if isinstance(one, Atoms):
            own.append(snapshot(one))
        elif isinstance(one, str | Path):
            found += _with_forces(_of_file(str(one)), str(one))
        else:
            raise TypeError(f"known= has a {type(one).__name__} in it; {words}")
    return found + (_with_forces(own, "the structures given") if own else [])


def has_forces(atoms: Atoms) -> bool:
    """Return whether a structure has an energy and forces."""
    return atoms.calc is not None and {"energy", "forces"} <= atoms.calc.results.keys()


def _of_file(name: str) -> list[Atoms]:
    try:
        return [snapshot(atoms) for _, atoms in read_numbered(name)]
    except InvalidStructure as error:
        raise UsageError(f"known calculations: {name}: {error}") from None


def _with_forces(structures: list[Atoms], name: str) -> list[Atoms]:
    if not any(has_forces(atoms) for atoms in structures):
        raise UsageError(
            f"known calculations: {name}: no structure has an energy and forces; "
            "give what the calculator has written, or leave it out"
        )
    return structures
