"""How an optimizer is made from its name, and the settings that it then has.

For crystals ours have the cell as degrees of freedom of their own, and ASE's get it through
``FrechetCellFilter``, ``ase:PreconLBFGS`` as well: its own ``variable_cell`` is the older
``UnitCellFilter``, and it compares ``fmax`` with the stress in eV/A^3, so that 0.05 would allow 8 GPa; here
it stops by the criterion of the others.  The force call with which ``Exp`` finds its scale is counted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.filters import FrechetCellFilter
from ase.optimize.optimize import Optimizer

from relax.analysis.comparison.minimizers import peers
from relax.analysis.comparison.minimizers.differences import hessian_by_differences
from relax.analysis.comparison.minimizers.names import (
    COMPONENT_RULES,
    METRIC_RULES,
    PEERS,
    PRECON,
    PUBLISHED_RULES,
    SCIPY,
    TUNED_PRECON,
    System,
    check_name,
    is_foreign,
    read_settings,
    resolved,
    split_names,
)
from relax.analysis.comparison.minimizers.several_draws import SeveralDraws
from relax.core.parameters import parameters
from relax.core.rule import Rule
from relax.engine.batch.of_ase.cell_filter import cell_filter
from relax.engine.batch.of_ase.names import ASE, ase_class
from relax.geometry.cell import CellFreedom
from relax.optimizers.base import RuleOptimizer
from relax.optimizers.restart import described
from relax.rules import RULES
from relax.rules.wrappers import for_atoms, innermost

MARGIN = 6.0
"""Distance (A) between a molecule and each face of the cell that it gets for a preconditioner."""


def chosen_optimizers(texts: Sequence[str], defaults: Sequence[str], system: System) -> list[str]:
    """Return the names in lists with commas, or ``defaults`` if there are none.

    Raises
    ------
    ValueError
        There is no optimizer of a name, or it has no such setting.
    """
    names = split_names(texts) or list(defaults)
    for name in names:
        check_optimizer(name, system)
    return names


def check_optimizer(name: str, system: System) -> None:
    """Raise ValueError where there is no optimizer of this name, or it has no such setting."""
    check_name(name, system)
    try:
        settings_text(name, system)
    except TypeError as error:
        raise ValueError(error) from None


def rule_named(name: str) -> Rule:
    """Return the rule of a name for clusters, as it is followed."""
    name = resolved(name)
    if name in PUBLISHED_RULES:
        return PUBLISHED_RULES[name]()
    if name in COMPONENT_RULES:
        return for_atoms(RULES[name.partition(":")[0]].from_settings({"granularity": "component"}))
    if name in METRIC_RULES:
        return for_atoms(RULES[name.partition(":")[0]](), metric=True)
    return for_atoms(RULES[name]())


def make_optimizer(name: str, atoms: Atoms, system: System) -> Optimizer | peers.Peer | SeveralDraws:
    """Return the optimizer of ``atoms``, with their cell if ``system`` is ``CRYSTALS``."""
    name, cell = resolved(name), system is System.CRYSTALS
    if not is_foreign(name):
        return make_ours(name, atoms, cell)
    if name in PEERS:
        return peers.make(name, atoms)
    target = cell_filter(atoms) if cell else atoms
    if name == TUNED_PRECON or (name == PRECON and cell):
        return tuned_precon(target)
    made: Optimizer = ase_class(name.removeprefix("ase:"))(target, logfile=None)
    return made


def make_ours(name: str, atoms: Atoms, cell: bool) -> RuleOptimizer | SeveralDraws:
    """Return an optimizer of relax, with the settings in its name."""
    named, settings = read_settings(name)
    if settings.pop("hessian", None) and atoms.calc is not None:
        settings["hessian"] = hessian_by_differences(atoms.calc)
    if cell:
        settings["cell"] = True
    if "draws" in settings:
        return SeveralDraws(atoms, name.partition(":")[0], **settings)
    return named(atoms, logfile=None, **settings)


def tuned_precon(target: Atoms | FrechetCellFilter) -> Optimizer:
    """Return ASE's PreconLBFGS, tuned, in a cell if the atoms have none: ``Exp`` needs one."""
    from ase.optimize.precon import Exp, PreconLBFGS

    class TunedPreconLBFGS(PreconLBFGS):
        """Stops by the largest row of the gradient, also where that has rows of the cell."""

        gradient_converged = Optimizer.gradient_converged

    if isinstance(target, Atoms) and target.cell.rank < 3:
        target.set_cell(np.ptp(target.positions, axis=0) + 2 * MARGIN)
    tuned = {"precon": Exp(A=3), "maxstep": 0.2, "logfile": None}
    return TunedPreconLBFGS(target, **tuned)  # type: ignore[no-untyped-call]


def settings_text(name: str, system: System) -> str:
    """Return all that decides what an optimizer does, apart from the versions of packages."""
    name = resolved(name)
    if is_foreign(name):
        return foreign_settings(name, system)
    if system is System.CLUSTERS:
        return repr(rule_named(name))
    named, settings = read_settings(name)
    kept = {k: v for k, v in settings.items() if k not in ("draws", "hessian")}
    others = [f"{k}={v!r}" for k, v in settings.items() if k not in parameters(named.rule_class)]
    if system is not System.CRYSTALS:
        made = named(Atoms("Cu2", [[0, 0, 0], [0, 0, 2.2]]), logfile=None, **kept)
        return ", ".join([described(made.rule), *others])
    made = named(Atoms("Cu", cell=[4, 4, 4], pbc=True), logfile=None, cell=True, **kept)
    freedom = CellFreedom(max_strain=innermost(made.rule).max_strain)
    checks = [repr(made.check)] if made.check else []
    return ", ".join([described(made.rule), repr(freedom), *checks, *others])


def foreign_settings(name: str, system: System) -> str:
    """Return what decides what an optimizer of another package does."""
    if name == SCIPY:
        return "scipy.optimize.minimize, method L-BFGS-B, ftol 0, gtol 0, else defaults"
    if name in PEERS:
        return peers.SETTINGS[name]
    tuned = "ase.optimize.precon.PreconLBFGS, Exp(A=3), maxstep 0.2"
    if name == TUNED_PRECON:
        return f"{tuned}, in a box with room of {MARGIN:g} A"
    if name == PRECON and system is System.CRYSTALS:
        return f"{tuned}, FrechetCellFilter"
    filtered = ", FrechetCellFilter" if system is System.CRYSTALS else ""
    return f"{'.'.join(ASE[name.removeprefix('ase:')])}, defaults{filtered}"
