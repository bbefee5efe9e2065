"""Optimizers of other packages for molecules: Sella, pyberny and geomeTRIC, each in its recommended form.

All work in internal coordinates, have the defaults of their package, and no criterion of convergence but
``fmax``, the largest force on an atom.  Their packages are imported when an optimizer is made.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
from ase import Atoms
from ase.units import Bohr, Hartree

from relax.analysis.comparison.minimizers.names import PEERS

SETTINGS = {
    "sella": "sella.Sella, order=0, internal=True, allow_fragments where there are several molecules",
    "pyberny": "berny.Berny, defaults, gradientmax=0",
    "geometric": "geometric.optimize.Optimizer, DelocalizedInternalCoordinates with TRIC, convergence_gmax=0",
}
"""All that decides what an optimizer does, apart from the versions of packages."""


class Peer(Protocol):
    """What makes a run, as ASE's optimizers do."""

    def run(self, fmax: float, steps: int) -> object:
        """Relax until no force on an atom is above ``fmax`` (eV/A), for at most ``steps`` steps."""
        ...


def check_installed(names: Iterable[str]) -> None:
    """Raise ValueError where the package of one of the optimizers is missing."""
    for name in names:
        if name in PEERS and find_spec(PEERS[name]) is None:
            raise ValueError(f'{name} is not installed: pip install "relax[molecules]"')


def load(names: Iterable[str]) -> None:
    """Import the packages of these optimizers, so that no run pays for it."""
    for name in names:
        if name in PEERS:
            import_module(PEERS[name])


def make(name: str, atoms: Atoms) -> Peer:
    """Return the optimizer of ``atoms`` with this name."""
    if name == "sella":
        return sella(atoms)
    return Pyberny(atoms) if name == "pyberny" else GeomeTRIC(atoms)


def sella(atoms: Atoms) -> Peer:
    """Return Sella's optimizer for minima, with internal coordinates."""
    from sella import Sella

    made: Peer = Sella(atoms, order=0, internal=True, allow_fragments=has_fragments(atoms), logfile=None)
    return made


def has_fragments(atoms: Atoms) -> bool:
    """Whether the atoms are of more than one molecule: those nearer than 1.3 covalent radii are bonded."""
    from ase.neighborlist import build_neighbor_list, natural_cutoffs
    from scipy.sparse.csgraph import connected_components

    bonds = build_neighbor_list(atoms, natural_cutoffs(atoms, mult=1.3)).get_connectivity_matrix()
    return int(connected_components(bonds, directed=False)[0]) > 1


def largest(forces: np.ndarray) -> float:
    """Return the largest force on an atom, from all forces (N, 3)."""
    return float(np.linalg.norm(forces, axis=1).max())


class Pyberny:
    """pyberny's generator, which is given energies and gradients."""

    def __init__(self, atoms: Atoms) -> None:
        self.atoms = atoms

    def run(self, fmax: float, steps: int) -> None:
        """Relax; see :class:`Peer`."""
        from berny import Berny, Geometry

        start = Geometry(self.atoms.get_chemical_symbols(), self.atoms.positions)
        optimizer = Berny(start, maxsteps=steps, gradientmax=0.0)
        for geometry in optimizer:
            self.atoms.positions = geometry.coords
            forces = self.atoms.get_forces()
            if largest(forces) <= fmax:
                return
            optimizer.send((self.atoms.get_potential_energy() / Hartree, -forces * Bohr / Hartree))


class Converged(Exception):
    """No force is above ``fmax``; ends the loop of geomeTRIC, whose own criterion is never met."""


class GeomeTRIC:
    """geomeTRIC's loop, whose engine asks the calculator of the atoms."""

    def __init__(self, atoms: Atoms) -> None:
        self.atoms = atoms

    def run(self, fmax: float, steps: int) -> None:
        """Relax; see :class:`Peer`."""
        from geometric.internal import DelocalizedInternalCoordinates
        from geometric.molecule import Molecule
        from geometric.optimize import Optimize
        from geometric.params import OptParams

        molecule = Molecule()
        molecule.elem = self.atoms.get_chemical_symbols()
        molecule.xyzs = [self.atoms.positions.copy()]
        coordinates = DelocalizedInternalCoordinates(molecule, build=True, connect=False, addcart=False)
        start = self.atoms.positions.ravel() / Bohr
        parameters = OptParams(convergence_gmax=0.0, maxiter=steps)
        engine = engine_of(self.atoms, molecule, fmax)
        with TemporaryDirectory() as folder:
            try:
                Optimize(start, molecule, coordinates, engine, folder, parameters, print_info=False)
            except Converged:
                return


def engine_of(atoms: Atoms, molecule: Any, fmax: float) -> Any:
    """Return an engine for geomeTRIC that raises :class:`Converged` when no force is above ``fmax``."""
    from geometric.engine import Engine

    class AtomsEngine(Engine):  # type: ignore[misc]
        """Asks the calculator of ``atoms``."""

        def calc_new(self, coords: np.ndarray, dirname: str) -> dict[str, Any]:
            """Return energy and gradient (3N,) in atomic units at ``coords`` (3N,), bohr."""
            atoms.positions = coords.reshape(-1, 3) * Bohr
            forces = atoms.get_forces()
            if largest(forces) <= fmax:
                raise Converged
            energy = atoms.get_potential_energy() / Hartree
            return {"energy": energy, "gradient": -forces.ravel() * Bohr / Hartree}

    return AtomsEngine(molecule)
