"""The coordinates of the engine for the structures of a torch-sim state."""

from __future__ import annotations

import numpy as np
import torch

from relax.engine.arrays import Constants, Place
from relax.engine.coordinates import BatchCoordinates
from relax.geometry.cell import GPA, CellFreedom, StepScale
from relax.optimizers.torch_sim.state import CellRuleState, RuleState, to_numpy

__all__ = ["StateCoordinates"]


class StateCoordinates(BatchCoordinates):
    """Structures without constraints or symmetry, at the place that a state holds.

    Parameters
    ----------
    state
        The state.
    freedom
        What the cells may do; None where they are held.
    scale
        The rule, which says how long steps of the cell are where ``freedom`` does not.
    """

    def __init__(self, state: RuleState, freedom: CellFreedom | None, scale: StepScale) -> None:
        lengths = state.n_atoms_per_system.cpu().numpy()
        count, atoms = len(lengths), int(lengths.sum())
        free = freedom or CellFreedom()
        sized = [free.with_defaults(scale, int(n)) for n in lengths]
        cells = np.swapaxes(to_numpy(state.cell), 1, 2)
        self.place = Place(to_numpy(state.rows), np.zeros((count, 3, 3)), cells)
        if isinstance(state, CellRuleState):
            self.place.strain = to_numpy(state.strain)
            self.place.reference = np.swapaxes(to_numpy(state.reference), 1, 2)
        relaxes = np.full(count, freedom is not None)
        self.constants = Constants(
            numbers=state.atomic_numbers.cpu().numpy(),
            force_projector=np.broadcast_to(np.eye(3), (atoms, 3, 3)),
            step_projector=np.broadcast_to(np.eye(3), (atoms, 3, 3)),
            keys=np.arange(count),
            lengths=lengths,
            pbc=np.full((count, 3), bool(torch.as_tensor(state.pbc).all())),
            relaxes=relaxes,
            scale=np.array([one.length for one in sized])[:, None, None],
            pressure=relaxes * free.pressure * GPA,
            limit=np.array([one.max_strain for one in sized]),
            rebase=np.where(relaxes, free.rebase, np.inf),
        )
        self.starts, self.by_ase, self.grouped = [], [], []
        self.free = np.tile(free.projector(np.eye(3)), (count, 1, 1))
        self._deform()

    def __len__(self) -> int:
        return len(self.constants.lengths)

    def _refer(self, which: np.ndarray) -> None:
        """Do nothing: what is free does not depend on the reference cell of a crystal."""
