"""CHGNet for many structures at once."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from ase import Atoms

from relax.calculators.base import Evaluation, Geometry
from relax.calculators.memory import keep_memory, memory_watched
from relax.calculators.optional import NOISY
from relax.calculators.registry import unsupported
from relax.calculators.splitting import parts, unknown, with_fault_isolation
from relax.core.errors import RelaxationStopped, UnsupportedStructure, one_line

__all__ = ["CHGNet"]


class CHGNet:
    """CHGNet, with several structures in each pass through the network.

    It computes in float32, so that the numbers of a structure depend on the others in the batch within
    rounding.  On the CPU, constructing it makes the process keep freed memory, see
    :func:`relax.calculators.memory.keep_memory`.

    Parameters
    ----------
    calculator
        A CHGNetCalculator.
    batch_size
        Largest number of structures in one pass.
    """

    unit = "atoms"
    batched = True

    def __init__(self, calculator: Any, batch_size: int = 16) -> None:
        self.calculator, self.batch_size = calculator, batch_size
        self.device = str(calculator.device)
        self._kept: dict[int, Atoms] = {}
        if self.device == "cpu":
            keep_memory()

    def admit(self, key: int, atoms: Atoms) -> float:
        if why := unsupported(self.calculator, atoms):
            raise UnsupportedStructure(why)
        self._kept[key] = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        return len(atoms)

    def release(self, key: int) -> None:
        del self._kept[key]

    def evaluate(self, geometry: Geometry, stress: bool) -> Evaluation:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=NOISY)
            return with_fault_isolation(lambda some: self._evaluate(some, stress), geometry)

    def _evaluate(self, geometry: Geometry, stress: bool) -> Evaluation:
        evaluation, rows, graphs = unknown(geometry), parts(geometry), {}
        for s, key in enumerate(geometry.keys):
            try:
                graphs[s] = self._graph(key, geometry.positions[rows[s]], geometry.cells[s])
            except RelaxationStopped:
                raise
            except Exception as error:  # mostly an atom without neighbours
                evaluation.faults[s] = one_line(error)
        if not graphs:
            return evaluation
        model = self.calculator.model
        with memory_watched():
            found = model.predict_graph(
                list(graphs.values()), task="efs" if stress else "ef", batch_size=self.batch_size
            )
        for s, prediction in zip(graphs, [found] if len(graphs) == 1 else found, strict=True):
            evaluation.energies[s] = prediction["e"] * (geometry.lengths[s] if model.is_intensive else 1)
            evaluation.forces[rows[s]] = prediction["f"]
            if stress:
                evaluation.stresses[s] = prediction["s"] * self.calculator.stress_weight
        return evaluation

    def _graph(self, key: int, positions: np.ndarray, cell: np.ndarray) -> Any:
        from pymatgen.io.ase import AseAtomsAdaptor

        atoms = self._kept[key]
        atoms.set_cell(cell)
        atoms.positions[:] = positions
        return self.calculator.model.graph_converter(AseAtomsAdaptor.get_structure(atoms))
