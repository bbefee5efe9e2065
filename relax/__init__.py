"""Relax atomistic structures with ASE optimizers that wrap the CoRe and Frankenstein rules and the classics.

``relax.rules`` has the update rules, ``relax.optimizers`` the ASE optimizers (also here, by name),
``relax.ensemble`` what relaxes many structures at once, ``relax.result`` what a run says of itself.  Names
are imported when first used, so that the command line starts at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from relax.cell import CellFreedom
    from relax.ensemble import relax_many
    from relax.metric import PairStiffness
    from relax.optimizer import RuleOptimizer
    from relax.optimizers import (
        AdaDeltaRelax,
        AdaGradRelax,
        AdaMaxRelax,
        AdamRelax,
        CoReRelax,
        FIRERelax,
        FrankensteinRelax,
        LBFGSRelax,
        MomentumRelax,
        NAGRelax,
        PairLBFGSRelax,
        RMSpropRelax,
        RPROPRelax,
        SGDRelax,
    )
    from relax.result import RelaxationStopped, Result
    from relax.saddle import MinimumCheck
    from relax.single import relax

__all__ = [
    "AdaDeltaRelax",
    "AdaGradRelax",
    "AdaMaxRelax",
    "AdamRelax",
    "CellFreedom",
    "CoReRelax",
    "FIRERelax",
    "FrankensteinRelax",
    "LBFGSRelax",
    "MinimumCheck",
    "MomentumRelax",
    "NAGRelax",
    "PairLBFGSRelax",
    "PairStiffness",
    "RMSpropRelax",
    "RPROPRelax",
    "RelaxationStopped",
    "Result",
    "RuleOptimizer",
    "SGDRelax",
    "relax",
    "relax_many",
]


HOMES = {
    "CellFreedom": "relax.cell",
    "MinimumCheck": "relax.saddle",
    "PairStiffness": "relax.metric",
    "RelaxationStopped": "relax.result",
    "Result": "relax.result",
    "RuleOptimizer": "relax.optimizer",
    "relax": "relax.single",
    "relax_many": "relax.ensemble",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'relax' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(HOMES.get(name, "relax.optimizers")), name)
