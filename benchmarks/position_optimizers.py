"""The optimizers by name where positions alone are relaxed: molecules, and crystals whose cell is held.

Names, and settings after a colon, are those of :mod:`benchmarks.crystal_optimizers`.  ASE's optimizers
run with their defaults.  Those of PreconLBFGS precondition no structure of less than 100 atoms, so that
``ase:PreconLBFGS:Exp`` is beside it, tuned as for crystals: ``Exp(A=3)`` and a ``maxstep`` of 0.2 A.  A
molecule is put into a box for it, without which ``Exp`` finds no neighbours.  The force call by which
``Exp`` finds its scale counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np
from ase import Atoms
from ase.optimize.optimize import Optimizer

from benchmarks import crystal_optimizers
from benchmarks.ase_runs import ASE, ase_class
from benchmarks.crystal_optimizers import ALIASES, is_foreign, read_settings, split_names
from relax.core.parameters import parameters
from relax.optimizers.restart import described

PRECON = "ase:PreconLBFGS"
TUNED = f"{PRECON}:Exp"
ROOM = 6.0
"""Room (A) on either side of a molecule in a box."""


def make(name: str, atoms: Atoms) -> Optimizer:
    """Return the optimizer of the positions of ``atoms``, ready to run."""
    name = ALIASES.get(name, name)
    if name == TUNED:
        return tuned_precon(atoms)
    if name == PRECON:
        from ase.optimize.precon import PreconLBFGS

        return PreconLBFGS(atoms, logfile=None)
    if is_foreign(name):
        made: Optimizer = ase_class(name.removeprefix("ase:"))(atoms, logfile=None)
        return made
    named, settings = read_settings(name)
    return named(atoms, logfile=None, **settings)


def tuned_precon(atoms: Atoms) -> Optimizer:
    """Return ASE's PreconLBFGS, tuned, with a box about what has no cell."""
    from ase.optimize.precon import Exp, PreconLBFGS

    if atoms.cell.rank < 3:
        atoms.set_cell(np.ptp(atoms.positions, axis=0) + 2 * ROOM)
    return PreconLBFGS(atoms, precon=Exp(A=3), maxstep=0.2, logfile=None)


def chosen(texts: Sequence[str], defaults: Sequence[str]) -> list[str]:
    """Return the names in lists with commas, ``defaults`` if there are none.

    Raises
    ------
    ValueError
        No optimizer has this name, or one has no such setting.
    """
    names = split_names(texts) or list(defaults)
    for name in names:
        if name != TUNED:
            crystal_optimizers.check_optimizer(name)
        if not is_foreign(name):
            settings_text(name)
    return names


def packages_of(name: str) -> list[str]:
    """Return the packages that decide what the optimizer does, but for those of the calculator."""
    if not is_foreign(name):
        return ["numpy", "ase", "relax"]
    # Where there is pyamg, ASE's preconditioned optimizers solve with that.
    solver = ["pyamg"] if name.startswith(PRECON) and find_spec("pyamg") else []
    return ["numpy", "scipy", "ase", *solver]


def settings_text(name: str) -> str:
    """Return all that decides what the optimizer does, but for the versions of packages."""
    name = ALIASES.get(name, name)
    if name == TUNED:
        return f"ase.optimize.precon.PreconLBFGS, Exp(A=3), maxstep 0.2, in a box with room of {ROOM:g} A"
    if name == PRECON:
        return "ase.optimize.precon.PreconLBFGS, defaults"
    if is_foreign(name):
        return f"{'.'.join(ASE[name.removeprefix('ase:')])}, defaults"
    named, settings = read_settings(name)
    beside = {k: v for k, v in settings.items() if k not in parameters(named.rule_class)}
    made = named(Atoms("Cu2", [[0, 0, 0], [0, 0, 2.2]]), logfile=None, **settings)
    return ", ".join([described(made.rule), *(f"{k}={v!r}" for k, v in beside.items())])
