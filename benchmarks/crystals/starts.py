"""Where the crystals of the benchmark come from."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.data import chemical_symbols
from ase.io import read

from benchmarks.crystals.wbm import read_ids, read_wbm
from benchmarks.crystals.wbm_like import HEAVIEST, wbm_like
from relax.analysis.comparison.files.provenance import published_path
from relax.calculators.registry import unsupported


@dataclass(frozen=True)
class Source:
    """Where crystals come from: a file, the WBM set, or a number of crystals to make."""

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
        """Return the crystals; those that are made have only ``elements``, if any are given."""
        if self.structures is not None:
            return read_structures(self.structures)
        if self.wbm_like is not None:
            return wbm_like(self.wbm_like, seed, self.largest, self.smallest, elements)
        assert self.wbm is not None
        return read_wbm(self.wbm, read_ids(self.ids))

    @property
    def words(self) -> str:
        """The options that mean the same, without folders that exist on this machine only."""
        if self.structures is not None:
            return f"--structures {published_path(self.structures)}"
        if self.wbm_like is not None:
            return f"--wbm-like {self.wbm_like} --largest {self.largest} --smallest {self.smallest}"
        assert self.wbm is not None
        return f"--wbm {published_path(self.wbm)}" + (
            f" --ids {published_path(Path(self.ids))}" if self.ids else ""
        )


def read_structures(path: Path) -> list[Atoms]:
    """Return all structures of a file.  Raises ValueError where there are none."""
    try:
        frames = read(path, index=":")
    except Exception as error:  # the exceptions of ASE's readers depend on the format
        raise ValueError(f"cannot read {path}: {str(error) or type(error).__name__}") from None
    if not frames:
        raise ValueError(f"{path} has no structures")
    return list(frames)


def check_crystals(crystals: Sequence[Atoms], calculator: Any) -> None:
    """Raise ValueError where a structure is no crystal, or the calculator does not support it."""
    for atoms in crystals:
        if len(atoms) == 0 or atoms.cell.rank < 3:
            raise ValueError(
                f"{atoms.info['name']} is no crystal: it has {len(atoms)} atoms, cell {atoms.cell}"
            )
        reason = unsupported(calculator, atoms)
        if reason:
            raise ValueError(f"{atoms.info['name']}: {reason}")


def known_elements(calculator: Any) -> list[str]:
    """Return the elements that ``calculator`` supports; an empty list where it supports all."""
    symbols = chemical_symbols[3 : HEAVIEST + 1]
    known = [s for s in symbols if not unsupported(calculator, Atoms(s, cell=[3, 3, 3], pbc=True))]
    return [] if len(known) == len(symbols) else known
