"""The molecules of the G2 set, as ASE has them, and who of them a calculator can take.

Left out are single atoms, where nothing relaxes, elements that the calculator does not know, and
molecules for whose rattled start the calculator has no finite energy and forces: for every optimizer
alike, and before any has run.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.collections import g2

from benchmarks.crystal_starts import rattled
from benchmarks.meter import quietly
from relax.calculators.optional import extra
from relax.calculators.registry import unsupported

CALCULATORS = {"xtb": "GFN2-xTB", "emt": "EMT"}
BONDED = {"xtb": True, "emt": False}
"""Whether molecules are minima of a calculator's surface, so that a bond that breaks is a failure.

EMT is of metals: to it H, C, N and O are atoms of a metal, of which it makes clusters.
"""


@dataclass
class Molecules:
    """Molecules to relax."""

    geometries: list[Atoms] = field(default_factory=list)  # as the set has them
    starts: list[Atoms] = field(default_factory=list)
    excluded: dict[str, str] = field(default_factory=dict)  # why, by name


def load(calculator: str) -> Any:
    """Return a calculator of :data:`CALCULATORS`.  Raises ValueError where it cannot be had."""
    if calculator not in CALCULATORS:
        raise ValueError(f"there is no calculator {calculator!r} (there are: {', '.join(CALCULATORS)})")
    if calculator == "emt":
        from ase.calculators.emt import EMT

        return EMT()
    with extra("xtb", "tblite"):
        from tblite.ase import TBLite
    return TBLite(method=CALCULATORS[calculator], verbosity=0)


def molecules(calculator: Any, amount: float, seed: int, names: Collection[str] = ()) -> Molecules:
    """Return the molecules that ``calculator`` can take, all of the set if no ``names`` are given.

    Every molecule has its start wherever it stands among others.

    Parameters
    ----------
    amount
        Standard deviation (A) of each component of the displacement of each atom.
    """
    strangers = [name for name in names if name not in g2.names]
    if strangers:
        raise ValueError(f"G2 has no molecule {strangers[0]!r}")
    found = Molecules()
    for index, name in enumerate(g2.names):
        if names and name not in names:
            continue
        geometry = molecule(name)
        geometry.info["name"] = name
        start = rattled(geometry, amount, seed, index)
        if why := unfit(start, calculator):
            found.excluded[name] = why
        else:
            found.geometries.append(geometry)
            found.starts.append(start)
    if not found.starts:
        raise ValueError(f"no molecule is left: {reasons(found.excluded)}")
    return found


def unfit(start: Atoms, calculator: Any) -> str:
    """Return why there is nothing to measure from ``start``; nothing where there is."""
    if len(start) == 1:
        return "a single atom"
    if unsupported(calculator, start):
        return "of elements that the calculator does not know"
    atoms = start.copy()
    atoms.calc = calculator
    with quietly():
        try:
            numbers = [atoms.get_potential_energy(), *atoms.get_forces().ravel()]
        except Exception as error:  # whatever a calculator raises
            return f"the calculator fails at the start: {type(error).__name__}"
    return "" if np.isfinite(numbers).all() else "no finite energy and forces at the start"


def reasons(excluded: dict[str, str]) -> str:
    """Return in words who was left out, and why."""
    names: dict[str, list[str]] = {}
    for name, why in excluded.items():
        names.setdefault(why, []).append(name)
    return "; ".join(f"{why}: {shown(who)}" for why, who in names.items())


def shown(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 20 else f"{len(names)} molecules"
