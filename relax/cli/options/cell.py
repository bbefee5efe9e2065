"""What of the cell relaxes, and the symmetry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relax.cli.options.declaration import finite, one_of, option, positive

if TYPE_CHECKING:
    from relax.geometry.cell import CellFreedom

__all__ = ["CellOptions"]


@dataclass(frozen=True, kw_only=True)
class CellOptions:
    """What of the cell relaxes, and the symmetry."""

    cell: bool = option(False, "Relax the cell too, along its periodic directions.", "--cell/--no-cell")
    pressure: float = option(
        0.0, "With --cell: external pressure, GPa.", metavar="PRESSURE", check=finite, needs="--cell"
    )
    hydrostatic: bool = option(
        False, "With --cell: change the size of the cell, not its shape.", "--hydrostatic", needs="--cell"
    )
    constant_volume: bool = option(
        False,
        "With --cell: change the shape of the cell, not its volume.",
        "--constant-volume",
        needs="--cell",
    )
    symmetry: str = option(
        "free",
        "Keep the initial space group, or do not constrain the symmetry.",
        metavar="keep|free",
        check=one_of("keep", "free"),
    )
    symprec: float = option(
        0.01, "Distance tolerance for finding the space group, A.", metavar="LENGTH", check=positive
    )

    def freedom(self) -> CellFreedom:
        """Return what of a cell relaxes, where the cell of a structure does."""
        from relax.geometry.cell import CellFreedom

        return CellFreedom(
            pressure=self.pressure, hydrostatic=self.hydrostatic, constant_volume=self.constant_volume
        )
