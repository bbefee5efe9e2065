"""Unrelaxed crystals made like those of the WBM set: known prototypes with one element substituted.

The prototypes are the ordered ones of the AFLOW library in pymatgen; the new element is drawn with
pymatgen's ionic substitution probabilities, and the volume is scaled by the atomic radii.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from ase.geometry import get_distances

HEAVIEST = 83
SHORTEST = 1.2
"""Shortest allowed distance (A)."""
MISSES = 20_000
"""Draws in a row without a new crystal after which the search is given up."""


@cache
def prototypes(largest: int, smallest: int = 2) -> list[Atoms]:
    """Return the ordered prototypes of two or more elements with ``smallest`` to ``largest`` atoms."""
    import pymatgen.analysis.prototypes
    from monty.serialization import loadfn
    from pymatgen.io.ase import AseAtomsAdaptor

    folder = Path(pymatgen.analysis.prototypes.__file__).parent
    entries = loadfn(folder / "aflow_prototypes.json.gz")
    structures = [entry["snl"].structure for entry in entries]
    return [
        Atoms(AseAtomsAdaptor.get_atoms(s, msonable=False))
        for s in structures
        if s.is_ordered
        and smallest <= len(s) <= largest
        and len(s.composition) >= 2
        and max(e.Z for e in s.elements) <= HEAVIEST
        and min(e.Z for e in s.elements) >= 3
    ]


@cache
def substitutions() -> dict[str, tuple[list[str], np.ndarray]]:
    """Return, for each element, those that may replace it, and with what probability."""
    from pymatgen.core.structure_prediction.substitution_probability import SubstitutionProbability

    model = SubstitutionProbability()
    best: dict[tuple[str, str], float] = {}
    for a in model.species:
        for b in model.species:
            pair = (a.symbol, b.symbol)
            swaps = a.symbol != b.symbol and a.oxi_state == b.oxi_state
            if swaps and 3 <= b.Z <= HEAVIEST:
                best[pair] = max(best.get(pair, 0.0), model.prob(a, b))
    table = {}
    for symbol in {a for a, _ in best}:
        others = sorted(b for a, b in best if a == symbol)
        weights = np.array([best[symbol, b] for b in others])
        table[symbol] = (others, weights / weights.sum())
    return table


def substitute(atoms: Atoms, rng: np.random.Generator, elements: Collection[str] = ()) -> Atoms | None:
    """Return ``atoms`` with one element substituted and the volume scaled, or None where that fails.

    If ``elements`` are given, the new crystal has no others.
    """
    present = sorted(set(atoms.get_chemical_symbols()))
    old = str(rng.choice(present))
    kept = [symbol for symbol in present if symbol != old]
    if old not in substitutions() or (elements and not set(kept) <= set(elements)):
        return None
    others, weights = substitutions()[old]
    if elements:
        weights = np.where([other in elements for other in others], weights, 0.0)
        if not weights.any():
            return None
        weights = weights / weights.sum()
    new = str(rng.choice(others, p=weights))
    if new in kept:
        return None
    swapped = atoms.copy()
    swapped.numbers[atoms.numbers == atomic_numbers[old]] = atomic_numbers[new]
    volumes = [(covalent_radii[a.numbers] ** 3).sum() for a in (atoms, swapped)]
    # The square root, since radii overestimate how much the volume depends on one element.
    scale = (volumes[1] / volumes[0]) ** (0.5 / 3)
    swapped.set_cell(swapped.cell * scale, scale_atoms=True)
    _, distances = get_distances(swapped.positions, cell=swapped.cell, pbc=True)
    shortest = min(distances[np.triu_indices(len(swapped), 1)].min(), swapped.cell.lengths().min())
    return swapped if shortest > SHORTEST else None


def wbm_like(
    n: int, seed: int, largest: int = 24, smallest: int = 2, elements: Collection[str] = ()
) -> list[Atoms]:
    """Return ``n`` distinct unrelaxed crystals of ``smallest`` to ``largest`` atoms; the same for every run.

    If ``elements`` are given, the crystals have no others.

    Raises
    ------
    ValueError
        There are not so many different ones.
    """
    rng = np.random.default_rng(seed)
    pool, found, seen = prototypes(largest, smallest), [], set()
    misses = 0
    while len(found) < n:
        if misses == MISSES or not pool:
            raise ValueError(f"only {len(found)} of {n} crystals can be made this way")
        index = int(rng.integers(len(pool)))
        crystal = substitute(pool[index], rng, elements)
        if crystal is None or (key := (index, crystal.get_chemical_formula())) in seen:
            misses += 1
            continue
        misses = 0
        seen.add(key)
        crystal.info["name"] = f"{len(found):04d}-{crystal.get_chemical_formula()}"
        found.append(crystal)
    return found
