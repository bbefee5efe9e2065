"""CHGNet on many structures at once."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from ase import Atoms

from relax.calculators.base import Evaluation, Geometry
from relax.calculators.memory import keep_memory, memory_watched
from relax.calculators.optional import NOISY
from relax.calculators.registry import unsupported
from relax.calculators.splitting import asked, parts, unknown
from relax.core.errors import UnsupportedStructure, one_line

__all__ = ["CHGNet"]


class CHGNet:
    """CHGNet, whose structures share the passes through the network.

    It computes in float32, and the numbers of a structure depend on what is beside it by its rounding.  On
    the CPU its construction has the process keep freed memory, see
    :func:`relax.calculators.memory.keep_memory`.

    Parameters
    ----------
    calculator
        A CHGNetCalculator.
    batch_size
        Structures in one pass at most.
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
            return asked(lambda some: self._told(some, stress), geometry)

    def _told(self, geometry: Geometry, stress: bool) -> Evaluation:
        answer, rows, graphs = unknown(geometry), parts(geometry), {}
        for s, key in enumerate(geometry.keys):
            try:
                graphs[s] = self._graph(key, geometry.positions[rows[s]], geometry.cells[s])
            except Exception as error:  # an atom without a neighbour, mostly
                answer.faults[s] = one_line(error)
        if not graphs:
            return answer
        calculator = self.calculator
        with memory_watched():
            said = calculator.model.predict_graph(
                list(graphs.values()), task="efs" if stress else "ef", batch_size=self.batch_size
            )
        for s, told in zip(graphs, [said] if len(graphs) == 1 else said, strict=True):
            answer.energies[s] = told["e"] * (geometry.lengths[s] if calculator.model.is_intensive else 1)
            answer.forces[rows[s]] = told["f"]
            if stress:
                answer.stresses[s] = told["s"] * calculator.stress_weight
        return answer

    def _graph(self, key: int, positions: np.ndarray, cell: np.ndarray) -> Any:
        from pymatgen.io.ase import AseAtomsAdaptor

        atoms = self._kept[key]
        atoms.set_cell(cell)
        atoms.positions[:] = positions
        return self.calculator.model.graph_converter(AseAtomsAdaptor.get_structure(atoms))
