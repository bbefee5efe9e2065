"""What a file of results says about where its numbers come from: versions, machine, command, structures."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import tomllib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of packages; that of relax is read from the source tree."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {p: project["version"] if p == "relax" else version(p) for p in packages}


def environment(*packages: str) -> dict[str, Any]:
    """Return the entries ``versions``, of Python and of ``packages``, and ``platform``."""
    return {
        "versions": {"python": platform.python_version()} | versions(*packages),
        "platform": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }


def processor() -> str:
    """Return the name of the processor model, or of its family where the model is not known."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def command_line(module: str) -> str:
    """Return the command of this process, ``module`` being the one that Python was asked to run."""
    return f"python -m {module} {' '.join(sys.argv[1:])}".strip()


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
    }  # fmt: skip
    return packages.get(kind, [])


def sha256_of(structures: Sequence[Atoms]) -> str:
    """Return the SHA-256 of structures, rounded to 1e-6 A so that it is the same on every machine."""
    digest = hashlib.sha256()
    for atoms in structures:
        digest.update(atoms.numbers.astype("<i8").tobytes())
        for array in (atoms.positions, atoms.cell[:]):
            digest.update((np.round(array, 6) + 0.0).astype("<f8").tobytes())
    return digest.hexdigest()
