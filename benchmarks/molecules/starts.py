"""The starts of a set of molecules, and which of them a calculator supports.

Left out, for all optimizers and before any run, are single atoms, molecules of elements that the calculator
does not know, and those for whose start the calculator returns no finite energy and forces.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms

from benchmarks.molecules.sets import SETS
from relax.analysis.comparison.runs.call_counter import silenced
from relax.analysis.comparison.starts import rattled
from relax.calculators import registry
from relax.calculators.registry import unsupported

CALCULATORS = {"xtb": "GFN2-xTB", "emt": "EMT"}
BONDS_DECIDE = {"xtb": True, "emt": False}
"""Whether it is a failure if bonds change; not with EMT, which makes metal clusters of H, C, N and O."""


@dataclass
class Molecules:
    """Molecules to relax.

    Attributes
    ----------
    geometries
        As in the set.
    starts
        The same, displaced at random.
    excluded
        Why a molecule is left out, by its name.
    """

    geometries: list[Atoms] = field(default_factory=list)
    starts: list[Atoms] = field(default_factory=list)
    excluded: dict[str, str] = field(default_factory=dict)


def check_calculator(calculator: str) -> None:
    """Raise ValueError for a name that is not in :data:`CALCULATORS`."""
    if calculator not in CALCULATORS:
        raise ValueError(f"there is no calculator {calculator!r} (there are: {', '.join(CALCULATORS)})")


def load(calculator: str) -> Any:
    """Return a calculator of :data:`CALCULATORS`.  Raises ValueError for any other name."""
    check_calculator(calculator)
    return registry.load("gfn2" if calculator == "xtb" else calculator)


def molecules(
    chosen: str, calculator: Any, amount: float, seed: int, names: Collection[str] = ()
) -> Molecules:
    """Return the molecules of a set that ``calculator`` supports, of the whole set if no ``names`` are given.

    The start of a molecule does not depend on which others are asked for.

    Parameters
    ----------
    chosen
        The name of the set.
    amount
        Standard deviation (A) of each component of the displacement of each atom.
    """
    everything = SETS[chosen].structures()
    unknown = [name for name in names if name not in everything]
    if unknown:
        raise ValueError(f"the set {chosen} has no molecule {unknown[0]!r}")
    found = Molecules()
    for index, (name, geometry) in enumerate(everything.items()):
        if names and name not in names:
            continue
        geometry.info["name"] = name
        start = rattled(geometry, amount, seed, index)
        if why := reason_to_exclude(start, calculator):
            found.excluded[name] = why
        else:
            found.geometries.append(geometry)
            found.starts.append(start)
    if not found.starts:
        raise ValueError(f"no molecule is left: {excluded_text(found.excluded)}")
    return found


def reason_to_exclude(start: Atoms, calculator: Any) -> str:
    """Return why ``start`` cannot be relaxed, an empty text if it can."""
    if len(start) == 1:
        return "a single atom"
    if unsupported(calculator, start):
        return "of elements that the calculator does not know"
    atoms = start.copy()
    atoms.calc = calculator
    with silenced():
        try:
            numbers = [atoms.get_potential_energy(), *atoms.get_forces().ravel()]
        except Exception as error:  # of any class: calculators differ
            return f"the calculator fails at the start: {type(error).__name__}"
    return "" if np.isfinite(numbers).all() else "no finite energy and forces at the start"


def excluded_text(excluded: dict[str, str]) -> str:
    """Return in words which molecules are left out, and why."""
    names: dict[str, list[str]] = {}
    for name, why in excluded.items():
        names.setdefault(why, []).append(name)
    return "; ".join(
        f"{why}: {', '.join(some) if len(some) <= 20 else f'{len(some)} molecules'}"
        for why, some in names.items()
    )
