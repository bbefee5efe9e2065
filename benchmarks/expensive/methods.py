"""The methods that are compared, each a word.

``direct:NAME``
    An optimizer of :mod:`relax.analysis.comparison.minimizers.names`, from the structure as it is.
``pre:NAME``
    The same from the minimum of the cheap calculator: the default rule goes there as far as ``KrigingRelax``
    does, in the stages of :data:`relax.engine.batch.cheap_surface.STAGES`.
``prior:CHEAP``
    ``KrigingRelax`` with a cheap calculator as prior, from the structure as it is.
"""

from __future__ import annotations

from typing import Any

from ase import Atoms

from benchmarks.expensive.bad import BAD
from benchmarks.expensive.parts import Part
from relax import relax
from relax.analysis.comparison.minimizers.construction import check_optimizer, make_optimizer
from relax.analysis.comparison.runs.call_counter import silenced
from relax.calculators.registry import check_name, load
from relax.engine.batch.cheap_surface import STAGES
from relax.optimizers.named import OPTIMIZERS

__all__ = ["begun", "check", "optimizer", "peers_of"]


def check(method: str, part: Part) -> None:
    """Raise ValueError where there is no such method, or it cannot relax what relaxes in a part."""
    kind, _, name = method.partition(":")
    if kind in ("direct", "pre"):
        check_optimizer(name, part.system)
    elif kind != "prior":
        raise ValueError(f"there is no method {method!r}; write direct:NAME, pre:NAME or prior:CHEAP")
    elif name not in BAD:
        check_name(name)


def begun(method: str, structure: Atoms, part: Part) -> Atoms:
    """Return where a method begins with the calculator that counts, or with a prior."""
    atoms: Atoms = structure.copy()
    if method.startswith("pre:"):
        with silenced():
            for tighter, steps in STAGES:
                relax(atoms, load(part.cheap), fmax=tighter * part.fmax, steps=steps, cell=part.cell)
        atoms.calc = None
    return atoms


def optimizer(method: str, part: Part, atoms: Atoms) -> Any:
    """Return the optimizer of a method for ``atoms`` with the calculator that counts."""
    kind, _, name = method.partition(":")
    if kind == "prior":
        prior = BAD[name]() if name in BAD else load(name)
        return OPTIMIZERS["kriging"](atoms, prior=prior, cell=part.cell, logfile=None)
    return make_optimizer(name, atoms, part.system)


def peers_of(methods: list[str]) -> list[str]:
    """Return the optimizers that methods name, for packages to be imported or missed."""
    return list(dict.fromkeys(m.partition(":")[2] for m in methods if not m.startswith("prior:")))
