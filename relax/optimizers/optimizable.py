"""What an optimizer relaxes, as ASE and drivers of optimizers ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from ase.utils.abc import Optimizable

from relax.core.errors import RelaxationStopped
from relax.optimizers.ase_rows import AseRows

if TYPE_CHECKING:
    from relax.optimizers.single_run import SingleRun

__all__ = ["EngineOptimizable", "Standing"]


class Standing(NamedTuple):
    """How a structure stands."""

    energy: float  # eV; the enthalpy, under pressure
    fmax: float  # eV/A, longest force
    smax: float  # GPa, largest component of the residual stress
    force_calls: int  # counted at the calculator


class EngineOptimizable(Optimizable):
    """The structure of a run: coordinates in A, gradients in eV/A, checked as in a run.

    Parameters
    ----------
    run
        The run of the structure.

    Raises
    ------
    RelaxationStopped
        From ``get_gradient`` and ``get_value``: the calculator raised, what it computed is not a number,
        the structure flew apart or collapsed, the energy ran away upwards, or the time was up.
    """

    def __init__(self, run: SingleRun) -> None:
        self.run = run

    def ndofs(self) -> int:
        c = self.run.structure.coordinates
        return c.ndofs if isinstance(c, AseRows) else 3 * c.seg.rows

    def _flat(self, rows: np.ndarray) -> np.ndarray:
        return rows.ravel()[: self.ndofs()]

    def get_x(self) -> np.ndarray:
        self.run.structure.changed()
        return self._flat(self.run.structure.coordinates.x)

    def set_x(self, x: np.ndarray) -> None:
        structure = self.run.structure
        structure.changed()
        c = structure.coordinates
        c.move((c.in_rows(x) if isinstance(c, AseRows) else np.reshape(x, (-1, 3))) - c.x)
        structure.write()
        self.run.known = False

    def get_gradient(self) -> np.ndarray:
        self._observe()
        return self._flat(self.run.relaxation.gradients.g).copy()

    def get_value(self) -> float:
        self._observe()
        return float(self.run.relaxation.values[0])

    def _observe(self) -> None:
        if stop := self.run.observe():
            raise RelaxationStopped(*stop)

    def iterimages(self) -> Any:
        structure = self.run.structure
        inner = structure.coordinates
        return inner.optimizable.iterimages() if isinstance(inner, AseRows) else iter(structure.images)

    def gradient_norm(self, gradient: np.ndarray) -> float:
        """Return the longest force on an atom, eV/A; of an ASE object, what it says itself."""
        c = self.run.structure.coordinates
        if isinstance(c, AseRows):
            return float(c.optimizable.gradient_norm(self._flat(gradient)))
        rows = np.reshape(gradient, (-1, 3))[: int(c.natoms[0])] @ c.inverse_deformation[0]
        return float(np.sqrt(np.max(np.sum(rows * rows, axis=1))))

    def converged(self, gradient: np.ndarray, fmax: float) -> bool:
        return self.gradient_norm(gradient) <= fmax

    @property
    def standing(self) -> Standing:
        """How the structure stands, at the last evaluation that made sense."""
        history = self.run.relaxation.history
        good = history.good
        energy, fmax, smax = float(good.value[0]), float(good.fmax[0]), float(good.smax[0])
        return Standing(energy, fmax, smax, int(history.record.calls[0]))
