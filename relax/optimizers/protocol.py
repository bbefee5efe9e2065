"""What ASE asks of an optimizer beside its steps: logs, convergence of given forces, restart files."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.optimize.optimize import Optimizer

from relax.core.result import Result
from relax.core.rule import Rule
from relax.optimizers import restart as restarts
from relax.optimizers.optimizable import EngineOptimizable
from relax.optimizers.single_run import SingleRun

__all__ = ["AseProtocol"]


class AseProtocol(Optimizer):
    """An ASE optimizer whose structure is in the hands of the engine."""

    engine: SingleRun
    rule: Rule

    @property
    def optimizable(self) -> EngineOptimizable:
        """What is relaxed, as ASE asks for it."""
        return EngineOptimizable(self.engine)

    @optimizable.setter
    def optimizable(self, optimizable: Any) -> None:
        """Leave aside what ASE's own ``__init__`` makes of the atoms: the engine has them."""

    @property
    def result(self) -> Result:
        """How the run ended, or how it stands."""
        return self.engine.result(self.nsteps)

    def reset(self) -> None:
        """Forget the state of the rule; the next step is a first step."""
        self.engine.state = None

    def gradient_converged(self, gradient: np.ndarray) -> bool:
        """Return whether ``gradient`` (3R,), eV/A, meets the criteria."""
        fmax = float("nan") if self.fmax is None else self.fmax
        norm = self.optimizable.gradient_norm(gradient)
        return bool(norm <= fmax) and self.engine.else_converged()

    def converged(self, forces: np.ndarray | None = None, *, gradient: np.ndarray | None = None) -> bool:
        """Return whether the structure, or the ``forces`` (N, 3) given, meet ``fmax``.

        A ``gradient`` (3N,) in place of them is deprecated, as it is in ASE: see :meth:`gradient_converged`.
        """
        if gradient is not None:
            words = "converged(gradient=...) is deprecated; use gradient_converged(gradient)"
            warnings.warn(words, FutureWarning, stacklevel=2)
        else:
            gradient = -np.ravel(forces) if forces is not None else self.optimizable.get_gradient()
        return self.gradient_converged(gradient)

    def log(self, gradient: np.ndarray) -> None:
        """Write a line: step, time, energy (eV), fmax (eV/A) and, where the cell relaxes, smax (GPa)."""
        if self.engine.structure.freedom is None:
            super().log(gradient)  # type: ignore[no-untyped-call]
            return
        if self.logfile is None:
            return
        name, values = type(self).__name__, self.optimizable
        if self.nsteps == 0:
            blank = " " * len(name)
            self.logfile.write(f"{blank}  Step     Time          Energy          fmax      smax/GPa\n")
        now = time.strftime("%H:%M:%S")
        fmax, smax = values.gradient_norm(gradient), values.standing.smax
        columns = f"{values.get_value():15.6f} {fmax:13.6f} {smax:13.6f}"
        self.logfile.write(f"{name}:  {self.nsteps:3d} {now} {columns}\n")

    def _say(self, words: str) -> None:
        if self.logfile is not None:
            self.logfile.write(f"{type(self).__name__}: {words}\n")

    def todict(self) -> dict[str, Any]:
        return dict(super().todict()) | {"rule": restarts.described(self.rule)}  # type: ignore[no-untyped-call]

    def _dump(self) -> None:
        if self.restart is not None and self.comm.rank == 0:
            restarts.dump(Path(self.restart), self.engine)

    def read(self) -> None:
        """Go on from the restart file."""
        assert self.restart is not None
        if restarts.read(Path(self.restart), self.engine):
            self._say(f"goes on where the atoms are in {self.restart}")

    def _replay_trajectory(self, traj: Sequence[Atoms]) -> None:
        """Let the rule learn from the frames of an earlier run of the same atoms, as it does in a run.

        Raises
        ------
        TypeError
            What is relaxed is no plain ``Atoms``.
        ValueError
            A frame is of other atoms, or has no forces.
        """
        self.engine.replay(traj)

    def _traj_write_image(self, *given: Any, **named: Any) -> None:
        with self.engine.shown():
            super()._traj_write_image(*given, **named)

    def _tell_observers(self) -> None:
        """Write the log and call the observers; a trajectory that goes on has its first frame already."""
        self.log(self.engine.relaxation.gradients.g.ravel())
        if self.nsteps > 0 or self.trajectory is None or self._traj_is_empty():  # type: ignore[no-untyped-call]
            self.call_observers()  # type: ignore[no-untyped-call]

    def _say_what_went_back(self) -> None:
        relaxation = self.engine.relaxation
        if 0 in relaxation.went_back:
            self._say("went back, {}: {}".format(*relaxation.went_back[0]))
        if (minimum := relaxation.minimum) is not None and relaxation.steps.pushed[0]:
            self._say(f"{minimum.words}: pushed by {minimum.check.push} A off the saddle")
