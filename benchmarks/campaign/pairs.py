"""Pairs of Lennard-Jones atoms: their file, and results as their relaxation would have given them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from relax import Result
from relax.analysis.comparison.files.results_file import Json
from relax.campaign.campaign import Campaign
from relax.campaign.store.lines import OpenFiles
from relax.campaign.store.results import ResultsWriter, line_of
from relax.campaign.store.rounds import Unit

SEED, FMAX = 0, 0.05
NEAREST, FARTHEST = 0.95, 2.0
"""Distance of the two atoms at the start, in sigma."""

MINIMUM = 2 ** (1 / 6)
"""Distance of the two atoms at the end, in sigma, where the energy is that of the bond."""

IN_FILE = 100
"""Units whose results are in a file, as if a process had relaxed them."""


def written(path: Path, number: int) -> Path:
    """Write a file of ``number`` pairs in random directions to ``path``, and return it."""
    rng = np.random.default_rng(SEED)
    with path.open("w") as file:
        for _ in range(number):
            x, y, z = _direction(rng) * rng.uniform(NEAREST, FARTHEST)
            file.write(
                '2\nProperties=species:S:1:pos:R:3 pbc="F F F"\n'
                f"H 0.00000000 0.00000000 0.00000000\nH {x:.8f} {y:.8f} {z:.8f}\n"
            )
    return path


def made_up(campaign: Campaign, left: int) -> int:
    """Write results for whole units until at most about ``left`` structures wait; return for how many.

    The results go through the writer of the processes.  They are at the minimum, with numbers of steps as
    they are found, but nothing was relaxed.
    """
    campaign.index.catch_up()
    number, pair = campaign.index.totals().waiting - left, _Pair()
    units, count = _first(campaign.index.units(), number), 0
    files = OpenFiles(campaign.folder.path)
    while some := list(islice(units, IN_FILE)):
        writer = ResultsWriter(campaign.folder)
        for unit in some:
            given = [files.line(name, at) for _, name, at in campaign.index.places(list(unit.ids))]
            writer.add([{"begin": unit.number, "round": unit.round}])
            writer.add(
                [*(pair.ended(line, unit.round) for line in given), {"end": unit.number, "round": unit.round}]
            )
            count += len(given)
        writer.close()
    files.close()
    return count


def _first(units: Iterator[Unit], number: int) -> Iterator[Unit]:
    for unit in units:
        number -= len(unit.ids)
        if number < 0:
            return
        yield unit


class _Pair:
    """Makes results up; the atoms are the same for all, which takes less time."""

    def __init__(self) -> None:
        self.atoms, self.rng = Atoms("H2"), np.random.default_rng(SEED)
        self.atoms.calc = SinglePointCalculator(self.atoms, energy=-1.0)

    def ended(self, given: Json, round_: int) -> Json:
        """Return the line of the result of a pair."""
        first, second = given["positions"]
        along = np.array([b - a for a, b in zip(first, second, strict=True)])
        along /= math.sqrt(along @ along)
        fmax, energy, share = self.rng.uniform(size=3) * [FMAX, -1, 1]
        steps = 3 + int(share * 12)
        self.atoms.positions[0] = first
        self.atoms.positions[1] = first + along * MINIMUM
        self.atoms.calc.results["forces"] = np.array([along, -along]) * fmax
        result = Result(
            "converged", f"fmax {fmax:.4f} eV/A", steps + 1, steps, float(fmax),
            energy_first=float(energy), energy_last=-1.0, shortest=MINIMUM / 0.62, wall_time=0.01 * steps,
        )  # fmt: skip
        return line_of(given["id"], round_, given["digest"], self.atoms, result)


def _direction(rng: np.random.Generator) -> np.ndarray:
    along = rng.normal(size=3)
    return np.asarray(along / np.linalg.norm(along))
