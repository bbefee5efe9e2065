"""Time of a step with the cell outside the calculator: ``python -m benchmarks.cost.cell``.

Our rules with ``cell=True`` and ASE's FIRE on ``FrechetCellFilter`` relax a crystal on springs, whose forces
and stress take almost no time.  Timed is a whole step of an optimizer, with the gradient at its end and the
check of convergence, less the time in the calculator, on one thread.  It is time by the clock: reading that
of the processor takes as long as half a step.  Because other processes may slow it down, the median and the
fastest step are given, and the optimizers take turns.
"""

from __future__ import annotations

import platform
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.optimize.optimize import Optimizer
from rich.console import Console

from benchmarks.common.provenance import RESULTS, command_line
from benchmarks.common.terminal import print_table
from relax.analysis.comparison.files.provenance import versions
from relax.analysis.comparison.files.results_file import Json, write_record
from relax.analysis.comparison.minimizers.construction import make_optimizer
from relax.analysis.comparison.minimizers.names import FIRE, System
from relax.analysis.comparison.runs.processes import in_processes
from relax.rules import RULES

JSON = RESULTS / "cell_cost.json"
SEED, RATTLE, NOISE = 0, 0.1, 0.02  # A, eV/A
TURNS, WARM = 3, 5
"""Turns of each optimizer, and steps of a turn before the first one that is timed."""


class Springs(Calculator):
    """A spring between every atom and its site in the cell, and one for the shape of the cell.

    Forces and stress have some noise, so that no optimizer converges.  The time of calls is counted, so that
    it can be subtracted.
    """

    implemented_properties = ("energy", "free_energy", "forces", "stress")

    def __init__(self, rest: Atoms) -> None:
        super().__init__()
        self.scaled = rest.get_scaled_positions()
        self.cell = rest.cell.array.copy()
        self.noise = np.random.default_rng(SEED).normal(0, NOISE, (97, len(rest) + 3, 3))
        self.calls = 0
        self.seconds = 0.0

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Calculate with 1 eV/A^2 for the atoms and 1 eV/A^3 for the cell, without coupling of the two."""
        began = time.perf_counter()
        super().calculate(atoms, properties, system_changes)
        cell = self.atoms.cell.array
        away = self.atoms.positions - self.scaled @ cell
        strain = np.linalg.solve(self.cell, cell) - np.eye(3)
        noise = self.noise[self.calls % len(self.noise)]
        self.calls += 1
        stress = 0.5 * (strain + strain.T + 0.1 * (noise[-3:] + noise[-3:].T))
        energy = 0.5 * float((away * away).sum() + (strain * strain).sum())
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "forces": noise[:-3] - away,
            "stress": stress.ravel()[[0, 4, 8, 5, 2, 1]],
        }
        self.seconds += time.perf_counter() - began


def crystal(natoms: int) -> Atoms:
    """Return a rattled and strained simple cubic crystal of ``natoms`` atoms on springs."""
    atoms = bulk("Po", "sc", a=3.3) * (natoms, 1, 1)
    calculator = Springs(atoms)
    rng = np.random.default_rng(SEED)
    atoms.set_cell(atoms.cell @ (np.eye(3) + rng.normal(0, 0.01, (3, 3))), scale_atoms=True)
    atoms.rattle(RATTLE, rng=rng)
    atoms.calc = calculator
    return atoms


def step_times(optimizer: Optimizer, calculator: Springs, steps: int) -> list[float]:
    """Return the time of each of ``steps`` steps outside the calculator, s."""
    times, mark = [], (0.0, 0.0)
    for _ in optimizer.irun(fmax=0.0, steps=WARM + steps):
        now = (time.perf_counter(), calculator.seconds)
        times.append(now[0] - mark[0] - (now[1] - mark[1]))
        mark = (time.perf_counter(), calculator.seconds)
    return times[1 + WARM :]


def measure(task: tuple[int, int]) -> list[Json]:
    """Return a row for each of our rules and for ASE's FIRE: median and fastest step, s.

    Parameters
    ----------
    task
        Number of atoms, and steps to time.
    """
    natoms, steps = task
    times: dict[str, list[float]] = {name: [] for name in [*RULES, FIRE]}
    for _ in range(TURNS):
        for name, found in times.items():
            atoms = crystal(natoms)
            found += step_times(make_optimizer(name, atoms, System.CRYSTALS), atoms.calc, steps // TURNS)
    return [
        {"optimizer": name, "median": float(np.median(found)), "fastest": min(found), "steps": len(found)}
        for name, found in times.items()
    ]


def main(
    natoms: Annotated[int, typer.Option("--atoms", min=2, help="Atoms of the crystal.")] = 100,
    steps: Annotated[int, typer.Option(min=TURNS, help="Steps to time.")] = 300,
    json_path: Annotated[Path, typer.Option("--json", help="Write the figures to this file.")] = JSON,
) -> None:
    """Print the time of a step with the cell outside the calculator."""
    # In another process: linear algebra reads the number of threads when it is loaded.
    with closing(in_processes(measure, [(natoms, steps)], 1)) as found:
        rows = next(found)
    print_table(
        Console(),
        f"A step with the cell outside the calculator, {natoms} atoms, ms",
        ("optimizer", "median", "fastest", "steps"),
        [
            [row["optimizer"], f"{1e3 * row['median']:.3f}", f"{1e3 * row['fastest']:.3f}", str(row["steps"])]
            for row in sorted(rows, key=lambda row: row["median"])
        ],
    )
    record = {
        "command": command_line("benchmarks.cost.cell"),
        "versions": versions("numpy", "scipy", "ase", "relax"),
        "python": platform.python_version(),
        "atoms": natoms,
        "seed": SEED,
        "rows": rows,
    }
    write_record(json_path, record)


if __name__ == "__main__":
    typer.run(main)
