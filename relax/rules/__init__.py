"""The update rules, and what is needed to run them: points, segments and wrappers."""

from relax.core.rule import Point, Rule
from relax.core.segments import Segments
from relax.rules.adaptive import AdaDelta, AdaGrad, Adam, AdaMax, RMSprop
from relax.rules.fire import FIRE
from relax.rules.frankenstein import Frankenstein
from relax.rules.gradient_descent import NAG, SGD, Momentum
from relax.rules.lbfgs import LBFGS
from relax.rules.pair_lbfgs import PairLBFGS
from relax.rules.rprop_core import RPROP, CoRe
from relax.rules.wrappers import MaxStep, for_atoms

__all__ = [
    "DEFAULT_RULE",
    "FIRE",
    "LBFGS",
    "NAG",
    "RPROP",
    "RULES",
    "SGD",
    "AdaDelta",
    "AdaGrad",
    "AdaMax",
    "Adam",
    "CoRe",
    "Frankenstein",
    "MaxStep",
    "Momentum",
    "PairLBFGS",
    "Point",
    "RMSprop",
    "Rule",
    "Segments",
    "for_atoms",
]

RULES: dict[str, type[Rule]] = {
    rule.NAME or rule.__name__.lower(): rule
    for rule in (
        SGD, Momentum, NAG, AdaGrad, AdaDelta, RMSprop, Adam, AdaMax, RPROP, CoRe, Frankenstein, FIRE, LBFGS,
        PairLBFGS,
    )
}  # fmt: skip

DEFAULT_RULE = "pair-lbfgs"
"""The rule that is used if none is named: it needs the fewest force calls."""
