"""The minimizers of LAMMPS, ended like all others: at the first force call within the limit."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from benchmarks.alloy.library import AlloyCalculator

CALCULATOR_PARTS = ("Pair", "Neigh", "Comm")
"""Of the times that LAMMPS prints, those that a calculator has as well."""
STYLES = ("fire", "cg", "hftn")


@dataclass
class Watch:
    """Counts force evaluations, and keeps the first place at which no force is above ``fmax`` (eV/A).

    LAMMPS has this limit for some of its minimizers only, and does not count the evaluation at the start.

    Attributes
    ----------
    calls
        Force evaluations, up to the one that ended the run.
    place
        Positions (N, 3) there, A, as LAMMPS has them; None where no evaluation ended the run.
    seconds
        Time that the test took, which is neither the calculator's nor the minimizer's.
    """

    lammps: Any
    fmax: float
    calls: int = 0
    place: np.ndarray | None = None
    seconds: float = field(default=0.0)

    def __call__(self, caller: Any, step: int, n: int, tag: Any, x: Any, f: Any) -> None:
        """See a force evaluation; ``f`` is where forces could be added."""
        began = time.process_time()
        if self.place is None:
            self.calls += 1
            forces = self.lammps.numpy.extract_atom("f", nelem=n, dim=3)
            if (forces * forces).sum(axis=1).max() <= self.fmax**2:
                self.place = x[np.argsort(tag)]
                self.lammps.force_timeout()
        self.seconds += time.process_time() - began


@dataclass(frozen=True)
class Minimized:
    """A run of a minimizer of LAMMPS.

    Attributes
    ----------
    calls
        Force evaluations.
    within
        Whether one of them ended the run.
    seconds_calculator, seconds_outside
        Processor time in pair forces and neighbour lists, and in all else.
    ended
        Why it ended, in the words of LAMMPS.
    """

    calls: int
    within: bool
    seconds_calculator: float
    seconds_outside: float
    ended: str


def minimize(atoms: Atoms, style: str, fmax: float, cap: int) -> Minimized:
    """Relax ``atoms``, whose calculator is an :class:`AlloyCalculator`, in place.

    Parameters
    ----------
    style
        Minimizer, which runs with the defaults of LAMMPS.
    fmax
        Largest force at which the run ends, eV/A.
    cap
        Largest number of force evaluations.
    """
    calculator: AlloyCalculator = atoms.calc
    calculator.calculate(atoms)
    lammps = calculator.lammps
    watch = Watch(lammps, fmax)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        lammps.commands_list([f'log "{log}"', "thermo 1000000", "fix watch all external pf/callback 1 1"])
        lammps.set_fix_external_callback("watch", watch)
        began = time.process_time()
        lammps.commands_list([f"min_style {style}", f"minimize 0.0 0.0 {cap} {cap - 1}"])
        seconds = time.process_time() - began - watch.seconds
        lammps.commands_list(["unfix watch", "thermo 1", "log none"])
        text = log.read_text()
    place = calculator.gathered("x") if watch.place is None else watch.place
    atoms.positions = place - calculator.images  # by a box length off where an atom was wrapped meanwhile
    calculator.known = None
    inside = seconds * share(text)
    return Minimized(min(watch.calls, cap), watch.place is not None, inside, seconds - inside, reason(text))


def share(log: str) -> float:
    """Return the part of its time that LAMMPS spent on forces and neighbour lists, from its log."""
    cells = [[cell.strip() for cell in line.split("|")] for line in log.splitlines() if line.count("|") == 5]
    return sum(float(row[-1]) for row in cells if row[0] in CALCULATOR_PARTS) / 100


def reason(log: str) -> str:
    """Return why LAMMPS says that it stopped, from its log."""
    lines = [line.partition("=")[2].strip() for line in log.splitlines() if "Stopping criterion" in line]
    return lines[-1] if lines else "no reason given"
