"""One structure relaxed by one call."""

from __future__ import annotations

import math
from typing import Any

from ase import Atoms

from relax.core.result import Result
from relax.engine.batch.of_ase.names import check_ase_name, is_ase
from relax.rules import DEFAULT_RULE, rule_beside

__all__ = ["relax"]


def relax(
    atoms: Atoms,
    calculator: Any = None,
    rule: str = DEFAULT_RULE,
    *,
    fmax: float = 0.05,
    steps: int = 500,
    smax: float | None = None,
    energy_change: float = math.inf,
    displacement: float = math.inf,
    timeout: float | None = None,
    draws: int = 1,
    logfile: Any = None,
    trajectory: Any = None,
    **options: Any,
) -> Result:
    """Relax ``atoms``, which are changed in place, and return how that ended.

    ::

        result = relax.relax(atoms, "chgnet", cell=True, check="minimum", escape=True)

    Parameters
    ----------
    atoms
        The structure.
    calculator
        An ASE calculator, or the name of one (see :mod:`relax.calculators.registry`); the one that the
        atoms have, if not given.
    rule
        The name of a rule; by default the one that needs the fewest force calls.  Optimizers of ASE such as
        ``"ase:BFGS"`` are those of :func:`~relax.engine.api.relax_many`, with its options.
    fmax, steps, smax, energy_change, displacement, timeout
        When the relaxation is over, see :class:`~relax.core.settings.Criteria`.
    draws
        How many starts are relaxed together, and the lowest end kept, as in
        :func:`~relax.engine.api.relax_many`, whose options there then are.
    logfile, trajectory
        As in ASE's optimizers; none, if not given.  Not with several draws.
    **options
        ``cell``, ``pressure``, ``symmetry``, ``rattle``, ``check``, ``escape``, ``prior``, ``known`` and all
        else that the optimizers take, see :class:`~relax.optimizers.base.RuleOptimizer`, and parameters of
        the rule.

    Raises
    ------
    ValueError
        An unknown rule, a parameter out of its bounds, no atoms, atoms that the calculator does not support,
        or, of several draws or for an optimizer of ASE, what a batch refuses or an object that is no
        ``Atoms``.
    TypeError
        A parameter is unknown, or ``atoms`` is nothing that can be relaxed.
    RuntimeError
        The atoms have no calculator.
    """
    from relax.calculators.potentials import batched_calculator
    from relax.calculators.registry import load, unsupported
    from relax.optimizers.named import OPTIMIZERS
    from relax.optimizers.structure import check_relaxable

    check_relaxable(atoms)
    rule = str(rule_beside(rule, options.get("prior"), options.get("known")))
    if is_ase(rule):
        check_ase_name(rule)
        if not isinstance(atoms, Atoms):
            kind = type(atoms).__name__
            raise ValueError(f"{rule} needs Atoms, not a {kind}; give its atoms and cell=True")
    elif rule not in OPTIMIZERS:
        raise ValueError(f"unknown rule {rule!r} (there are: {', '.join(OPTIMIZERS)})")
    if calculator is not None:
        atoms.calc = load(calculator) if isinstance(calculator, str) else calculator
    if isinstance(atoms, Atoms) and (why := unsupported(atoms.calc, atoms)):
        raise ValueError(why)
    criteria = {
        "smax": smax, "energy_change": energy_change, "displacement": displacement, "timeout": timeout,
    }  # fmt: skip
    if draws != 1:
        if logfile is not None or trajectory is not None:
            raise ValueError("there is no logfile or trajectory of several draws; give draws=1, or neither")
        return _in_batch(atoms, rule, fmax=fmax, steps=steps, draws=draws, **criteria, **options)
    if is_ase(rule):
        from relax.engine.batch.of_ase.files import AseFiles

        with AseFiles(rule, logfile, trajectory) as files:
            return _in_batch(atoms, rule, fmax=fmax, steps=steps, monitor=files, **criteria, **options)
    with (
        batched_calculator(atoms),
        OPTIMIZERS[rule](atoms, logfile=logfile, trajectory=trajectory, **options) as optimizer,
    ):
        optimizer.run(fmax, steps, **criteria)
        result: Result = optimizer.result
        return result


def _in_batch(atoms: Atoms, rule: str, **options: Any) -> Result:
    """Relax ``atoms`` as a batch, put them to where that ended, the lowest of several draws; return how."""
    from relax.engine.api import relax_many

    if not isinstance(atoms, Atoms):
        raise ValueError(f"several draws need Atoms, not a {type(atoms).__name__}; give draws=1")
    if atoms.calc is None:
        raise RuntimeError("the atoms have no calculator; give one: relax(atoms, calculator)")
    if (hessian := options.get("hessian")) is not None and not callable(hessian):
        options["hessian"] = [hessian]
    for relaxed in relax_many([atoms], atoms.calc, rule, **options):  # one, and after Ctrl-C it raises
        if relaxed.result.status == "refused":
            raise ValueError(relaxed.result.reason)
        atoms.set_cell(relaxed.atoms.cell, apply_constraint=False)
        atoms.set_positions(relaxed.atoms.positions, apply_constraint=False)
    return relaxed.result
