"""The update rules by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from relax.core.rule import Rule
from relax.rules.adaptive import AdaDelta, AdaGrad, Adam, AdaMax, RMSprop
from relax.rules.fire import FIRE
from relax.rules.frankenstein import Frankenstein
from relax.rules.gradient_descent import NAG, SGD, Momentum
from relax.rules.kriging.kriging import Kriging
from relax.rules.lbfgs import LBFGS
from relax.rules.metric.internal_lbfgs import InternalLBFGS
from relax.rules.metric.pair_lbfgs import PairLBFGS
from relax.rules.rprop_core import RPROP, CoRe
from relax.rules.wrappers import SETTINGS, for_atoms

__all__ = ["DEFAULT_RULE", "RULES", "build_rule", "check_beside", "rule_beside", "split_settings"]

RULES: dict[str, type[Rule]] = {
    rule.NAME or rule.__name__.lower(): rule
    for rule in (
        SGD, Momentum, NAG, AdaGrad, AdaDelta, RMSprop, Adam, AdaMax, RPROP, CoRe, Frankenstein, FIRE, LBFGS,
        PairLBFGS,
        InternalLBFGS, Kriging,
    )
}  # fmt: skip

DEFAULT_RULE = "internal-lbfgs"
"""The rule that needs the fewest force calls, and is followed where none is named."""


def rule_beside(rule: str | Rule, prior: Any, known: Any) -> str | Rule:
    """Return the rule that is followed: beside a ``prior`` or ``known`` the default is that which learns."""
    learns = prior is not None or known is not None
    return Kriging.NAME if learns and rule == DEFAULT_RULE else rule


def check_beside(rule: Rule, prior: Any, known: Any, plain: bool = True) -> None:
    """Raise ValueError for what the rule, or an object that is no ``plain`` Atoms, has no use for."""
    for name, given in {"prior": prior, "known": known}.items():
        if given is None:
            continue
        if not isinstance(rule, Kriging):
            found = type(rule).__name__
            raise ValueError(f"{name}= is for the rule kriging, not for {found}; leave one of them out")
        if not plain:
            raise ValueError(f"{name}= is for plain Atoms; give the atoms, with cell=True for their cell")


def build_rule(rule: str | Rule, settings: dict[str, Any]) -> Rule:
    """Return the rule of a name and its settings as it is followed, or a rule as it is.

    Parameters
    ----------
    rule
        The name of a rule, or a rule.
    settings
        Parameters of the rule and of :func:`relax.rules.wrappers.for_atoms`, by name.

    Raises
    ------
    TypeError
        A parameter is unknown, or given beside a rule.
    ValueError
        The name is unknown, or a parameter is out of its bounds.
    """
    if isinstance(rule, Rule):
        if settings:
            raise TypeError(f"give either a rule or its parameters, not both: {', '.join(settings)}")
        return rule
    if rule not in RULES:
        raise ValueError(f"unknown rule {rule!r} (there are: {', '.join(RULES)})")
    return followed_rule(RULES[rule], *split_settings(settings), SETTINGS)


def followed_rule(
    rule: type[Rule], own: dict[str, Any], common: dict[str, Any], beside: Sequence[str]
) -> Rule:
    """Return the rule of a class as the optimizers of its name follow it.

    Parameters
    ----------
    rule
        The class.
    own, common
        Parameters of the rule, and of :func:`relax.rules.wrappers.for_atoms`, by name.
    beside
        Other names that a message may suggest for an unknown one.
    """
    if common.get("metric") is None:
        common = common | {"metric": rule.default_metric}
    return for_atoms(rule.from_settings(own, beside), **common)


def split_settings(settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings that are a rule's own, and those of :func:`relax.rules.wrappers.for_atoms`."""
    own = {name: value for name, value in settings.items() if name not in SETTINGS}
    return own, {name: value for name, value in settings.items() if name in SETTINGS}
