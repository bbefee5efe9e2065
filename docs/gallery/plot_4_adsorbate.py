"""
An adsorbate that slides off its site
=====================================

An oxygen atom is put on top of a copper atom. No force moves it sideways, so that the run ends there, on
a saddle point. With a check and an escape it slides into a hollow.
"""

import matplotlib.pyplot as plt
import numpy as np
from ase.build import add_adsorbate, fcc111
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.io import read
from ase.visualize.plot import plot_atoms

import relax

slab = fcc111("Cu", (3, 3, 3), vacuum=8.0)
add_adsorbate(slab, "O", 1.6, "ontop", offset=(1, 1))
slab.set_constraint(FixAtoms([atom.index for atom in slab if atom.tag > 1]))

ends = {}
for name, options in (
    ("without a check", {}),
    ("with check and escape", {"check": "minimum", "escape": True}),
):
    atoms = slab.copy()
    result = relax.relax(atoms, EMT(), fmax=0.02, trajectory="slide.traj", **options)
    ends[name] = atoms
    print(f"{name}: {result.status}, {result.force_calls} calls, {result.energy_last:.3f} eV")

# %%
# Seen from above, at both ends, and what the energy did on the way of the second.

path = read("slide.traj", ":")
energies = np.array([atoms.get_potential_energy() for atoms in path])
figure, panels = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
for axes, (name, atoms) in zip(panels, ends.items(), strict=False):
    plot_atoms(atoms, axes, radii=0.85)
    axes.set(title=name)
    axes.set_axis_off()
panels[2].plot(energies - energies[-1], "o-", ms=4)
panels[2].set(xlabel="frame", ylabel="energy above the end, eV")
plt.show()
