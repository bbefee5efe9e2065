"""Where the crystals of a benchmark come from, what they are called, and how they are rattled."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from ase.io import read

from benchmarks.wbm import read_ids, read_wbm
from benchmarks.wbm_like import HEAVIEST, wbm_like
from relax.calculators.registry import unsupported


@dataclass(frozen=True)
class Source:
    """Where crystals are to come from: one of a file, the number of those to make, and the WBM set."""

    structures: Path | None = None
    wbm_like: int | None = None
    wbm: Path | None = None
    ids: str = ""
    largest: int = 8
    smallest: int = 2

    def __post_init__(self) -> None:
        if sum(x is not None for x in (self.structures, self.wbm_like, self.wbm)) != 1:
            raise ValueError("give one of --structures, --wbm-like and --wbm")

    def read(self, seed: int, elements: Collection[str]) -> list[Atoms]:
        """Return the crystals, those that are made of ``elements`` alone where any are given."""
        if self.structures is not None:
            return read_structures(self.structures)
        if self.wbm_like is not None:
            return wbm_like(self.wbm_like, seed, self.largest, self.smallest, elements)
        assert self.wbm is not None
        return read_wbm(self.wbm, read_ids(self.ids))

    @property
    def words(self) -> str:
        """The same on the command line, without folders that are of this machine alone."""
        if self.structures is not None:
            return f"--structures {shown(self.structures)}"
        if self.wbm_like is not None:
            return f"--wbm-like {self.wbm_like} --largest {self.largest} --smallest {self.smallest}"
        assert self.wbm is not None
        return f"--wbm {shown(self.wbm)}" + (f" --ids {shown(Path(self.ids))}" if self.ids else "")


def shown(path: Path) -> str:
    """Return a path as it may be published."""
    return path.name if path.is_absolute() else str(path)


def read_structures(path: Path) -> list[Atoms]:
    """Return all structures of a file.  Raises ValueError where there are none."""
    try:
        frames = read(path, index=":")
    except Exception as error:  # ASE's readers raise whatever their formats make them
        raise ValueError(f"cannot read {path}: {str(error) or type(error).__name__}") from None
    if not frames:
        raise ValueError(f"{path} has no structures")
    return list(frames)


def bare(crystals: Sequence[Atoms]) -> list[Atoms]:
    """Return the crystals by names of their own, without constraints, results and all else."""
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


def check(crystals: Sequence[Atoms], calculator: Any) -> None:
    """Raise ValueError where a structure is no crystal or the calculator cannot take it."""
    for atoms in crystals:
        if len(atoms) == 0 or atoms.cell.rank < 3:
            raise ValueError(
                f"{atoms.info['name']} is no crystal: it has {len(atoms)} atoms, cell {atoms.cell}"
            )
        reason = unsupported(calculator, atoms)
        if reason:
            raise ValueError(f"{atoms.info['name']}: {reason}")


def known_elements(calculator: Any) -> list[str]:
    """Return the elements crystals may be of for ``calculator``; none where it takes all."""
    symbols = chemical_symbols[3 : HEAVIEST + 1]
    known = [s for s in symbols if not unsupported(calculator, Atoms(s, cell=[3, 3, 3], pbc=True))]
    return [] if len(known) == len(symbols) else known


def rattled(atoms: Atoms, amount: float, seed: int, index: int) -> Atoms:
    """Return crystal number ``index`` with every atom displaced at random, the same for every run.

    Each component of each position gets a normal deviate of standard deviation ``amount`` (A), as in
    ``Atoms.rattle``; the cell stays.
    """
    moved = atoms.copy()
    if amount:
        moved.rattle(amount, rng=np.random.default_rng([seed, index]))
    return moved
