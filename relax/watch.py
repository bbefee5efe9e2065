"""A watch over what an ASE optimizer evaluates: counts the calls, and stops a run that went wrong."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii
from ase.geometry import get_distances
from ase.neighborlist import neighbor_list
from ase.utils.abc import Optimizable

from relax.result import RelaxationStopped

__all__ = ["CallCounter", "Integrity", "Watch"]


class CallCounter:
    """Counts the evaluations of ASE calculators, at the calculator."""

    def __init__(self) -> None:
        self.calls = 0

    @contextmanager
    def watching(self, calculators: list[Any]) -> Iterator[None]:
        """Count every ``calculate`` of ``calculators`` within the block."""
        watched = {id(c): c for c in calculators if hasattr(c, "calculate")}.values()
        before = [(c, vars(c).get("calculate")) for c in watched]
        for calculator in watched:
            calculator.calculate = self._counted(calculator.calculate)
        try:
            yield
        finally:
            for calculator, own in before:
                if own is None:
                    del calculator.calculate
                else:
                    calculator.calculate = own

    def _counted(self, calculate: Any) -> Any:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            return calculate(*args, **kwargs)

        return counted


class Integrity:
    """Whether a structure still hangs together as it did at the start.

    It has flown apart where an atom that had a neighbour within ``REACH`` times the sum of the
    covalent radii has none any more, or where the cell's volume has changed by more than ``VOLUME``.
    A fragment that leaves in one piece, as a molecule that desorbs, is no explosion.
    """

    REACH = 3.0
    VOLUME = 5.0
    CLOSE = 1.3  # of the sum of the covalent radii: nearly every atom of nearly every structure

    def __init__(self, atoms: Atoms) -> None:
        self.was_alone = self.alone(atoms)
        self.volume = self.volume_of(atoms)
        self.checked = np.concatenate([atoms.positions, atoms.cell[:]])

    @staticmethod
    def volume_of(atoms: Atoms) -> float:
        return float(atoms.cell.volume) if atoms.cell.rank == 3 else 0.0

    def alone(self, atoms: Atoms) -> np.ndarray:
        """Return which atoms (N,) have no neighbour within reach."""
        radii = covalent_radii[atoms.numbers]
        lonely = np.ones(len(atoms), bool)
        lonely[neighbor_list("i", atoms, list(self.CLOSE * radii))] = False
        for i in np.flatnonzero(lonely):
            _, distances = get_distances(
                atoms.positions[i : i + 1], atoms.positions, cell=atoms.cell, pbc=atoms.pbc
            )
            near = distances[0] < self.REACH * (radii[i] + radii)
            near[i] = bool(atoms.pbc.any()) and self._sees_itself(atoms, self.REACH * 2 * radii[i])
            lonely[i] = not near.any()
        return lonely

    @staticmethod
    def _sees_itself(atoms: Atoms, reach: float) -> bool:
        return bool((atoms.cell.lengths()[atoms.pbc] < reach).any())

    def moved(self, atoms: Atoms) -> float:
        """Return the longest way (A) an atom or a corner of the cell went since the last check."""
        way = np.concatenate([atoms.positions, atoms.cell[:]]) - self.checked
        return float(np.linalg.norm(way, axis=1).max())

    def fault(self, atoms: Atoms) -> str:
        """Return what is wrong with the structure, in words; nothing where it holds together."""
        volume = self.volume_of(atoms)
        if self.volume and not 1 / self.VOLUME < volume / self.volume < self.VOLUME:
            return f"the volume went from {self.volume:.1f} to {volume:.1f} A^3"
        lost = np.flatnonzero(self.alone(atoms) & ~self.was_alone)
        if len(lost):
            i = int(lost[0])
            symbol = chemical_symbols[atoms.numbers[i]]
            return f"{len(lost)} of {len(atoms)} atoms lost all neighbours, the first is atom {i} ({symbol})"
        self.checked = np.concatenate([atoms.positions, atoms.cell[:]])
        return ""


class Watch(Optimizable):
    """An ``Optimizable`` that evaluates another one, and lets nothing bad through.

    Raises
    ------
    RelaxationStopped
        From ``get_gradient`` and ``get_value``: the calculator raised, its answer is not a number, or
        the structure flew apart.
    """

    LOOK_EVERY = 1.0
    """How far (A) an atom may go before the structure is looked at again."""

    def __init__(self, inner: Optimizable) -> None:
        self.inner = inner
        self.counter = CallCounter()
        self.integrity: list[Integrity] = []
        self.started = 0.0
        self.energy_first = self.energy = self.fmax = float("nan")
        self.good: tuple[np.ndarray, float, float] | None = None  # x, energy, fmax
        self.whole: tuple[np.ndarray, float, float] | None = None

    def ndofs(self) -> int:
        return int(self.inner.ndofs())

    def get_x(self) -> np.ndarray:
        return np.asarray(self.inner.get_x(), dtype=float)

    def set_x(self, x: np.ndarray) -> None:
        self.inner.set_x(x)

    def iterimages(self) -> Any:
        return self.inner.iterimages()

    def converged(self, gradient: np.ndarray, fmax: float) -> bool:
        return bool(self.inner.converged(gradient, fmax))

    def gradient_norm(self, gradient: np.ndarray) -> float:
        return float(self.inner.gradient_norm(gradient))

    def get_gradient(self) -> np.ndarray:
        gradient = np.asarray(self._evaluate("get_gradient"), dtype=float)
        bad = np.flatnonzero(~np.isfinite(gradient))
        if len(bad):
            raise RelaxationStopped("nonfinite", f"the force on row {bad[0] // 3} is {-gradient[bad[0]]}")
        # Only with both numbers is a structure good; every optimizer asks for the energy anyway.
        now = self.get_x(), self._finite_energy(), self.gradient_norm(gradient)
        self.look(now)
        self.good, (_, self.energy, self.fmax) = now, now
        if np.isnan(self.energy_first):
            self.energy_first = self.energy
        return gradient

    def get_value(self) -> float:
        return self._finite_energy()

    def _finite_energy(self) -> float:
        energy = float(self._evaluate("get_value"))
        if not np.isfinite(energy):
            raise RelaxationStopped("nonfinite", f"the energy is {energy} eV")
        return energy

    def _evaluate(self, what: str) -> Any:
        if not self.started:
            self.started = time.perf_counter()
        calculators = [image.calc for image in self.images()]
        try:
            with self.counter.watching(calculators):
                return getattr(self.inner, what)()
        except Exception as error:
            words = " ".join(str(error).split()) or "no message"
            raise RelaxationStopped("calculator_error", f"{type(error).__name__}: {words}") from error

    def images(self) -> list[Atoms]:
        # An NEB's own iterimages yields copies without their calculators, and only after its first forces.
        neb = getattr(self.inner, "neb", None)
        images = self.inner.iterimages() if neb is None else neb.images
        return [getattr(image, "atoms", image) for image in images]

    def look(self, now: tuple[np.ndarray, float, float] | None = None, closely: bool = False) -> None:
        """Stop a structure that flew apart; ``closely`` looks however little has moved."""
        now = now or self.good
        images = self.images()
        if not self.integrity:
            self.integrity = [Integrity(atoms) for atoms in images]
            self.whole = now
            return
        pairs = list(zip(self.integrity, images, strict=True))
        if closely or any(before.moved(atoms) > self.LOOK_EVERY for before, atoms in pairs):
            for before, atoms in pairs:
                fault = before.fault(atoms)
                if fault:
                    raise RelaxationStopped("exploded", fault)
            self.whole = now

    def restore(self, status: str) -> None:
        """Put back the last structure that was good in the sense in which this one is not."""
        snapshot = self.whole if status == "exploded" else self.good
        if snapshot is not None:
            x, self.energy, self.fmax = snapshot
            self.inner.set_x(x)
