"""Many structures relaxed together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from typing import Any

from ase import Atoms

from relax.calculators.potentials import as_potential
from relax.core.hessian import GivenHessian, check_hessians
from relax.core.rule import Rule
from relax.core.settings import Criteria, check_batch_size, check_on_bad
from relax.engine.batch.beside import Beside
from relax.engine.batch.monitor import Monitor
from relax.engine.batch.of_ase.names import is_ase
from relax.engine.batch.of_ase.rule import ase_rule
from relax.engine.batch.of_ase.run import AseRun
from relax.engine.batch.run import BatchRun
from relax.engine.entries import Cell, Intake, Relaxed
from relax.engine.minima.draws import Draws
from relax.engine.minima.minimum_check import MinimumCheck, parse_minimum_check
from relax.engine.relaxation import Policy
from relax.geometry.cell import CellFreedom
from relax.geometry.symmetry import SYMPREC
from relax.rules import DEFAULT_RULE, build_rule, check_beside, rule_beside
from relax.rules.wrappers import innermost

__all__ = ["Relaxed", "relax_many"]


def relax_many(
    structures: Iterable[Atoms],
    potential: Any,
    rule: str | Rule = DEFAULT_RULE,
    *,
    fmax: float = 0.05,
    steps: int = 500,
    smax: float | None = None,
    energy_change: float = math.inf,
    displacement: float = math.inf,
    timeout: float | None = None,
    budget: float | None = None,
    progress: bool = False,
    cell: Cell | Callable[[Atoms], Cell] = False,
    pressure: float = 0.0,
    symmetry: str = "free",
    symprec: float = SYMPREC,
    rattle: float = 0.0,
    seed: int = 0,
    draws: int = 1,
    on_bad: str = "stop",
    check: str | MinimumCheck | None = None,
    escape: bool = False,
    hessian: Sequence[GivenHessian | None] | Callable[[Atoms], Any] | None = None,
    batch_size: int | None = None,
    monitor: Monitor | None = None,
    stress: bool = False,
    prior: Any = None,
    known: Any = None,
    **settings: Any,
) -> Iterator[Relaxed]:
    """Relax many structures at once, and yield each as it ends.

    They are taken from the iterable when there is room, so that it may be of any length, and not changed.  A
    structure that cannot be relaxed, or goes wrong, is yielded with its status and harms no other.

    Parameters
    ----------
    structures
        The structures.
    potential
        An ASE calculator, the name of one (see :mod:`relax.calculators.registry`), a torch-sim model, or a
        :class:`~relax.calculators.Potential`.
    rule
        The name of a rule, with ``settings``, or a rule with its wrappers (see
        :func:`relax.rules.wrappers.for_atoms`); by default, the rule that needs the fewest force calls.
        ``ase:BFGS`` and other names in ``relax.engine.batch.of_ase.names.ASE_NAMES`` are optimizers of ASE,
        whose keyword arguments are ``settings``.  They relax one structure at a time, see
        :class:`~relax.engine.batch.of_ase.run.AseRun`.
    fmax, steps, smax, energy_change, displacement, timeout
        The stop criteria of each structure, see :class:`~relax.core.settings.Criteria`.  ``timeout`` limits
        the time attributed to a structure: its share, by size, of each call.  It ends a call that hangs.
    budget
        Atoms or edges that the potential evaluates at once (autobatching).  If not given, a GPU is filled,
        and on a CPU the fastest number is found in the first rounds, see
        :class:`~relax.calculators.batch_size.Budget`.  Repeated runs with the same budget are equal to the
        last bit.
    progress
        Show a progress bar on standard error, where that is a terminal.
    cell, pressure, symmetry, symprec, rattle, seed, on_bad, check, escape, hessian, stress
        As in :class:`~relax.optimizers.base.RuleOptimizer`; ``cell`` may also be a function of the structure.
        ``on_bad`` is ``"stop"`` or ``"backtrack"``; ``hessian`` is one function, or has one for each.
    batch_size
        Most structures that are relaxed at a time.  If not given, as many as ``budget`` has room for, and one
        of a calculator that takes one structure after the other.
    monitor
        What is done beside the relaxation, such as logs, see :class:`~relax.engine.batch.monitor.Monitor`.
    prior
        A cheap potential beside the one that counts, given as ``potential`` is.  Structures are first relaxed
        on its surface, and :class:`~relax.rules.Kriging`, then the default rule, learns what that misses.
    known
        Earlier calculations, from which :class:`~relax.rules.Kriging`, then the default rule, learns too, see
        :class:`~relax.optimizers.base.RuleOptimizer`.  Each structure takes those that are of it.
    draws
        Starts of each structure, see :class:`~relax.engine.minima.draws.Draws`; the lowest end is yielded.
    **settings
        Parameters of the rule and of :func:`relax.rules.wrappers.for_atoms`.

    Yields
    ------
    Relaxed
        In the order in which they end.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C in a force call, and after the structures that it interrupted have been yielded.
    TypeError
        ``potential``, ``rule`` or ``cell`` is of the wrong type, or a structure is not an ``Atoms``.
    ValueError
        The rule is unknown, a parameter is out of its bounds, or ``hessian`` or ``smax`` has no use here.
    UsageError
        A file of ``known`` cannot be read, or has no forces.
    """
    rule = rule_beside(rule, prior, known)
    of_ase = is_ase(rule)
    followed = ase_rule(str(rule), settings) if of_ase else build_rule(rule, settings)
    several = Draws(draws, rattle, seed)
    check_hessians(hessian, followed.stiffness is not None, structures)
    check_beside(innermost(followed), prior, known)
    check_on_bad(on_bad, ("stop", "backtrack"))
    if of_ase and on_bad != "stop":
        raise ValueError(f"on_bad = {on_bad!r} is for the rules of relax, not for {rule}; give 'stop'")
    if of_ase and isinstance(cell, CellFreedom) and cell.max_strain is not None:
        raise ValueError(f"max_strain is for the rules of relax, not for {rule}; leave it out")
    check_batch_size(batch_size)
    run = (AseRun if of_ase else BatchRun)(
        as_potential(potential),
        followed,
        Criteria(fmax, steps, smax, energy_change, displacement, timeout),
        Policy(on_bad == "backtrack", parse_minimum_check(check, escape), escape),
        Intake(innermost(followed), cell, pressure, symmetry, symprec, several, hessian, stress),
        budget,
        batch_size,
        monitor,
        Beside.of(innermost(followed), prior, known, symprec),
    )
    results = several.lowest(run.run(several.starts(structures)))
    if not progress:
        return results
    from relax.io.progress import tracked

    return tracked(results, len(structures) if isinstance(structures, Sized) else None, lambda: run.active)
