"""States of torch-sim that contain the state of a rule.

torch-sim splits and joins batches array by array.  Its arrays have one entry per atom or one per structure,
so that the rows of a rule must be stored as these two kinds.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch_sim import SimState

from relax.core import state as states
from relax.core.rule import Point, Rule
from relax.core.state import State

__all__ = ["CellRuleState", "PackedRule", "RuleState", "base_fields", "to_numpy"]


@dataclass(kw_only=True)
class RuleState(SimState):  # type: ignore[misc]  # torch-sim has no types
    """S structures with N atoms in all, and the state of a rule for them."""

    positions: torch.Tensor  # (N, 3) A
    cell: torch.Tensor  # (S, 3, 3) A, one vector per column
    forces: torch.Tensor  # (N, 3) eV/A
    energy: torch.Tensor  # (S,) eV
    rows: torch.Tensor  # (N, 3) positions in the frame of the reference cell, A, float64
    memory: torch.Tensor  # (N, K) the rule's state with all leaves side by side, float64

    _atom_attributes = SimState._atom_attributes | {"forces", "rows", "memory"}
    _system_attributes = SimState._system_attributes | {"energy"}


@dataclass(kw_only=True)
class CellRuleState(RuleState):
    """The same with cells that relax: each structure has three more rows, its log strain."""

    stress: torch.Tensor  # (S, 3, 3) eV/A^3
    cell_forces: torch.Tensor  # (S, 3, 3) eV/A, as in ASE's FrechetCellFilter, for torch-sim's criteria
    strain: torch.Tensor  # (S, 3, 3) log strain, float64
    reference: torch.Tensor  # (S, 3, 3) cell without strain, A, one vector per column, float64
    cell_memory: torch.Tensor  # (S, 3, K) the rule's state for the rows of the cell

    _system_attributes = RuleState._system_attributes | {
        "stress", "cell_forces", "strain", "reference", "cell_memory",
    }  # fmt: skip


class PackedRule:
    """A rule whose state is packed into one float64 array (R, K) with all leaves side by side."""

    def __init__(self, rule: Rule) -> None:
        self.rule, self.stiffness = rule, rule.stiffness
        self.template = rule.init(np.zeros((1, 3)))

    def init(self, x: np.ndarray) -> np.ndarray:
        """Return the packed state before the first step, for rows at ``x`` (R, 3), in A."""
        return self._packed(self.rule.init(x), x)

    def update(self, packed: np.ndarray, point: Point) -> tuple[np.ndarray, np.ndarray]:
        """Return the displacement (R, 3) in A, and the next packed state."""
        start = 0

        def leaf(like: np.ndarray) -> np.ndarray:
            nonlocal start
            columns = packed[:, start : start + like.size]
            start += like.size
            return columns.reshape(-1, *like.shape[1:])

        dx, state = self.rule.update(states.map_leaves(leaf, self.template), point)
        return dx, self._packed(state, point.x)

    def _packed(self, state: State, x: np.ndarray) -> np.ndarray:
        leaves = [x[:, :0]]  # for rules whose state is empty
        # The template sets the order of the leaves, in which update reads them.
        states.map_leaves(lambda _, a: leaves.append(a.reshape(len(a), -1)), self.template, state)
        return np.concatenate(leaves, axis=1)


def base_fields(state: SimState) -> dict[str, Any]:
    """Return the fields that every state of torch-sim has, by name."""
    return {field.name: getattr(state, field.name) for field in fields(SimState)}


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor as float64 on the host."""
    return np.array(tensor.detach().double().cpu().numpy())
