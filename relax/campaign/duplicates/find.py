"""Which structures of a campaign are duplicates of each other, before or after their relaxation."""

from __future__ import annotations

import contextlib
import hashlib
import math
import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from ase import Atoms

from relax.campaign.duplicates.sites import occupied_sites
from relax.campaign.exports.needed import needed
from relax.campaign.exports.pymatgen_json import pymatgen_of
from relax.campaign.store.index_folder import index_folder
from relax.campaign.store.lines import text_of
from relax.campaign.store.structures import atoms_of, record_of
from relax.core.errors import UsageError
from relax.geometry.symmetry import SYMPREC

if TYPE_CHECKING:
    from relax.campaign.campaign import Campaign

__all__ = ["Member", "duplicates"]


@dataclass(frozen=True)
class Member:
    """A structure, and the group of duplicates that it belongs to.

    Parameters
    ----------
    id
        Its number in the campaign.
    group
        The number of the first structure of the group.
    size
        How many structures are in the group.
    lowest
        Whether it is, of those of the group that have converged, the lowest in energy per atom; the first of
        them if there are several.
    """

    id: int
    group: int
    size: int
    lowest: bool


@dataclass
class _Table:
    """What is kept of each structure: its number, the group, and the energy (eV/atom) if it has converged."""

    ids: array[int] = field(default_factory=lambda: array("q"))
    groups: array[int] = field(default_factory=lambda: array("q"))
    energies: array[float] = field(default_factory=lambda: array("d"))

    def members(self) -> Iterator[Member]:
        sizes: dict[int, int] = {}
        lowest: dict[int, tuple[float, int]] = {}
        for id_, group, energy in zip(self.ids, self.groups, self.energies, strict=True):
            sizes[group] = sizes.get(group, 0) + 1
            if not math.isnan(energy):
                lowest[group] = min(lowest.get(group, (energy, id_)), (energy, id_))
        for id_, group in zip(self.ids, self.groups, strict=True):
            yield Member(id_, group, sizes[group], lowest.get(group, (0.0, -1))[1] == id_)


def duplicates(
    campaign: Campaign, start: bool = False, matcher: Any = False, symprec: float = SYMPREC
) -> Iterator[Member]:
    """Yield the structures with their groups of duplicates, in the order of the input.

    Crystals are duplicates that have the same composition, the same space group, and the same elements on the
    same Wyckoff positions, however they are placed and whatever their cell.  Those of low symmetry may differ
    all the same, and ``matcher`` compares them atom by atom.  What is no crystal, or has too many atoms for a
    search of its space group, is a group of its own.  Structures are read one after the other, and only their
    groups are kept.

    Parameters
    ----------
    campaign
        The campaign.
    start
        Compare the structures as they were given, all but those that were refused; otherwise where they
        ended, those that have converged.
    matcher
        Whether the ``StructureMatcher`` of pymatgen also compares the members of a group, with its default
        settings; or such a matcher with yours.  By default volumes are scaled.
    symprec
        Largest distance of atoms from their symmetric positions, A.

    Raises
    ------
    UsageError
        pymatgen is not installed, ``symprec`` is not above 0, or the campaign is damaged.
    """
    if not (math.isfinite(symprec) and symprec > 0):
        raise UsageError(f"symprec must be a number above 0 (got {symprec!r})")
    fits = _fits(matcher)
    table, firsts, places = _Table(), dict[bytes, int](), array("q")
    with contextlib.ExitStack() as stack:
        spool = stack.enter_context(tempfile.TemporaryFile(dir=index_folder())) if fits else None
        for outcome in campaign.results(None if start else ["converged"]):
            if outcome.status == "refused":
                continue
            atoms = outcome.start if start else outcome.atoms
            sites = occupied_sites(atoms, symprec)
            group = outcome.id if sites is None else firsts.setdefault(_key(atoms, sites), outcome.id)
            table.ids.append(outcome.id)
            table.groups.append(group)
            table.energies.append(outcome.energy / len(atoms) if outcome.converged else math.nan)
            if spool is not None:
                places.append(spool.tell())
                spool.write(text_of([record_of(_bare(atoms))]).encode())
        if spool is not None:
            _split(table, places, spool, fits)
    yield from table.members()


def _key(atoms: Atoms, sites: tuple[int, Any]) -> bytes:
    """Return 16 bytes that tell a composition and occupied sites from others."""
    formula = atoms.symbols.formula.reduce()[0].format("hill")
    return hashlib.blake2b(repr((formula, sites)).encode(), digest_size=16).digest()


def _bare(atoms: Atoms) -> Atoms:
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)


def _fits(matcher: Any) -> Any:
    """Return what says whether two structures of pymatgen are the same; None if nothing is to."""
    if matcher is False or matcher is None:
        return None
    if matcher is not True:
        return matcher.fit
    with needed("pymatgen", "pymatgen"):
        from pymatgen.analysis.structure_matcher import StructureMatcher

    return StructureMatcher().fit


def _split(table: _Table, places: array[int], spool: IO[bytes], fits: Any) -> None:
    """Split the groups into those whose members ``fits`` says are the same, one group after the other."""
    members: dict[int, list[int]] = {}
    for row, group in enumerate(table.groups):
        members.setdefault(group, []).append(row)
    for rows in members.values():
        different: list[tuple[int, Any]] = []
        for row in rows if len(rows) > 1 else ():
            here = _read(spool, places[row])
            same = next((id_ for id_, other in different if fits(other, here)), None)
            if same is None:
                different.append((table.ids[row], here))
            table.groups[row] = table.ids[row] if same is None else same


def _read(spool: IO[bytes], place: int) -> Any:
    import json

    spool.seek(place)
    return pymatgen_of(atoms_of(json.loads(spool.readline())))
