"""Many structures relaxed together."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from typing import Any

import numpy as np
from ase import Atoms

from relax.calculators.base import Potential
from relax.calculators.batch_size import PROBED
from relax.calculators.potentials import as_potential
from relax.core.hessian import GivenHessian, check_hessians
from relax.core.rule import Rule
from relax.core.settings import Criteria, check_on_bad
from relax.engine.coordinates import BatchCoordinates
from relax.engine.entries import Cell, Entry, Intake, Relaxed
from relax.engine.evaluation import BatchCalls
from relax.engine.history import BatchSanity
from relax.engine.minima.draws import Draws
from relax.engine.minima.minimum_check import MinimumCheck, parse_minimum_check
from relax.engine.relaxation import Policy, Relaxation
from relax.geometry.symmetry import SYMPREC
from relax.rules import DEFAULT_RULE, build_rule
from relax.rules.wrappers import innermost

__all__ = ["BatchRun", "Relaxed", "relax_many"]


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
    stress: bool = False,
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
    fmax, steps, smax, energy_change, displacement, timeout
        The stop criteria of each structure, see :class:`~relax.core.settings.Criteria`.  ``timeout`` limits
        the time attributed to a structure: its share, by size, of each round.
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
    TypeError
        ``potential``, ``rule`` or ``cell`` is of the wrong type, or a structure is not an ``Atoms``.
    ValueError
        The rule is unknown, a parameter is out of its bounds, or ``hessian`` or ``smax`` has no use here.
    """
    followed = build_rule(rule, settings)
    several = Draws(draws, rattle, seed)
    check_hessians(hessian, followed.stiffness is not None, structures)
    check_on_bad(on_bad, ("stop", "backtrack"))
    run = BatchRun(
        as_potential(potential),
        followed,
        Criteria(fmax, steps, smax, energy_change, displacement, timeout),
        Policy(on_bad == "backtrack", parse_minimum_check(check, escape), escape),
        Intake(innermost(followed), cell, pressure, symmetry, symprec, several, hessian, stress),
        budget,
    )
    results = several.lowest(run.run(several.starts(structures)))
    if not progress:
        return results
    from relax.io.progress import tracked

    return tracked(results, len(structures) if isinstance(structures, Sized) else None, lambda: run.active)


class BatchRun:
    """The loop around one potential and one rule; see :func:`relax_many` for the parameters.

    Attributes
    ----------
    relaxation
        The structures that are being relaxed; None where there are none.
    """

    def __init__(
        self,
        potential: Potential,
        rule: Rule,
        criteria: Criteria,
        policy: Policy,
        intake: Intake,
        budget: float | None = None,
    ) -> None:
        self.potential, self.rule, self.criteria, self.policy = potential, rule, criteria, policy
        criteria.check_cell(intake.relaxes_cells)
        self.intake, self.calls = intake, BatchCalls(potential, budget, intake.stress)
        self.relaxation: Relaxation[Entry] | None = None
        self.coordinates: BatchCoordinates
        self.sanity: BatchSanity
        self._arrivals: list[Entry] = []
        self._next: Entry | None = None

    @property
    def entries(self) -> list[Entry]:
        return [] if self.relaxation is None else self.relaxation.entries

    @property
    def active(self) -> int:
        """The number of structures that are being relaxed."""
        return len(self.entries)

    def run(self, structures: Iterable[Atoms]) -> Iterator[Relaxed]:
        """Relax ``structures``, and yield each as it ends."""
        source = enumerate(structures)
        self.relaxation, self._arrivals, self._next = None, [], None
        try:
            while True:
                for entered in self._enter(source, sum(entry.size for entry in self.entries)):
                    if isinstance(entered, Relaxed):
                        yield entered
                    else:
                        self._arrivals.append(entered)
                if self._arrivals:
                    arrivals, self._arrivals = self._arrivals, []
                    self._join(arrivals)
                if not self.entries:
                    return
                yield from self._round()
        finally:
            for entry in [*self.entries, *self._arrivals, *([self._next] if self._next else [])]:
                assert entry.start is not None
                self.potential.release(entry.start.key)
            self.relaxation, self._arrivals, self._next = None, [], None

    def _enter(self, source: Iterator[tuple[int, Atoms]], filled: float) -> Iterator[Entry | Relaxed]:
        """Yield entries until the batch is full, and the results of what cannot become one."""
        count, budget = len(self.entries), self.calls.budget
        while filled < budget.limit:
            if self._next is None:
                if (following := next(source, None)) is None:
                    return
                entered = self.intake.accept(*following, self.potential)
                if isinstance(entered, Relaxed):
                    yield entered
                    continue
                self._next = entered
            if filled and filled + self._next.size > budget.limit:
                return
            filled += self._next.size
            entry, self._next = self._next, None
            yield entry
            count += 1
            if budget.to_probe and count >= PROBED:
                return

    def _join(self, arrivals: list[Entry]) -> None:
        coordinates = BatchCoordinates([entry.start for entry in arrivals if entry.start is not None])
        sanity = BatchSanity(coordinates, [entry.sanity for entry in arrivals if entry.sanity is not None])
        joining = Relaxation(self.rule, self.criteria, self.policy, coordinates, sanity, arrivals)
        if self.relaxation is not None:
            self.relaxation.join(joining)
            self.sanity.extend(sanity)
            self.coordinates.extend(coordinates)
        else:
            self.relaxation, self.coordinates, self.sanity = joining, coordinates, sanity
        self.sizes = np.array([entry.size for entry in self.entries])

    def _round(self) -> Iterator[Relaxed]:
        """Make a force call and a step for each structure."""
        assert self.relaxation is not None
        began, shares = time.perf_counter(), self.sizes / self.sizes.sum()
        relaxation, record, c = self.relaxation, self.relaxation.history.record, self.coordinates
        evaluation, calls = self.calls.evaluate(c, self.sizes, relaxation.history.good, record.unmoved)
        record.wall += shares * (time.perf_counter() - began)
        began = time.perf_counter()
        relaxation.observe(evaluation, calls)
        relaxation.finish()
        stops = relaxation.advance()
        record.wall += shares * (time.perf_counter() - began)
        yield from self._leave() if stops else []

    def _leave(self) -> list[Relaxed]:
        """Take the structures that have ended out of the batch, and return them."""
        assert self.relaxation is not None
        coordinates, relaxation = self.coordinates, self.relaxation
        stops, history = relaxation.stops, relaxation.history
        relaxation.put_back()
        leaving = [self.entries[s].leave(coordinates, history, s, stop) for s, stop in sorted(stops.items())]
        stays = np.ones(len(coordinates), bool)
        stays[list(stops)] = False
        for entry, stay in zip(self.entries, stays, strict=True):
            if not stay and entry.start is not None:
                self.potential.release(entry.start.key)
        if stays.any():
            relaxation.keep(stays)
            self.sanity.take(stays[coordinates.owner], stays)
            coordinates.take(stays)
            self.sizes = self.sizes[stays]
        else:
            self.relaxation = None
        return leaving
