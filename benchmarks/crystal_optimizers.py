"""The optimizers that the crystal benchmark knows by name, and how each gets atoms and cell.

Ours have the cell as their own degrees of freedom, ASE's see it through ``FrechetCellFilter``.
Optimizers run with their defaults; ``core:s_0=0.1,maxstep=0.1`` changes some of ours.

``ase:PreconLBFGS`` is tuned: ``Exp(A=3)`` and a ``maxstep`` of 0.2 A.  Its defaults precondition no
structure of less than 100 atoms.  It runs on the same filter, where the ``variable_cell`` of its own is
the older ``UnitCellFilter``.  By itself it takes ``fmax`` for a stress in eV/A^3, so that 0.05 lets 8 GPa
pass; here it stops by the criterion of the others.  The force call by which ``Exp`` finds its scale
counts.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from ase import Atoms
from ase.filters import FrechetCellFilter
from ase.optimize.optimize import Optimizer

from benchmarks.ase_runs import ASE, ase_class
from relax.core.parameters import parameters
from relax.geometry.cell import CellFreedom
from relax.optimizers.named import OPTIMIZERS, NamedOptimizer
from relax.optimizers.restart import described
from relax.rules.wrappers import innermost

DEFAULTS = (
    "pair-lbfgs", "pair-lbfgs:check=minimum,escape=true",
    "core", "frankenstein", "lbfgs", "fire", "rprop", "adam",
    "ase:FIRE", "ase:FIRE2", "ase:BFGS", "ase:LBFGS", "ase:BFGSLineSearch", "ase:GoodOldQuasiNewton",
    "ase:CG", "ase:PreconLBFGS",
)  # fmt: skip
ALIASES = {"ase:GOQN": "ase:GoodOldQuasiNewton"}


def known_optimizers() -> list[str]:
    """Return every name, but for settings."""
    return [*OPTIMIZERS, *(f"ase:{name}" for name in ASE), "ase:PreconLBFGS", *ALIASES]


def split_names(texts: Iterable[str]) -> list[str]:
    """Return the names in lists with commas; ``a:x=1,y=2,b`` are ``a:x=1,y=2`` and ``b``."""
    names: list[str] = []
    for text in texts:
        for word in (word.strip() for word in text.split(",") if word.strip()):
            key, equals, _ = word.partition("=")
            if equals and ":" not in key and names:
                names[-1] += f",{word}"
            else:
                names.append(word)
    return list(dict.fromkeys(names))


def is_foreign(name: str) -> bool:
    """Whether the optimizer is another package's."""
    return name.startswith("ase:")


def read_settings(name: str) -> tuple[type[NamedOptimizer], dict[str, Any]]:
    """Return the class and the keywords that the name of one of our optimizers stands for."""
    own, _, text = name.partition(":")
    named = OPTIMIZERS[own]
    declared = parameters(named.rule_class)
    settings: dict[str, Any] = {}
    for word in text.split(",") if text else ():
        key, equals, value = word.partition("=")
        if not equals:
            raise ValueError(f"{name}: {word!r} is no setting; write name=value")
        settings[key] = declared[key].parse(key, value) if key in declared else plain(value)
    return named, settings


def plain(text: str) -> Any:
    """Return a word of the command line as what it looks like: a switch, a number, or itself."""
    switches = {"true": True, "false": False}
    if text.lower() in switches:
        return switches[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def make(name: str, atoms: Atoms) -> Optimizer:
    """Return the optimizer of ``atoms`` and their cell, ready to run."""
    name = ALIASES.get(name, name)
    if not is_foreign(name):
        named, settings = read_settings(name)
        return named(atoms, cell=True, logfile=None, **settings)
    if name == "ase:PreconLBFGS":
        return tuned_precon(FrechetCellFilter(atoms))
    made: Optimizer = ase_class(name.removeprefix("ase:"))(FrechetCellFilter(atoms), logfile=None)
    return made


def tuned_precon(target: FrechetCellFilter) -> Optimizer:
    """Return ASE's PreconLBFGS, tuned, and with the criterion of all others."""
    from ase.optimize.precon import Exp, PreconLBFGS

    class Tuned(PreconLBFGS):  # type: ignore[misc]
        gradient_converged = Optimizer.gradient_converged

    made: Optimizer = Tuned(target, precon=Exp(A=3), maxstep=0.2, logfile=None)
    return made


def check_optimizer(name: str) -> None:
    """Raise ValueError where no optimizer has this name, or one has no such setting."""
    known, own = known_optimizers(), name if is_foreign(name) else name.partition(":")[0]
    if own not in known:
        folded = {other.lower(): other for other in known}
        near = difflib.get_close_matches(own.lower(), folded, n=1, cutoff=0.5)
        hint = f"; did you mean {folded[near[0]]!r}?" if near else f" (there are: {', '.join(known)})"
        raise ValueError(f"there is no optimizer {own!r}{hint}")
    try:
        settings_text(name)
    except TypeError as error:
        raise ValueError(error) from None


def settings_text(name: str) -> str:
    """Return all that decides what the optimizer does, but for the versions of packages."""
    own = ALIASES.get(name, name)
    if own == "ase:PreconLBFGS":
        return "ase.optimize.precon.PreconLBFGS, Exp(A=3), maxstep 0.2, FrechetCellFilter"
    if is_foreign(own):
        return f"{'.'.join(ASE[own.removeprefix('ase:')])}, defaults, FrechetCellFilter"
    named, settings = read_settings(name)
    beside = {k: v for k, v in settings.items() if k not in parameters(named.rule_class)}
    made = make(name, Atoms("Cu", cell=[4, 4, 4], pbc=True))
    cells = CellFreedom(max_strain=innermost(made.rule).max_strain)
    checks = [repr(made.check)] if made.check else []
    own = [described(made.rule), repr(cells), *checks]
    return ", ".join([*own, *(f"{k}={v!r}" for k, v in beside.items())])
