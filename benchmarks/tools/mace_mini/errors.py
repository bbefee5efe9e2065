"""Errors against CHGNet, on crystals of compositions that were not trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE
from ase.units import GPa
from rich.console import Console
from rich.progress import track

from benchmarks.tools.mace_mini.labels import FMAX, TEST_STEPS

VOLUMES = (0.4, 2.5)
"""Final over initial volume between which a relaxation counts as sane."""
TOUCHING = 0.6
"""Least distance that counts as sane, over the sum of the covalent radii."""


def mean_errors(frames: list[Atoms], calculator: Any) -> dict[str, float]:
    """Return mean absolute errors: energy (meV/atom), forces (meV/A), stress (GPa)."""
    energies, forces, stresses = [], [], []
    for frame in frames:
        atoms = frame.copy()
        atoms.calc = calculator
        energies.append(abs(atoms.get_potential_energy() - frame.info["REF_energy"]) / len(atoms))
        forces.append(np.abs(atoms.get_forces() - frame.arrays["REF_forces"]).ravel())
        stresses.append(np.abs(atoms.get_stress(voigt=False) - frame.info["REF_stress"]).ravel())
    return {
        "frames": len(frames),
        "energy_meV_per_atom": 1e3 * float(np.mean(energies)),
        "forces_meV_per_A": 1e3 * float(np.mean(np.concatenate(forces))),
        "stress_GPa": float(np.mean(np.concatenate(stresses))) / GPa,
    }


def closest(atoms: Atoms) -> float:
    """Return the shortest distance over the sum of the covalent radii."""
    # In a doubled cell, distances between an atom and its images are included.
    doubled = atoms.repeat(2)
    distances = doubled.get_all_distances(mic=True)
    radii = covalent_radii[doubled.numbers]
    apart = np.triu_indices(len(doubled), 1)
    return float((distances / (radii[:, None] + radii))[apart].min())


def relaxations(test: list[list[Atoms]], calculator: Any, reference: Any) -> list[dict[str, Any]]:
    """Relax the starts with FIRE, atoms and cell, and compare the final structures with those of CHGNet.

    Energies are those of ``reference``, so that a negative difference means a lower minimum.
    """
    rows = []
    for start, relaxed, _ in track(test, "relaxations", console=Console(stderr=True)):
        atoms = Atoms(start.symbols, start.positions, cell=start.cell, pbc=True, calculator=calculator)
        opt = FIRE(FrechetCellFilter(atoms), logfile=None)
        converged, ratio = False, 1.0
        for met in opt.irun(fmax=FMAX, steps=TEST_STEPS):
            converged, ratio = met, atoms.get_volume() / start.get_volume()
            # A collapsing cell has more and more neighbours, and the run would not end.
            if not VOLUMES[0] < ratio < VOLUMES[1]:
                break
        near = closest(atoms)
        row = {
            "crystal": start.get_chemical_formula(),
            "converged": bool(converged),
            "sane": bool(VOLUMES[0] < ratio < VOLUMES[1] and near > TOUCHING),
            "steps": opt.nsteps,
            "volume_ratio": ratio,
            "shortest_over_radii": near,
        }
        if row["converged"] and row["sane"]:
            atoms.calc = reference
            above = atoms.get_potential_energy() - relaxed.info["REF_energy"]
            row["volume_over_reference"] = atoms.get_volume() / relaxed.get_volume()
            row["energy_above_reference_meV_per_atom"] = 1e3 * float(above) / len(atoms)
        rows.append(row)
    return rows


def summary(crystals: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the statistics of relaxations."""
    good = [row for row in crystals if row["converged"] and row["sane"]]
    above = np.array([row["energy_above_reference_meV_per_atom"] for row in good])
    volume = np.array([row["volume_over_reference"] for row in good])
    return {
        "crystals": len(crystals),
        "converged_and_sane": len(good),
        "mean_steps": float(np.mean([row["steps"] for row in good])),
        "median_energy_above_meV_per_atom": float(np.median(above)),
        "mean_energy_above_meV_per_atom": float(np.mean(above)),
        "median_volume_error_percent": 100 * float(np.median(np.abs(volume - 1))),
    }
