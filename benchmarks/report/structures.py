"""Results that are made up: crystals of two metals, their starts, and how their runs ended."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from relax.io.check import digest
from relax.io.write import extxyz_text

SEED = 0
METALS = ("Al", "Ni", "Cu", "Pd", "Ag", "Pt", "Au")
REPEATS = ((1, 1, 1), (2, 1, 1), (2, 2, 1), (2, 2, 2))
FAILURES = ("max_steps", "exploded", "stalled", "saddle")
FAILED = 0.08
"""Share of the runs that did not converge."""


def start(place: int) -> Atoms:
    """Return the start of the structure ``place``: 4 to 32 atoms of two metals, disordered."""
    rng = np.random.default_rng([SEED, place])
    host, guest = rng.choice(METALS, 2, replace=False)
    atoms = bulk(str(host), cubic=True) * REPEATS[rng.integers(len(REPEATS))]
    symbols = np.array(atoms.get_chemical_symbols(), dtype="<U2")
    symbols[rng.random(len(atoms)) < 0.3] = str(guest)
    atoms.set_chemical_symbols(symbols.tolist())
    atoms.rattle(0.15, rng=rng)
    return atoms


def end(place: int, given: Atoms) -> Atoms:
    """Return the structure that began as ``given``, as a file of ``relax run`` has it."""
    rng = np.random.default_rng([SEED, place, 1])
    atoms = given.copy()
    ratio = float(np.exp(rng.normal(0, 0.06)))
    atoms.set_cell(atoms.cell * ratio ** (1 / 3), scale_atoms=True)
    atoms.rattle(0.1, rng=rng)
    failed = rng.random() < FAILED
    status = str(rng.choice(FAILURES)) if failed else "converged"
    energy = float(rng.normal(-3, 0.5)) * len(atoms)
    atoms.info = {
        "source": f"in.extxyz#{place}",
        "relax_place": place,
        "relax_input": digest(given),
        "relax_rule": "internal-lbfgs",
        "relax_options": "calculator=emt cell=True fmax=0.05",
        "relax_status": status,
        "relax_reason": "fmax is 0.31 eV/A after 500 steps" if failed else "no force above 0.05 eV/A",
        "relax_force_calls": int(rng.gamma(4, 5)) + 2,
        "relax_fmax": float(rng.uniform(0.3, 2) if failed else rng.uniform(0.005, 0.05)),
        "relax_energy_first": energy + float(rng.gamma(2, 0.05)) * len(atoms),
        "relax_volume_ratio": ratio,
        "relax_spacegroup_first": "P1 (1)",
        "relax_spacegroup_last": str(rng.choice(["P1 (1)", "Pm-3m (221)", "P4/mmm (123)", "Amm2 (38)"])),
    }
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=rng.normal(0, 0.01, (len(atoms), 3)))
    return atoms


def written(folder: Path, count: int) -> Path:
    """Write the starts and the results of so many structures to ``folder``; return the latter file."""
    path = folder / "results.extxyz"
    with (folder / "in.extxyz").open("w") as starts, path.open("w") as ends:
        for place in range(count):
            given = start(place)
            starts.write(extxyz_text(given))
            ends.write(extxyz_text(end(place, given)))
    return path
