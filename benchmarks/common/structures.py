"""Starting structures: plain crystals with names."""

from __future__ import annotations

from collections.abc import Sequence

from ase import Atoms

from relax.analysis.comparison.starts import unique_names


def bare(crystals: Sequence[Atoms]) -> list[Atoms]:
    """Return the crystals with unique names, and without constraints, results and other information."""
    return [
        Atoms(c.numbers, c.positions, cell=c.cell, pbc=True, info={"name": name})
        for name, c in zip(unique_names(crystals), crystals, strict=True)
    ]
