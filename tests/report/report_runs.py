"""Results that are made up."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator

HOSTILE = (
    "</script><script>window.hostile=1</script>",
    "<img src=x onerror=window.hostile=1>",
    "'\"><svg onload=window.hostile=1>",
    "a \u2028window.hostile=1\u2029//",
    "<!--<script>",
    "${window.hostile=1} $meta %s {{7*7}}",
)
"""Strings that would run as code, or end the data, where they are not escaped."""


def computed(atoms: Atoms, energy: float, forces: np.ndarray | None = None, **info: object) -> Atoms:
    """Return a copy of ``atoms`` with results and info."""
    copy = atoms.copy()
    copy.info |= info
    copy.calc = SinglePointCalculator(
        copy, energy=energy, forces=np.zeros((len(atoms), 3)) if forces is None else forces
    )
    return copy


def made_up(place: int, **info: object) -> Atoms:
    """Return one of many results, all different."""
    atoms = molecule("H2O") if place % 3 else bulk("NaCl", "rocksalt", a=5.6)
    told = {
        "source": f"in.extxyz#{place}",
        "relax_place": place,
        "relax_rule": "internal-lbfgs",
        "relax_status": "max_steps" if place % 10 == 9 else "converged",
        "relax_reason": "fmax is 0.2 eV/A after 500 steps" if place % 10 == 9 else "no force above 0.05 eV/A",
        "relax_force_calls": 5 + (7 * place) % 41,
        "relax_energy_first": -1.0 + 0.001 * place,
        "relax_fmax": 0.01 + 0.0001 * place,
    }
    if atoms.pbc.all():
        told |= {"relax_volume_ratio": 1 + 0.001 * (place % 50 - 20)}
        told |= {"relax_spacegroup_first": "Pm-3m (221)", "relax_spacegroup_last": "Fm-3m (225)"}
    return computed(atoms, -2.0 - 0.01 * place, **(told | info))


def hostile_results() -> list[Atoms]:
    """Return results with hostile names, reasons and space groups."""
    frames = []
    for place, words in enumerate(HOSTILE):
        said = {"source": words, "relax_reason": words, "relax_status": "exploded"}
        frames.append(
            made_up(place, **said, relax_spacegroup_first=words, relax_rule=words, relax_options=words)
        )
    return frames
