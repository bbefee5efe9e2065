"""The preconditioner of the states of torch-sim."""

from __future__ import annotations

import numpy as np
import torch

from relax.optimizers.torch_sim.state import RuleState
from relax.preconditioner.model_hessian import PairHessian
from relax.preconditioner.network import spring_network
from relax.preconditioner.pair_stiffness import PairStiffness

__all__ = ["TorchMetric", "metric_of"]


class TorchMetric:
    """A ``Metric`` of numpy arrays, for tensors on the device and with the dtype of ``like``."""

    def __init__(self, inner: PairHessian, like: torch.Tensor) -> None:
        self.inner, self.like = inner, like

    @property
    def size(self) -> torch.Tensor:
        """Mean of the diagonal of H of each structure, on all rows of the structure (R, 1)."""
        return torch.as_tensor(self.inner.size).to(self.like)

    def apply(self, rows: torch.Tensor) -> torch.Tensor:
        """Return H times ``rows`` (R, 3)."""
        return torch.as_tensor(self.inner.apply(rows.cpu().numpy())).to(rows)

    def solve(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the inverse of H times ``rows`` (R, 3)."""
        return torch.as_tensor(self.inner.solve(rows.cpu().numpy())).to(rows)

    def root(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the inverse of the symmetric square root of H times ``rows`` (R, 3)."""
        return torch.as_tensor(self.inner.root(rows.cpu().numpy())).to(rows)


def metric_of(
    state: RuleState, stiffness: PairStiffness | None, scale: torch.Tensor | None = None
) -> TorchMetric | None:
    """Return the pair-stiffness Hessian of the structures of ``state``.

    Parameters
    ----------
    state
        The structures.
    stiffness
        The parameters of the model that the rule needs; if None, there is no metric.
    scale
        Length of a strain of one in each structure (S, 1, 1), A, if the cells relax.
    """
    if stiffness is None:
        return None
    owner, positions = state.system_idx.cpu().numpy(), state.positions.double().cpu().numpy()
    numbers, cells = state.atomic_numbers.cpu().numpy(), state.cell.double().mT.cpu().numpy()
    pbc = np.full(3, bool(torch.as_tensor(state.pbc).all()))
    networks = []
    for s, cell in enumerate(cells):
        mine = owner == s
        length = None if scale is None else float(scale[s])
        networks.append(spring_network(numbers[mine], positions[mine], cell, pbc, stiffness, length))
    return TorchMetric(PairHessian(networks, stiffness), state.rows)
