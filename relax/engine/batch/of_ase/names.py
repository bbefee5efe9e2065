"""The optimizers of ASE by name, and their keyword arguments.

Modules are imported where they are used: the command imports this one to show its help.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "ASE",
    "ASE_NAMES",
    "ase_class",
    "check_ase_name",
    "check_keywords",
    "is_ase",
    "keywords_of",
    "without_warnings",
]

ASE: dict[str, tuple[str, str]] = {
    "FIRE": ("ase.optimize", "FIRE"),
    "FIRE2": ("ase.optimize", "FIRE2"),
    "BFGS": ("ase.optimize", "BFGS"),
    "LBFGS": ("ase.optimize", "LBFGS"),
    "LBFGSLineSearch": ("ase.optimize", "LBFGSLineSearch"),
    "BFGSLineSearch": ("ase.optimize", "BFGSLineSearch"),
    "GoodOldQuasiNewton": ("ase.optimize", "GoodOldQuasiNewton"),
    "MDMin": ("ase.optimize", "MDMin"),
    "CG": ("ase.optimize.sciopt", "SciPyFminCG"),
    "GPMin": ("ase.optimize", "GPMin"),
    "PreconLBFGS": ("ase.optimize.precon", "PreconLBFGS"),
}
"""Module and class of ASE's optimizers, by the name they have here after ``ase:``."""

ASE_NAMES = tuple(f"ase:{name}" for name in ASE)

NOT_SET = {
    *("self", "atoms", "args", "kwargs", "restart", "logfile", "trajectory", "append_trajectory", "master"),
    *("comm", "loginterval", "callback_always", "fmax", "converged", "variable_cell", "transitionstate"),
    "maxmove",
}
"""Arguments of ASE's optimizers that are options here, or would end a run by another test."""


def is_ase(name: object) -> bool:
    """Whether a rule is named as an optimizer of ASE."""
    return isinstance(name, str) and name.startswith("ase:")


def check_ase_name(name: str) -> None:
    """Raise ValueError, with the nearest name, where ``name`` is none of :data:`ASE_NAMES`."""
    if name in ASE_NAMES:
        return
    folded = {known.lower(): known for known in ASE_NAMES}
    near = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    hint = f"; did you mean {folded[near[0]]!r}?" if near else ""
    raise ValueError(f"unknown rule {name!r}{hint} (available: {' '.join(ASE_NAMES)})")


def ase_class(name: str) -> Any:
    """Return ASE's class of that name; one has a loop replaced by a faster one with the same result."""
    module, attribute = ASE[name]
    found: Any = getattr(importlib.import_module(module), attribute)
    if name != "GoodOldQuasiNewton":
        return found
    import numpy as np

    class GoodOldQuasiNewton(found):  # type: ignore[misc]
        """Updates its Hessian as an array, where ASE has a double loop over 114 x 114 numbers."""

        def update_hessian_bfgs(self, pos: np.ndarray, G: np.ndarray) -> None:
            dgrad, dpos = G - self.oldG, pos - self.oldpos
            dotg, tvec = np.dot(dgrad, dpos), np.dot(dpos, self.hessian)
            dott = np.dot(dpos, tvec)
            if abs(dott) > self.eps and abs(dotg) > self.eps:
                self.hessian += np.outer(dgrad, dgrad) / dotg - np.outer(tvec, tvec) / dott

    return GoodOldQuasiNewton


def keywords_of(name: str) -> dict[str, Any]:
    """Return the keyword arguments of the optimizer ``name``, such as ``ase:BFGS``, with their defaults."""
    from relax.calculators.named.settings import parameters_of

    made = ase_class(name.removeprefix("ase:"))
    known: dict[str, Any] = {}
    for base in made.__mro__[:-1]:  # a subclass may pass on what it does not name itself
        known = parameters_of(base.__init__, NOT_SET) | known
    # Where a signature says None, ASE takes the number that the class declares.
    return {key: made.defaults.get(key) if value is None else value for key, value in known.items()}


def check_keywords(name: str, keywords: Mapping[str, Any]) -> None:
    """Raise ValueError for keyword arguments that the optimizer ``name`` of ASE does not have, or not so."""
    from ase import Atoms

    from relax.calculators.named.settings import check_settings
    from relax.core.errors import one_line

    check_settings(name, keywords, keywords_of(name))
    try:
        with without_warnings():
            ase_class(name.removeprefix("ase:"))(Atoms("H2", cell=[1, 1, 1]), logfile=None, **keywords)
    except Exception as error:
        raise ValueError(f"{name} does not take these parameters: {one_line(error)}") from None


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """Hide what ASE's optimizers warn of: a system small for a preconditioner, a line search begun anew."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"ase\.optimize")
        yield
