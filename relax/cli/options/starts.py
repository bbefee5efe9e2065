"""Where the runs of a structure start."""

from __future__ import annotations

from dataclasses import dataclass

from relax.cli.options.declaration import not_negative, option, positive

__all__ = ["StartOptions"]


@dataclass(frozen=True, kw_only=True)
class StartOptions:
    """Where the runs of a structure start."""

    rattle: float = option(
        0.0,
        "Displace the atoms at random before the run (standard deviation, A), and with --cell strain "
        "the cell. Helps to leave saddle points.",
        metavar="LENGTH",
        check=not_negative,
    )
    seed: int = option(
        0, "Random seed of --rattle, the same for each structure.", metavar="N", check=not_negative
    )
    draws: int = option(
        1,
        "Relax so many starts of each structure, the first as it is and others rattled, and keep the "
        "lowest end; those that come close to a minimum that is known stop early.",
        metavar="N",
        check=positive,
    )
