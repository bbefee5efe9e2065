"""What a step with the cell costs outside the calculator: ``python -m benchmarks.cell_cost``.

Our rules with ``cell=True`` and ASE's FIRE on ``FrechetCellFilter`` relax one crystal on springs whose
forces and stress cost next to nothing.  What is timed is one whole step of an optimizer, with the
gradient at its end and the test of convergence, less the time within the calculator, on one thread.  It
is the time by the clock: asking for that of the processor costs as much as half a step.  The median
and the fastest step, and the turns the optimizers take, make up for what else runs on the machine.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.optimize.optimize import Optimizer
from rich.console import Console
from rich.table import Table

from benchmarks.crystal_optimizers import make
from benchmarks.lj38_results import versions
from relax.rules import RULES

JSON = Path(__file__).with_name("results") / "cell_cost.json"
SEED, RATTLE, NOISE = 0, 0.1, 0.02  # A, eV/A
TURNS, WARM = 3, 5
"""How often each optimizer has its turn, and steps of a turn before the first that is timed."""


class Springs(Calculator):
    """Every atom on a spring to its own place in the cell, and the cell on one to its own shape.

    Forces and stress have some noise on top, lest a fast optimizer have nothing left to do.  The time
    it takes is counted, so that it can be taken out.
    """

    implemented_properties = ("energy", "free_energy", "forces", "stress")

    def __init__(self, rest: Atoms) -> None:
        super().__init__()
        self.scaled = rest.get_scaled_positions()
        self.cell = rest.cell.array.copy()
        self.noise = np.random.default_rng(SEED).normal(0, NOISE, (97, len(rest) + 3, 3))
        self.asked = 0
        self.seconds = 0.0

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Take 1 eV/A^2 for the atoms and 1 eV/A^3 for the cell, each as if the other were at rest."""
        began = time.perf_counter()
        super().calculate(atoms, properties, system_changes)
        cell = self.atoms.cell.array
        away = self.atoms.positions - self.scaled @ cell
        strain = np.linalg.solve(self.cell, cell) - np.eye(3)
        noise = self.noise[self.asked % len(self.noise)]
        self.asked += 1
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
    """Return a simple cubic crystal of at least ``natoms`` atoms, on springs, off its rest."""
    atoms = bulk("Po", "sc", a=3.3) * (natoms, 1, 1)
    calculator = Springs(atoms)
    rng = np.random.default_rng(SEED)
    atoms.set_cell(atoms.cell @ (np.eye(3) + rng.normal(0, 0.01, (3, 3))), scale_atoms=True)
    atoms.rattle(RATTLE, rng=rng)
    atoms.calc = calculator
    return atoms


def step_times(optimizer: Optimizer, calculator: Springs, steps: int) -> list[float]:
    """Return what each of ``steps`` steps takes outside the calculator, s.

    The tolerance is zero, so that no run ends by itself.
    """
    times, mark = [], (0.0, 0.0)
    for _ in optimizer.irun(fmax=0.0, steps=WARM + steps):
        now = (time.perf_counter(), calculator.seconds)
        times.append(now[0] - mark[0] - (now[1] - mark[1]))
        mark = (time.perf_counter(), calculator.seconds)
    return times[1 + WARM :]


def measure(natoms: int, steps: int) -> list[dict[str, Any]]:
    """Return name, and median and fastest step (s), of each of our rules and of ASE's FIRE."""
    times: dict[str, list[float]] = {name: [] for name in [*RULES, "ase:FIRE"]}
    for _ in range(TURNS):
        for name, found in times.items():
            atoms = crystal(natoms)
            found += step_times(make(name, atoms), atoms.calc, steps // TURNS)
    return [
        {"optimizer": name, "median": float(np.median(found)), "fastest": min(found), "steps": len(found)}
        for name, found in times.items()
    ]


def measure_on_one_thread(natoms: int, steps: int) -> list[dict[str, Any]]:
    """Do the same in a process that linear algebra gets one thread in, which has to be said at its start."""
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (natoms, steps))


def main(
    natoms: Annotated[int, typer.Option("--atoms", min=2, help="atoms of the crystal")] = 100,
    steps: Annotated[int, typer.Option(min=TURNS, help="steps to time")] = 300,
    json_path: Annotated[Path, typer.Option("--json", help="write the figures here")] = JSON,
) -> None:
    """Print what a step with the cell costs outside the calculator."""
    rows = measure_on_one_thread(natoms, steps)
    table = Table(title=f"A step with the cell outside the calculator, {natoms} atoms, ms")
    table.add_column("optimizer", no_wrap=True)
    for column in ("median", "fastest", "steps"):
        table.add_column(column, justify="right")
    for row in sorted(rows, key=lambda row: row["median"]):
        times = [f"{1e3 * row[key]:.3f}" for key in ("median", "fastest")]
        table.add_row(row["optimizer"], *times, str(row["steps"]))
    Console().print(table)
    record = {
        "command": f"python -m benchmarks.cell_cost {' '.join(sys.argv[1:])}".strip(),
        "versions": versions("numpy", "scipy", "ase", "relax"),
        "python": platform.python_version(),
        "atoms": natoms,
        "seed": SEED,
        "rows": rows,
    }
    json_path.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
