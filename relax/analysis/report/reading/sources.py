"""Where the results of many relaxations come from: a file that ``relax run`` has written, or a campaign."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
from ase import Atoms

from relax.campaign.campaign import Campaign
from relax.campaign.exports.words import Words
from relax.core.errors import InvalidStructure
from relax.io.check import digest
from relax.io.named_files import split_slice
from relax.io.overview.files import summaries
from relax.io.overview.summary import Summary
from relax.io.read import count_structures, read_some

__all__ = ["CampaignResults", "FileResults", "Results", "drawable"]


class Results(Protocol):
    """The results of many relaxations, each with a number: that of its frame, or in the campaign.

    Attributes
    ----------
    faults
        What could not be read, in words.
    """

    faults: list[str]

    def total(self) -> int | None:
        """Return how many there are, or None where only reading them would tell."""

    def summaries(self) -> Iterator[Summary]:
        """Yield what is known of each structure beside its atoms, in their order."""

    def ends(self, wanted: Collection[int]) -> Iterator[tuple[int, Atoms]]:
        """Yield the structures with these numbers as they ended."""

    def starts(self, wanted: Mapping[int, Summary]) -> Iterator[tuple[int, Atoms]]:
        """Yield the same structures as they were given, those that are found."""


class FileResults:
    """Results in a file, whose inputs are looked for from here and from the folder of the file.

    Parameters
    ----------
    name
        The file, or ``FILE@SLICE``.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.path, self.index = split_slice(name)
        self.faults: list[str] = []

    def total(self) -> int | None:
        number = count_structures(self.path)
        return number if number is None or self.index is None else len(range(number)[self.index])

    def summaries(self) -> Iterator[Summary]:
        for found in summaries(self.name):
            if isinstance(found, Summary):
                yield found
            else:
                self.faults.append(f"{self.name}: {found}")

    def ends(self, wanted: Collection[int]) -> Iterator[tuple[int, Atoms]]:
        try:
            yield from read_some(self.path, wanted)
        except InvalidStructure as error:
            self.faults.append(f"{self.name}: {error}; what follows is not drawn")

    def starts(self, wanted: Mapping[int, Summary]) -> Iterator[tuple[int, Atoms]]:
        inputs: dict[str, dict[int, list[int]]] = {}
        for place, summary in wanted.items():
            if found := self._input(summary.text("source")):
                inputs.setdefault(found[0], {}).setdefault(found[1], []).append(place)
        for path, places in inputs.items():
            try:
                for frame, atoms in read_some(path, places.keys()):
                    for place in places[frame]:
                        if digest(atoms) == wanted[place].text("relax_input"):
                            yield place, atoms
            except InvalidStructure:  # those that are missing are counted
                continue

    def _input(self, source: str) -> tuple[str, int] | None:
        """Return the file and the frame that ``source`` names, if there is such a file."""
        named, _, number = source.rpartition("#")
        for name, frame in ((source, 0), (named, int(number) if number.isdecimal() else -1)):
            for path in (name, os.path.join(os.path.dirname(self.path), name)):
                if name and frame >= 0 and os.path.isfile(path):
                    return path, frame
        return None


class CampaignResults:
    """Results of a campaign.

    Parameters
    ----------
    campaign
        The campaign.
    """

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self.words = Words(campaign.folder.settings, campaign.index.changes())
        self.faults: list[str] = []

    def total(self) -> int | None:
        return self.campaign.status().structures

    def summaries(self) -> Iterator[Summary]:
        path = str(Path(self.campaign.folder.path))
        for outcome in self.campaign.results():
            natoms, info = len(outcome.given["numbers"]), self.words.info(outcome, {})
            yield Summary(path, outcome.id, outcome.formula, natoms, outcome.energy, outcome.fmax, info)

    def ends(self, wanted: Collection[int]) -> Iterator[tuple[int, Atoms]]:
        yield from ((each.id, each.atoms) for each in self.campaign.results() if each.id in wanted)

    def starts(self, wanted: Mapping[int, Summary]) -> Iterator[tuple[int, Atoms]]:
        yield from ((each.id, each.start) for each in self.campaign.results() if each.id in wanted)


def drawable(atoms: Atoms) -> bool:
    """Return whether a structure can be drawn: its positions and its cell are numbers."""
    return bool(np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all())
