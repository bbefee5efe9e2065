"""What is known of a structure in a file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["Summary", "formula_of", "number", "summary_of_atoms"]


@dataclass(frozen=True)
class Summary:
    """What is known of a structure in a file.

    Parameters
    ----------
    file, frame
        The file, and the number of the structure in it.
    formula, natoms
        The chemical formula, and the number of atoms.
    energy
        Energy, eV; NaN if there is none.
    fmax
        Longest force on an atom, eV/A; NaN if it is not known.
    info
        What else the file says, by its keys there, such as ``relax_status``.
    alone
        Whether it is the only structure in the file.
    """

    file: str
    frame: int
    formula: str
    natoms: int
    energy: float = math.nan
    fmax: float = math.nan
    info: Mapping[str, Any] = field(default_factory=dict)
    alone: bool = False

    @property
    def source(self) -> str:
        """The name of the structure: that of the run that wrote it, or its place in the file."""
        return self.text("source") or (self.file if self.alone else f"{self.file}#{self.frame}")

    @property
    def status(self) -> str:
        """How its run ended; empty if the file does not say."""
        return self.text("relax_status")

    def text(self, key: str) -> str:
        """Return what the file says under ``key``; nothing if it does not."""
        return str(self.info.get(key, ""))

    def number(self, key: str) -> float:
        """Return the number that the file has under ``key``; NaN if there is none."""
        return number(self.info.get(key, ""))


def summary_of_atoms(path: str, frame: int, atoms: Atoms, info: Mapping[str, Any]) -> Summary:
    """Return the summary of a structure that has been read, of which the file also says ``info``."""
    results = atoms.calc.results if atoms.calc else {}
    fmax = number(info.get("relax_fmax", ""))
    if math.isnan(fmax) and "forces" in results:
        fmax = max((math.hypot(*force) for force in atoms.get_forces()), default=math.nan)
    formula = str(atoms.get_chemical_formula("metal"))
    return Summary(path, frame, formula, len(atoms), number(results.get("energy", "")), fmax, info)


@lru_cache(maxsize=10_000)
def formula_of(symbols: frozenset[tuple[str, int]]) -> str:
    """Return the chemical formula of so many atoms of each element.

    Raises
    ------
    ValueError
        One of the symbols is not that of an element.
    """
    from ase.data import atomic_numbers
    from ase.formula import Formula

    counts = dict(symbols)
    if unknown := counts.keys() - atomic_numbers.keys():
        raise ValueError(f"{min(unknown)!r} is no element")
    return str(Formula.from_dict(counts).format("metal"))


def number(value: Any) -> float:
    """Return a value as a number; NaN if it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
