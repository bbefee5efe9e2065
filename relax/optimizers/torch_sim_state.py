"""States of torch-sim that a rule advances, and how the rule's rows lie in them.

torch-sim takes a batch apart and puts it together array by array, and knows two kinds: one entry for
each atom, or one for each structure.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch_sim import SimState

from relax.core import state as states
from relax.core.rule import Point, Rule
from relax.core.segments import Segments
from relax.core.state import State

__all__ = ["CellRuleState", "Memory", "Places", "RuleState", "plain"]


@dataclass(kw_only=True)
class RuleState(SimState):  # type: ignore[misc]  # torch-sim has no types
    """S structures of N atoms in all, and what a rule remembers of them."""

    positions: torch.Tensor  # (N, 3) A
    cell: torch.Tensor  # (S, 3, 3) A, a vector a column
    forces: torch.Tensor  # (N, 3) eV/A
    energy: torch.Tensor  # (S,) eV
    rows: torch.Tensor  # (N, 3) positions in the frame of the reference cell, A, float64
    memory: torch.Tensor  # (N, K) the rule's state, leaf beside leaf, float64

    _atom_attributes = SimState._atom_attributes | {"forces", "rows", "memory"}
    _system_attributes = SimState._system_attributes | {"energy"}


@dataclass(kw_only=True)
class CellRuleState(RuleState):
    """The same with cells that relax: three more rows for each structure, its log strain."""

    stress: torch.Tensor  # (S, 3, 3) eV/A^3
    cell_forces: torch.Tensor  # (S, 3, 3) eV/A, those of ASE's FrechetCellFilter, for torch-sim's criteria
    strain: torch.Tensor  # (S, 3, 3) log strain, float64
    reference: torch.Tensor  # (S, 3, 3) cell without strain, a vector a column, A, float64
    cell_memory: torch.Tensor  # (S, 3, K) the rule's state of the rows of the cell

    _system_attributes = RuleState._system_attributes | {
        "stress", "cell_forces", "strain", "reference", "cell_memory",
    }  # fmt: skip


class Places:
    """Where a rule has its rows: for each structure those of its atoms, then three of its strain."""

    def __init__(self, state: SimState) -> None:
        lengths = state.n_atoms_per_system + 3
        self.rows = Segments(lengths.tolist(), [True] * len(lengths))
        structures = torch.arange(len(lengths), device=state.device)
        self.owner = torch.repeat_interleave(structures, lengths)
        self.atoms = torch.arange(state.n_atoms, device=state.device) + 3 * state.system_idx
        self.cells = torch.cumsum(lengths, 0)[:, None] - torch.tensor([3, 2, 1], device=state.device)

    def joined(self, atoms: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
        """Return rows (R, k) of what there is of atoms (N, k) and of cells (S, 3, k)."""
        rows = atoms.new_empty((self.rows.rows, atoms.shape[1]))
        rows[self.atoms], rows[self.cells] = atoms, cells
        return rows

    def parted(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what there is of atoms (N, k) and of cells (S, 3, k) among rows (R, k)."""
        return rows[self.atoms], rows[self.cells]


class Memory:
    """A rule whose state is one array of float64 (R, K), leaf beside leaf, for R rows."""

    def __init__(self, rule: Rule, device: torch.device) -> None:
        self.rule = rule
        self.blank = rule.init(torch.zeros((1, 3), dtype=torch.float64, device=device))

    def init(self, x: torch.Tensor) -> torch.Tensor:
        """Return the memory before the first step of rows at ``x`` (R, 3), in A."""
        return self._packed(self.rule.init(x), x)

    def update(self, memory: torch.Tensor, point: Point) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the displacement (R, 3) in A, and the next memory."""
        start = 0

        def leaf(like: torch.Tensor) -> torch.Tensor:
            nonlocal start
            columns = memory[:, start : start + like.numel()]
            start += like.numel()
            return columns.reshape(-1, *like.shape[1:]).to(like.dtype)

        dx, state = self.rule.update(states.map_leaves(leaf, self.blank), point)
        return dx, self._packed(state, point.x)

    def _packed(self, state: State, x: torch.Tensor) -> torch.Tensor:
        leaves = [x[:, :0]]  # the rows of a rule that remembers nothing
        # Together with the blank one, whose order of leaves is that in which they are read.
        states.map_leaves(lambda _, a: leaves.append(a.reshape(len(a), -1).double()), self.blank, state)
        return torch.cat(leaves, dim=1)


def plain(state: SimState) -> dict[str, Any]:
    """Return what every state of torch-sim has."""
    return {field.name: getattr(state, field.name) for field in fields(SimState)}
