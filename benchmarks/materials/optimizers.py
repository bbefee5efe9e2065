"""The optimizers of this benchmark, and what their names mean here.

Where the cell relaxes, names mean what they mean for crystals.  Where it is held, they mean what they mean
for positions, but ``ase:PreconLBFGS`` is tuned as for crystals, and there is one more name: ``sella``,
Sella's optimizer for minima in Cartesian coordinates (``order=0, internal=False``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ase import Atoms

from relax.analysis.comparison.minimizers.construction import check_optimizer, make_optimizer, settings_text
from relax.analysis.comparison.minimizers.names import PRECON, TUNED_PRECON, System, packages_of, split_names

DEFAULT = "default"
SELLA = "sella"
OPTIMIZERS = (DEFAULT, "pair-lbfgs", "ase:GoodOldQuasiNewton", PRECON, "ase:BFGS", "ase:FIRE")
"""The optimizers that are run by default, in the order of rows; :data:`SELLA` too where the cell is held."""


def chosen_optimizers(texts: Sequence[str], system: System) -> list[str]:
    """Return the names in lists with commas, or those that are run by default.

    Raises
    ------
    ValueError
        There is no optimizer of a name, or it has no such setting.
    """
    held = system is System.POSITIONS
    names = split_names(texts) or [*OPTIMIZERS, *([SELLA] if held else [])]
    for name in names:
        if not (held and name == SELLA):
            check_optimizer(name, system)
    return names


def meant(name: str, system: System) -> str:
    """Return the name that an optimizer has in :mod:`relax.analysis.comparison.minimizers.names`."""
    return TUNED_PRECON if name == PRECON and system is System.POSITIONS else name


def make(name: str, atoms: Atoms, system: System) -> Any:
    """Return the optimizer of ``atoms``, with their cell if ``system`` is ``CRYSTALS``."""
    if name == SELLA:
        from sella import Sella

        return Sella(atoms, order=0, internal=False, logfile=None)
    return make_optimizer(meant(name, system), atoms, system)


def settings(name: str, system: System) -> str:
    """Return all that decides what an optimizer does, apart from the versions of packages."""
    if name == SELLA:
        return "sella.Sella, order=0, internal=False"
    return settings_text(meant(name, system), system)


def packages(name: str, system: System) -> list[str]:
    """Return the packages that decide what an optimizer does, without those of the calculator."""
    return ["numpy", "scipy", "ase", "sella"] if name == SELLA else packages_of(meant(name, system), system)
