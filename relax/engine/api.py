"""Many structures relaxed together: finished ones leave, new ones enter, and each has its own verdict.

::

    for done in relax_many(iread("many.extxyz"), "mace:medium-mpa-0", cell=True, fmax=0.02):
        print(done.index, done.result.status, done.atoms.get_potential_energy())

The structures of a batch share the calls of one potential and the arithmetic of one rule, and nothing
else: the path of each is the one that :class:`relax.optimizers.base.RuleOptimizer` takes with it alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Any

import numpy as np
from ase import Atoms

from relax.calculators import as_potential
from relax.calculators.base import Evaluation, Geometry, Potential
from relax.calculators.batch_size import PROBED, Budget
from relax.calculators.splitting import chosen, unknown
from relax.core import state as states
from relax.core.errors import OutOfMemory
from relax.core.result import Status
from relax.core.rule import Point, Rule
from relax.core.settings import BACKTRACKS, RECOVERABLE, STALL, Criteria
from relax.core.state import State
from relax.engine.coordinates import Batch, Gradients
from relax.engine.entries import Cell, Entrance, Member, Relaxed
from relax.engine.history import History
from relax.engine.saddle.check import Aside, Probing
from relax.engine.saddle.lowest_mode import MinimumCheck, parse_minimum_check
from relax.engine.termination import Jury, Verdicts
from relax.geometry.symmetry import SYMPREC
from relax.preconditioner.pair_stiffness import PairStiffness
from relax.rules import DEFAULT_RULE, RULES
from relax.rules.wrappers import for_atoms, innermost, is_ascent

__all__ = ["Ensemble", "Relaxed", "relax_many"]


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
    on_bad: str = "stop",
    check: str | MinimumCheck | None = None,
    escape: bool = False,
    **settings: Any,
) -> Iterator[Relaxed]:
    """Relax many structures at once, and yield each as it ends.

    Structures are taken from the iterable as there is room, so that it may be as long as one likes; what
    was given is not changed.  A structure that cannot be taken, or that goes wrong, is yielded with its
    verdict and harms no other.

    Parameters
    ----------
    structures
        The structures.
    potential
        An ASE calculator, the name of one (see :mod:`relax.calculators.registry`), a torch-sim model, or a
        :class:`~relax.calculators.Potential`.
    rule
        The name of a rule, which is dressed for atoms with the ``settings`` given, or a rule as it is to be
        followed (see :func:`relax.rules.wrappers.for_atoms`); by default, that of the fewest force calls.
    fmax, steps, smax, energy_change, displacement, timeout
        When a relaxation is over, see :class:`~relax.core.settings.Criteria`; each structure has its own
        steps, and of the time its share.
    budget
        How much goes through the potential at once, in its unit (atoms or edges).  If not given, a GPU is
        filled, and on a CPU the fastest is found in the first rounds, see
        :class:`~relax.calculators.batch_size.Budget`.
        Repeated runs are the same to the last bit with the same budget.
    progress
        Show a progress bar on standard error, where that is a terminal.
    cell, pressure, symmetry, symprec, rattle, seed, on_bad, check, escape
        As in :class:`~relax.optimizers.base.RuleOptimizer`; ``cell`` may also be a function of the structure.
        ``on_bad`` is ``"stop"`` or ``"backtrack"``.
    **settings
        Parameters of the rule and of its dress.

    Yields
    ------
    Relaxed
        In the order in which they end.

    Raises
    ------
    TypeError
        What is given is no potential, no rule, or among the structures is something else.
    ValueError
        An unknown rule, or a parameter out of its bounds.
    """
    followed = dressed(rule, settings)
    ensemble = Ensemble(
        as_potential(potential),
        followed,
        Criteria(fmax, steps, smax, energy_change, displacement, timeout),
        Entrance(innermost(followed), cell, pressure, symmetry, symprec, rattle, seed),
        budget,
        on_bad,
        check,
        escape,
    )
    return _shown(ensemble, structures) if progress else ensemble.run(structures)


def _shown(ensemble: Ensemble, structures: Iterable[Atoms]) -> Iterator[Relaxed]:
    """Relax ``structures`` beside a bar, which tells the time left if it knows how many there are."""
    from relax.io.progress import progress

    total = len(structures) if isinstance(structures, Sized) else None
    with progress() as bar:
        bar.start(total)
        began = time.monotonic()
        for ended, relaxed in enumerate(ensemble.run(structures), 1):
            bar.advance()
            rate = ended / max(time.monotonic() - began, 1e-9)
            bar.update(ensemble.active, ended, rate, None if total is None else total - ended)
            yield relaxed


def dressed(rule: str | Rule, settings: dict[str, Any]) -> Rule:
    """Return the rule that a name and its settings mean, or a rule as it is."""
    if isinstance(rule, Rule):
        if settings:
            raise TypeError(f"give either a rule or its parameters, not both: {', '.join(settings)}")
        return rule
    if rule not in RULES:
        raise ValueError(f"unknown rule {rule!r} (there are: {', '.join(RULES)})")
    common = for_atoms.__kwdefaults__ or {}
    own = {name: value for name, value in settings.items() if name not in common}
    dress = {name: value for name, value in settings.items() if name in common}
    return for_atoms(RULES[rule].from_settings(own, tuple(common)), **dress)


class Ensemble:
    """The loop around one potential and one rule; see :func:`relax_many` for the parameters.

    Attributes
    ----------
    seconds
        Time spent, by part: ``"potential"``, ``"rule"``, ``"cell"`` and ``"bookkeeping"``.
    active
        Structures in the batch.
    """

    def __init__(
        self,
        potential: Potential,
        rule: Rule,
        criteria: Criteria,
        entrance: Entrance,
        budget: float | None = None,
        on_bad: str = "stop",
        check: str | MinimumCheck | None = None,
        escape: bool = False,
    ) -> None:
        if on_bad not in ("stop", "backtrack"):
            raise ValueError(f"on_bad = {on_bad!r} is not allowed; give 'stop' or 'backtrack'")
        self.potential, self.rule, self.entrance = potential, rule, entrance
        self.budget = Budget(potential, budget)
        self.goes_back = BACKTRACKS if on_bad == "backtrack" else 0
        self.jury = Jury(criteria, not is_ascent(rule), innermost(rule).undoes)
        self.probing: Probing | None = None
        if (how := parse_minimum_check(check, escape)) is not None:
            self.probing = Probing(how, escape, rule.stiffness or PairStiffness(), criteria.steps)
        self.seconds = dict.fromkeys(("potential", "rule", "cell", "bookkeeping"), 0.0)
        self.members: list[Member] = []
        self.batch: Batch
        self.history: History
        self.state: State
        self._arrivals: list[Member] = []
        self._next: Member | None = None

    @property
    def active(self) -> int:
        """The number of structures in the batch."""
        return len(self.members)

    def run(self, structures: Iterable[Atoms]) -> Iterator[Relaxed]:
        """Relax ``structures``, and yield each as it ends."""
        source = enumerate(structures)
        self.members, self._arrivals, self._next = [], [], None
        try:
            while True:
                for entered in self._enter(source, sum(member.size for member in self.members)):
                    if isinstance(entered, Relaxed):
                        yield entered
                    else:
                        self._arrivals.append(entered)
                if self._arrivals:
                    arrivals, self._arrivals = self._arrivals, []
                    with self._clock("bookkeeping"):
                        self._join(arrivals)
                if not self.members:
                    return
                yield from self._round()
        finally:
            for member in [*self.members, *self._arrivals, *([self._next] if self._next else [])]:
                self.potential.release(member.start.key)
            self.members, self._arrivals, self._next = [], [], None

    @contextmanager
    def _clock(self, part: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[part] += time.perf_counter() - began

    # ----------------------------------------------------------------------------------------------
    # In and out

    def _enter(self, source: Iterator[tuple[int, Atoms]], filled: float) -> Iterator[Member | Relaxed]:
        """Yield members until the batch is full, and what cannot become one."""
        count = len(self.members)
        while filled < self.budget.limit:
            if self._next is None:
                index, atoms = next(source, (0, None))
                if atoms is None:
                    return
                with self._clock("bookkeeping"):
                    entered = self.entrance.admit(index, atoms, self.potential)
                if isinstance(entered, Relaxed):
                    yield entered
                    continue
                self._next = entered
            if filled and filled + self._next.size > self.budget.limit:
                return
            filled += self._next.size
            member, self._next = self._next, None
            yield member
            count += 1
            if self.budget.to_probe and count >= PROBED:
                return

    def _join(self, arrivals: list[Member]) -> None:
        """Take new members into the batch."""
        batch = Batch([member.start for member in arrivals])
        history = History(batch, [member.integrity for member in arrivals], self.goes_back)
        state = self.rule.init(batch.x)
        if self.members:
            self.batch.extend(batch)
            self.history.extend(history)
            self.state = states.concat([self.state, state])
            self.members += arrivals
        else:
            self.batch, self.history, self.state, self.members = batch, history, state, list(arrivals)
        self.sizes = np.array([member.size for member in self.members])

    def _part(self, verdicts: Verdicts) -> list[Relaxed]:
        """Take the structures that have ended out of the batch, and return them."""
        batch, history = self.batch, self.history
        for status in {status for status, _ in verdicts.values()}:
            which = np.zeros(len(batch), bool)
            which[[s for s, (ended, _) in verdicts.items() if ended == status]] = True
            batch.put_back(history.last(status), which)
        leaving = [
            self.members[s].leave(batch, history, s, verdict) for s, verdict in sorted(verdicts.items())
        ]
        for s in verdicts:
            self.potential.release(self.members[s].start.key)
        stays = np.ones(len(batch), bool)
        stays[list(verdicts)] = False
        self.members = [member for member, stay in zip(self.members, stays, strict=True) if stay]
        if self.members:
            self.state = states.take(self.state, stays[batch.seg.owner])
            history.take(stays[batch.owner], stays)
            batch.take(stays)
            self.sizes = self.sizes[stays]
        return leaving

    # ----------------------------------------------------------------------------------------------
    # One round: a force call and a step for each structure

    def _round(self) -> Iterator[Relaxed]:
        began = time.perf_counter()
        shares = self.sizes / self.sizes.sum()
        with self._clock("potential"):
            answer = self._evaluate(self.batch.geometry())
        with self._clock("bookkeeping"):
            self.history.record.wall += shares * (time.perf_counter() - began)
            began = time.perf_counter()
            integrity = [member.integrity for member in self.members]
            probed = np.array([member.look is not None for member in self.members])
            verdicts, slopes = self.jury.judge(self.batch, integrity, self.history, answer, probed)
            aside = Aside.none(self.batch)
            if self.probing is not None:
                aside = self.probing.settle(self.batch, self.members, self.history, slopes, verdicts)
            values = self.batch.values(answer)
            if self._go_back(verdicts, answer, values):
                slopes = self.batch.slopes(answer.forces, answer.stresses)
        self._step(verdicts, answer, values, slopes, aside)
        with self._clock("bookkeeping"):
            self.history.record.wall += shares * (time.perf_counter() - began)
            leaving = self._part(verdicts) if verdicts else []
        yield from leaving

    def _evaluate(self, geometry: Geometry) -> Evaluation:
        """Return what the potential says of all structures, in as many calls as it takes.

        It is not asked again of one that has not moved, as a rule that takes back a step may leave it.
        """
        answer, good, stays = unknown(geometry), self.history.good, self.history.record.stays
        pressure = self.batch.fixed.pressure * self.batch.volumes if stays.any() else 0.0
        atoms = stays[self.batch.owner]
        answer.energies = np.where(stays, good.value - pressure, answer.energies)
        answer.forces[atoms], answer.stresses[stays] = good.forces[atoms], good.stresses[stays]
        for stress in (True, False):
            alike = np.flatnonzero((self.batch.fixed.relaxes == stress) & ~stays)
            for chunk in self.budget.chunks(self.sizes[alike]):
                self._ask(geometry, alike[chunk], stress, answer)
        return answer

    def _ask(self, geometry: Geometry, places: np.ndarray, stress: bool, answer: Evaluation) -> None:
        """Fill in what the potential says of the structures at ``places``, together or else by halves."""
        size, began = float(self.sizes[places].sum()), time.perf_counter()
        try:
            some, atoms = chosen(geometry, np.isin(np.arange(len(geometry.keys)), places))
            said = self.potential.evaluate(some, stress)
        except OutOfMemory as error:
            self.budget.shrink(size)
            fault = " ".join(str(error).split()) or "out of memory"
        except Exception as error:
            fault = f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}"
        else:
            self.budget.learn(len(places), size, time.perf_counter() - began)
            answer.energies[places] = said.energies
            answer.forces[atoms] = said.forces
            answer.stresses[places] = said.stresses
            answer.faults |= {int(places[s]): words for s, words in said.faults.items()}
            self.history.record.calls[places] += 1
            return
        if len(places) == 1:
            answer.faults[int(places[0])] = fault
            self.history.record.calls[places] += 1
            return
        half = len(places) // 2
        self._ask(geometry, places[:half], stress, answer)
        self._ask(geometry, places[half:], stress, answer)

    def _go_back(self, verdicts: Verdicts, answer: Evaluation, values: np.ndarray) -> bool:
        """Let what went wrong go on from where they were good in half steps, if they still may."""
        batch, history, record = self.batch, self.history, self.history.record
        again = np.zeros(len(batch), bool)
        for s, (status, _) in list(verdicts.items()):
            last = history.last(status)
            if status not in RECOVERABLE or record.goes_back[s] == 0 or np.isnan(last.value[s]):
                continue
            again[s], mine = True, batch.slice(s)
            only = np.arange(len(batch)) == s
            batch.put_back(last, only)
            answer.forces[mine], answer.stresses[s], values[s] = (
                last.forces[mine],
                last.stresses[s],
                last.value[s],
            )
            record.goes_back[s] -= 1
            record.shorter[s] *= 0.5
            record.still[s], record.moved[s] = 0, np.nan
            del verdicts[s]
        if again.any():
            self._afresh(again)
        return bool(again.any())

    def _afresh(self, which: np.ndarray) -> None:
        """Let the rule forget the structures that the mask ``which`` (S,) names."""
        rows = which[self.batch.seg.owner][:, None]
        self.state = states.where(rows, self.rule.init(self.batch.x), self.state)

    def _step(
        self, verdicts: Verdicts, answer: Evaluation, values: np.ndarray, slopes: Gradients, aside: Aside
    ) -> None:
        """Take a step with every structure; one that is about to leave is put back anyway."""
        batch, record, seg = self.batch, self.history.record, self.batch.seg
        far = batch.far & ~aside.which
        if far.any():
            with self._clock("cell"):
                batch.rebase(far)
                slopes = batch.slopes(answer.forces, answer.stresses)
            self._afresh(far)
        with self._clock("rule"):
            metric = None if self.rule.stiffness is None else batch.metric(self.rule.stiffness)
            point = Point(batch.x, slopes.g, values[seg.owner][:, None], seg, metric)
            dx, self.state = self.rule.update(self.state, point)
        with self._clock("cell"):
            dx = np.where(aside.which[seg.owner][:, None], 0.0, dx)
            astray = np.logical_or.reduceat(~np.isfinite(dx).all(axis=1), seg.starts)
            if astray.any():
                dx = np.where(astray[seg.owner][:, None], 0.0, dx)
                words: tuple[Status, str] = ("nonfinite", "the rule's step is not finite")
                lost = {int(s): words for s in np.flatnonzero(astray) if s not in verdicts}
                self._go_back(lost, answer, values)
                verdicts |= lost
            dx = record.shorter[seg.owner][:, None] * batch.allow(dx) + aside.dx
            batch.move(dx)
            size = np.maximum.reduceat(np.abs(dx).max(axis=1), seg.starts)
            way = dx[batch.rows[0]]
            moved = np.sqrt(np.maximum.reduceat((way * way).sum(axis=1), batch.firsts))
            ended = np.isin(np.arange(len(batch)), list(verdicts))
            record.stays = (size == 0) & ~ended
            off = astray | aside.which
            record.still = np.where((size < STALL[0]) & ~off, record.still + 1, 0)
            record.moved = np.where(off, np.nan, moved)
            record.before = values
            record.steps += ~ended & ~off
            if aside.pushed.any():
                self._afresh(aside.pushed)
