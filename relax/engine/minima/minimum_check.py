"""How it is made sure that a point where the forces vanish is a minimum."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from relax.core.parameters import check_parameters, param
from relax.core.settings import Criteria

__all__ = ["LEVELS", "MinimumCheck", "parse_minimum_check", "tightened"]


@dataclass(frozen=True, kw_only=True)
class MinimumCheck:
    """How it is made sure that a point where the forces vanish is a minimum."""

    calls: int = param(20, "[1, inf)", "", "most directions; trials of saddles may take as many calls again")
    reach: float = param(0.015, "(0, inf)", "A", "displacement at which gradients are compared")
    assumed: float = param(
        0.04, "(0, inf)", "", "stiffness beyond what was looked along, over the mean there"
    )
    accuracy: float = param(math.inf, "(0, inf]", "eV/A^2", "residual at which a positive curvature is known")
    saddle: float = param(-0.05, "(-inf, 0]", "eV/A^2", "curvature below which a point is a saddle")
    push: float = param(0.2, "(0, inf)", "A", "displacement by which a saddle is left")
    escapes: int = param(10, "[0, inf)", "", "most saddles that one run leaves")
    symprec: float = param(1e-3, "[0, inf)", "A", "tolerance of the symmetry that spares calls; 0 for none")
    fmax: float = param(math.inf, "(0, inf]", "eV/A", "longest force at which is looked; tighter than fmax")
    seed: int = param(0, "[0, inf)", "", "of the directions that are looked along first, and of pushes")

    @classmethod
    def tight(cls) -> MinimumCheck:
        """Return the check that also finds saddles of a hundredth of an eV/A^2, for more force calls."""
        return cls(calls=40, assumed=0.01, accuracy=0.05, saddle=-0.01, fmax=1e-3)

    def __post_init__(self) -> None:
        check_parameters(self)


def parse_minimum_check(check: str | MinimumCheck | None, escape: bool) -> MinimumCheck | None:
    """Return how minima are checked, from ``check=`` and ``escape=``; None where they are not.

    Raises
    ------
    ValueError
        ``check`` is another word, or ``escape`` is given without it.
    """
    if check is None and escape:
        raise ValueError("escape=True needs a check that finds saddles; give check='minimum'")
    if check is None or isinstance(check, MinimumCheck):
        return check
    if check not in LEVELS:
        raise ValueError(f"check = {check!r} is not allowed; give 'minimum', 'tight', a MinimumCheck or None")
    return LEVELS[check]()


LEVELS: dict[str, Callable[[], MinimumCheck]] = {"minimum": MinimumCheck, "tight": MinimumCheck.tight}
"""The checks that have a name."""


def tightened(criteria: Criteria, check: MinimumCheck | None) -> Criteria:
    """Return the criteria with the longest force at which ``check`` looks."""
    return criteria if check is None else replace(criteria, fmax=min(criteria.fmax, check.fmax))
