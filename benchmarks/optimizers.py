"""The optimizers that benchmarks know by name, and how each is run from many starts."""

from __future__ import annotations

import difflib
from collections.abc import Callable

import numpy as np

from benchmarks.clusters import lennard_jones
from benchmarks.lockstep import Ends, advance
from relax.core.parameters import parameters
from relax.core.rule import Rule
from relax.rules import RULES, CoRe, Frankenstein
from relax.rules.wrappers import for_atoms

AS_PUBLISHED: dict[str, Callable[[], Rule]] = {
    "core:paper": CoRe.paper,
    "frankenstein:paper": Frankenstein.paper,
    "frankenstein:package": Frankenstein.package,
}
"""Rules as printed: their own step is taken as it is, without a trust radius."""
BY_COMPONENT = [f"{name}:component" for name, rule in RULES.items() if "granularity" in parameters(rule)]
"""The defaults, but with one scale for each Cartesian component, as in the papers."""


def known_optimizers() -> list[str]:
    """Return every name that :func:`run_optimizer` takes."""
    from benchmarks.ase_runs import ASE

    return [*RULES, *AS_PUBLISHED, *BY_COMPONENT, *(f"ase:{name}" for name in ASE), "scipy:L-BFGS-B"]


def check_optimizer(name: str) -> None:
    """Raise ValueError, with the nearest name, where no optimizer is called ``name``."""
    known = known_optimizers()
    if name not in known:
        folded = {other.lower(): other for other in known}
        near = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.5)
        hint = f"; did you mean {folded[near[0]]!r}?" if near else f" (there are: {', '.join(known)})"
        raise ValueError(f"there is no optimizer {name!r}{hint}")


def dressed(name: str) -> Rule:
    """Return a rule as its ASE optimizer runs it unless told otherwise."""
    return for_atoms(RULES[name]())


def rule_named(name: str) -> Rule:
    """Return the rule of a name without a package in front, ready to run."""
    if name in AS_PUBLISHED:
        return AS_PUBLISHED[name]()
    if name in BY_COMPONENT:
        return for_atoms(RULES[name.partition(":")[0]].from_settings({"granularity": "component"}))
    return dressed(name)


def is_foreign(name: str) -> bool:
    """Whether the optimizer is another package's."""
    return name.startswith(("ase:", "scipy:"))


def settings_text(name: str) -> str:
    """Return all that decides what the optimizer does, but for the versions of packages."""
    if not is_foreign(name):
        return repr(rule_named(name))
    from benchmarks.ase_runs import ASE

    package, _, own = name.partition(":")
    if package == "ase":
        return f"{'.'.join(ASE[own])}, defaults"
    return f"scipy.optimize.minimize, method {own}, ftol 0, gtol 0, else defaults"


def run_optimizer(name: str, starts: np.ndarray, stop: float, cap: int) -> Ends:
    """Run an optimizer from every start (n, atoms, 3) on the Lennard-Jones energy; see :func:`advance`."""
    if is_foreign(name):
        from benchmarks.ase_runs import one_by_one

        return one_by_one(name, starts, stop, cap)
    with np.errstate(all="ignore"):  # a rule that blows up is scored, not warned about
        return advance(rule_named(name), starts, lennard_jones, stop, cap)
