"""Density-functional theory of molecules with PySCF, through the ASE calculator of its wheel.

The total charge is the sum of the initial charges of the structure, and the number of unpaired electrons that
of its initial magnetic moments; the settings ``charge`` and ``spin`` replace the sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from relax.calculators.named.settings import check_settings
from relax.calculators.optional import extra

__all__ = ["DEFAULTS", "PySCFMolecule", "load_pyscf"]

DEFAULTS: dict[str, Any] = {
    "xc": "pbe", "basis": "def2-svp", "charge": 0, "spin": 0, "density_fit": True, "conv_tol": 1e-9,
    "max_cycle": 100, "grid": 3,
}  # fmt: skip
"""Settings: functional (``hf`` is Hartree-Fock), basis, charge, unpaired electrons, whether integrals are
fitted, tolerance of the energy (Hartree), most cycles of an SCF, and PySCF's level of the grid, 0 to 9."""


class PySCFMolecule(Calculator):
    """Energies (eV) and forces (eV/A) of a molecule; each SCF starts from the last density.

    Parameters
    ----------
    settings
        Some of :data:`DEFAULTS`.

    Raises
    ------
    RuntimeError
        From ``calculate``: the SCF does not converge, the basis lacks an element, or the numbers of
        electrons and of unpaired ones do not fit.
    """

    implemented_properties = ["energy", "forces"]  # noqa: RUF012  (a list in ASE)

    atoms: Any

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.settings = DEFAULTS | dict(settings)
        self.given = frozenset(settings)
        self.known: tuple[Any, ...] = ()
        self.scf: Any = None

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Compute energy and forces, whichever is asked for: the gradient starts from the density."""
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        found = self._electrons(self.atoms)
        if self.scf is None or self.known != found:
            self.known, self.scf = found, self._new(self.atoms, *found[1:])
        try:
            self.scf.calculate(self.atoms, ["energy", "forces"])
        except Exception as error:
            self.scf = None  # the next one must not start from a density that went wrong
            if str(error).endswith("not converged"):
                cycles, tolerance = self.settings["max_cycle"], self.settings["conv_tol"]
                raise RuntimeError(
                    f"the SCF does not converge to {tolerance:g} Hartree in {cycles} cycles; see charge and "
                    "spin, or set max_cycle"
                ) from error
            raise
        self.results = dict(self.scf.results)

    def _electrons(self, atoms: Atoms) -> tuple[tuple[int, ...], int, int]:
        """Return the elements, the charge, and the number of unpaired electrons."""
        sums = {
            "charge": round(float(atoms.get_initial_charges().sum())),
            "spin": abs(round(float(atoms.get_initial_magnetic_moments().sum()))),
        }
        charge, spin = (
            int(self.settings[key]) if key in self.given else value for key, value in sums.items()
        )
        return tuple(int(number) for number in atoms.numbers), charge, spin

    def _new(self, atoms: Atoms, charge: int, spin: int) -> Any:
        """Return PySCF's ASE calculator for the elements of ``atoms``."""
        from pyscf import dft, gto
        from pyscf.pbc.tools.pyscf_ase import PySCF

        where = list(zip(atoms.symbols, atoms.positions, strict=True))
        basis = self.settings["basis"]
        mol = gto.M(atom=where, basis=basis, charge=charge, spin=spin, unit="Angstrom", verbose=0)
        method = (dft.UKS if spin else dft.RKS)(mol, xc=self.settings["xc"])
        method.chkfile = None  # no file is written; the one that it has opened must not be left open
        if "_chkfile" in vars(method):
            method._chkfile.close()
        if self.settings["density_fit"]:
            method = method.density_fit()
        method.conv_tol, method.max_cycle = self.settings["conv_tol"], self.settings["max_cycle"]
        method.grids.level = self.settings["grid"]
        return PySCF(method=method)


def load_pyscf(settings: dict[str, Any]) -> PySCFMolecule:
    """Return the calculator.

    Raises
    ------
    CalculatorError
        PySCF is not installed, or a setting is unknown.
    """
    with extra("pyscf", "pyscf"):
        import pyscf  # noqa: F401
    check_settings("pyscf", settings, DEFAULTS)
    return PySCFMolecule(settings)
