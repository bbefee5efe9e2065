"""What coordinates are made of, and what the engine asks of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol, Self, TypeVar

import numpy as np
from ase import Atoms
from ase.data import covalent_radii

from relax.calculators.base import KEYS, Evaluation
from relax.core.errors import UnsupportedStructure
from relax.core.ragged import RaggedArrays
from relax.core.rule import Known, Rule, Surface
from relax.core.segments import Segments
from relax.geometry.cell import GPA, CellFreedom, StepScale, logarithm, periodic_plane
from relax.geometry.cell_mask import named_axes
from relax.geometry.symmetric_images import SymmetricImages
from relax.geometry.symmetry import SpaceGroup
from relax.preconditioner.base import Metric
from relax.preconditioner.known_hessian import KnownHessian
from relax.preconditioner.model_hessian import Latest
from relax.preconditioner.pair_stiffness import PairStiffness
from relax.preconditioner.springs import KeptPairs
from relax.rules import Kriging
from relax.rules.wrappers import innermost

__all__ = ["Constants", "Coordinates", "Gradients", "Place", "SeenFrom", "Start", "prepare"]

LOG = logging.getLogger(__name__)


T_co = TypeVar("T_co", covariant=True)


class SeenFrom(Protocol[T_co]):
    """What there is of one structure beside the calculator, in rows."""

    def seen_from(self, reference: np.ndarray) -> T_co:
        """Return it for rows in the frame of a ``reference`` cell (3, 3), A."""
        ...


class Prior(SeenFrom[Surface], Protocol):
    """A cheap surface of one structure, see ``relax.engine.batch.cheap_surface``."""

    calls: int  # of its potential

    def release(self) -> None:
        """Let the potential forget the structure."""
        ...


@dataclass
class Start:
    """A structure as it enters.

    Parameters
    ----------
    key
        Its name for the potential, that no other structure has.
    atoms
        The structure, with its constraints; rattled and snapped to its symmetry if that is wanted.
    freedom
        What the cell may do, its ``length`` given; None where it is held.
    group
        The space group that is kept, if any.
    reference
        The reference cell (3, 3), A, if it is not the present one.
    hessian
        The Hessian at the start, if it is known.
    surface
        A cheap surface of it, if there is one.
    known
        What was computed of it before the run, if anything.

    Raises
    ------
    UnsupportedStructure
        The cell is to relax, but there is no periodic direction, or the cell has no volume.
    """

    key: int
    atoms: Atoms
    freedom: CellFreedom | None = None
    group: SpaceGroup | None = None
    reference: np.ndarray | None = None
    hessian: KnownHessian | None = None
    surface: Prior | None = None
    known: SeenFrom[Known] | None = None
    pairs: KeptPairs = field(init=False)
    latest: Latest = field(init=False, default_factory=Latest)

    def __post_init__(self) -> None:
        self.pairs = KeptPairs(covalent_radii[self.atoms.numbers], self.atoms.pbc.copy())
        if self.freedom is not None:
            if not self.atoms.pbc.any():
                raise UnsupportedStructure(
                    "the atoms are not periodic, and have no cell to relax; use cell=False"
                )
            # ASE's own rank sees a cell of no volume only where a vector is zero.
            if not np.isfinite(self.atoms.cell.array).all() or self.atoms.cell.volume < 1e-6:
                raise UnsupportedStructure(
                    "a cell that relaxes needs three vectors with a volume; give a slab a vacuum"
                )

    @property
    def strain(self) -> np.ndarray:
        """The log strain (3, 3) of the cell on top of its reference."""
        if self.reference is None:
            return np.zeros((3, 3))
        return logarithm(np.linalg.solve(self.reference, self.atoms.cell.array).T)

    def alone(self) -> Start:
        """Return a copy of it with a key and atoms of its own, of which nothing is known."""
        atoms = self.atoms.copy()
        return replace(self, key=next(KEYS), atoms=atoms, hessian=None, surface=None, known=None)


def prepare(
    key: int, atoms: Atoms, freedom: CellFreedom | None, scale: StepScale, keep_symmetry: bool, symprec: float
) -> Start:
    """Return ``atoms`` as they enter; where their symmetry is kept, they are snapped to it in place.

    Parameters
    ----------
    key, atoms, freedom
        As in :class:`Start`.
    scale
        The rule, which says how long steps of the cell are where ``freedom`` does not.
    keep_symmetry, symprec
        Whether the space group is kept, and the tolerance (A) by which it is found.

    Raises
    ------
    UnsupportedStructure
        The cell that is to relax is no cell, or its mask leaves no strain, or names an axis along which the
        structure is not periodic.
    ValueError
        There is no symmetry to keep.
    """
    start = Start(key, atoms, freedom and freedom.with_defaults(scale, len(atoms)))
    if isinstance(scale, Rule) and isinstance(rule := innermost(scale), Kriging):
        _log_large(rule, atoms, len(atoms) + (0 if freedom is None else 3))
    if keep_symmetry:
        start.group = SpaceGroup.of(atoms, symprec)
        start.group.snap(atoms)
    if freedom is not None and freedom.mask is not None:
        _check_mask(freedom, freedom.mask, start)
    return start


def _log_large(rule: Kriging, atoms: Atoms, rows: int) -> None:
    """Log a warning if a structure is too large for a model of its surface."""
    if not rule.room(rows):
        words = f"{rows} rows are too many for the model of {rule.NAME}, which takes {rule.LARGEST}"
        LOG.warning("%s: %s; it takes the steps of the default rule", atoms.get_chemical_formula(), words)


def _check_mask(freedom: CellFreedom, mask: Sequence[Any] | str, start: Start) -> None:
    """Raise UnsupportedStructure if the mask of a cell does not fit the structure."""
    cell = start.atoms.cell.array
    plane = periodic_plane(cell, start.atoms.pbc)
    for axis in named_axes(mask) if isinstance(mask, str) else "":
        if np.linalg.norm(plane["xyz".index(axis)]) < 1e-6:
            raise UnsupportedStructure(
                f"the mask {mask!r} of the cell names {axis}, along which the structure is not periodic"
            )
    symmetry = [] if start.group is None else [start.group.tensors(cell)]
    if not freedom.projector(plane, *symmetry).any():
        where = "along the periodic directions" if start.group is None else f"in {start.group.name}"
        raise UnsupportedStructure(f"the mask {mask!r} of the cell leaves no strain to relax {where}")


@dataclass
class Place(RaggedArrays):
    """Where structures are: N atoms and S strains in the frames of S reference cells."""

    OF_ATOMS: ClassVar[tuple[str, ...]] = ("x",)

    x: np.ndarray  # (N, 3) A, positions in the frame of the reference cell
    strain: np.ndarray  # (S, 3, 3) log strain
    reference: np.ndarray  # (S, 3, 3) A


@dataclass
class Constants(RaggedArrays):
    """What does not change while a structure relaxes."""

    OF_ATOMS = ("numbers", "force_projector", "step_projector")

    numbers: np.ndarray  # (N,)
    force_projector: np.ndarray  # (N, 3, 3) what constraints leave of forces
    step_projector: np.ndarray  # (N, 3, 3) what constraints leave of steps
    keys: np.ndarray  # (S,)
    lengths: np.ndarray  # (S,) atoms
    pbc: np.ndarray  # (S, 3)
    relaxes: np.ndarray  # (S,) whether the cell does
    scale: np.ndarray  # (S, 1, 1) A, what a strain of one counts as
    pressure: np.ndarray  # (S,) eV/A^3
    limit: np.ndarray  # (S,) largest strain of a step
    rebase: np.ndarray  # (S,) strain at which the reference is changed

    @classmethod
    def of(cls, starts: Sequence[Start]) -> Self:
        """Return the constants of structures without constraints."""
        atoms = [start.atoms for start in starts]
        freedoms = [start.freedom for start in starts]
        free = np.tile(np.eye(3), (sum(map(len, atoms)), 1, 1))
        return cls(
            numbers=np.concatenate([a.numbers for a in atoms]),
            force_projector=free,
            step_projector=free.copy(),
            keys=np.array([start.key for start in starts]),
            lengths=np.array([len(a) for a in atoms]),
            pbc=np.stack([a.pbc for a in atoms]),
            relaxes=np.array([f is not None for f in freedoms]),
            scale=np.array([(f and f.length) or 1.0 for f in freedoms])[:, None, None],
            pressure=np.array([f.pressure * GPA if f else 0.0 for f in freedoms]),
            limit=np.array([(f and f.max_strain) or np.inf for f in freedoms]),
            rebase=np.array([f.rebase if f else np.inf for f in freedoms]),
        )


@dataclass
class Gradients:
    """The gradient of the energy in the rows of the coordinates, and what convergence is judged by."""

    g: np.ndarray  # (R, 3) eV/A
    fmax: np.ndarray  # (S,) longest force on an atom, eV/A
    smax: np.ndarray  # (S,) largest component of the residual stress, GPa; NaN where it is not known
    implied: np.ndarray  # (S,) longest row of that times the volume of an atom, eV; 0 where held


class Coordinates(Protocol):
    """What the engine asks of S structures, with R rows in all; see ``BatchCoordinates``.

    The forces of all structures have N rows: those of the atoms or, of an ASE object, its own.
    """

    def __len__(self) -> int: ...
    @property
    def place(self) -> Place: ...
    @property
    def seg(self) -> Segments: ...
    @property
    def x(self) -> np.ndarray: ...  # (R, 3) A
    @property
    def natoms(self) -> np.ndarray: ...  # (S,) for energies per atom
    @property
    def relaxes(self) -> np.ndarray: ...  # (S,) whose cell does
    @property
    def owner(self) -> np.ndarray: ...  # (N,) structure of each row of forces
    @property
    def firsts(self) -> np.ndarray: ...  # (S,) first row of forces of each structure
    @property
    def rows(self) -> tuple[np.ndarray, np.ndarray]: ...  # where among the R rows atoms and strains are
    @property
    def surfaces(self) -> Sequence[Surface | None]: ...  # cheap surfaces (S,), or ()
    @property
    def known(self) -> Sequence[Known | None]: ...  # of force calls before the run (S,), or ()
    @property
    def far(self) -> np.ndarray: ...  # (S,) whose strain calls for a new reference cell
    def slice(self, s: int) -> slice: ...  # rows of the forces of structure s
    def is_held(self, s: int) -> bool: ...  # whether nothing of structure s is free to move
    def atoms(self, s: int) -> Atoms: ...  # a copy of structure s as it is
    def values(self, evaluation: Evaluation) -> np.ndarray: ...
    def gradients(self, forces: np.ndarray, stresses: np.ndarray) -> Gradients: ...
    def without_drift(self, g: np.ndarray, fmax: float) -> np.ndarray: ...
    def limit(self, step: np.ndarray) -> np.ndarray: ...
    def move(self, step: np.ndarray) -> None: ...
    def rebase(self, which: np.ndarray) -> None: ...
    def put_back(self, place: Place, which: np.ndarray) -> None: ...
    def metric(
        self, stiffness: PairStiffness, which: Sequence[int] | None = None, g: np.ndarray | None = None
    ) -> Metric | None: ...
    def free_rows(self, s: int) -> Callable[[np.ndarray], np.ndarray]: ...
    def symmetry(self, s: int, symprec: float) -> SymmetricImages | None: ...
    def rigid_body(self, s: int) -> tuple[np.ndarray, bool]: ...
