"""What the campaigns under faults are of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk

from benchmarks.campaign.calculators import ENDS_PROCESS, NEVER_RETURNS
from benchmarks.crystals.wbm_like import wbm_like
from benchmarks.throughput.models import MINI, RATTLE
from benchmarks.tools.mace_mini.crystals import ELEMENTS
from relax.analysis.comparison.starts import rattled

Json = dict[str, Any]

ALLOYS, DIFFERENT = 11, 500
"""Seed of the alloys, and how many different ones there are."""


@dataclass(frozen=True)
class Subject:
    """What a campaign of this benchmark is of.

    Parameters
    ----------
    name
        Its name.
    structures
        Returns a number of structures.
    settings
        Arguments of :meth:`relax.campaign.campaign.Campaign.create`.
    """

    name: str
    structures: Callable[[int], list[Atoms]]
    settings: Json


def metals(number: int) -> list[Atoms]:
    """Return rattled crystals of metals, of which EMT ends its process for one and never returns for one."""
    rng = np.random.default_rng(7)
    found = []
    for k in range(number):
        symbol = ("Cu", "Al", "Ni", "Ag", "Au")[k % 5]
        symbol = {number // 3: ENDS_PROCESS, number // 2: NEVER_RETURNS}.get(k, symbol)
        atoms = bulk(symbol, cubic=True) * (1, 1, 1 + k % 2)
        atoms.rattle(0.08, rng=rng)
        found.append(atoms)
    return found


def alloys(number: int) -> list[Atoms]:
    """Return rattled crystals of the elements of ``data/mace-mini.model``, each several times if need be."""
    made = wbm_like(min(number, DIFFERENT), ALLOYS, 8, elements=ELEMENTS)
    return [
        rattled(made[k % len(made)], RATTLE, ALLOYS + k // len(made), k % len(made)) for k in range(number)
    ]


SUBJECTS = (
    Subject("EMT", metals, {"calculator": "benchmarks.campaign.calculators:faulty_emt", "unit_cost": 4000.0}),
    Subject("mace-mini", alloys, {"calculator": f"mace:{MINI}"}),
)
