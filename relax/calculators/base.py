"""The interface of potentials: positions and cells in; energies, forces and stresses out.

A structure is admitted when it enters a batch and released when it leaves, under a key that is never used
again.  Meanwhile the potential can keep what changes little from step to step, such as a neighbour list.
It evaluates any selection of the admitted structures.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, PropertyNotImplementedError
from ase.stress import voigt_6_to_full_3x3_stress

__all__ = [
    "KEYS",
    "Aimed",
    "CallCounter",
    "Evaluation",
    "Geometry",
    "Potential",
    "energy_of",
    "numbers",
    "stress_matrix",
]

KEYS = itertools.count()
"""Keys for structures: no two structures of a process have the same, whatever potential evaluates them."""


class Geometry(NamedTuple):
    """Positions and cells of S structures with N atoms in all, one structure after the other."""

    keys: tuple[int, ...]  # (S,) keys of the structures
    lengths: np.ndarray  # (S,) number of atoms of each
    numbers: np.ndarray  # (N,) atomic numbers
    positions: np.ndarray  # (N, 3) A
    cells: np.ndarray  # (S, 3, 3) A, one vector per row
    pbc: np.ndarray  # (S, 3) bool


@dataclass
class Evaluation:
    """The results for S structures with N atoms in all, in float64."""

    energies: np.ndarray  # (S,) eV
    forces: np.ndarray  # (N, 3) eV/A
    stresses: np.ndarray  # (S, 3, 3) eV/A^3, positive under tension as in ASE; NaN if there is none
    faults: dict[int, str] = field(default_factory=dict)
    """Why there are no results for a structure, in one line, by its index among the S."""

    timeouts: dict[int, str] = field(default_factory=dict)
    """Structures whose time was up within the call, and that in one line."""

    calls: dict[int, int] = field(default_factory=dict)
    """Force calls of structures for which it was not one, by their index among the S."""


@runtime_checkable
class Potential(Protocol):
    """Energies, forces and stresses for many structures at once."""

    unit: str
    """The unit of sizes, ``"atoms"`` or ``"edges"``: time and memory grow in proportion to it."""
    device: str
    """Device of the computation: ``"cpu"``, or ``"cuda"`` with or without a number."""
    batched: bool
    """Whether many structures at once are faster than one after the other."""

    def admit(self, key: int, atoms: Atoms) -> float:
        """Register a structure, and return its size in ``unit``.

        Raises
        ------
        UnsupportedStructure
            The potential cannot evaluate the structure: an element is unknown, the cell is not supported, or
            no atom has a neighbour within the cutoff.
        """
        ...

    def release(self, key: int) -> None:
        """Forget the structure that was admitted as ``key``."""
        ...

    def evaluate(self, geometry: Geometry, stress: bool) -> Evaluation:
        """Return energies, forces and, if ``stress`` is true, stresses of admitted structures.

        Raises
        ------
        OutOfMemory
            The structures do not fit into memory together.  The call may be repeated with fewer.
        """
        ...


@runtime_checkable
class Aimed(Protocol):
    """What a potential may have besides: it wants to know when a relaxation is over."""

    def aim(self, fmax: float) -> None:
        """Take in the longest force that counts as converged, eV/A."""
        ...


def stress_matrix(stress: Any) -> np.ndarray:
    """Return a ``stress`` (6,) or (3, 3), eV/A^3, as a matrix (3, 3); NaN if it is neither."""
    try:
        array = np.asarray(stress, float)
    except (TypeError, ValueError):
        array = np.zeros(0)
    if array.shape == (6,):
        array = voigt_6_to_full_3x3_stress(array)
    return array if array.shape == (3, 3) else np.full((3, 3), np.nan)


def energy_of(calculator: Any, atoms: Atoms) -> np.ndarray:
    """Return the energy (1,), eV, that the forces are the slope of, once the forces have been computed.

    Where a calculator has another energy beside it, as with smearing, and that is not finite, then this.

    Raises
    ------
    ValueError
        The calculator gives no number.
    """
    results = getattr(calculator, "results", {})
    plain = numbers("energy", results["energy"], (1,)) if "energy" in results else np.zeros(1)
    return _consistent(calculator, atoms) if np.isfinite(plain[0]) else plain


def _consistent(calculator: Any, atoms: Atoms) -> np.ndarray:
    if getattr(type(calculator), "get_potential_energy", None) is BaseCalculator.get_potential_energy:
        # What has just been computed: asking for it costs three comparisons of all atoms.
        name = "free_energy" if "free_energy" in calculator.implemented_properties else "energy"
        if name in calculator.results:
            return numbers("energy", calculator.results[name], (1,))
    try:
        energy = calculator.get_potential_energy(atoms, force_consistent=True)
    except PropertyNotImplementedError:
        energy = calculator.get_potential_energy(atoms)
    return numbers("energy", energy, (1,))


def numbers(what: str, given: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return what a calculator gives for ``what`` as floats, if it is numbers of this ``shape``.

    Where ``shape`` has one axis, any array of as many numbers will do.

    Raises
    ------
    ValueError
        It is not.
    """
    found = np.asarray(given)
    of_shape = found.size == np.prod(shape) if len(shape) == 1 else found.shape == shape
    if found.dtype.kind in "iuf" and of_shape:
        return found.astype(float).reshape(shape)
    kind = repr(given) if given is None or isinstance(given, str) else f"{found.dtype} of shape {found.shape}"
    wanted = "a number" if shape == (1,) else f"float of shape {shape}"
    raise ValueError(f"the calculator gives {kind} for the {what}, not {wanted}")


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
