"""Time of one step of the default beside the force call: ``python -m benchmarks.cost.step``.

For alkanes, crystals of cristobalite and crystals of copper of about 50, 300 and 3,000 atoms, displaced at
random.  The crystals' cells relax.  A step is all that happens between two force calls: the model Hessian,
its secants, the step of L-BFGS, the curved step.  The forces are those of a harmonic surface, so that they
take no time.
"""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal
from rich.console import Console

from benchmarks.common.provenance import command_line
from benchmarks.common.terminal import print_plain, print_table
from relax.analysis.comparison.files.provenance import versions
from relax.analysis.comparison.files.results_file import Json, write_record
from relax.core.rule import Point
from relax.engine.arrays import Start
from relax.engine.coordinates import BatchCoordinates
from relax.geometry.cell import CellFreedom
from relax.rules import InternalLBFGS

STIFFNESS = 20.0
"""Of the harmonic surface, eV/A^2, times the model Hessian."""

RATTLE, APART = 0.03, 0.1
"""Standard deviations (A) of the starts, and of the minimum of the surface from the start."""


def alkane(carbons: int) -> Atoms:
    """Return a straight alkane, C(n)H(2n+2)."""
    bond, hydrogen, angle = 1.53, 1.09, np.radians(111.0)
    along, across = bond * np.sin(angle / 2), bond * np.cos(angle / 2)
    symbols, positions = [], []
    for k in range(carbons):
        side = (-1) ** k
        at = np.array([k * along, 0.5 * side * across, 0.0])
        symbols += ["C", "H", "H"]
        positions += [at] + [at + hydrogen * np.array([0.0, 0.58 * side, 0.815 * up]) for up in (-1, 1)]
    for k, way in ((0, -1), (carbons - 1, 1)):
        side = (-1) ** k
        end = np.array([k * along, 0.5 * side * across, 0.0])
        symbols.append("H")
        positions.append(end + hydrogen * np.array([0.82 * way, -0.57 * side, 0.0]))
    return Atoms("".join(symbols), positions)


def cristobalite(repeats: tuple[int, int, int]) -> Atoms:
    """Return alpha-cristobalite, 12 atoms repeated."""
    places = [(0.3, 0.3, 0), (0.2392, 0.1044, 0.1787)]
    cell = crystal(["Si", "O"], places, spacegroup=92, cellpar=[4.97, 4.97, 6.92, 90, 90, 90])
    return cell.repeat(repeats)


def structures() -> dict[str, list[Atoms]]:
    """Return the structures of each kind, from the smallest to the largest."""
    return {
        "alkane": [alkane(n) for n in (16, 100, 1000)],
        "cristobalite": [cristobalite(n) for n in ((2, 2, 1), (3, 3, 3), (6, 6, 7))],
        "copper": [bulk("Cu", cubic=True).repeat(n) for n in ((2, 2, 3), (4, 4, 5), (9, 9, 9))],
    }


def seconds_per_step(atoms: Atoms, rule: InternalLBFGS, steps: int) -> float:
    """Return the time of the fastest of ``steps`` steps (s), from when the memory of the rule is full.

    The fastest, since other processes on the machine can only slow it down.
    """
    rng = np.random.default_rng(1)
    atoms.positions += RATTLE * rng.normal(size=(len(atoms), 3))
    free = CellFreedom().with_defaults(rule, len(atoms)) if atoms.pbc.any() else None
    coordinates = BatchCoordinates([Start(0, atoms, free)])
    surface = coordinates.metric(rule.stiffness)
    lowest = coordinates.x.copy()
    lowest[: len(atoms)] += APART * rng.normal(size=(len(atoms), 3))
    state, times = rule.init(coordinates.x), []
    for _ in range(rule.memory + 1 + steps):
        away = coordinates.x - lowest
        g = STIFFNESS * surface.apply(away)
        e = np.full((len(g), 1), 0.5 * np.sum(g * away))
        start = time.perf_counter()
        point = Point(coordinates.x, g, e, coordinates.seg, coordinates.metric(rule.stiffness))
        dx, state = rule.update(state, point)
        coordinates.move(coordinates.limit(dx))
        times.append(time.perf_counter() - start)
    return min(times[rule.memory + 1 :])


def measure(steps: int) -> list[Json]:
    """Return a row for each kind of structure: name, atoms, seconds, exponent of the growth."""
    rows: list[Json] = []
    for kind, found in structures().items():
        sizes = [len(atoms) for atoms in found]
        times = [seconds_per_step(atoms, InternalLBFGS(), steps) for atoms in found]
        growth = np.log(times[-1] / times[-2]) / np.log(sizes[-1] / sizes[-2])
        rows.append({"kind": kind, "atoms": sizes, "seconds": times, "exponent": float(growth)})
    return rows


def main(
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps to time on each structure.")] = 5,
) -> None:
    """Print the time of one step of the default beside the force call, by the number of atoms."""
    rows = measure(steps)
    console = Console()
    print_table(
        console,
        "One step of the default, ms, for so many atoms",
        ("structure", "small", "middle", "large", "exponent"),
        [
            [
                row["kind"],
                *(f"{1e3 * t:.1f} ({n:,})" for n, t in zip(row["atoms"], row["seconds"], strict=True)),
                f"{row['exponent']:.2f}",
            ]
            for row in rows
        ],
        ("structure",),
    )
    print_plain(console, ["exponent: growth of the time with the atoms between the two largest, 1 is linear"])
    if json_path is not None:
        record = {
            "command": command_line("benchmarks.cost.step"),
            "versions": versions("numpy", "scipy", "relax"),
            "python": platform.python_version(),
            "rows": rows,
        }
        write_record(json_path, record)


if __name__ == "__main__":
    typer.run(main)
