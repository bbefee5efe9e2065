"""
Convergence on a rattled crystal
================================

Energy and largest force against force calls, for rules of relax and optimizers of ASE: a cell of copper
and gold, atoms displaced by 0.15 A, atoms and cell relaxed.
"""

import matplotlib.pyplot as plt
import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT

import relax

crystal = bulk("Cu", cubic=True, a=3.8) * (2, 2, 2)
crystal.symbols[::4] = "Au"
crystal.rattle(0.15, seed=3)


class Recorded(EMT):
    """EMT that remembers what it was asked for."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def calculate(self, *arguments):
        super().calculate(*arguments)
        self.calls.append((self.results["energy"], np.linalg.norm(self.results["forces"], axis=1).max()))


# %%
# The calculator itself records each call, so that trial points count too, whichever optimizer asks for
# them.

records = {}
for rule in ("internal-lbfgs", "core", "frankenstein", "lbfgs", "fire", "ase:BFGS"):
    calculator = Recorded()
    relax.relax(crystal.copy(), calculator, rule, cell=True, fmax=0.005)
    records[rule] = np.array(calculator.calls)

# %%
# The dotted line is where a run may end. It ends later if the stress is still too large.

lowest = min(record[:, 0].min() for record in records.values())
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
for rule, record in records.items():
    calls = np.arange(1, len(record) + 1)
    left.semilogy(calls, 1e3 * (record[:, 0] - lowest) / len(crystal) + 1e-4, label=rule)
    right.semilogy(calls, record[:, 1], label=rule)
right.axhline(0.005, color="gray", lw=0.8, ls=":")
left.set(xlabel="force call", ylabel="energy above the lowest, meV/atom", xlim=(0, 60))
right.set(xlabel="force call", ylabel="largest force, eV/A", xlim=(0, 60))
right.legend(frameon=False)
plt.show()
