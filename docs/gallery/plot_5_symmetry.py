"""
A space group kept, left and enforced
=====================================

A gold atom in copper: its neighbours move outwards, and all other forces are zero by symmetry. How far
does the crystal get from its space group on the way?
"""

import matplotlib.pyplot as plt
import numpy as np
import spglib
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.geometry import find_mic
from ase.io import read

import relax

crystal = bulk("Cu", cubic=True) * (2, 2, 2)
crystal.symbols[0] = "Au"
cell = (crystal.cell.array, crystal.get_scaled_positions(), crystal.numbers)
operations = spglib.get_symmetry(cell, symprec=1e-5)


def distance_from_symmetry(atoms):
    """Return how far (A) the farthest atom is from where an operation of the group takes another atom."""
    places, farthest = atoms.get_scaled_positions(), 0.0
    for turn, shift in zip(operations["rotations"], operations["translations"], strict=True):
        steps = (places @ turn.T + shift)[:, None] - places
        near = np.abs(steps - steps.round()).sum(axis=-1).argmin(axis=1)
        offsets = steps[np.arange(len(atoms)), near] @ atoms.cell.array
        farthest = max(farthest, find_mic(offsets, atoms.cell)[1].max())
    return farthest


# %%
# Adam divides a force by its own size. Of a force of 1e-15 eV/A, which is rounding, it makes a whole
# step. ``force_floor`` sets such forces to zero, and is on unless it is switched off. By component, as
# for networks, Adam leaves the group in any case: it has another size for each direction.

adam = {"rule": "adam", "eps": 1e-12}
runs = {
    "the default": {},
    "Adam": adam,
    "Adam without a noise floor": adam | {"force_floor": 0.0},
    "Adam by component": adam | {"granularity": "component"},
    "the default, rattled by 0.02 A": {"rattle": 0.02},
    'the default, symmetry="keep"': {"symmetry": "keep"},
}
figure, axes = plt.subplots(figsize=(7.5, 4), layout="constrained")
for name, options in runs.items():
    result = relax.relax(crystal.copy(), EMT(), fmax=0.002, steps=60, trajectory="run.traj", **options)
    distances = [distance_from_symmetry(atoms) for atoms in read("run.traj", ":")]
    axes.semilogy(np.maximum(distances, 1e-17), "o-", ms=3, label=name)
    print(f"{name:32}{result.force_calls:3d} calls, {result.spacegroup_first} -> {result.spacegroup_last}")
axes.set(xlabel="frame", ylabel="distance from the space group, A")
axes.legend(frameon=False, fontsize=9)
plt.show()
