"""The update rules as torch-sim optimizers, for torch-sim's models and autobatching.

::

    import torch_sim as ts
    from relax.rules import LBFGS
    from relax.rules.wrappers import for_atoms
    from relax.optimizers.torch_sim import for_torch_sim

    optimizer = for_torch_sim(for_atoms(LBFGS()), cell=True)
    stop = ts.generate_force_convergence_fn(0.05)
    last = ts.optimize(structures, model, optimizer=optimizer, convergence_fn=stop, steps_between_swaps=1)

Each structure makes the steps that it makes in :class:`~relax.optimizers.base.RuleOptimizer`, in any batch.
The other features of that class are missing: sanity checks and status, symmetry, rattle.  This module
needs ``pip install "relax[torchsim]"``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch_sim import SimState

from relax.core.rule import Point, Rule
from relax.core.segments import Segments
from relax.geometry.cell import GPA, CellFreedom, deformation, strain_gradient
from relax.optimizers.torch_sim.metric import metric_of
from relax.optimizers.torch_sim.state import CellRuleState, PackedRule, RowLayout, RuleState, base_fields
from relax.rules.wrappers import innermost

__all__ = ["CellRuleState", "RuleState", "for_torch_sim"]

Optimizer = Callable[..., tuple[Callable[[SimState], "RuleState"], Callable[["RuleState"], "RuleState"]]]


def for_torch_sim(rule: Rule, *, cell: bool | CellFreedom = False) -> Optimizer:
    """Return ``rule`` as an optimizer for ``torch_sim.optimize``.

    The rule computes in float64 for any dtype of the model.  ``torch_sim.optimize`` checks convergence every
    five steps by default.  For fixed cells ``generate_force_convergence_fn`` needs
    ``include_cell_forces=False``.

    This is written for torch-sim 0.3, which ignores the constraints of ``ase.Atoms``, and treats structures
    that are periodic along only some directions as not periodic.  Later releases expect a pair of functions
    of a state and a model instead.

    Parameters
    ----------
    rule
        The rule with its wrappers, see :func:`relax.rules.wrappers.for_atoms`.
    cell
        Relax the cells too: ``True``, or a :class:`~relax.geometry.cell.CellFreedom` that says how they may
        change.

    Returns
    -------
    optimizer
        A function of a torch-sim model that returns two functions.  The first one makes the initial state
        from a ``SimState``, the second one makes a step; each calls the model once.

    Raises
    ------
    ValueError
        With ``cell``, when the returned functions are called: the model computes no stress, or the structures
        are not periodic.
    """
    freedom = CellFreedom() if cell is True else cell or None

    def optimizer(model: Any) -> tuple[Callable[[SimState], RuleState], Callable[[RuleState], RuleState]]:
        steps = AtomSteps(rule, model) if freedom is None else CellSteps(rule, model, freedom)
        return steps.init, steps.step

    return optimizer


class AtomSteps:
    """Steps of a rule with fixed cells."""

    def __init__(self, rule: Rule, model: Any) -> None:
        self.model, self.rule = model, PackedRule(rule, model.device)

    def init(self, state: SimState) -> RuleState:
        """Return the state before the first step."""
        rows = state.positions.double()
        return RuleState(
            **base_fields(state),
            **evaluate(self.model, state, "energy", "forces"),
            rows=rows,
            memory=self.rule.init(rows),
        )

    def step(self, state: RuleState) -> RuleState:
        """Return the state after one more step."""
        g, e = -state.forces.double(), state.energy.double()[state.system_idx, None]
        rows = Segments(state.n_atoms_per_system.tolist())
        metric = metric_of(state, self.rule.stiffness)
        dx, memory = self.rule.update(state.memory, Point(state.rows, g, e, rows, metric))
        x = state.rows + dx
        moved = replace(state, rows=x, positions=x.to(state.dtype), memory=memory)
        return replace(moved, **evaluate(self.model, moved, "energy", "forces"))


class CellSteps:
    """Steps of a rule with cells that relax, in the coordinates of :mod:`relax.geometry.cell`."""

    def __init__(self, rule: Rule, model: Any, freedom: CellFreedom) -> None:
        if not model.compute_stress:
            raise ValueError("cell=True needs the stress; make the model with compute_stress=True")
        self.model, self.freedom, self.rule = model, freedom, PackedRule(rule, model.device)
        self.step_scale = innermost(rule)
        float64: dict[str, Any] = {"dtype": torch.float64, "device": model.device}
        self.projector = torch.tensor(freedom.projector(np.eye(3)), **float64)
        self.pressure = freedom.pressure * GPA * torch.eye(3, **float64)

    def init(self, state: SimState) -> CellRuleState:
        """Return the state before the first step."""
        if not torch.as_tensor(state.pbc).all():
            raise ValueError("cell=True relaxes cells, but the structures are not periodic; use cell=False")
        rows, cell = state.positions.double(), state.cell.double()
        layout = RowLayout(state)
        memory, cell_memory = layout.split(self.rule.init(layout.join(rows, torch.zeros_like(cell))))
        return self.with_cell_forces(
            CellRuleState(
                **base_fields(state),
                **evaluate(self.model, state, "energy", "forces", "stress"),
                cell_forces=torch.zeros_like(state.cell),
                rows=rows,
                memory=memory,
                strain=torch.zeros_like(cell),
                reference=cell,
                cell_memory=cell_memory,
            )
        )

    def step(self, state: CellRuleState) -> CellRuleState:
        """Return the state after one more step."""
        state, layout, scale = self.rebase(state), RowLayout(state), self.scale(state)
        x = layout.join(state.rows, scale * state.strain)
        g_atoms = -row_times(state.forces.double(), deformation(state.strain)[state.system_idx])
        g = layout.join(g_atoms, self.strain_gradient(state) / scale)
        enthalpy = state.energy.double() + self.pressure[0, 0] * volumes(state)
        metric = metric_of(state, self.rule.stiffness, scale)
        point = Point(x, g, enthalpy[layout.owner, None], layout.rows, metric)
        dx, packed = self.rule.update(layout.join(state.memory, state.cell_memory), point)
        step, strain_step = self.limit(*layout.split(dx), scale, state.system_idx)
        memory, cell_memory = layout.split(packed)
        rows, strain = state.rows + step, state.strain + strain_step / scale
        deformed = deformation(strain)
        moved = replace(
            state,
            positions=row_times(rows, deformed.mT[state.system_idx]).to(state.dtype),
            cell=(deformed @ state.reference).to(state.dtype),
            rows=rows,
            memory=memory,
            strain=strain,
            cell_memory=cell_memory,
        )
        results = evaluate(self.model, moved, "energy", "forces", "stress")
        return self.with_cell_forces(replace(moved, **results))

    def rebase(self, state: CellRuleState) -> CellRuleState:
        """Return the state with a new reference and a fresh memory for structures with a large strain."""
        far = state.strain.abs().amax((1, 2)) > self.freedom.rebase
        if not far.any():
            return state
        deformed, atoms, cells = deformation(state.strain), far[state.system_idx, None], far[:, None, None]
        rows = torch.where(atoms, row_times(state.rows, deformed.mT[state.system_idx]), state.rows)
        strain = torch.where(cells, 0.0, state.strain)
        layout = RowLayout(state)
        memory, cell_memory = layout.split(self.rule.init(layout.join(rows, strain)))
        return replace(
            state,
            rows=rows,
            memory=torch.where(atoms, memory, state.memory),
            strain=strain,
            reference=torch.where(cells, deformed @ state.reference, state.reference),
            cell_memory=torch.where(cells, cell_memory, state.cell_memory),
        )

    def with_cell_forces(self, state: CellRuleState) -> CellRuleState:
        """Return the state with the cell forces that belong to its stress."""
        forces = -self.strain_gradient(state) / state.n_atoms_per_system[:, None, None]
        return replace(state, cell_forces=forces.to(state.dtype))

    def scale(self, state: CellRuleState) -> torch.Tensor:
        """Return the length of a strain of one in each structure, (S, 1, 1), A."""
        factor, power = self.step_scale.strain_length
        atoms = state.n_atoms_per_system.double()[:, None, None]
        length = self.freedom.length
        return factor * atoms**power if length is None else torch.full_like(atoms, length)

    def project(self, tensors: torch.Tensor) -> torch.Tensor:
        """Return the part of strains or stresses (S, 3, 3) that the freedom of the cell allows."""
        return (tensors.reshape(-1, 9) @ self.projector).reshape(-1, 3, 3)

    def strain_gradient(self, state: CellRuleState) -> torch.Tensor:
        """Return the gradient along the log strains (S, 3, 3), eV."""
        virial = (state.stress.double() + self.pressure) * volumes(state)[:, None, None]
        return self.project(strain_gradient(state.strain, deformation(state.strain), virial))

    def limit(
        self, atoms: torch.Tensor, cells: torch.Tensor, scale: torch.Tensor, owner: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a step of atoms (N, 3) and cells (S, 3, 3), projected and within the limit of the strain."""
        cells = self.project(cells)
        # The norm of a NaN raises an exception, and would end the whole batch.
        strain = torch.linalg.matrix_norm(torch.nan_to_num(cells, 0.0, 0.0, 0.0), 2)[:, None, None] / scale
        limit = self.step_scale.max_strain if self.freedom.max_strain is None else self.freedom.max_strain
        factor = torch.clip(limit / strain, max=1.0)  # infinity without strain, clipped to 1
        return factor[owner, 0] * atoms, factor * cells


def evaluate(model: Any, state: SimState, *names: str) -> dict[str, torch.Tensor]:
    """Return the results ``names`` of a torch-sim model for a state."""
    results = model(state)
    return {name: results[name] for name in names}


def volumes(state: SimState) -> torch.Tensor:
    """Return the volume of each structure (S,), A^3."""
    signed: torch.Tensor = torch.linalg.det(state.cell.double())
    return signed.abs()


def row_times(rows: torch.Tensor, tensors: torch.Tensor) -> torch.Tensor:
    """Return each row of ``rows`` (N, 3) times its matrix of ``tensors`` (N, 3, 3)."""
    return (rows[:, None, :] @ tensors)[:, 0, :]
