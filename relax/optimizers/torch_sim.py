"""Our rules as optimizers of torch-sim, whose models, batches and swapping they then run under.

::

    import torch_sim as ts
    from relax.rules import LBFGS
    from relax.rules.wrappers import for_atoms
    from relax.optimizers.torch_sim import for_torch_sim

    optimizer = for_torch_sim(for_atoms(LBFGS()), cell=True)
    stop = ts.generate_force_convergence_fn(0.05)
    last = ts.optimize(structures, model, optimizer=optimizer, convergence_fn=stop, steps_between_swaps=1)

The steps are those of :class:`~relax.optimizers.base.RuleOptimizer`, structure by structure, whoever shares
the batch.  What watches over those is not here: no verdict, no symmetry, no rattle.  This module needs
``pip install "relax[torchsim]"``.
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
from relax.optimizers.torch_sim_state import CellRuleState, Memory, Places, RuleState, plain
from relax.preconditioner.model_hessian import PairHessian
from relax.preconditioner.network import spring_network
from relax.preconditioner.pair_stiffness import PairStiffness
from relax.rules.wrappers import innermost

__all__ = ["CellRuleState", "RuleState", "for_torch_sim"]

Optimizer = Callable[..., tuple[Callable[[SimState], "RuleState"], Callable[["RuleState"], "RuleState"]]]


def for_torch_sim(rule: Rule, *, cell: bool | CellFreedom = False) -> Optimizer:
    """Return ``rule`` as an optimizer that ``torch_sim.optimize`` takes.

    A rule computes in float64 whatever the dtype of the model.  ``torch_sim.optimize`` looks at
    convergence every five steps unless told otherwise, and for cells that are held its
    ``generate_force_convergence_fn`` wants ``include_cell_forces=False``.

    torch-sim 0.3, for which this is written, has no constraints and drops those of ``ase.Atoms``, and
    knows no structures that are periodic along some directions only: it takes them for not periodic.
    Later releases take a pair of functions of a state and a model in place of this.

    Parameters
    ----------
    rule
        The rule as it is to be followed, see :func:`relax.rules.wrappers.for_atoms`.
    cell
        Relax the cells too: ``True``, or a :class:`~relax.geometry.cell.CellFreedom` that says what they
        may do.

    Returns
    -------
    optimizer
        A function of a torch-sim model, which returns two: one makes a state of a ``SimState``, with
        one call of the model, and the other takes a step, with another.

    Raises
    ------
    ValueError
        Later: the model gives no stress, or the structures are not periodic, and the cell is to relax.
    """
    freedom = CellFreedom() if cell is True else cell or None

    def optimizer(model: Any) -> tuple[Callable[[SimState], RuleState], Callable[[RuleState], RuleState]]:
        steps = AtomSteps(rule, model) if freedom is None else CellSteps(rule, model, freedom)
        return steps.init, steps.step

    return optimizer


class AtomSteps:
    """Steps of a rule at cells that are held."""

    def __init__(self, rule: Rule, model: Any) -> None:
        self.model, self.memory = model, Memory(rule, model.device)

    def init(self, state: SimState) -> RuleState:
        """Return the state before the first step."""
        rows, told = state.positions.double(), self.model(state)
        return RuleState(
            **plain(state),
            energy=told["energy"],
            forces=told["forces"],
            rows=rows,
            memory=self.memory.init(rows),
        )

    def step(self, state: RuleState) -> RuleState:
        """Return the state one step on."""
        g, e = -state.forces.double(), state.energy.double()[state.system_idx, None]
        rows = Segments(state.n_atoms_per_system.tolist())
        metric = metric_of(state, self.memory.rule.stiffness)
        dx, memory = self.memory.update(state.memory, Point(state.rows, g, e, rows, metric))
        x = state.rows + dx
        moved = replace(state, rows=x, positions=x.to(state.dtype), memory=memory)
        told = self.model(moved)
        return replace(moved, energy=told["energy"], forces=told["forces"])


class CellSteps:
    """Steps of a rule with cells that relax; the coordinates are those of :mod:`relax.optimizers.crystal`."""

    def __init__(self, rule: Rule, model: Any, freedom: CellFreedom) -> None:
        if not model.compute_stress:
            raise ValueError("cell=True needs the stress; make the model with compute_stress=True")
        self.model, self.freedom, self.memory = model, freedom, Memory(rule, model.device)
        self.strider = innermost(rule)
        real: dict[str, Any] = {"dtype": torch.float64, "device": model.device}
        self.free = torch.tensor(freedom.projector(np.eye(3)), **real)
        self.pressure = freedom.pressure * GPA * torch.eye(3, **real)

    def init(self, state: SimState) -> CellRuleState:
        """Return the state before the first step."""
        if not torch.as_tensor(state.pbc).all():
            raise ValueError("cell=True relaxes cells, but the structures are not periodic; use cell=False")
        rows, cell = state.positions.double(), state.cell.double()
        places = Places(state)
        memory, cell_memory = places.parted(self.memory.init(places.joined(rows, torch.zeros_like(cell))))
        return self.pulled(
            CellRuleState(
                **plain(state),
                **self.told(state),
                cell_forces=torch.zeros_like(state.cell),
                rows=rows,
                memory=memory,
                strain=torch.zeros_like(cell),
                reference=cell,
                cell_memory=cell_memory,
            )
        )

    def step(self, state: CellRuleState) -> CellRuleState:
        """Return the state one step on."""
        state, places, scale = self.rebased(state), Places(state), self.scale(state)
        x = places.joined(state.rows, scale * state.strain)
        g_atoms = -row_times(state.forces.double(), deformation(state.strain)[state.system_idx])
        g = places.joined(g_atoms, self.strain_gradient(state) / scale)
        enthalpy = state.energy.double() + self.pressure[0, 0] * volumes(state)
        memory = places.joined(state.memory, state.cell_memory)
        metric = metric_of(state, self.memory.rule.stiffness, scale)
        point = Point(x, g, enthalpy[places.owner, None], places.rows, metric)
        dx, memory = self.memory.update(memory, point)
        step, strain_step = self.allowed(*places.parted(dx), scale, state.system_idx)
        own, cell_own = places.parted(memory)
        rows, strain = state.rows + step, state.strain + strain_step / scale
        deformed = deformation(strain)
        moved = replace(
            state,
            positions=row_times(rows, deformed.mT[state.system_idx]).to(state.dtype),
            cell=(deformed @ state.reference).to(state.dtype),
            rows=rows,
            memory=own,
            strain=strain,
            cell_memory=cell_own,
        )
        return self.pulled(replace(moved, **self.told(moved)))

    def rebased(self, state: CellRuleState) -> CellRuleState:
        """Return the state with new references, and memories afresh, where strains are large."""
        far = state.strain.abs().amax((1, 2)) > self.freedom.rebase
        if not far.any():
            return state
        deformed, atoms, cells = deformation(state.strain), far[state.system_idx, None], far[:, None, None]
        rows = torch.where(atoms, row_times(state.rows, deformed.mT[state.system_idx]), state.rows)
        strain = torch.where(cells, 0.0, state.strain)
        places = Places(state)
        memory, cell_memory = places.parted(self.memory.init(places.joined(rows, strain)))
        return replace(
            state,
            rows=rows,
            memory=torch.where(atoms, memory, state.memory),
            strain=strain,
            reference=torch.where(cells, deformed @ state.reference, state.reference),
            cell_memory=torch.where(cells, cell_memory, state.cell_memory),
        )

    def told(self, state: SimState) -> dict[str, torch.Tensor]:
        """Return what the model says of a state."""
        said = self.model(state)
        return {name: said[name] for name in ("energy", "forces", "stress")}

    def pulled(self, state: CellRuleState) -> CellRuleState:
        """Return the state with the cell forces that its stress makes."""
        forces = -self.strain_gradient(state) / state.n_atoms_per_system[:, None, None]
        return replace(state, cell_forces=forces.to(state.dtype))

    def scale(self, state: CellRuleState) -> torch.Tensor:
        """Return the length that a strain of one counts as in each structure, (S, 1, 1), A."""
        factor, power = self.strider.strain_length
        atoms = state.n_atoms_per_system.double()[:, None, None]
        length = self.freedom.length
        return factor * atoms**power if length is None else torch.full_like(atoms, length)

    def freed(self, tensors: torch.Tensor) -> torch.Tensor:
        """Return the part of strains or stresses (S, 3, 3) that the freedom of the cell leaves."""
        return (tensors.reshape(-1, 9) @ self.free).reshape(-1, 3, 3)

    def strain_gradient(self, state: CellRuleState) -> torch.Tensor:
        """Return the gradient along the log strains (S, 3, 3), eV."""
        virial = (state.stress.double() + self.pressure) * volumes(state)[:, None, None]
        return self.freed(strain_gradient(state.strain, deformation(state.strain), virial))

    def allowed(
        self, atoms: torch.Tensor, cells: torch.Tensor, scale: torch.Tensor, owner: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the part of a step, of atoms (N, 3) and of cells (S, 3, 3), that freedom and limit leave."""
        cells = self.freed(cells)
        # One structure gone wrong must not end its batch, as taking the norm of a NaN would.
        strain = torch.linalg.matrix_norm(torch.nan_to_num(cells, 0.0, 0.0, 0.0), 2)[:, None, None] / scale
        limit = self.strider.max_strain if self.freedom.max_strain is None else self.freedom.max_strain
        shorter = torch.clip(limit / strain, max=1.0)  # of no strain, infinity
        return shorter[owner, 0] * atoms, shorter * cells


class TorchMetric:
    """A metric of arrays of numpy, for tensors."""

    def __init__(self, inner: PairHessian, like: torch.Tensor) -> None:
        self.inner, self.like = inner, like

    @property
    def size(self) -> torch.Tensor:
        """The mean of the diagonal of H of each structure, on all of its rows (R, 1)."""
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
    """Return how stiff the rows of ``state`` are, if the rule wants to know.

    ``scale`` (S, 1, 1) is what a strain of one counts as, A, where cells relax.
    """
    if stiffness is None:
        return None
    owner, positions = state.system_idx.cpu().numpy(), state.positions.double().cpu().numpy()
    numbers, cells = state.atomic_numbers.cpu().numpy(), state.cell.double().mT.cpu().numpy()
    pbc = np.full(3, bool(torch.as_tensor(state.pbc).all()))
    bodies = []
    for s, cell in enumerate(cells):
        mine = owner == s
        length = None if scale is None else float(scale[s])
        bodies.append(spring_network(numbers[mine], positions[mine], cell, pbc, stiffness, length))
    return TorchMetric(PairHessian(bodies, stiffness), state.rows)


def volumes(state: SimState) -> torch.Tensor:
    """Return the volume of each structure (S,), A^3."""
    signed: torch.Tensor = torch.linalg.det(state.cell.double())
    return signed.abs()


def row_times(rows: torch.Tensor, tensors: torch.Tensor) -> torch.Tensor:
    """Return each of ``rows`` (N, 3) times its own of ``tensors`` (N, 3, 3)."""
    return (rows[:, None, :] @ tensors)[:, 0, :]
