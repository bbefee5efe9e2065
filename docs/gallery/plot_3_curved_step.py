"""
A straight step and a curved one
================================

A methyl group is to turn. Along a straight step its hydrogen atoms leave their circle, and their bonds
stretch; the curved step of the default rule keeps them.
"""

import matplotlib.pyplot as plt
import numpy as np
from ase.build import molecule
from ase.visualize.plot import plot_atoms

from relax.preconditioner.internal_stiffness import InternalStiffness
from relax.preconditioner.model_hessian import ModelHessian
from relax.preconditioner.network import SpringNetwork

ethane = molecule("C2H6")
carbon, hydrogens = 0, [i for i in range(2, 8) if ethane.get_distance(0, i) < 1.3]
axis = ethane.positions[1] - ethane.positions[0]
axis /= np.linalg.norm(axis)

# %%
# The metric is what the rule sees of the model: it gives the displacement that belongs to a step.

stiffness = InternalStiffness()
body = SpringNetwork(ethane.numbers, ethane.positions, ethane.cell.array, ethane.pbc, stiffness, None, None)
metric = ModelHessian([body], stiffness)

tangent = np.zeros_like(ethane.positions)
for i in hydrogens:
    tangent[i] = np.cross(axis, ethane.positions[i] - ethane.positions[carbon])

degrees = np.linspace(0, 60, 13)
lengths = {"straight": [], "curved": []}
ends = {}
for angle in np.radians(degrees):
    for name, dx in (("straight", angle * tangent), ("curved", metric.retract(angle * tangent))):
        moved = ethane.copy()
        moved.positions += dx
        lengths[name].append(moved.get_distance(carbon, hydrogens[0]))
        ends[name] = moved

# %%
# On the left the molecule along its axis, after a step of 60 degrees. On the right the length of a C-H
# bond.

figure, (straight, curved, curves) = plt.subplots(
    1, 3, figsize=(10, 3.2), width_ratios=(1, 1, 1.6), layout="constrained"
)
for axes, name in ((straight, "straight"), (curved, "curved")):
    plot_atoms(ends[name], axes, radii=0.35)
    axes.set(title=name, xlim=(-0.4, 3.6), ylim=(-0.4, 3.6))
    axes.set_axis_off()
for name, values in lengths.items():
    curves.plot(degrees, values, "o-", ms=4, label=name)
curves.set(xlabel="step, degrees of turning", ylabel="C-H, A")
curves.legend(frameon=False)
plt.show()
