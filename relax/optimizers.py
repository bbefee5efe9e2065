"""ASE optimizers, one for each rule: drop-in beside ``ase.optimize.FIRE``.

::

    atoms.calc = ...
    opt = FrankensteinRelax(atoms)
    opt.run(fmax=0.01)
    print(opt.result)
"""

from __future__ import annotations

import contextlib
import inspect
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np
from ase.io.jsonio import write_json
from ase.optimize.optimize import DEFAULT_MAX_STEPS, Optimizer

from relax import rules, state
from relax.result import RelaxationStopped, Result, Status
from relax.rule import Point, Rule
from relax.rules.wrappers import for_atoms
from relax.segments import Array, Segments
from relax.watch import Watch

__all__ = [
    "OPTIMIZERS",
    "AdaDeltaRelax",
    "AdaGradRelax",
    "AdaMaxRelax",
    "AdamRelax",
    "CoReRelax",
    "FIRERelax",
    "FrankensteinRelax",
    "LBFGSRelax",
    "MomentumRelax",
    "NAGRelax",
    "RMSpropRelax",
    "RPROPRelax",
    "RuleOptimizer",
    "SGDRelax",
]


class RuleOptimizer(Optimizer):
    """An ASE optimizer that follows a rule.

    One gradient a step and no trial evaluations.  Energies, forces and the structure are watched: a
    number that is not finite, an atom that lost all its neighbours, a calculator that raises, each
    stop ``run`` at once, with the last good structure in ``atoms`` and the verdict in ``result``.

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
    **kwargs
        ``master``, ``comm``, ``loginterval``, as in ASE.

    Raises
    ------
    ValueError
        There are no atoms, or the restart file is of another rule or another structure.
    """

    STALL = (1e-9, 10)
    """A step below this length (A), so many times running, is a stall."""

    def __init__(
        self,
        atoms: Any,
        rule: Rule,
        restart: str | Path | None = None,
        logfile: IO[str] | str | Path | None = "-",
        trajectory: Any = None,
        append_trajectory: bool = False,
        **kwargs: Any,
    ) -> None:
        self.rule = rule
        self.state: state.State | None = None
        self.maxstep = getattr(rule, "maxstep", None)
        self._status: Status = "running"
        self._reason = "the run has not ended"
        self._ended: float | None = None
        self._still = 0
        super().__init__(
            atoms,
            restart=restart,
            logfile=logfile,
            trajectory=trajectory,
            append_trajectory=append_trajectory,
            **kwargs,
        )
        if self.optimizable.ndofs() == 0:
            raise ValueError("there are no atoms to relax")

    @property
    def optimizable(self) -> Watch:
        """What is relaxed, under watch."""
        return self._watch

    @optimizable.setter
    def optimizable(self, optimizable: Any) -> None:
        self._watch = Watch(optimizable)

    @property
    def result(self) -> Result:
        """How the run ended, or how it stands."""
        watch, now = self.optimizable, self._ended or time.perf_counter()
        return Result(
            status=self._status,
            reason=self._reason,
            force_calls=watch.counter.calls,
            steps=self.nsteps,
            fmax=watch.fmax,
            energy_first=watch.energy_first,
            energy_last=watch.energy,
            wall_time=now - watch.started if watch.started else 0.0,
        )

    def reset(self) -> None:
        """Forget the state of the rule; the next step is a first step."""
        self.state = None

    def initialize(self) -> None:
        self.reset()

    def step(self) -> None:
        """Take one step: one gradient, one displacement."""
        optimizable = self.optimizable
        g = optimizable.get_gradient().reshape(-1, 3)
        x = optimizable.get_x().reshape(-1, 3)
        e = np.full((len(x), 1), optimizable.get_value())
        if self.state is None:
            self.state = self.rule.init(x)
        dx, self.state = self.rule.update(self.state, Point(x, g, e, Segments([len(x)])))
        if not np.isfinite(dx).all():
            raise RelaxationStopped("nonfinite", "the rule's step is not finite")
        self._still = self._still + 1 if np.abs(dx).max() < self.STALL[0] else 0
        optimizable.set_x((x + dx).ravel())
        self.dump(
            {"rule": described(self.rule), "state": state.to_plain(self.state)} | self._reference_cell()
        )

    def irun(  # type: ignore[override]  # as ase.optimize.Optimizer itself does
        self, fmax: float = 0.05, steps: int = DEFAULT_MAX_STEPS
    ) -> Iterator[bool]:
        """Relax step by step, yielding whether the structure has converged.

        Parameters
        ----------
        fmax
            Longest row of the gradient that counts as converged, eV/A.
        steps
            Most steps to take.

        Raises
        ------
        RuntimeError
            The atoms have no calculator.
        """
        for image in self.optimizable.images():
            if getattr(image, "calc", None) is None and not hasattr(self.atoms, "images"):
                raise RuntimeError("the atoms have no calculator; set atoms.calc before relaxing")
        self._status, self._reason, self._ended, self._still = "running", "the run has not ended", None, 0
        try:
            for converged in super().irun(fmax, steps):  # type: ignore[no-untyped-call]
                if converged:
                    self._end("converged", f"no force above {fmax} eV/A")
                elif self._still >= self.STALL[1]:
                    raise RelaxationStopped("stalled", "{1} steps below {0} A".format(*self.STALL))
                elif self.nsteps >= self.max_steps:
                    fmax_now = f"{self.optimizable.fmax:.4g} eV/A"
                    self._end("max_steps", f"fmax is {fmax_now} after {self.nsteps} steps")
                yield converged
        except RelaxationStopped as stop:
            self.optimizable.restore(stop.status)
            self._end(stop.status, stop.reason)
            if self.logfile is not None:
                self.logfile.write(f"{type(self).__name__}: stopped, {stop}\n")
            yield False
        finally:
            if self._status == "running":
                self._end("interrupted", f"left after {self.nsteps} steps")

    def _end(self, status: Status, reason: str) -> None:
        self._status, self._reason, self._ended = status, reason, time.perf_counter()

    def run(  # type: ignore[override]  # as ase.optimize.Optimizer itself does
        self, fmax: float = 0.05, steps: int = DEFAULT_MAX_STEPS
    ) -> bool:
        """Relax, and return whether the structure has converged; ``result`` says the rest.

        Parameters and errors are those of :meth:`irun`.
        """
        for _ in self.irun(fmax, steps):
            pass
        return self.result.converged

    def gradient_converged(self, gradient: np.ndarray) -> bool:
        """Return whether ``gradient`` (3R,), eV/A, meets ``fmax`` in a structure that holds together."""
        met = bool(super().gradient_converged(gradient))  # type: ignore[no-untyped-call]
        if met:
            self.optimizable.look(closely=True)
        return met

    def converged(self, forces: np.ndarray | None = None, *, gradient: np.ndarray | None = None) -> bool:
        """Return whether the structure, or the ``forces`` (N, 3) given, meet ``fmax``."""
        if gradient is None:
            gradient = -np.ravel(forces) if forces is not None else self.optimizable.get_gradient()
        return self.gradient_converged(gradient)

    def todict(self) -> dict[str, Any]:
        return dict(super().todict()) | {"rule": described(self.rule)}  # type: ignore[no-untyped-call]

    def _reference_cell(self) -> dict[str, Any]:
        cell = getattr(self.atoms, "orig_cell", None)
        return {} if cell is None else {"orig_cell": np.asarray(cell)}

    def dump(self, data: Any) -> None:
        """Write the restart file, whole or not at all."""
        if self.restart is None or self.comm.rank != 0:
            return
        path = Path(self.restart)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
        try:
            with os.fdopen(handle, "w") as file:
                write_json(file, data)
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise

    def read(self) -> None:
        """Go on from the restart file."""
        from ase.io.jsonio import read_json
        from ase.optimize.optimize import RestartError

        n = self.optimizable.ndofs() // 3
        try:
            data = read_json(self.restart, always_array=False)
            written = data["rule"]
            read = state.from_plain(data["state"], like=np.zeros((n, 3)))
            rows = {leaf.shape[0] for leaf in leaves(read)}
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            problem = f"{self.restart} is no restart file of relax; delete it to start anew"
            raise RestartError(problem) from error
        if written != described(self.rule):
            raise ValueError(
                f"{self.restart} was written by {written}, not by {described(self.rule)}; "
                "use the same settings, or delete the file to start anew"
            )
        if rows != {n}:
            raise ValueError(f"{self.restart} is of a structure of {rows} rows, this one has {n}")
        self.state = read
        if "orig_cell" in data and hasattr(self.atoms, "orig_cell"):
            self.atoms.orig_cell = np.asarray(data["orig_cell"])


def leaves(tree: state.State) -> Iterator[Array]:
    """Yield the arrays of a state."""
    for node in tree.values():
        if isinstance(node, dict):
            yield from leaves(node)
        else:
            yield node


def nameless(value: Any) -> str:
    """Return ``value`` as text without addresses in memory."""
    return str(getattr(value, "__qualname__", None) or re.sub(r" at 0x[0-9a-f]+", "", repr(value)))


def described(rule: Rule) -> str:
    """Return ``rule`` as text that is the same from one process to the next."""

    def words(settings: dict[str, Any]) -> str:
        inner = {k: v for k, v in settings.items() if k != "rule"}
        parts = [f"{k}={words(v)}" if isinstance(v, dict) else f"{k}={nameless(v)}" for k, v in inner.items()]
        return f"({', '.join(parts)})"

    if isinstance(inner := getattr(rule, "rule", None), Rule):
        return f"{type(rule).__name__}[{described(inner)}]{words(rule.settings())}"
    return f"{type(rule).__name__}{words(rule.settings())}"


class NamedOptimizer(RuleOptimizer):
    """An optimizer for one rule, dressed for atoms.

    Parameters
    ----------
    atoms, restart, logfile, trajectory, append_trajectory
        As in :class:`RuleOptimizer`.
    maxstep, maxstep_norm
        Trust radius in A, and whether it holds for a ``"component"``, an ``"atom"`` or the
        ``"structure"``; the rule's own where not given.
    rule
        A rule to follow in place of the defaults, such as ``CoRe.paper()``.
    clip, clip_norm, quiet, schedule, restart_when, maximize, centred
        As in :func:`relax.rules.wrappers.for_atoms`.
    **settings
        Parameters of the rule by name (``relax rules`` lists them), and ASE's ``master``, ``comm``
        and ``loginterval``.

    Raises
    ------
    TypeError
        A parameter is unknown; the message suggests the nearest one.
    ValueError
        A parameter is out of its bounds, or there are no atoms.
    """

    rule_class: ClassVar[type[Rule]]
    ASE_WORDS = ("master", "comm", "loginterval")

    def __init__(
        self,
        atoms: Any,
        restart: str | Path | None = None,
        logfile: IO[str] | str | Path | None = "-",
        trajectory: Any = None,
        append_trajectory: bool = False,
        maxstep: float | None = None,
        maxstep_norm: str | None = None,
        *,
        rule: Rule | None = None,
        clip: float | None = None,
        clip_norm: str = "atom",
        quiet: float | None = None,
        schedule: Callable[[Array], Array | float] | None = None,
        restart_when: str | None = None,
        maximize: bool = False,
        centred: bool = False,
        **settings: Any,
    ) -> None:
        ase_words = {name: settings.pop(name) for name in self.ASE_WORDS if name in settings}
        if rule is None:
            rule = self.rule_class.from_settings(
                settings, (*inspect.signature(NamedOptimizer).parameters, *self.ASE_WORDS)
            )
        elif settings:
            raise TypeError(f"give either rule= or its parameters, not both: {', '.join(settings)}")
        dressed = for_atoms(
            rule,
            maxstep=maxstep,
            maxstep_norm=maxstep_norm,
            clip=clip,
            clip_norm=clip_norm,
            quiet=quiet,
            schedule=schedule,
            restart_when=restart_when,
            maximize=maximize,
            centred=centred,
        )
        super().__init__(atoms, dressed, restart, logfile, trajectory, append_trajectory, **ase_words)


class SGDRelax(NamedOptimizer):
    """Steepest descent; see :class:`relax.rules.SGD`."""

    rule_class = rules.SGD


class MomentumRelax(NamedOptimizer):
    """Steepest descent with momentum; see :class:`relax.rules.Momentum`."""

    rule_class = rules.Momentum


class NAGRelax(NamedOptimizer):
    """Nesterov's accelerated gradient; see :class:`relax.rules.NAG`."""

    rule_class = rules.NAG


class AdaGradRelax(NamedOptimizer):
    """AdaGrad; see :class:`relax.rules.AdaGrad`."""

    rule_class = rules.AdaGrad


class AdaDeltaRelax(NamedOptimizer):
    """AdaDelta; see :class:`relax.rules.AdaDelta`."""

    rule_class = rules.AdaDelta


class RMSpropRelax(NamedOptimizer):
    """RMSprop; see :class:`relax.rules.RMSprop`."""

    rule_class = rules.RMSprop


class AdamRelax(NamedOptimizer):
    """Adam; see :class:`relax.rules.Adam`."""

    rule_class = rules.Adam


class AdaMaxRelax(NamedOptimizer):
    """AdaMax; see :class:`relax.rules.AdaMax`."""

    rule_class = rules.AdaMax


class RPROPRelax(NamedOptimizer):
    """Resilient backpropagation; see :class:`relax.rules.RPROP`."""

    rule_class = rules.RPROP


class CoReRelax(NamedOptimizer):
    """The continual resilient optimizer; see :class:`relax.rules.CoRe`."""

    rule_class = rules.CoRe


class FrankensteinRelax(NamedOptimizer):
    """Frankenstein; see :class:`relax.rules.Frankenstein`."""

    rule_class = rules.Frankenstein


class FIRERelax(NamedOptimizer):
    """FIRE; see :class:`relax.rules.FIRE`."""

    rule_class = rules.FIRE


class LBFGSRelax(NamedOptimizer):
    """L-BFGS; see :class:`relax.rules.LBFGS`."""

    rule_class = rules.LBFGS


OPTIMIZERS: dict[str, type[NamedOptimizer]] = {
    named.rule_class.__name__.lower(): named for named in NamedOptimizer.__subclasses__()
}
