"""A crystal as optimizers see it: atoms in the frame of a reference cell and, if that relaxes, its strain."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from ase import Atoms
from ase.utils.abc import Optimizable

from relax.core.errors import RelaxationStopped
from relax.core.result import LARGEST
from relax.core.segments import Segments
from relax.geometry.cell import GPA, CellFreedom, deformation, logarithm, periodic_plane, strain_gradient
from relax.geometry.symmetry import SYMPREC, SpaceGroup

__all__ = ["Crystal"]


class Crystal(Optimizable):
    """``Atoms`` as rows: N of atoms, and three of the log strain where the cell relaxes.

    The coordinates are those of ASE's ``FrechetCellFilter``, and so is the gradient; see
    :mod:`relax.geometry.cell`.  Converged means what is meant by it: forces on atoms and the stress, each on
    its own.

    Parameters
    ----------
    atoms
        The structure, with a calculator.
    freedom
        What the cell may do; it is held, if not given.  Without a ``length`` a strain of one counts as one A
        for each atom, and without a ``max_strain`` steps have no limit.
    keep_symmetry
        Keep the space group that the atoms have now: they are snapped to it, and from there on
        gradients and steps are projected on it.
    symprec
        How far (A) atoms may be from the places that symmetry gives them, for spglib.

    Raises
    ------
    ValueError
        The cell is to relax but there is no periodic direction, or a cell without a volume; the
        symmetry is to be kept but there is none that spglib finds.
    """

    def __init__(
        self,
        atoms: Atoms,
        freedom: CellFreedom | None = None,
        keep_symmetry: bool = False,
        symprec: float = SYMPREC,
    ) -> None:
        self.atoms = atoms
        self._plain = atoms.__ase_optimizable__()
        self.freedom = freedom
        if freedom is not None:
            if not atoms.pbc.any():
                raise ValueError("cell=True relaxes a cell, but the atoms are not periodic; use cell=False")
            # ASE's own rank sees a cell of no volume only where a vector is zero.
            if not np.isfinite(atoms.cell.array).all() or atoms.cell.volume < 1e-6:
                raise ValueError(
                    "cell=True needs a cell of three vectors with a volume; give a slab a vacuum"
                )
        self.group: SpaceGroup | None = None
        if keep_symmetry:
            self.group = SpaceGroup.of(atoms, symprec)
            self.group.snap(atoms)
        self.scale = (freedom.length if freedom else None) or float(len(atoms))
        self.limit = (freedom.max_strain if freedom else None) or math.inf
        self._rows = Segments([len(atoms) + 3 * (freedom is not None)], [freedom is not None])
        self.fmax = self.smax = float("nan")
        self.rebase()

    @property
    def rows(self) -> Segments:
        """The rows of this structure."""
        return self._rows

    def rebase(self) -> None:
        """Make the present cell the reference."""
        self.refer(self.atoms.cell.array.copy(), np.zeros((3, 3)))

    def refer(self, cell: np.ndarray, strain: np.ndarray) -> None:
        """Take the present cell as ``cell`` (3, 3) under a log strain (3, 3)."""
        self.reference, self.strain = cell, strain
        self._deform(deformation(strain[None])[0])
        self.seen = self.atoms.cell.array.copy()
        if self.freedom is not None:
            symmetry = [] if self.group is None else [self.group.tensors(cell)]
            self.free = self.freedom.projector(periodic_plane(cell, self.atoms.pbc), *symmetry)

    @property
    def far(self) -> bool:
        """Whether the strain calls for a new reference cell."""
        return self.freedom is not None and float(np.abs(self.strain).max()) > self.freedom.rebase

    def ndofs(self) -> int:
        return 3 * self.rows.rows

    def iterimages(self) -> Iterator[Atoms]:
        yield self.atoms

    def get_x(self) -> np.ndarray:
        if not np.array_equal(self.atoms.cell.array, self.seen):
            self._look_again()
        x = self.atoms.positions @ self.undone.T
        return np.concatenate([x, self.scale * self.strain] if self.freedom else [x]).ravel()

    def _look_again(self) -> None:
        """Learn the strain from the cell, which somebody else has set, as a constraint may."""
        deformed = np.linalg.solve(self.reference, self.atoms.cell.array).T
        self.refer(self.reference, logarithm(deformed))
        self._deform(deformed)

    def _deform(self, deformed: np.ndarray) -> None:
        self.deformed, self.undone = deformed, np.linalg.inv(deformed)

    def set_x(self, x: np.ndarray) -> None:
        rows = np.reshape(x, (-1, 3))
        if self.freedom is not None:
            self.strain = rows[-3:] / self.scale
            self._deform(deformation(self.strain[None])[0])
            rows = rows[:-3]
            wanted = self.reference @ self.deformed.T
            self.atoms.set_cell(wanted, scale_atoms=True)
            if not np.array_equal(self.atoms.cell.array, wanted):
                self._look_again()
            self.seen = self.atoms.cell.array.copy()
        self.atoms.set_positions(rows @ self.deformed.T)

    def get_value(self) -> float:
        """Return the energy or, under pressure, the enthalpy, eV."""
        energy = float(self._plain.get_value())
        pressure = self.freedom.pressure if self.freedom else 0.0
        return energy + pressure * GPA * self.atoms.get_volume() if pressure else energy

    def get_gradient(self) -> np.ndarray:
        """Return the gradient (3R,), and learn ``fmax`` (eV/A) and ``smax`` (GPa)."""
        if self.freedom is None:
            g = self.kept(-self._told("forces", self.atoms.get_forces()))
            self.fmax = longest(g)
            return g.ravel()
        self.get_x()  # learns of a cell that somebody else has set
        # The stress first: what can compute it gives the forces with it.
        stress = self._told("stress", self.atoms.get_stress(voigt=False))
        stress = stress + self.freedom.pressure * GPA * np.eye(3)
        forces = self._told("forces", self.atoms.get_forces())
        volume = self.atoms.get_volume()
        free = self._freed(stress)
        virial = stress * volume
        g_strain = strain_gradient(self.strain[None], self.deformed[None], virial[None])[0]
        g = self.kept(np.concatenate([-forces @ self.deformed, g_strain / self.scale]))
        self.fmax = self.gradient_norm(g)
        self.smax = float(np.abs(free).max()) / GPA
        self.implied = longest(free) * volume / len(self.atoms)
        return g.ravel()

    def _told(self, what: str, answer: np.ndarray) -> np.ndarray:
        """Return what the calculator says, if that is numbers that can be reckoned with."""
        rows = np.asarray(answer)
        wanted = (3, 3) if what == "stress" else (len(self.atoms), 3)
        if rows.shape != wanted or rows.dtype.kind not in "iuf":
            kind = f"{rows.dtype} of shape {rows.shape}"
            raise ValueError(f"the calculator gives {kind} for the {what}, not float of shape {wanted}")
        rows = rows.astype(float)  # a float32 cannot even be compared with a bound beyond it
        bad = np.argwhere(~(np.abs(rows) < LARGEST))
        if len(bad):
            value = rows[tuple(bad[0])]
            words = f"the force on row {bad[0][0]}" if what == "forces" else "a component of the stress"
            raise RelaxationStopped("nonfinite", f"{words} is {value}")
        return rows

    def kept(self, rows: np.ndarray) -> np.ndarray:
        """Return the part of a gradient or a step (R, 3) that symmetry and the cell's freedom leave."""
        atoms, tensor = rows[: len(self.atoms)], rows[len(self.atoms) :]
        if self.group is not None:
            atoms = self.group.of_rows(atoms, self.reference)
        return atoms if self.freedom is None else np.concatenate([atoms, self._freed(tensor)])

    def _freed(self, tensor: np.ndarray) -> np.ndarray:
        """Return the part of a strain or a stress (3, 3) that symmetry and the cell's freedom leave."""
        return np.reshape(self.free @ tensor.ravel(), (3, 3))

    def allow(self, step: np.ndarray) -> np.ndarray:
        """Return the part of a step (R, 3) that symmetry, freedom and the limit on strain leave."""
        step = self.kept(step)
        if self.freedom is None:
            return step
        strain = float(np.linalg.norm(step[-3:], 2)) / self.scale
        return step * min(1.0, self.limit / strain) if strain else step

    def stress_converged(self, fmax: float, smax: float | None) -> bool:
        """Whether the stress last learnt meets ``smax`` (GPa).

        Without it, the stress meets what ``fmax`` (eV/A) implies in ASE's cell filters: its longest row,
        times the volume of an atom.
        """
        if self.freedom is None:
            return True
        return self.implied <= fmax if smax is None else self.smax <= smax

    def gradient_norm(self, gradient: np.ndarray) -> float:
        """Return the longest force on an atom, eV/A; the cell has its stress."""
        return longest(self._forces(gradient))

    def _forces(self, gradient: np.ndarray) -> np.ndarray:
        rows = np.reshape(gradient, (-1, 3))[: len(self.atoms)]
        return np.asarray(rows @ self.undone)

    def converged(self, gradient: np.ndarray, fmax: float) -> bool:
        return self.gradient_norm(gradient) <= fmax and self.stress_converged(fmax, None)

    def reference_to_plain(self) -> dict[str, Any]:
        """Return what a restart needs to see the same coordinates, to the last bit."""
        return {"reference": self.reference, "strain": self.strain, "deformed": self.deformed}

    def reference_from_plain(self, plain: dict[str, Any]) -> None:
        """Take up what :meth:`reference_to_plain` told; of the strain, only if it is that of the atoms."""
        self.refer(np.asarray(plain["reference"]), np.asarray(plain["strain"]))
        self._deform(np.asarray(plain["deformed"]))
        if not np.allclose(self.atoms.cell.array, self.reference @ self.deformed.T, rtol=0, atol=1e-9):
            self._look_again()


def longest(rows: np.ndarray) -> float:
    """Return the length of the longest of ``rows`` (R, 3)."""
    return float(np.sqrt(np.max(np.sum(rows * rows, axis=1))))
