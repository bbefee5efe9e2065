"""Wrappers around rules.  The outermost one acts first on the gradient, and last on the step."""

from relax.rules.wrappers.base import Wrapper, innermost
from relax.rules.wrappers.build import SETTINGS, for_atoms
from relax.rules.wrappers.checked_energies import CheckedEnergies, by_forces_alone
from relax.rules.wrappers.limits import Centred, ClipGradient, ForceFloor, MaxStep
from relax.rules.wrappers.preconditioned import InMetric
from relax.rules.wrappers.restart import Ascent, Restart, is_ascent
from relax.rules.wrappers.schedules import Scheduled

__all__ = [
    "SETTINGS",
    "Ascent",
    "Centred",
    "CheckedEnergies",
    "ClipGradient",
    "ForceFloor",
    "InMetric",
    "MaxStep",
    "Restart",
    "Scheduled",
    "Wrapper",
    "by_forces_alone",
    "for_atoms",
    "innermost",
    "is_ascent",
]
