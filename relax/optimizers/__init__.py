"""Front ends of the engine: ASE optimizers, ``relax()`` for one structure, and torch-sim's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relax.core.lazy import lazy_names

if TYPE_CHECKING:
    from relax.optimizers.api import relax
    from relax.optimizers.base import RuleOptimizer
    from relax.optimizers.named import (
        OPTIMIZERS,
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

__all__ = [
    "OPTIMIZERS",
    "AdaDeltaRelax",
    "AdaGradRelax",
    "AdaMaxRelax",
    "AdamRelax",
    "CoReRelax",
    "FIRERelax",
    "FrankensteinRelax",
    "LBFGSRelax",
    "MomentumRelax",
    "NAGRelax",
    "PairLBFGSRelax",
    "RMSpropRelax",
    "RPROPRelax",
    "RuleOptimizer",
    "SGDRelax",
    "relax",
]

__getattr__ = lazy_names(
    __name__,
    dict.fromkeys(__all__, "relax.optimizers.named")
    | {"RuleOptimizer": "relax.optimizers.base", "relax": "relax.optimizers.api"},
)
