"""Rules inside the wrappers with which optimizers run them."""

from __future__ import annotations

import math
from collections.abc import Callable

from relax.core.rule import Rule
from relax.core.segments import Array
from relax.preconditioner.pair_stiffness import PairStiffness
from relax.rules.wrappers.base import innermost
from relax.rules.wrappers.checked_energies import CheckedEnergies
from relax.rules.wrappers.limits import Centred, ClipGradient, ForceFloor, MaxStep
from relax.rules.wrappers.preconditioned import InMetric
from relax.rules.wrappers.restart import Ascent, Restart
from relax.rules.wrappers.schedules import Scheduled

__all__ = ["SETTINGS", "for_atoms"]


def for_atoms(
    rule: Rule,
    *,
    maxstep: float | None = None,
    maxstep_norm: str | None = None,
    clip: float | None = None,
    clip_norm: str = "atom",
    force_floor: float | None = None,
    schedule: Callable[[Array], Array | float] | None = None,
    restart_when: str | None = None,
    maximize: bool = False,
    centred: bool = False,
    metric: bool | PairStiffness | None = None,
    energies: bool = True,
) -> Rule:
    """Return ``rule`` inside a trust radius and the other wrappers that are asked for.

    Optimizers and benchmarks run rules in this form.

    Parameters
    ----------
    rule
        The rule.
    maxstep, maxstep_norm
        Trust radius (A) and its norm, see :class:`MaxStep`.  If not given, ``Rule.default_maxstep``.
    clip, clip_norm
        Largest gradient that is passed to the rule (eV/A) and its norm, see :class:`ClipGradient`.  If not
        given, ``Rule.default_clip``; infinity means no limit.
    force_floor
        Force below which a gradient counts as noise, eV/A, see :class:`ForceFloor`.  If not given,
        ``Rule.default_force_floor``.
    schedule
        Function of the step number that returns a factor of the step, see :class:`Scheduled`.
    restart_when
        ``"energy"``, ``"power"`` or ``"stall"``, see :class:`Restart`.
    maximize
        Maximize the energy.
    centred
        Remove the drift of the centroid, see :class:`Centred`.
    metric
        Precondition the rule, see :class:`InMetric`: the model Hessian, or ``True`` for the default one.
    energies
        Whether steps are judged by energies, too, as long as these agree with the forces; see
        :class:`CheckedEnergies`.

    Raises
    ------
    ValueError
        A value is out of its bounds, or the rule has a metric of its own.
    """
    own = innermost(rule)
    clip = own.default_clip if clip is None else clip
    force_floor = own.default_force_floor if force_floor is None else force_floor
    if metric:
        if own.stiffness is not None:
            raise ValueError(f"{type(own).__name__} has a metric of its own; set its parameters")
        if force_floor:
            rule = ForceFloor(rule, force_floor)  # a metric makes noise anew where symmetry had zeros
        rule = InMetric(rule, metric) if isinstance(metric, PairStiffness) else InMetric(rule)
        rule = Centred(rule)  # in a metric nothing is as soft as a drift of the whole structure
    if schedule is not None:
        rule = Scheduled(rule, schedule)
    if restart_when is not None:
        rule = Restart(rule, restart_when)
    if rule.uses_energies or not energies:
        rule = CheckedEnergies(rule, energies=energies)
    if clip is not None and clip < math.inf:
        rule = ClipGradient(rule, clip, clip_norm)
    if force_floor:
        rule = ForceFloor(rule, force_floor)
    if maximize:
        rule = Ascent(rule)
    if centred:
        rule = Centred(rule)
    default, default_norm = own.default_maxstep
    return MaxStep(rule, default if maxstep is None else maxstep, maxstep_norm or default_norm)


SETTINGS = tuple(for_atoms.__kwdefaults__ or ())
"""The names of what :func:`for_atoms` takes beside the rule."""
