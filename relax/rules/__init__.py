"""The update rules, and what is needed to run them: points, segments and wrappers."""

from relax.core.rule import Point, Rule
from relax.core.segments import Segments
from relax.rules.adaptive import AdaDelta, AdaGrad, Adam, AdaMax, RMSprop
from relax.rules.fire import FIRE
from relax.rules.frankenstein import Frankenstein
from relax.rules.gradient_descent import NAG, SGD, Momentum
from relax.rules.kriging.kriging import Kriging
from relax.rules.lbfgs import LBFGS
from relax.rules.metric.internal_lbfgs import InternalLBFGS
from relax.rules.metric.pair_lbfgs import PairLBFGS
from relax.rules.named import DEFAULT_RULE, RULES, build_rule, check_beside, rule_beside
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
    "InternalLBFGS",
    "Kriging",
    "MaxStep",
    "Momentum",
    "PairLBFGS",
    "Point",
    "RMSprop",
    "Rule",
    "Segments",
    "build_rule",
    "check_beside",
    "for_atoms",
    "rule_beside",
]
