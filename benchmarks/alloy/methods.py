"""The optimizers of the benchmark of alloys by name: ours, and those of LAMMPS with their defaults."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ase import Atoms

from benchmarks.alloy.minimizers import STYLES
from relax.analysis.comparison.minimizers.construction import check_optimizer, make_optimizer, settings_text
from relax.analysis.comparison.minimizers.names import (
    DEFAULT,
    PUBLISHED_RULES,
    System,
    packages_of,
    split_names,
)
from relax.optimizers.base import RuleOptimizer
from relax.optimizers.restart import described

LAMMPS = {f"lammps:{style}": style for style in STYLES}
PAPER = "frankenstein:paper"
OPTIMIZERS = (
    DEFAULT, "pair-lbfgs", "lammps:fire", "lammps:cg", "frankenstein", "frankenstein:metric=true", "core",
    "core:metric=true", "frankenstein:granularity=component", "lbfgs", "fire",
)  # fmt: skip
"""Those that run unless others are named; ``lammps:hftn`` and ``frankenstein:paper`` take very long."""


def chosen(texts: Sequence[str]) -> list[str]:
    """Return the names in lists with commas, or ``OPTIMIZERS`` if there are none.

    Raises
    ------
    ValueError
        There is no optimizer of a name, or it has no such setting.
    """
    names = split_names(texts) or list(OPTIMIZERS)
    for name in names:
        if name.startswith("lammps:") and name not in LAMMPS:
            raise ValueError(f"there is no optimizer {name!r} (of LAMMPS there are: {', '.join(LAMMPS)})")
        if name not in (*LAMMPS, PAPER):
            check_optimizer(name, System.POSITIONS)
    return names


def make(name: str, atoms: Atoms) -> Any:
    """Return one of our optimizers of ``atoms``."""
    if name == PAPER:
        return RuleOptimizer(atoms, PUBLISHED_RULES[PAPER](), logfile=None)
    return make_optimizer(name, atoms, System.POSITIONS)


def settings(name: str) -> str:
    """Return all that decides what an optimizer does, apart from the versions of packages."""
    if name in LAMMPS:
        return f"min_style {LAMMPS[name]}, min_modify and timestep by default"
    return described(PUBLISHED_RULES[PAPER]()) if name == PAPER else settings_text(name, System.POSITIONS)


def packages(name: str) -> list[str]:
    """Return the packages that decide the numbers of an optimizer, with that of the calculator."""
    if name in LAMMPS:
        return ["lammps"]
    own = "frankenstein" if name == PAPER else name
    return [*packages_of(own, System.POSITIONS), "lammps"]
