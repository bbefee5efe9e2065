"""An ASE optimizer that follows a rule: a front of the engine for one structure, in place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Literal

from ase.optimize.optimize import DEFAULT_MAX_STEPS

from relax.core.errors import RelaxationStopped
from relax.core.hessian import GivenHessian, check_hessian
from relax.core.rule import Rule
from relax.core.settings import Criteria, check_on_bad, check_start
from relax.engine.batch.beside import Beside
from relax.engine.minima.minimum_check import MinimumCheck, parse_minimum_check
from relax.engine.relaxation import Policy
from relax.geometry.cell import CellFreedom, cell_freedom
from relax.geometry.perturb import rattle as rattled
from relax.geometry.symmetry import SYMPREC
from relax.optimizers.protocol import AseProtocol
from relax.optimizers.restart import decoded
from relax.optimizers.single_run import SingleRun
from relax.optimizers.structure import in_place
from relax.rules import check_beside
from relax.rules.wrappers import by_forces_alone, innermost

__all__ = ["RuleOptimizer"]

OnBad = Literal["stop", "backtrack", "raise"]

AS_ASKED = ("converged", "saddle", "max_steps")
"""Ends at which nothing has gone wrong."""


class RuleOptimizer(AseProtocol):
    """An ASE optimizer that follows a rule.

    One gradient a step and no trial evaluations.  A number that is not finite, an atom that lost all its
    neighbours, atoms on top of each other and a calculator that raises stop ``run`` at once, with the last
    good structure in ``atoms`` and the reason in ``result``.

    Parameters
    ----------
    atoms
        The ``Atoms``, or any ASE filter or other object with ``__ase_optimizable__``.
    rule
        The update rule as it is to be followed, see :func:`relax.rules.wrappers.for_atoms`.
    restart
        File for the state of the rule, written after every force call; if it exists, the run goes on from it,
        to the last bit.  Atoms that are as that run began are put to where it was.  Its last force call is
        not repeated where the atoms are just as they were, and the calculator is of the same class and says
        that it has the same ``parameters``.
    logfile
        File, open or by name, for a line a step; ``"-"`` is standard output, ``None`` none.
    trajectory
        Trajectory, open or by name.
    append_trajectory
        Append to the trajectory in place of writing it anew.
    cell
        Relax the cell too: ``True``, axes such as ``"xy"``, between which it may strain, or a
        :class:`~relax.geometry.cell.CellFreedom`.  There is no strain along directions that are not periodic.
    pressure
        External pressure, GPa, for ``cell=True``.
    symmetry
        ``"keep"`` snaps the structure to its space group and projects gradients and steps on it;
        ``"free"`` leaves it alone.
    symprec
        How far (A) atoms may be from where symmetry has them, for spglib.
    rattle, seed
        Displace the atoms by this much (A, standard deviation), and strain the cell alike if it relaxes,
        before the first step: the way off a symmetric saddle point.  Another seed makes another start.
    on_bad
        What to do where a run goes wrong: ``"stop"`` ends it with the last good structure,
        ``"backtrack"`` goes back to that one and on with half the step, at most ``BACKTRACKS``
        times, and ``"raise"`` puts it back and raises RelaxationStopped.
    check
        ``"minimum"`` looks for the lowest curvature once the forces have vanished, by a few more force
        calls, and calls what is none a ``saddle``; a ``MinimumCheck`` says how.
    escape
        Step off a saddle that the check finds, and go on from there.
    hessian
        The Hessian where the structure starts, if it is known: an array (3N, 3N), (N, 3, N, 3) or (3N, N, 3),
        eV/A^2, or a function that returns it for the ``Atoms`` as they start, called once.  It is the first
        metric of rules that run in one, see ``docs/explanation/metric.md``.  A run that goes on from a
        restart file needs it again.
    stress
        Compute the stress in every call although the cell is fixed, for the result and the written files.
        That of atoms that are not periodic, or whose cell has no volume, is left out.
    prior
        A cheap calculator beside the one that counts, or the name of one: the structure is first relaxed on
        its surface, and the rule then learns what that misses.  Its force calls are ``prior_calls`` of the
        result.  For :class:`~relax.rules.Kriging`.
    known
        Earlier calculations of the same atoms by the same calculator: a file that ASE reads, an ``Atoms``
        with energy and forces, and the stress if the cell relaxes, or a list of these.  The first step
        already uses those that are nearest; how many do not fit, and why, is logged.  For
        :class:`~relax.rules.Kriging`.
    **kwargs
        ``master``, ``comm``, ``loginterval``, as in ASE.

    Raises
    ------
    RestartError
        The restart file is none.
    TypeError
        ``cell`` is neither a bool nor axes nor a ``CellFreedom``.
    ValueError
        There are no atoms; the restart file is of another rule or another structure; a cell or a
        symmetry is asked for that the structure does not have; the Hessian is not one of these atoms, or the
        rule has no use for it.
    UsageError
        A file of ``known`` cannot be read, or has no forces.
    """

    def __init__(
        self,
        atoms: Any,
        rule: Rule,
        restart: str | Path | None = None,
        logfile: IO[str] | str | Path | None = "-",
        trajectory: Any = None,
        append_trajectory: bool = False,
        *,
        cell: bool | str | CellFreedom = False,
        pressure: float = 0.0,
        symmetry: str = "free",
        symprec: float = SYMPREC,
        rattle: float = 0.0,
        seed: int = 0,
        on_bad: str = "stop",
        check: str | MinimumCheck | None = None,
        escape: bool = False,
        hessian: GivenHessian | None = None,
        stress: bool = False,
        prior: Any = None,
        known: Any = None,
        **kwargs: Any,
    ) -> None:
        check_on_bad(on_bad)
        check_start(symmetry, rattle)
        self.on_bad, self._rattle = on_bad, (rattle, seed)
        self.maxstep = getattr(rule, "maxstep", None)
        self.check, self.escape = parse_minimum_check(check, escape), escape
        policy = Policy(on_bad == "backtrack", self.check, escape)
        freedom = cell_freedom(cell, pressure)
        if restart is not None and Path(restart).is_file():
            decoded(Path(restart))  # as with ASE, a file that is none is told before anything of the atoms
        structure = in_place(atoms, freedom, innermost(rule), symmetry == "keep", symprec)
        check_hessian(hessian, rule.stiffness is not None, structure.plain_atoms)
        if stress and not structure.plain_atoms:
            raise ValueError(f"stress= is for plain Atoms, not for a {type(atoms).__name__}")
        structure.given, structure.stress = hessian, stress
        check_beside(innermost(rule), prior, known, structure.plain_atoms)
        structure.beside = Beside.of(innermost(rule), prior, known, symprec)
        self.rule = rule = rule if structure.conservative else by_forces_alone(rule)
        self.engine = SingleRun(rule, policy, structure, symprec)
        files = {"restart": restart, "logfile": logfile, "trajectory": trajectory}
        super().__init__(atoms, append_trajectory=append_trajectory, **files, **kwargs)

    def initialize(self) -> None:
        self.reset()
        amplitude, seed = self._rattle
        if amplitude:
            structure = self.engine.structure
            for image in structure.images:
                rattled(image, amplitude, seed, structure.freedom)
        self.engine.structure.know()

    def step(self) -> None:
        """Take one step: one gradient, one displacement.

        Raises
        ------
        RelaxationStopped
            The step cannot be taken.
        """
        if stop := self.engine.observe() or self.engine.advance():
            raise RelaxationStopped(*stop)
        self._dump()

    def irun(  # type: ignore[override]  # as ase.optimize.Optimizer itself does
        self,
        fmax: float = 0.05,
        steps: int = DEFAULT_MAX_STEPS,
        *,
        smax: float | None = None,
        energy_change: float = float("inf"),
        displacement: float = float("inf"),
        timeout: float | None = None,
    ) -> Iterator[bool]:
        """Relax step by step, yielding whether the structure has converged: all criteria given are met.

        Parameters
        ----------
        fmax, steps, smax, energy_change, displacement, timeout
            When the run is over, see :class:`~relax.core.settings.Criteria`; where the time is up, it ends in
            the middle of a force call if need be.

        Raises
        ------
        RuntimeError
            The atoms have no calculator.
        ValueError
            A criterion is not a number above 0, or there is one for the stress and no cell that relaxes.
        RelaxationStopped
            The run went wrong and ``on_bad`` is ``"raise"``.
        """
        Criteria(fmax, steps, smax, energy_change, displacement, timeout)  # raises what is wrong with them
        engine = self.engine
        for image in engine.structure.images:
            if getattr(image, "calc", None) is None and not hasattr(self.atoms, "images"):
                raise RuntimeError("the atoms have no calculator; set atoms.calc before relaxing")
        self.fmax = fmax  # type: ignore[assignment]  # which ASE sets to None at first
        self.max_steps = self.nsteps + steps
        engine.begin(Criteria(fmax, self.max_steps, smax, energy_change, displacement), timeout, self.nsteps)
        try:
            yield from self._rounds()
        except GeneratorExit:
            raise
        except BaseException:
            engine.interrupt()
            raise
        finally:
            if engine.stop[0] == "running":
                engine.end(("interrupted", f"left after {self.nsteps} steps"))

    def _rounds(self) -> Iterator[bool]:
        """Observe, log, and step, until the run has ended."""
        engine, logged = self.engine, self.nsteps > 0
        while True:
            stop = engine.observe()
            if stop is None and not logged and not engine.probing:
                self._dump()
                self._tell_observers()
                stop = engine.observe()  # an observer may have moved the atoms
            stop = engine.finish(stop)
            if stop is None:
                self._say_what_went_back()
                if not engine.probing:
                    yield False
                    stop = engine.observe()  # somebody may have moved the atoms meanwhile
                stop = stop or engine.advance()
            if stop is not None:
                break
            logged = engine.steps == self.nsteps
            self.nsteps = engine.steps
        engine.end(stop)
        if stop[0] in AS_ASKED:
            yield stop[0] == "converged"
            return
        self._say(f"stopped, {stop[0]}: {stop[1]}")
        if self.on_bad == "raise":
            raise RelaxationStopped(*stop)
        yield False

    def run(  # type: ignore[override]  # as ase.optimize.Optimizer itself does
        self, fmax: float = 0.05, steps: int = DEFAULT_MAX_STEPS, **criteria: Any
    ) -> bool:
        """Relax, and return whether the structure has converged; ``result`` says the rest.

        Parameters and errors are those of :meth:`irun`.
        """
        for _ in self.irun(fmax, steps, **criteria):
            pass
        return self.engine.stop[0] == "converged"
