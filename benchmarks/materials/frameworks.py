"""Frameworks of corner-sharing tetrahedra and octahedra, from their measured structures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ase import Atoms
from ase.spacegroup import crystal

from relax.analysis.comparison.starts import rattled

RATTLE = 0.05


class Known(NamedTuple):
    """A measured structure.

    Attributes
    ----------
    sites
        Element and fractional coordinates of one atom of each kind.
    group
        Number of the space group.
    cell
        a, b, c in A, and angles in degrees.
    """

    sites: Sequence[tuple[str, tuple[float, float, float]]]
    group: int
    cell: tuple[float, float, float, float, float, float]
    repeat: tuple[int, int, int] = (1, 1, 1)
    primitive: bool = False

    def made(self) -> Atoms:
        """Return the crystal."""
        symbols, basis = zip(*self.sites, strict=True)
        atoms = crystal(
            symbols,
            basis,
            spacegroup=self.group,
            cellpar=self.cell,
            primitive_cell=self.primitive,
        )
        return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True) * self.repeat


def hexagonal(a: float, c: float) -> tuple[float, float, float, float, float, float]:
    """Return the parameters of a hexagonal cell."""
    return a, a, c, 90, 90, 120


def tetragonal(a: float, c: float) -> tuple[float, float, float, float, float, float]:
    """Return the parameters of a tetragonal cell."""
    return a, a, c, 90, 90, 90


FRAMEWORKS = {
    "stishovite": Known(
        [("Si", (0, 0, 0)), ("O", (0.3062, 0.3062, 0))], 136, tetragonal(4.1797, 2.6669), (1, 2, 2)
    ),
    "GeO2-rutile": Known(
        [("Ge", (0, 0, 0)), ("O", (0.3059, 0.3059, 0))], 136, tetragonal(4.3975, 2.8625), (1, 2, 2)
    ),
    "GeO2-quartz": Known(
        [("Ge", (0.4513, 0, 1 / 3)), ("O", (0.397, 0.3022, 0.2427))], 152, hexagonal(4.987, 5.652), (2, 2, 1)
    ),
    "AlPO4-berlinite": Known(
        [
            ("Al", (0.4664, 0, 1 / 3)),
            ("P", (0.4669, 0, 5 / 6)),
            ("O", (0.4163, 0.2922, 0.3976)),
            ("O", (0.4156, 0.2576, 0.8837)),
        ],
        152,
        hexagonal(4.9423, 10.9446),
        (2, 1, 1),
    ),
    "BPO4": Known(
        [("B", (0, 0.5, 0.25)), ("P", (0, 0, 0)), ("O", (0.138, 0.26, 0.131))],
        82,
        tetragonal(4.338, 6.645),
        (2, 2, 1),
    ),
    "tridymite": Known(
        [("Si", (1 / 3, 2 / 3, 0.062)), ("O", (1 / 3, 2 / 3, 0.25)), ("O", (0.5, 0, 0))],
        194,
        hexagonal(5.052, 8.27),
        (2, 2, 1),
    ),
    "keatite": Known(
        [
            ("Si", (0.41, 0.41, 0)),
            ("Si", (0.326, 0.12, 0.248)),
            ("O", (0.445, 0.132, 0.4)),
            ("O", (0.117, 0.123, 0.296)),
            ("O", (0.344, 0.297, 0.143)),
        ],
        96,
        tetragonal(7.456, 8.604),
    ),
    "LTA": Known(
        [
            ("Si", (0, 0.1823, 0.3684)),
            ("O", (0, 0.2122, 0.5)),
            ("O", (0, 0.2967, 0.2967)),
            ("O", (0.1105, 0.1105, 0.3448)),
        ],
        221,
        tetragonal(11.919, 11.919),
    ),
    "CHA": Known(
        [
            ("Si", (0.9997, 0.2264, 0.1051)),
            ("O", (0.902, 0.098, 0.1227)),
            ("O", (0.9767, 0.3101, 0.1667)),
            ("O", (0.1203, 0.2405, 0.1315)),
            ("O", (0, 0.2577, 0)),
        ],
        166,
        hexagonal(13.675, 14.767),
        primitive=True,
    ),
    "ScF3": Known([("Sc", (0, 0, 0)), ("F", (0.5, 0, 0))], 221, tetragonal(4.01, 4.01), (2, 2, 2)),
}
"""Oxides of silicon and others, two zeolites without guests, and a fluoride of corner-sharing octahedra."""


def frameworks(seed: int) -> list[Atoms]:
    """Return the frameworks, displaced."""
    made = []
    for index, (name, known) in enumerate(FRAMEWORKS.items()):
        atoms = known.made()
        atoms.info = {"name": name}
        made.append(rattled(atoms, RATTLE, seed, index))
    return made
