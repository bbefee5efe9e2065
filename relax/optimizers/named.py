"""ASE optimizers, one for each rule: drop-in beside ``ase.optimize.FIRE``.

::

    atoms.calc = ...
    opt = FrankensteinRelax(atoms)
    opt.run(fmax=0.01)
    print(opt.result)
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import IO, Any, ClassVar

from relax import rules
from relax.core.rule import Rule
from relax.optimizers.base import RuleOptimizer
from relax.rules.named import followed_rule, split_settings
from relax.rules.wrappers import SETTINGS, for_atoms

__all__ = [
    "OPTIMIZERS",
    "AdaDeltaRelax",
    "AdaGradRelax",
    "AdaMaxRelax",
    "AdamRelax",
    "CoReRelax",
    "FIRERelax",
    "FrankensteinRelax",
    "InternalLBFGSRelax",
    "LBFGSRelax",
    "MomentumRelax",
    "NAGRelax",
    "PairLBFGSRelax",
    "RMSpropRelax",
    "RPROPRelax",
    "RuleOptimizer",
    "SGDRelax",
]


OPTIONS = {*inspect.signature(RuleOptimizer).parameters, "master", "comm", "loginterval"} - {"kwargs"}
"""What an optimizer takes beside the settings of its rule."""


class NamedOptimizer(RuleOptimizer):
    """An optimizer for one rule, inside the wrappers that suit atoms.

    Parameters
    ----------
    atoms, restart, logfile, trajectory, append_trajectory
        As in :class:`RuleOptimizer`.
    maxstep, maxstep_norm
        Trust radius in A, and whether it holds for a ``"component"``, an ``"atom"`` or the
        ``"structure"``; the rule's own where not given.
    rule
        A rule to follow in place of the defaults, such as ``CoRe.paper()``.
    clip, clip_norm, force_floor, schedule, restart_when, maximize, centred, metric
        As in :func:`relax.rules.wrappers.for_atoms`.
    **settings
        Parameters of the rule by name (``relax rules`` lists them), and ``cell``, ``pressure``,
        ``symmetry``, ``symprec``, ``rattle``, ``seed``, ``on_bad``, ``check``, ``escape`` and ASE's
        ``master``, ``comm`` and ``loginterval`` as in :class:`RuleOptimizer`.

    Raises
    ------
    TypeError
        A parameter is unknown; the message suggests the nearest one.
    ValueError
        A parameter is out of its bounds, or there are no atoms.
    """

    rule_class: ClassVar[type[Rule]]

    def __init__(
        self,
        atoms: Any,
        restart: str | Path | None = None,
        logfile: IO[str] | str | Path | None = "-",
        trajectory: Any = None,
        append_trajectory: bool = False,
        maxstep: float | None = None,
        maxstep_norm: str | None = None,
        *,
        rule: Rule | None = None,
        **settings: Any,
    ) -> None:
        options = {name: settings.pop(name) for name in OPTIONS if name in settings}
        own, common = split_settings(settings)
        common |= {"maxstep": maxstep, "maxstep_norm": maxstep_norm}
        if rule is None:
            followed = followed_rule(self.rule_class, own, common, (*SETTINGS, *OPTIONS))
        elif own:
            raise TypeError(f"give either rule= or its parameters, not both: {', '.join(own)}")
        else:
            followed = for_atoms(rule, **common)
        super().__init__(atoms, followed, restart, logfile, trajectory, append_trajectory, **options)


class SGDRelax(NamedOptimizer):
    """Steepest descent; see :class:`relax.rules.SGD`."""

    rule_class = rules.SGD


class MomentumRelax(NamedOptimizer):
    """Steepest descent with momentum; see :class:`relax.rules.Momentum`."""

    rule_class = rules.Momentum


class NAGRelax(NamedOptimizer):
    """Nesterov's accelerated gradient; see :class:`relax.rules.NAG`."""

    rule_class = rules.NAG


class AdaGradRelax(NamedOptimizer):
    """AdaGrad; see :class:`relax.rules.AdaGrad`."""

    rule_class = rules.AdaGrad


class AdaDeltaRelax(NamedOptimizer):
    """AdaDelta; see :class:`relax.rules.AdaDelta`."""

    rule_class = rules.AdaDelta


class RMSpropRelax(NamedOptimizer):
    """RMSprop; see :class:`relax.rules.RMSprop`."""

    rule_class = rules.RMSprop


class AdamRelax(NamedOptimizer):
    """Adam; see :class:`relax.rules.Adam`."""

    rule_class = rules.Adam


class AdaMaxRelax(NamedOptimizer):
    """AdaMax; see :class:`relax.rules.AdaMax`."""

    rule_class = rules.AdaMax


class RPROPRelax(NamedOptimizer):
    """Resilient backpropagation; see :class:`relax.rules.RPROP`."""

    rule_class = rules.RPROP


class CoReRelax(NamedOptimizer):
    """The continual resilient optimizer; see :class:`relax.rules.CoRe`."""

    rule_class = rules.CoRe


class FrankensteinRelax(NamedOptimizer):
    """Frankenstein; see :class:`relax.rules.Frankenstein`."""

    rule_class = rules.Frankenstein


class FIRERelax(NamedOptimizer):
    """FIRE; see :class:`relax.rules.FIRE`."""

    rule_class = rules.FIRE


class LBFGSRelax(NamedOptimizer):
    """L-BFGS; see :class:`relax.rules.LBFGS`."""

    rule_class = rules.LBFGS


class InternalLBFGSRelax(NamedOptimizer):
    """L-BFGS in bonds, bends and torsions, along curved paths; see :class:`relax.rules.InternalLBFGS`."""

    rule_class = rules.InternalLBFGS


class PairLBFGSRelax(NamedOptimizer):
    """L-BFGS on a metric of pair stiffnesses; see :class:`relax.rules.PairLBFGS`."""

    rule_class = rules.PairLBFGS


class KrigingRelax(NamedOptimizer):
    """A model of the surface that learns from all force calls; see :class:`relax.rules.Kriging`."""

    rule_class = rules.Kriging


_OF_RULES = {named.rule_class: named for named in NamedOptimizer.__subclasses__()}

OPTIMIZERS: dict[str, type[NamedOptimizer]] = {name: _OF_RULES[rule] for name, rule in rules.RULES.items()}
