"""What decides the numbers in a file of results: versions of packages, structures."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from relax import __version__


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of packages."""
    return {p: __version__ if p == "relax" else version(p) for p in packages}


def environment(*packages: str) -> dict[str, Any]:
    """Return the entries ``versions``, of Python and of ``packages``, and ``platform``."""
    return {
        "versions": {"python": platform.python_version()} | versions(*packages),
        "platform": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }


def published_path(path: Path) -> str:
    """Return a path without folders that exist on this machine only."""
    return path.name if path.is_absolute() else str(path)


def calculator_packages(calculator: str) -> list[str]:
    """Return the packages that decide the numbers of a calculator, ASE excepted."""
    kind = calculator.partition(":")[0]
    packages = {
        "chgnet": ["chgnet", "torch"], "mace": ["mace-torch", "torch"], "sevennet": ["sevenn", "torch"],
        "orb": ["orb-models", "torch"], "mattersim": ["mattersim", "torch"],
        "uma": ["fairchem-core", "torch"], "grace": ["tensorpotential", "tensorflow"], "gfnff": ["pygfnff"],
        "xtb": ["tblite"], "gfn1": ["tblite"], "gfn2": ["tblite"],
        "pyscf": ["pyscf"],
    }  # fmt: skip
    return packages.get(kind, [])


def named_calculator(calculator: str) -> dict[str, str | None]:
    """Return the entries ``calculator`` and, of a model in a file, ``calculator_sha256``."""
    kind, _, path = calculator.partition(":")
    if not (path and Path(path).is_file()):
        return {"calculator": calculator, "calculator_sha256": None}
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return {"calculator": f"{kind}:{published_path(Path(path))}", "calculator_sha256": digest}


def sha256_of(structures: Sequence[Atoms]) -> str:
    """Return the SHA-256 of structures, rounded to 1e-6 A so that it is the same on every machine."""
    digest = hashlib.sha256()
    for atoms in structures:
        digest.update(atoms.numbers.astype("<i8").tobytes())
        for array in (atoms.positions, atoms.cell[:]):
            digest.update((np.round(array, 6) + 0.0).astype("<f8").tobytes())
    return digest.hexdigest()
