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

from relax.calculators.base import Evaluation
from relax.core.rule import Point, Rule
from relax.engine.termination import remove_nonfinite
from relax.geometry.cell import CellFreedom, cell_freedom
from relax.optimizers.torch_sim.coordinates import StateCoordinates
from relax.optimizers.torch_sim.state import CellRuleState, PackedRule, RuleState, base_fields, to_numpy
from relax.rules.wrappers import innermost

__all__ = ["CellRuleState", "RuleState", "for_torch_sim"]

Optimizer = Callable[..., tuple[Callable[[SimState], "RuleState"], Callable[["RuleState"], "RuleState"]]]


def for_torch_sim(rule: Rule, *, cell: bool | str | CellFreedom = False) -> Optimizer:
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
        Relax the cells too: ``True``, axes such as ``"xy"``, between which they may strain, or a
        :class:`~relax.geometry.cell.CellFreedom`.

    Returns
    -------
    optimizer
        A function of a torch-sim model that returns two functions.  The first one makes the initial state
        from a ``SimState``, the second one makes a step; each calls the model once.

    Raises
    ------
    TypeError
        ``cell`` is neither of these.
    ValueError
        With ``cell``, when the returned functions are called: the model computes no stress, or the structures
        are not periodic.
    """
    freedom = cell_freedom(cell)

    def optimizer(model: Any) -> tuple[Callable[[SimState], RuleState], Callable[[RuleState], RuleState]]:
        steps = Steps(rule, model, freedom)
        return steps.init, steps.step

    return optimizer


class Steps:
    """Steps of a rule in the coordinates of the engine, on the host.

    Parameters
    ----------
    rule
        The rule with its wrappers.
    model
        A torch-sim model.
    freedom
        What the cells may do; None where they are held.
    """

    def __init__(self, rule: Rule, model: Any, freedom: CellFreedom | None) -> None:
        if freedom is not None and not model.compute_stress:
            raise ValueError("cell=True needs the stress; make the model with compute_stress=True")
        self.model, self.freedom, self.rule = model, freedom, PackedRule(rule)
        self.scale = innermost(rule)
        self.names = ("energy", "forces") if freedom is None else ("energy", "forces", "stress")

    def init(self, state: SimState) -> RuleState:
        """Return the state before the first step."""
        if self.freedom is not None and not torch.as_tensor(state.pbc).all():
            raise ValueError("cell=True relaxes cells, but the structures are not periodic; use cell=False")
        rows, cell = state.positions.double(), state.cell.double()
        known = base_fields(state) | self.evaluate(state)
        if self.freedom is None:
            made = RuleState(**known, rows=rows, memory=rows[:, :0])
        else:
            made = CellRuleState(
                **known,
                cell_forces=torch.zeros_like(state.cell),
                rows=rows,
                memory=rows[:, :0],
                strain=torch.zeros_like(cell),
                reference=cell,
                cell_memory=cell[:, :, :0],
            )
        c = self.coordinates(made)
        return self.moved(made, c, self.rule.init(c.x), made)

    def step(self, state: RuleState) -> RuleState:
        """Return the state after one more step."""
        c, memory = self.coordinates(state), self.memory(state)
        if (far := c.far).any():
            c.rebase(far)
            memory = np.where(far[c.seg.owner][:, None], self.rule.init(c.x), memory)
        evaluation = self.evaluation(state, c)
        g = c.gradients(evaluation.forces, evaluation.stresses).g
        metric = None if self.rule.stiffness is None else c.metric(self.rule.stiffness)
        point = Point(c.x, g, c.values(evaluation)[c.seg.owner][:, None], c.seg, metric)
        dx, memory = self.rule.update(memory, point)
        # One structure whose step is not finite must not end the batch: it stays where it is.
        finite = np.logical_and.reduceat(np.isfinite(dx).all(axis=1), c.seg.starts)
        c.move(c.limit(np.where(finite[c.seg.owner][:, None], dx, 0.0)))
        like = state.positions
        places = {"positions": torch.as_tensor(c.positions).to(like)}
        if self.freedom is not None:
            places["cell"] = torch.as_tensor(c.cells).mT.to(like)
        there = replace(state, **places)
        return self.moved(there, c, memory, replace(there, **self.evaluate(there)))

    def moved(
        self, state: RuleState, c: StateCoordinates, memory: np.ndarray, evaluated: RuleState
    ) -> RuleState:
        """Return what was ``evaluated`` at the coordinates ``c``, with the ``memory`` (R, K) of the rule."""
        like = evaluated.rows
        of_atoms, of_strain = c.rows
        new = {"rows": c.place.x, "memory": memory[of_atoms]}
        if self.freedom is not None:
            evaluation = self.evaluation(evaluated, c)
            g = c.gradients(evaluation.forces, evaluation.stresses).g
            slope = c.constants.scale * g[of_strain].reshape(-1, 3, 3)
            new |= {
                "strain": c.place.strain,
                "reference": np.swapaxes(c.place.reference, 1, 2),
                "cell_memory": memory[of_strain].reshape(len(c), 3, -1),
            }
            forces = torch.as_tensor(-slope / c.natoms[:, None, None]).to(state.positions)
            of_cell: dict[str, Any] = {"cell_forces": forces}
            evaluated = replace(evaluated, **of_cell)
        return replace(evaluated, **{name: torch.as_tensor(rows).to(like) for name, rows in new.items()})

    def coordinates(self, state: RuleState) -> StateCoordinates:
        """Return where the structures of a state are."""
        return StateCoordinates(state, self.freedom, self.scale)

    def memory(self, state: RuleState) -> np.ndarray:
        """Return the packed state of the rule (R, K)."""
        if not isinstance(state, CellRuleState):
            return to_numpy(state.memory)
        c, k = self.coordinates(state), state.memory.shape[1]
        memory = np.empty((c.seg.rows, k))
        memory[c.rows[0]], memory[c.rows[1]] = (
            to_numpy(state.memory),
            to_numpy(state.cell_memory).reshape(-1, k),
        )
        return memory

    def evaluate(self, state: SimState) -> dict[str, torch.Tensor]:
        """Return what the model computes for a state."""
        results = self.model(state)
        return {name: results[name] for name in self.names}

    def evaluation(self, state: RuleState, c: StateCoordinates) -> Evaluation:
        """Return what the model has computed for a state at ``c``; what is not finite counts as zero."""
        stress = getattr(state, "stress", None)
        stresses = np.full((state.n_systems, 3, 3), np.nan) if stress is None else to_numpy(stress)
        evaluation = Evaluation(to_numpy(state.energy), to_numpy(state.forces), stresses)
        remove_nonfinite(c, evaluation)
        return evaluation
