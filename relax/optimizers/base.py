"""An ASE optimizer that follows a rule, under watch."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from ase import Atoms
from ase.filters import FrechetCellFilter, UnitCellFilter
from ase.optimize.optimize import DEFAULT_MAX_STEPS, Optimizer

from relax.core import state
from relax.core.errors import RelaxationStopped, UnsupportedStructure
from relax.core.result import Result, Status
from relax.core.rule import Point, Rule
from relax.core.segments import Segments
from relax.core.settings import BACKTRACKS, RECOVERABLE, STALL, Criteria, check_start
from relax.engine.saddle.lowest_mode import MinimumCheck, Probe, parse_minimum_check, rigid
from relax.geometry.cell import CellFreedom, cell_freedom
from relax.geometry.constraints import constraint_projectors
from relax.geometry.perturb import rattle as rattled
from relax.geometry.sanity import change
from relax.geometry.symmetry import SYMPREC, space_group
from relax.optimizers import restart as restarts
from relax.optimizers.crystal import Crystal
from relax.optimizers.watch import Watch
from relax.preconditioner.base import Metric
from relax.preconditioner.model_hessian import PairHessian
from relax.preconditioner.network import spring_network
from relax.preconditioner.pair_stiffness import PairStiffness
from relax.rules.wrappers import innermost, is_ascent

__all__ = ["RuleOptimizer"]

OnBad = Literal["stop", "backtrack", "raise"]


class RuleOptimizer(Optimizer):
    """An ASE optimizer that follows a rule.

    One gradient a step and no trial evaluations.  Energies, forces and the structure are watched: a
    number that is not finite, an atom that lost all its neighbours, atoms on top of each other, a
    calculator that raises, each stop ``run`` at once, with the last good structure in ``atoms`` and
    the verdict in ``result``.

    Parameters
    ----------
    atoms
        The ``Atoms``, or any ASE filter or other object with ``__ase_optimizable__``.
    rule
        The update rule as it is to be followed, see :func:`relax.rules.wrappers.for_atoms`.
    restart
        File for the state of the rule, written at every step; if it exists, the run goes on from it,
        to the last bit.
    logfile
        File, open or by name, for a line a step; ``"-"`` is standard output, ``None`` none.
    trajectory
        Trajectory, open or by name.
    append_trajectory
        Append to the trajectory in place of writing it anew.
    cell
        Relax the cell too: ``True``, or a :class:`~relax.geometry.cell.CellFreedom` that says what it may do.
        Along directions that are not periodic there is no strain.
    pressure
        External pressure, GPa, for ``cell=True``.
    symmetry
        ``"keep"`` snaps the structure to its space group and projects gradients and steps on it;
        ``"free"`` leaves it alone.
    symprec
        How far (A) atoms may be from where symmetry has them, for spglib.
    rattle
        Displace the atoms by this much (A, standard deviation), and strain the cell alike if it
        relaxes, before the first step: the way off a symmetric saddle point.
    seed
        Seed of the rattle.
    on_bad
        What to do where a run goes wrong: ``"stop"`` ends it with the last good structure,
        ``"backtrack"`` goes back to that one and on with half the step, at most ``BACKTRACKS``
        times, and ``"raise"`` puts it back and raises RelaxationStopped.
    check
        ``"minimum"`` looks for the lowest curvature once the forces have vanished, by a few more force
        calls, and calls what is none a ``saddle``; a ``MinimumCheck`` says how.
    escape
        Step off a saddle that the check finds, and go on from there.
    **kwargs
        ``master``, ``comm``, ``loginterval``, as in ASE.

    Raises
    ------
    ValueError
        There are no atoms; the restart file is of another rule or another structure; a cell or a
        symmetry is asked for that the structure does not have.
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
        cell: bool | CellFreedom = False,
        pressure: float = 0.0,
        symmetry: str = "free",
        symprec: float = SYMPREC,
        rattle: float = 0.0,
        seed: int = 0,
        on_bad: str = "stop",
        check: str | MinimumCheck | None = None,
        escape: bool = False,
        **kwargs: Any,
    ) -> None:
        self.check = parse_minimum_check(check, escape)
        self.escape = escape
        freedom = cell_freedom(cell, pressure)
        check_start(symmetry, rattle)
        if on_bad not in ("stop", "backtrack", "raise"):
            raise ValueError(f"on_bad = {on_bad!r} is not allowed; give 'stop', 'backtrack' or 'raise'")
        self.crystal: Crystal | None = None
        if freedom is not None or symmetry == "keep":
            if not isinstance(atoms, Atoms):
                kind = type(atoms).__name__
                raise ValueError(f"cell= and symmetry='keep' are for plain Atoms, not for a {kind}")
            if freedom is not None:
                freedom = freedom.with_defaults(innermost(rule), len(atoms))
            self.crystal = Crystal(atoms, freedom, symmetry == "keep", symprec)
        self.rule = rule
        self.symprec = symprec
        self.on_bad = on_bad
        self.state: state.State | None = None
        self.maxstep = getattr(rule, "maxstep", None)
        self.smax: float | None = None
        self.energy_change = self.displacement = float("inf")
        self._rattle = (rattle, seed)
        self._status: Status = "running"
        self._reason = "the run has not ended"
        self._ended: float | None = None
        self._still = 0
        self._escapes = 0
        self._probe: Probe | None = None
        self._shorter = 1.0
        self._moved: float | None = None
        self._energy_before = float("nan")
        self._measured: tuple[Any, tuple[float, float, str, str]] | None = None
        super().__init__(
            atoms,
            restart=restart,
            logfile=logfile,
            trajectory=trajectory,
            append_trajectory=append_trajectory,
            **kwargs,
        )
        if self.optimizable.ndofs() == 0 or len(self._first) == 0:
            raise ValueError("there are no atoms to relax")

    @property
    def optimizable(self) -> Watch:
        """What is relaxed, under watch."""
        return self._watch

    @optimizable.setter
    def optimizable(self, optimizable: Any) -> None:
        takes_back_steps = innermost(self.rule).takes_back_steps
        self._watch = Watch(self.crystal or optimizable, not is_ascent(self.rule), takes_back_steps)
        self._first = self._watch.images()[0].copy()

    @property
    def result(self) -> Result:
        """How the run ended, or how it stands."""
        watch, now = self.optimizable, self._ended or time.perf_counter()
        volume_ratio, shortest, before, after = self._measures()
        return Result(
            status=self._status,
            reason=self._reason,
            force_calls=watch.counter.calls,
            steps=self.nsteps,
            fmax=watch.fmax,
            smax=watch.smax,
            energy_first=watch.energy_first,
            energy_last=watch.energy,
            volume_ratio=volume_ratio,
            shortest=shortest,
            spacegroup_first=before,
            spacegroup_last=after,
            wall_time=now - watch.started if watch.started else 0.0,
            curvature=self._probe.curvature if self._probe else math.nan,
            mode=self._probe.mode if self._probe else None,
            escapes=self._escapes,
        )

    @cached_property
    def _group_first(self) -> str:
        return space_group(self._first, self.symprec)

    def _measures(self) -> tuple[float, float, str, str]:
        """Return volume ratio, shortest distance and space groups; measured once for each geometry."""
        images = self.optimizable.images()
        key = images[0].positions.tobytes(), images[0].cell.array.tobytes()
        if self._measured is None or self._measured[0] != key:
            last = images[0]
            groups = self._group_first, space_group(last, self.symprec)
            known = self.optimizable.integrity[0].checked if self.optimizable.integrity else None
            self._measured = key, (*change(self._first, last, known), *groups)
        return self._measured[1]

    def reset(self) -> None:
        """Forget the state of the rule; the next step is a first step."""
        self.state = None

    def initialize(self) -> None:
        self.reset()
        amplitude, seed = self._rattle
        if amplitude:
            for image in self.optimizable.images():
                strained = self.crystal.freedom if self.crystal else None
                rattled(image, amplitude, seed, strained)

    def step(self) -> None:
        """Take one step: one gradient, one displacement."""
        optimizable, crystal = self.optimizable, self.crystal
        if crystal is not None and crystal.far:
            crystal.rebase()
            optimizable.forget()
            self.reset()
        g = optimizable.get_gradient().reshape(-1, 3)
        x = optimizable.get_x().reshape(-1, 3)
        self._energy_before = optimizable.get_value()
        e = np.full((len(x), 1), self._energy_before)
        rows = crystal.rows if crystal else Segments([len(x)])
        if self.state is None:
            self.state = self.rule.init(x)
        dx, self.state = self.rule.update(self.state, Point(x, g, e, rows, self._metric()))
        if not np.isfinite(dx).all():
            raise RelaxationStopped("nonfinite", "the rule's step is not finite")
        if crystal is not None:
            dx = crystal.allow(dx)
        dx = self._shorter * dx
        self._moved = float(np.linalg.norm(dx[: rows.rows - 3 * rows.tensors[0]], axis=1).max())
        self._still = self._still + 1 if np.abs(dx).max() < STALL[0] else 0
        optimizable.set_x((x + dx).ravel())
        self._dump()

    def _metric(self) -> Metric | None:
        """Return how stiff the rows are where they are now, if the rule wants to know and it can be known.

        Of a band, or of a filter that hides atoms, nothing is known.
        """
        known = isinstance(self.crystal or self.atoms, Crystal | Atoms | FrechetCellFilter | UnitCellFilter)
        return self._hessian(self.rule.stiffness) if known and self.rule.stiffness else None

    def _hessian(self, stiffness: PairStiffness) -> PairHessian:
        atoms, scale, kept = self._frame
        cell = atoms.cell.array
        body = spring_network(atoms.numbers, atoms.positions, cell, atoms.pbc, stiffness, scale, kept)
        return PairHessian([body], stiffness)

    @cached_property
    def _frame(self) -> tuple[Atoms, float | None, np.ndarray | None]:
        """The atoms, the length that a strain of one counts as, and what constraints leave of steps."""
        target = self.crystal or self.atoms
        scale = None
        if isinstance(target, Crystal):
            atoms, scale = target.atoms, target.scale if target.freedom else None
        elif isinstance(target, Atoms):
            atoms = target
        elif isinstance(target, FrechetCellFilter):
            atoms, scale = target.atoms, target.exp_cell_factor
        elif isinstance(target, UnitCellFilter):
            atoms, scale = target.atoms, target.cell_factor
        else:
            kind = type(target).__name__
            raise ValueError(f"a minimum is looked for of Atoms and filters of their cell, not for a {kind}")
        for kept_so in ("hydrostatic_strain", "constant_volume"):
            if getattr(target, kept_so, False):
                # ASE's filters only hide it from the gradient, and a metric mixes rows.
                raise ValueError(f"a metric breaks a filter's {kept_so}; use cell=CellFreedom(...)")
        try:
            kept = constraint_projectors(atoms, scale is not None)[1]
        except UnsupportedStructure:
            return atoms, scale, None
        return atoms, scale, kept if (kept != np.eye(3)).any() else None

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
            A criterion is not a number above 0.
        RelaxationStopped
            The run went wrong and ``on_bad`` is ``"raise"``.
        """
        Criteria(fmax, steps, smax, energy_change, displacement, timeout)  # raises what is wrong with them
        watch = self.optimizable
        for image in watch.images():
            if getattr(image, "calc", None) is None and not hasattr(self.atoms, "images"):
                raise RuntimeError("the atoms have no calculator; set atoms.calc before relaxing")
        self.smax, self.energy_change, self.displacement = smax, energy_change, displacement
        self._status, self._reason, self._ended, self._still = "running", "the run has not ended", None, 0
        self._shorter, self._moved = 1.0, None
        self._escapes, self._probe = 0, None
        watch.begin()
        watch.deadline = None if timeout is None else time.perf_counter() + timeout
        goes_back = BACKTRACKS if self.on_bad == "backtrack" else 0
        last = self.nsteps + steps
        try:
            while True:
                try:
                    yield from self._steps(fmax, max(0, last - self.nsteps))
                    return
                except RelaxationStopped as stop:
                    watch.restore(stop.status)
                    again = goes_back > 0 and watch.good is not None and stop.status in RECOVERABLE
                    again = again and self._probe is None  # beside a place shorter steps are no help
                    self._say(f"went back, {stop}" if again else f"stopped, {stop}")
                    if not again:
                        self._end(stop.status, stop.reason)
                        if self.on_bad == "raise":
                            raise
                        break
                    goes_back -= 1
                    self._shorter *= 0.5
                    self._still, self._moved = 0, None
                    self.reset()
                except GeneratorExit:
                    raise
                except BaseException:
                    # What was being evaluated is not what the result is of.
                    watch.restore("interrupted")
                    raise
            yield False
        finally:
            watch.deadline = None
            if self._status == "running":
                self._end("interrupted", f"left after {self.nsteps} steps")

    def _steps(self, fmax: float, steps: int) -> Iterator[bool]:
        last = self.nsteps + steps
        while True:
            for converged in super().irun(fmax, max(0, last - self.nsteps)):  # type: ignore[no-untyped-call]
                stalled = self._still >= STALL[1]
                if converged:
                    break
                if stalled or self.nsteps >= last:
                    self.optimizable.look(closely=True)
                    if stalled:
                        raise RelaxationStopped("stalled", "{1} steps below {0} A".format(*STALL))
                    self._end("max_steps", f"{self._standing()} after {self.nsteps} steps")
                yield False
            if not converged:
                return
            if self.check is not None:
                self._look_for_falls(self.check)
                if self._fell(self.check, self.nsteps < last):
                    continue
            else:
                self._end("converged", self._words(fmax))
            yield self._status == "converged"
            return

    def _look_for_falls(self, check: MinimumCheck) -> None:
        """Look for the lowest curvature where the run stands."""
        watch = self.optimizable
        atoms = self._frame[0]
        x, g = watch.get_x(), watch.get_gradient()
        stiffness = self.rule.stiffness or PairStiffness()
        still = rigid(atoms.positions, len(x) // 3, turns=not atoms.pbc.any())
        self._probe = probe = Probe(check, self._hessian(stiffness), self._free, still)
        with watch.aside() as gradient:
            while (look := probe.direction) is not None:
                there = gradient(x + look.ravel())
                probe.learn((there - g).reshape(-1, 3))

    def _fell(self, check: MinimumCheck, more: bool) -> bool:
        """End the run, or step off the saddle it stands on and return True."""
        probe, watch = self._probe, self.optimizable
        assert probe is not None
        words = probe.words
        if not probe.saddle:
            assert self.fmax is not None
            self._end("converged", f"{self._words(self.fmax)}, {words}")
            return False
        if not (self.escape and more and self._escapes < check.escapes):
            self._end("saddle", f"{words}, after {self._escapes} escapes" if self._escapes else words)
            return False
        push = probe.push(watch.get_gradient().reshape(-1, 3))
        if self.crystal is not None:
            push = self.crystal.allow(push)
        watch.set_x(watch.get_x() + push.ravel())
        self.reset()
        self._escapes += 1
        self._probe = None  # what it knows is not of where the run goes on
        self._still, self._moved = 0, None
        self._say(f"{words}: pushed by {check.push} A off the saddle")
        return True

    def _free(self, rows: np.ndarray) -> np.ndarray:
        """Return the part of rows (R, 3) that symmetry, the cell's freedom and constraints leave."""
        kept = self._frame[2]
        if self.crystal is not None:
            rows = self.crystal.kept(rows)
        if kept is None:
            return rows
        return np.concatenate([(rows[: len(kept), None] @ kept)[:, 0], rows[len(kept) :]])

    def _standing(self) -> str:
        watch = self.optimizable
        stress = f", stress {watch.smax:.3g} GPa" if np.isfinite(watch.smax) else ""
        return f"fmax is {watch.fmax:.4g} eV/A{stress}"

    def _words(self, fmax: float) -> str:
        if self.crystal is None or self.crystal.freedom is None:
            return f"no force above {fmax} eV/A"
        stress = f"{self.optimizable.smax:.3g} GPa"
        return f"no force above {fmax} eV/A, residual stress {stress}"

    def _say(self, words: str) -> None:
        if self.logfile is not None:
            self.logfile.write(f"{type(self).__name__}: {words}\n")

    def _end(self, status: Status, reason: str) -> None:
        self._status, self._reason, self._ended = status, reason, time.perf_counter()

    def run(  # type: ignore[override]  # as ase.optimize.Optimizer itself does
        self, fmax: float = 0.05, steps: int = DEFAULT_MAX_STEPS, **criteria: Any
    ) -> bool:
        """Relax, and return whether the structure has converged; ``result`` says the rest.

        Parameters and errors are those of :meth:`irun`.
        """
        for _ in self.irun(fmax, steps, **criteria):
            pass
        return self.result.converged

    def gradient_converged(self, gradient: np.ndarray) -> bool:
        """Return whether ``gradient`` (3R,), eV/A, meets the criteria in a structure that holds together."""
        fmax = float("nan") if self.fmax is None else self.fmax
        met = self.optimizable.gradient_norm(gradient) <= fmax and self._settled()
        if self.crystal is not None:
            met = met and self.crystal.stress_converged(fmax, self.smax)
        if met:
            self.optimizable.look(closely=True)
            self.optimizable.look_uphill()
        return met

    def _settled(self) -> bool:
        """Whether the last step changed energy and positions by no more than was asked."""
        if np.isinf(self.energy_change) and np.isinf(self.displacement):
            return True
        if self._moved is None:
            return False
        natoms = len(self.optimizable.images()[0])
        change = abs(self.optimizable.energy - self._energy_before) / natoms
        return change <= self.energy_change and self._moved <= self.displacement

    def converged(self, forces: np.ndarray | None = None, *, gradient: np.ndarray | None = None) -> bool:
        """Return whether the structure, or the ``forces`` (N, 3) given, meet ``fmax``."""
        if gradient is None:
            gradient = -np.ravel(forces) if forces is not None else self.optimizable.get_gradient()
        return self.gradient_converged(gradient)

    def log(self, gradient: np.ndarray) -> None:
        """Write a line: step, time, energy (eV), fmax (eV/A) and, where the cell relaxes, smax (GPa)."""
        if self.crystal is None or self.crystal.freedom is None:
            super().log(gradient)  # type: ignore[no-untyped-call]
            return
        if self.logfile is None:
            return
        name, watch = type(self).__name__, self.optimizable
        if self.nsteps == 0:
            blank = " " * len(name)
            self.logfile.write(f"{blank}  Step     Time          Energy          fmax      smax/GPa\n")
        now = time.strftime("%H:%M:%S")
        numbers = watch.get_value(), watch.gradient_norm(gradient), watch.smax
        columns = "{:15.6f} {:13.6f} {:13.6f}".format(*numbers)
        self.logfile.write(f"{name}:  {self.nsteps:3d} {now} {columns}\n")

    def todict(self) -> dict[str, Any]:
        return dict(super().todict()) | {"rule": restarts.described(self.rule)}  # type: ignore[no-untyped-call]

    def _dump(self) -> None:
        if self.restart is None or self.comm.rank != 0:
            return
        data: dict[str, Any] = {
            "rule": restarts.described(self.rule),
            "cell": self._cell_words(),
            "state": state.to_plain(self.state or {}),
        }
        if self.crystal is not None:
            data["crystal"] = self.crystal.reference_to_plain()
        elif (cell := getattr(self.atoms, "orig_cell", None)) is not None:
            data["orig_cell"] = np.asarray(cell)
        restarts.save(Path(self.restart), data)

    def _cell_words(self) -> str:
        freedom = self.crystal.freedom if self.crystal else None
        return repr(freedom) if freedom else "cell=False"

    def read(self) -> None:
        """Go on from the restart file."""
        assert self.restart is not None
        self.state, data = restarts.load(Path(self.restart), self.rule, self.optimizable.ndofs() // 3)
        if data.get("cell") != self._cell_words():
            raise ValueError(
                f"{self.restart} was written with {data.get('cell')}, not with {self._cell_words()}; "
                "use the same settings, or delete the file to start anew"
            )
        if self.crystal is not None and "crystal" in data:
            self.crystal.reference_from_plain(data["crystal"])
        elif "orig_cell" in data and hasattr(self.atoms, "orig_cell"):
            self.atoms.orig_cell = np.asarray(data["orig_cell"])
