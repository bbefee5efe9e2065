"""torch-sim models as potentials."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_masses

from relax.calculators.base import Evaluation, Geometry
from relax.calculators.memory import memory_watched
from relax.calculators.optional import NOISY
from relax.calculators.splitting import chosen, unknown, with_fault_isolation
from relax.core.errors import UnsupportedStructure

__all__ = ["TorchSim"]


class TorchSim:
    """A torch-sim model as a potential.

    Parameters
    ----------
    model
        A ``torch_sim.models.interface.ModelInterface`` that computes forces.  The stress is NaN if the model
        computes none, and for structures that are not periodic.

    Raises
    ------
    TypeError
        The model computes no forces.
    """

    unit = "atoms"
    batched = True

    def __init__(self, model: Any) -> None:
        if not model.compute_forces:
            raise TypeError(
                f"{type(model).__name__} computes no forces: construct it with compute_forces=True"
            )
        self.model = model
        self.device = str(model.device)

    def admit(self, key: int, atoms: Atoms) -> float:
        if atoms.pbc.any() and not atoms.pbc.all():
            raise UnsupportedStructure(
                "torch-sim does not support structures that are periodic along one or two directions"
            )
        return len(atoms)

    def release(self, key: int) -> None:
        pass

    def evaluate(self, geometry: Geometry, stress: bool) -> Evaluation:
        return with_fault_isolation(lambda some: self._evaluate(some, stress), geometry)

    def _evaluate(self, geometry: Geometry, stress: bool) -> Evaluation:
        evaluation, periodic = unknown(geometry), np.all(geometry.pbc, axis=1)
        # A batch of torch-sim contains only periodic structures, or only others.
        for mask in (periodic, ~periodic):
            if not mask.any():
                continue
            some, rows = chosen(geometry, mask)
            state = self._state(some)
            # Model wrappers of torch-sim 0.3 would keep the last batch if the elements are the same.
            if hasattr(self.model, "setup_from_system_idx"):
                self.model.setup_from_system_idx(state.atomic_numbers, state.system_idx)
            with memory_watched(), warnings.catch_warnings():
                warnings.filterwarnings("ignore", module=rf"(torch_sim|vesin)(\.|$)|{NOISY}")
                out = self.model(state)
            evaluation.energies[mask] = self._to_numpy(out["energy"]).reshape(-1)
            evaluation.forces[rows] = self._to_numpy(out["forces"])
            if stress and "stress" in out and some.pbc.any():
                evaluation.stresses[mask] = self._to_numpy(out["stress"])
        return evaluation

    def _state(self, geometry: Geometry) -> Any:
        """Return a state of torch-sim for structures that are all periodic, or all not."""
        import torch
        from torch_sim import SimState

        def to_torch(array: np.ndarray) -> Any:
            return torch.tensor(array, dtype=self.model.dtype, device=self.model.device)

        owner = np.repeat(np.arange(len(geometry.keys)), geometry.lengths)
        return SimState(
            positions=to_torch(geometry.positions),
            masses=to_torch(atomic_masses[geometry.numbers]),
            cell=to_torch(geometry.cells.transpose(0, 2, 1)),
            pbc=bool(geometry.pbc.any()),
            atomic_numbers=torch.tensor(geometry.numbers, dtype=torch.int, device=self.model.device),
            system_idx=torch.tensor(owner, device=self.model.device),
        )

    @staticmethod
    def _to_numpy(tensor: Any) -> np.ndarray:
        return np.array(tensor.detach().cpu().numpy(), float)
