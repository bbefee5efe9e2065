"""Starting structures: plain crystals with names."""

from __future__ import annotations

from collections.abc import Sequence

from ase import Atoms


def bare(crystals: Sequence[Atoms]) -> list[Atoms]:
    """Return the crystals with unique names, and without constraints, results and other information."""
    names = [str(c.info.get("name", c.info.get("material_id", ""))) for c in crystals]
    if not all(names) or len(set(names)) < len(names):
        names = [
            f"{i:04d}-{name or c.get_chemical_formula()}"
            for i, (name, c) in enumerate(zip(names, crystals, strict=True))
        ]
    return [
        Atoms(c.numbers, c.positions, cell=c.cell, pbc=True, info={"name": name})
        for name, c in zip(names, crystals, strict=True)
    ]
