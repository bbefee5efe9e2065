"""Whether an ASE optimizer continues from its restart file as if it had not been stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ase import Atoms
from ase.calculators.emt import EMT

from benchmarks.features.tool import Cell, in_python
from benchmarks.features.workplace import Workplace

HALF = 3


def same_steps(place: Workplace, optimizer: Callable[..., Any], name: str) -> Cell:
    """Compare a run that is stopped and continued with one that is not."""

    def run(atoms: Atoms, steps: int, file: str) -> int:
        atoms.calc = EMT()
        with optimizer(atoms, restart=str(place.folder / file), logfile=None) as dynamics:
            dynamics.run(fmax=0.001, steps=steps)
            return int(dynamics.nsteps)

    whole = run(place.read("cu.extxyz"), 200, "whole.restart")
    atoms = place.read("cu.extxyz")
    run(atoms, HALF, "half.restart")
    rest = run(atoms, 200, "half.restart")
    words = f"{HALF} steps, stopped, {rest} more; {whole} without a stop"
    return in_python(f"`{name}`", rest > 0 and HALF + rest <= whole, words)
