"""Rules as optimizers run them."""

from __future__ import annotations

import math
from collections.abc import Callable

from relax.core.parameters import parameters
from relax.core.rule import Rule
from relax.core.segments import Array
from relax.preconditioner.pair_stiffness import PairStiffness
from relax.rules.wrappers.base import innermost
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
    metric: bool | PairStiffness = False,
) -> Rule:
    """Return ``rule`` as optimizers and benchmarks run it: inside a trust radius, and what else is asked.

    Parameters
    ----------
    maxstep, maxstep_norm
        Trust radius in A and its norm; the rule's own ``trust`` where not given.
    clip, clip_norm
        Largest gradient the rule is shown, eV/A; the rule's own ``ceiling`` where not given, if it has
        one, and none where infinite.
    force_floor
        Force that counts as noise, eV/A, see :class:`ForceFloor`; the rule's own ``noise`` where not given.
    schedule
        Factor of the step size, a callable of the step number.
    restart_when
        ``"energy"``, ``"power"`` or ``"stall"``; see :class:`Restart`.
    maximize
        Climb instead of descending.
    centred
        Take the drift of the centroid out, see :class:`Centred`.
    metric
        Run the rule in the coordinates of a metric, ``True`` for that of the defaults; see
        :class:`InMetric`.

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
        pairs = metric if isinstance(metric, PairStiffness) else PairStiffness()
        rule = InMetric(rule, **{name: getattr(pairs, name) for name in parameters(PairStiffness)})
    if schedule is not None:
        rule = Scheduled(rule, schedule)
    if restart_when is not None:
        rule = Restart(rule, restart_when)
    if clip is not None and clip < math.inf:
        rule = ClipGradient(rule, clip, clip_norm)
    if force_floor:
        rule = ForceFloor(rule, force_floor)
    if maximize:
        rule = Ascent(rule)
    if centred:
        rule = Centred(rule)
    maxstep, norm = (
        own.default_maxstep[0] if maxstep is None else maxstep,
        maxstep_norm or own.default_maxstep[1],
    )
    return MaxStep(rule, maxstep, norm)


SETTINGS = tuple(for_atoms.__kwdefaults__ or ())
"""The names of what :func:`for_atoms` takes beside the rule."""
