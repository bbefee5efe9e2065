"""One optimizer on one crystal: its force calls, its time, and where it ended, judged from outside.

Force calls are counted at the calculator: a ``calculate`` at a new geometry is one.  A run that asks for
more than the cap is stopped there.  Whatever the optimizer says, its end is looked at in the same way:

- ``nonfinite``: an energy, force or stress was not a number;
- ``exploded``, ``collapsed``: the volume left :data:`VOLUME` times that of the start, or two atoms are
  nearer than :data:`NEAR` times the sum of their covalent radii;
- ``cap``: the force calls were used up;
- ``error``: the optimizer or the calculator raised;
- ``converged``: the largest row of forces and cell gradient is at most ``fmax``, as
  ``FrechetCellFilter`` has it, with the cell of the start or that of the end as its reference: by how
  much a crystal has been strained since must not decide;
- ``gave up``: the optimizer handed back something else.  Ours put the last good structure back when they
  see an explosion and the like coming; such a run is called what they call it.
"""

from __future__ import annotations

import contextlib
import io
import math
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.data import covalent_radii
from ase.filters import FrechetCellFilter
from ase.neighborlist import neighbor_list
from ase.units import GPa

from benchmarks.crystal_optimizers import make
from relax.optimizers import RuleOptimizer
from relax.result import RelaxationStopped

VOLUME = (0.2, 5.0)
NEAR = 0.4
SYMPREC = 0.01
"""Tolerance (A) of the space group."""
SLACK = 1e-3
"""By what part the criterion may be missed when it is looked at again: rounding of the cell."""
WILD = 30.0
"""Change of the volume at which a run is stopped: a model may need all memory to say nothing of use."""


class CapReached(Exception):
    """The run has used up its force calls."""


@dataclass(frozen=True)
class Group:
    """A space group; nothing where none was found."""

    number: int | None = None
    operations: int | None = None  # of the cell as it is, centring translations included


@dataclass(frozen=True)
class End:
    """How a run ended."""

    status: str
    reason: str  # in words, where it failed
    calls: int
    energy: float | None  # eV/atom
    smax: float | None  # largest component of the stress, GPa
    spacegroup: list[int | None]  # before and after; before any rattle
    operations: list[int | None]
    seconds_calculator: float
    seconds_outside: float


@dataclass(frozen=True)
class Look:
    """What the structure that a run handed back looks like."""

    row: float = math.inf  # largest row of the gradient, eV/A
    energy: float | None = None
    smax: float | None = None
    group: Group = Group()
    damage: tuple[str, str] = ("", "")  # status and reason, where it is no structure any more


class Meter(Calculator):
    """A calculator that asks another one, and counts, times and caps what it is asked.

    Each run has one of its own, so that nothing is left from the last.
    """

    def __init__(self, inner: Any, start: Atoms, cap: float) -> None:
        super().__init__()
        self.inner = inner
        # ASE's preconditioned optimizers insist on a free energy, which forces are the slope of.
        self.implemented_properties = [*inner.implemented_properties, "free_energy"]
        self.volume = start.get_volume()
        self.cap = cap
        self.calls = 0
        self.seconds = 0.0
        self.fault: Exception | None = None
        self.seen: Atoms | None = None
        self.answer: dict[str, Any] = {}

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        if system_changes:
            self.admit(self.atoms)
            self.calls += 1
        start = time.perf_counter()
        try:
            self.inner.calculate(self.atoms, properties, system_changes)
        except Exception as error:
            self.refuse(error)
        finally:
            self.seconds += time.perf_counter() - start
        self.results |= self.inner.results
        if "energy" in self.results:
            self.results.setdefault("free_energy", self.results["energy"])
        numbers = [self.results[key] for key in ("energy", "forces", "stress") if key in self.results]
        if not all(np.isfinite(number).all() for number in numbers):
            self.refuse(RelaxationStopped("nonfinite", "an energy, force or stress is not a number"))
        self.seen, self.answer, self.fault = self.atoms.copy(), dict(self.results), None

    def admit(self, atoms: Atoms) -> None:
        """Refuse a call that is one too many, or at a cell that has run away."""
        if self.calls == self.cap:
            self.refuse(CapReached(f"{self.cap} force calls"))
        ratio = atoms.get_volume() / self.volume
        if not 1 / WILD < ratio < WILD:
            words = f"the volume is {ratio:.3g} times that of the start"
            self.refuse(RelaxationStopped("exploded" if ratio > 1 else "collapsed", words))

    def refuse(self, fault: Exception) -> None:
        """Raise ``fault``, and remember it until an answer is good again: an optimizer may catch it.

        The last structure that was answered for is the one to be judged, without another call.
        """
        self.fault, self.atoms, self.results = fault, self.seen, self.answer
        raise fault


def group_of(atoms: Atoms) -> Group:
    """Return the space group."""
    import spglib

    cell = (atoms.cell[:], atoms.get_scaled_positions(), atoms.numbers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of spglib's changing ways of saying that it found none
        try:
            found = spglib.get_symmetry_dataset(cell, symprec=SYMPREC)
        except Exception:  # spglib's own error, of a class that not all versions have
            return Group()
    return Group() if found is None else Group(int(found.number), len(found.rotations))


def damage(atoms: Atoms, start: Atoms) -> tuple[str, str]:
    """Return the status and the reason, in words, of a structure that is none any more; else nothing."""
    ratio = atoms.get_volume() / start.get_volume()
    if not VOLUME[0] < ratio < VOLUME[1]:
        status = "exploded" if ratio > 1 else "collapsed"
        return status, f"the volume is {ratio:.3g} times that of the start"
    if len(neighbor_list("i", atoms, list(NEAR * covalent_radii[atoms.numbers]))):
        return "collapsed", f"two atoms are nearer than {NEAR} of their covalent radii"
    return "", ""


def largest_row(atoms: Atoms, start: Atoms) -> float:
    """Return the largest row (eV/A) of forces and cell gradient, in the kinder of the two references."""
    rows = []
    for cell in (start.cell, atoms.cell):
        seen = FrechetCellFilter(atoms)
        seen.orig_cell = cell
        rows.append(float(np.linalg.norm(seen.get_forces(), axis=1).max()))
    return min(rows)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep what optimizers and models print and warn of to themselves."""
    with (
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


def look_at(atoms: Atoms, start: Atoms) -> Look:
    """Return what the end of a run looks like, without another force call where the last was there."""
    return Look(
        largest_row(atoms, start),
        round(float(atoms.get_potential_energy()) / len(atoms), 6),
        round(float(np.abs(atoms.get_stress()).max() / GPa), 4),
        group_of(atoms),
        damage(atoms, start),
    )


def verdict(look: Look, fault: Exception | None, told: tuple[str, str], fmax: float) -> tuple[str, str]:
    """Return status and reason of a run, ``told`` being what its optimizer gives for them."""
    if isinstance(fault, RelaxationStopped):
        return fault.status, fault.reason
    if look.damage[0]:
        return look.damage
    if isinstance(fault, CapReached):
        return "cap", f"the largest row is {look.row:.3g} eV/A"
    if fault is not None:
        return "error", f"{type(fault).__name__}: {' '.join(str(fault).split())}"
    if look.row <= fmax * (1 + SLACK):
        return "converged", ""
    status, reason = told
    named = status in ("exploded", "collapsed", "nonfinite")
    return status if named else "gave up", reason or f"the largest row is {look.row:.3g} eV/A"


def run(name: str, start: Atoms, before: Group, calculator: Any, fmax: float, cap: int) -> End:
    """Relax a copy of ``start``, atoms and cell, and return how that ended.

    Parameters
    ----------
    name
        Optimizer, see :mod:`benchmarks.crystal_optimizers`.
    before
        Space group that is to be kept.
    fmax
        Largest row of the gradient that counts as converged, eV/A.
    cap
        Most force calls.
    """
    atoms = start.copy()
    atoms.calc = meter = Meter(calculator, start, cap)
    fault, told, look = None, ("", ""), Look()
    with quietly():
        began = time.perf_counter()
        try:
            optimizer = make(name, atoms)
            # A step to where the last one was costs no force call, so that steps need the cap too.
            optimizer.run(fmax=fmax, steps=cap)
            if isinstance(optimizer, RuleOptimizer):
                told = optimizer.result.status, optimizer.result.reason
        except Exception as raised:
            fault = raised
        calls, seconds = meter.calls, meter.seconds
        outside = time.perf_counter() - began - seconds
        fault = meter.fault or fault
        if fault is not None and meter.seen is not None:
            atoms.set_cell(meter.seen.cell)
            atoms.set_positions(meter.seen.positions)
        meter.cap = math.inf
        try:
            look = look_at(atoms, start)
        except Exception as raised:
            fault = fault or raised
    groups = before, look.group
    return End(
        *verdict(look, fault, told, fmax),
        calls,
        look.energy,
        look.smax,
        [group.number for group in groups],
        [group.operations for group in groups],
        round(seconds, 4),
        round(outside, 4),
    )
