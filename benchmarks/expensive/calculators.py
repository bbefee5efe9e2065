"""Calculators of the parts that have no name in relax: CHGNet's r2SCAN weights, and Quantum ESPRESSO."""

from __future__ import annotations

import shutil
import weakref
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from ase.calculators.espresso import Espresso, EspressoProfile

from relax.calculators.optional import extra, silence_output, silence_warnings

__all__ = ["chgnet_r2scan", "espresso", "espresso_versions"]

SETUP = "sh benchmarks/expensive/setup_dft.sh"
"""Installs Quantum ESPRESSO, or says why it cannot."""

PSEUDOPOTENTIALS = Path("/usr/share/espresso/pseudo")
"""Where Debian's package puts them."""

PBE = {
    "B": "B.pbe-n-rrkjus_psl.1.0.0.UPF",
    "C": "C.pbe-rrkjus.UPF",
    "Ge": "Ge.pbe-kjpaw.UPF",
    "N": "N.pbe-n-rrkjus_psl.1.0.0.UPF",
    "O": "O.pbe-rrkjus.UPF",
    "Si": "Si.pbe-rrkj.UPF",
}
"""Pseudopotentials of PBE by element."""

SYSTEM = {
    "ecutwfc": 45.0, "ecutrho": 450.0, "ecfixed": 36.0, "qcutz": 60.0, "q2sigma": 4.0, "nosym": True,
    "occupations": "smearing", "smearing": "mv", "degauss": 0.01,
}  # fmt: skip
ELECTRONS = {"conv_thr": 1e-10, "mixing_beta": 0.6, "electron_maxstep": 80}
"""Input of pw.x, Rydberg.  The kinetic energy is that of a constant cutoff in every cell, so that the stress
is the slope of the energy.  Without symmetry, since the starts have none and the ends may have some."""

POINTS = (4, 4, 4)
"""k points, gamma among them: a shifted grid has not the symmetry of a cell with two atoms, and shears it."""


def chgnet_r2scan() -> Any:
    """Return CHGNet with the weights for r2SCAN, which are part of its wheel too."""
    with extra("chgnet", "chgnet", "torch"), silence_output():
        from chgnet.model.dynamics import CHGNetCalculator
        from chgnet.model.model import CHGNet

        model = CHGNet.load(model_name="r2scan", use_device="cpu", verbose=False)
        return silence_warnings(CHGNetCalculator(model, use_device="cpu", on_isolated_atoms="error"))


def espresso() -> Espresso:
    """Return Quantum ESPRESSO with PBE, on one core, in a folder that goes when the calculator does.

    Raises
    ------
    ValueError
        It is not installed, or a pseudopotential is missing.
    """
    if shutil.which("pw.x") is None:
        raise ValueError(f"Quantum ESPRESSO is not installed, there is no pw.x: {SETUP}")
    if missing := [name for name in PBE.values() if not (PSEUDOPOTENTIALS / name).exists()]:
        raise ValueError(f"there is no {PSEUDOPOTENTIALS / missing[0]}: {SETUP}")
    folder = mkdtemp(prefix="espresso-")
    made = Espresso(
        profile=profile(),
        directory=folder,
        pseudopotentials=PBE,
        kpts=POINTS,
        input_data={
            "control": {"tprnfor": True, "tstress": True, "disk_io": "none"},
            "system": SYSTEM,
            "electrons": ELECTRONS,
        },
    )
    weakref.finalize(made, shutil.rmtree, folder, ignore_errors=True)
    return made


def profile() -> EspressoProfile:
    """Return how pw.x is started."""
    return EspressoProfile(command="pw.x", pseudo_dir=PSEUDOPOTENTIALS)


def espresso_versions() -> dict[str, str]:
    """Return the version of Quantum ESPRESSO."""
    return {"quantum-espresso": profile().version()}
