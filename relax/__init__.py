"""Relax atomistic structures to their minima with the fewest force calls.

``relax.relax`` relaxes one structure, ``relax.relax_many`` many, and ``relax.Campaign`` more than one machine
can in a day.  ``relax.compare`` compares minimizers, ``relax.landscape`` shows their paths on the energy, and
the classes ``...Relax`` are ASE optimizers.  ``relax.rules`` has the update rules.  Names are imported when
they are first used, so that the command line starts at once.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from relax.core.lazy import lazy_names

__version__ = "0.1.0"

# Nothing is printed unless the user asks for the messages of the logger "relax".
logging.getLogger(__name__).addHandler(logging.NullHandler())

if TYPE_CHECKING:
    from relax.analysis.comparison.api import compare
    from relax.analysis.landscape.api import landscape
    from relax.analysis.landscape.result import Landscape
    from relax.campaign.campaign import Campaign
    from relax.core.errors import RelaxationStopped
    from relax.core.result import Result
    from relax.engine.api import relax_many
    from relax.engine.minima.minimum_check import MinimumCheck
    from relax.geometry.cell import CellFreedom
    from relax.optimizers.api import relax
    from relax.optimizers.base import RuleOptimizer
    from relax.optimizers.named import (
        AdaDeltaRelax,
        AdaGradRelax,
        AdaMaxRelax,
        AdamRelax,
        CoReRelax,
        FIRERelax,
        FrankensteinRelax,
        InternalLBFGSRelax,
        KrigingRelax,
        LBFGSRelax,
        MomentumRelax,
        NAGRelax,
        PairLBFGSRelax,
        RMSpropRelax,
        RPROPRelax,
        SGDRelax,
    )
    from relax.preconditioner.pair_stiffness import PairStiffness

__all__ = [
    "AdaDeltaRelax",
    "AdaGradRelax",
    "AdaMaxRelax",
    "AdamRelax",
    "Campaign",
    "CellFreedom",
    "CoReRelax",
    "FIRERelax",
    "FrankensteinRelax",
    "InternalLBFGSRelax",
    "KrigingRelax",
    "LBFGSRelax",
    "Landscape",
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
    "compare",
    "landscape",
    "relax",
    "relax_many",
]


__getattr__ = lazy_names(
    __name__,
    dict.fromkeys(__all__, "relax.optimizers")
    | {
        "Campaign": "relax.campaign.campaign",
        "CellFreedom": "relax.geometry.cell",
        "Landscape": "relax.analysis.landscape.result",
        "MinimumCheck": "relax.engine.minima.minimum_check",
        "PairStiffness": "relax.preconditioner.pair_stiffness",
        "RelaxationStopped": "relax.core.errors",
        "Result": "relax.core.result",
        "compare": "relax.analysis.comparison.api",
        "landscape": "relax.analysis.landscape.api",
        "relax_many": "relax.engine.api",
    },
)
