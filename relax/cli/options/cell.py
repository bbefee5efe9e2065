"""What of the cell relaxes, and the symmetry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relax.cli.options.declaration import finite, one_of, option, positive
from relax.core.errors import UsageError
from relax.geometry.cell_mask import MASK_WORDS, is_mask

if TYPE_CHECKING:
    from relax.geometry.cell import CellFreedom

__all__ = ["CellOptions"]


def cell_mask(flag: str, value: str) -> None:
    """Allow masks of the strain of a cell."""
    if not is_mask(value):
        raise UsageError(f"{flag} must be {MASK_WORDS} (got {value!r})")


def periodicity(flag: str, value: str) -> None:
    """Allow three letters T or F, or digits 1 or 0."""
    if len(value) != 3 or not set(value.upper()) <= set("TF10"):
        raise UsageError(f"{flag} must be three letters T or F, such as TTF for a slab (got {value!r})")


@dataclass(frozen=True, kw_only=True)
class CellOptions:
    """What of the cell relaxes, and the symmetry."""

    pbc: str | None = option(
        None,
        "Along which cell vectors all structures are periodic, whatever their files say: TTF is a slab.",
        metavar="TTF",
        check=periodicity,
    )
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
    cell_mask: str | None = option(
        None,
        "With --cell: the strains of the cell that may change: those in the plane of the Cartesian axes xy, "
        "along z, ..., or xx, yy, zz, yz, xz, xy as digits, such as 111000.",
        metavar="xy|111000",
        check=cell_mask,
        needs="--cell",
    )
    stress: bool = option(
        False,
        "Compute the stress without --cell too, for the table and --output. Some calculators always do.",
        "--stress",
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

    @property
    def periodic(self) -> tuple[bool, ...] | None:
        """Along which vectors all structures are periodic; None where their files say it."""
        return None if self.pbc is None else tuple(letter in "tT1" for letter in self.pbc)

    def freedom(self) -> CellFreedom:
        """Return what of a cell relaxes, where the cell of a structure does."""
        from relax.geometry.cell import CellFreedom

        return CellFreedom(
            pressure=self.pressure,
            mask=self.cell_mask,
            hydrostatic=self.hydrostatic,
            constant_volume=self.constant_volume,
        )
