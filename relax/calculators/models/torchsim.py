"""Models of torch-sim as potentials."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_masses

from relax.calculators.base import Evaluation, Geometry
from relax.calculators.memory import memory_watched
from relax.calculators.optional import NOISY
from relax.calculators.splitting import asked, chosen, unknown
from relax.core.errors import UnsupportedStructure

__all__ = ["TorchSim"]


class TorchSim:
    """A model of torch-sim.

    Parameters
    ----------
    model
        A ``torch_sim.models.interface.ModelInterface`` that computes forces.  Where it computes no
        stress, and for what is not periodic, the stress is NaN.
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
                "torch-sim knows no structures that are periodic along one or two directions"
            )
        return len(atoms)

    def release(self, key: int) -> None:
        pass

    def evaluate(self, geometry: Geometry, stress: bool) -> Evaluation:
        return asked(lambda some: self._told(some, stress), geometry)

    def _told(self, geometry: Geometry, stress: bool) -> Evaluation:
        answer, periodic = unknown(geometry), np.all(geometry.pbc, axis=1)
        # What a batch of torch-sim is made of is periodic, or is not.
        for mask in (periodic, ~periodic):
            if not mask.any():
                continue
            some, rows = chosen(geometry, mask)
            state = self._state(some)
            # Wrappers of torch-sim 0.3 look at the elements to see whether the structures are others.
            if hasattr(self.model, "setup_from_system_idx"):
                self.model.setup_from_system_idx(state.atomic_numbers, state.system_idx)
            with memory_watched(), warnings.catch_warnings():
                warnings.filterwarnings("ignore", module=rf"(torch_sim|vesin)(\.|$)|{NOISY}")
                out = self.model(state)
            answer.energies[mask] = self._host(out["energy"]).reshape(-1)
            answer.forces[rows] = self._host(out["forces"])
            if stress and "stress" in out and some.pbc.any():
                answer.stresses[mask] = self._host(out["stress"])
        return answer

    def _state(self, geometry: Geometry) -> Any:
        """Return the structures, all of the same periodicity, as torch-sim has them."""
        import torch
        from torch_sim import SimState

        def there(array: np.ndarray) -> Any:
            return torch.tensor(array, dtype=self.model.dtype, device=self.model.device)

        owner = np.repeat(np.arange(len(geometry.keys)), geometry.lengths)
        return SimState(
            positions=there(geometry.positions),
            masses=there(atomic_masses[geometry.numbers]),
            cell=there(geometry.cells.transpose(0, 2, 1)),
            pbc=bool(geometry.pbc.any()),
            atomic_numbers=torch.tensor(geometry.numbers, dtype=torch.int, device=self.model.device),
            system_idx=torch.tensor(owner, device=self.model.device),
        )

    @staticmethod
    def _host(tensor: Any) -> np.ndarray:
        return np.array(tensor.detach().cpu().numpy(), float)
