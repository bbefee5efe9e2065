"""Orders: a unit of structures to relax, and what has become of that; both travel between machines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Order", "Report"]

Json = dict[str, Any]


@dataclass(frozen=True)
class Order:
    """A unit of structures to relax.

    Parameters
    ----------
    folder
        The folder of the campaign.
    lease, token
        The lease of the driver, and what tells it from others: once that is gone, nobody waits for this.
    unit, round
        Numbers of the unit and of its round.
    places
        Of each structure its number, the file of its line, and where in that the line begins.
    missing
        Those of which there is no result yet.
    alone
        Whether the one structure is relaxed apart from its unit, after the deaths of processes.
    counts
        Whether its result counts then, although what is computed for it may depend on the others.
    changes
        Arguments of :func:`relax.engine.api.relax_many` in place of those of the campaign.
    call_limit
        Time after which a force call counts as one that never ends, s.
    threads
        Threads of the process.
    made_in
        The folder in which the process starts, where it is there.
    """

    folder: str
    lease: str
    token: str
    unit: int
    round: int
    places: list[tuple[int, str, int]]
    missing: list[int]
    alone: bool = False
    counts: bool = True
    changes: Json = field(default_factory=dict)
    call_limit: float = 3600.0
    threads: int = 1
    made_in: str = ""

    @property
    def head(self) -> Json:
        """What lines about this order say."""
        return {"round": self.round} | ({"alone": self.places[0][0]} if self.alone else {})

    def to_plain(self) -> Json:
        """Return the order as plain values, which it shares."""
        return dict(vars(self))


@dataclass(frozen=True)
class Report:
    """What has become of an order.

    Parameters
    ----------
    kind
        ``ended``; ``back``, if the process was told to stop; ``died``; or ``fault``, if nothing can go on.
    words
        Why.
    structures, seconds
        Structures that have ended, and the time that took, s.
    """

    kind: str
    words: str = ""
    structures: int = 0
    seconds: float = 0.0
