"""Crystals of argon, torch-sim's Lennard-Jones model of them, and a relaxation."""

from __future__ import annotations

from typing import Any

import torch
import torch_sim as ts
from ase import Atoms
from ase.build import bulk
from torch_sim.models.lennard_jones import LennardJonesModel


def crystals() -> list[Atoms]:
    """Return three crystals of 32 atoms, displaced by 0.1 A."""
    found = [bulk("Ar", "fcc", a=5.4, cubic=True).repeat(2) for _ in range(3)]
    for seed, atoms in enumerate(found):
        atoms.rattle(0.1, seed=seed)
    return found


def model(*mixed_in: type) -> Any:
    """Return Lennard-Jones argon; classes that are mixed in see its calls first."""
    kind = type("Model", (*mixed_in, LennardJonesModel), {})
    options = {"compute_forces": True, "compute_stress": True, "use_neighbor_list": False}
    return kind(sigma=3.405, epsilon=0.0104, cutoff=8.5, dtype=torch.float64, **options)


def relaxation(atoms: Any, potential: Any, fmax: float = 0.01, **options: Any) -> Any:
    """Return the state after FIRE, with forces below ``fmax`` in eV/A."""
    converged = ts.generate_force_convergence_fn(fmax, include_cell_forces=False)
    options = {"optimizer": ts.optimizers.fire, "max_steps": 200, "convergence_fn": converged} | options
    return ts.optimize(atoms, potential, **options)
