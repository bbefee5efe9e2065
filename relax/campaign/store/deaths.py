"""What the files of a campaign say of processes that have died."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

__all__ = ["Deaths"]


@dataclass
class Deaths:
    """What is known of the deaths of processes from the files of the campaign.

    Parameters
    ----------
    units
        How many have died of each unit.
    alone
        How many have died of a structure of a unit alone.
    cleared
        Structures of units that have been relaxed alone.
    """

    units: Counter[int] = field(default_factory=Counter)
    alone: Counter[tuple[int, int]] = field(default_factory=Counter)
    cleared: set[tuple[int, int]] = field(default_factory=set)
