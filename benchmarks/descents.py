"""Descents, call by call: energy and largest force of every geometry that an optimizer asks for.

    python -m benchmarks.descents

Three typical structures, each chosen by a rule and not by what came of it: the first LJ38 cluster of
:mod:`benchmarks.lj38`; the first crystal of 8 atoms of :mod:`benchmarks.crystals`, rattled, atoms and cell,
with CHGNet; and a crystal of copper with one vacancy of :mod:`benchmarks.metals`.  Every force call is
recorded at the calculator, so that trial points and steps that are taken back are there as well.  Each run
is in the file of results as soon as it has ended, and a command goes on from there, with the runs whose
parameters or versions have changed; ``--no-resume`` makes all of them.  ``--render`` draws from the file
alone.  ``ase:PreconLBFGS`` is tuned as in the other benchmarks; it is for what is periodic, so that the
cluster goes without it.

A row of the file is of one run.  ``energy`` (eV/atom) and ``force`` (eV/A) have a number for each force
call: the largest row of forces and, where the cell relaxes, of the cell's gradient as ASE's
``FrechetCellFilter`` has it, which is what all runs stop by.
"""

from __future__ import annotations

import os
import platform
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn

import numpy as np
import typer
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.optimize.optimize import Optimizer

from benchmarks import clusters, crystal_optimizers, position_optimizers
from benchmarks.book import Book
from benchmarks.crystal_results import packages_of, sha256_of
from benchmarks.crystal_runs import SLACK, largest_row
from benchmarks.crystal_starts import bare, rattled
from benchmarks.descent_figure import curves, draw
from benchmarks.lj38_results import read_shown, versions
from benchmarks.lj38_table import markdown
from benchmarks.metal_runs import crystal
from benchmarks.meter import CapReached, course_of
from benchmarks.readme import RESULTS, ROOT
from benchmarks.wbm_like import wbm_like
from relax.calculators.registry import load

Json = dict[str, Any]

OPTIMIZERS = ("pair-lbfgs", "lbfgs", "frankenstein", "ase:FIRE", "ase:LBFGS", "ase:PreconLBFGS")
COMMAND = "python -m benchmarks.descents"
FIGURE = ROOT / "docs" / "figures" / "metric_descents"
DIGITS = 7
"""Significant digits of forces that are kept; of energies, which are looked at by difference, three more."""


@dataclass(frozen=True)
class Spec:
    """What is relaxed, and how a run ends; all of it in the file of results."""

    title: str
    subtitle: str  # with {formula} for what it is made of
    source: str  # where the start is from, in words
    calculator: str
    seed: int
    cell: bool  # whether it relaxes too
    fmax: float  # eV/A
    cap: int  # force calls
    lowest: float  # energy above the lowest end at which the plot ends, eV/atom


@dataclass(frozen=True)
class System:
    """A structure to be relaxed."""

    spec: Spec
    start: Callable[[], Atoms]
    calculator: Callable[[], Any]
    optimizers: Sequence[str] = OPTIMIZERS

    def make(self, name: str) -> Callable[[Atoms], Optimizer]:
        """Return what makes an optimizer, ``ase:PreconLBFGS`` being tuned alike everywhere."""
        if self.spec.cell:
            return lambda atoms: crystal_optimizers.make(name, atoms)
        return lambda atoms: position_optimizers.make(tuned(name), atoms)

    def settings_text(self, name: str) -> str:
        """Return all that decides what the optimizer does, but for the versions of packages."""
        if self.spec.cell:
            return crystal_optimizers.settings_text(name)
        return position_optimizers.settings_text(tuned(name))


def tuned(name: str) -> str:
    """Return the name by which :mod:`benchmarks.position_optimizers` knows an optimizer of here."""
    return position_optimizers.TUNED if name == position_optimizers.PRECON else name


def cluster() -> Atoms:
    """Return the first cluster of the LJ38 benchmark."""
    atoms = clusters.atoms_of(clusters.random_clusters(1, 38)[0])
    atoms.calc = None
    return atoms


def first_of_eight(seed: int = 1, rattle: float = 0.05, atoms: int = 8) -> Atoms:
    """Return the first crystal of ``atoms`` atoms of the crystal benchmark, rattled as there."""
    crystals = bare(wbm_like(100, seed, largest=8))
    index = [len(made) for made in crystals].index(atoms)
    return rattled(crystals[index], rattle, seed, index)


def chgnet() -> Any:
    """Return CHGNet on one thread."""
    loaded = load("chgnet")
    sys.modules["torch"].set_num_threads(1)
    return loaded


SYSTEMS = {
    "lj38": System(
        Spec(
            title="Lennard-Jones cluster of 38 atoms",
            subtitle="random start, reduced units as eV, Å",
            source="benchmarks.lj38, cluster 0",
            calculator="lj",
            seed=38,
            cell=False,
            fmax=0.01,
            cap=1000,
            lowest=1e-3,
        ),
        cluster,
        clusters.ClusterCalculator,
        tuple(name for name in OPTIMIZERS if name != position_optimizers.PRECON),
    ),
    "crystal": System(
        Spec(
            title="Crystal of 8 atoms, with its cell",
            subtitle="{formula}, rattled by 0.05 Å, CHGNet",
            source="benchmarks.crystals, the first crystal of 8 atoms, rattled by 0.05 A",
            calculator="chgnet",
            seed=1,
            cell=True,
            fmax=0.01,
            cap=300,
            lowest=1e-6,
        ),
        first_of_eight,
        chgnet,
    ),
    "copper": System(
        Spec(
            title="499 atoms of copper with a vacancy",
            subtitle="rattled by 0.1 Å, EMT",
            source="benchmarks.metals, about 500 atoms, rattled by 0.1 A",
            calculator="emt",
            seed=1,
            cell=False,
            fmax=0.01,
            cap=300,
            lowest=1e-6,
        ),
        lambda: crystal(500, 0.1, 1),
        lambda: load("emt"),
    ),
}


class Recording:
    """A calculator that asks another one, and keeps what it said of every new geometry."""

    def __init__(self, inner: Any, start: Atoms, cell: bool) -> None:
        self.inner, self.start, self.cell = inner, start, cell
        self.implemented_properties = inner.implemented_properties
        self.results: Json = {}
        self.energies: list[float] = []
        self.forces: list[float] = []

    def calculate(self, atoms: Atoms, properties: Any, system_changes: Any) -> None:
        """Evaluation, all that is kept included, and keep it."""
        wanted = ["energy", "forces", *(["stress"] if self.cell else [])]
        self.inner.calculate(atoms, list(dict.fromkeys([*(properties or []), *wanted])), system_changes)
        self.results = self.inner.results
        if not system_changes:
            return
        self.energies.append(round_to(self.results["energy"] / len(atoms), DIGITS + 3))
        self.forces.append(round_to(self.force(atoms), DIGITS))

    def force(self, atoms: Atoms) -> float:
        """Return the largest row of what was answered, eV/A."""
        if not self.cell:
            return float(np.linalg.norm(self.results["forces"], axis=1).max())
        there = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        said = {key: self.results[key] for key in ("energy", "forces", "stress")}
        there.calc = SinglePointCalculator(there, **said)
        return largest_row(there, self.start)


def round_to(number: float, digits: int) -> float:
    """Return a number with so many significant digits."""
    return float(f"{number:.{digits}g}")


def run(system: System, name: str, start: Atoms, calculator: Any) -> Json:
    """Relax a copy of ``start`` and return how that went, call by call."""
    spec = system.spec
    record = Recording(calculator, start, spec.cell)
    course = course_of(system.make(name), start, record, spec.fmax, spec.cap)
    fault = course.fault
    if isinstance(fault, CapReached):
        status = "cap"
    elif fault is not None:
        status = f"error: {type(fault).__name__}: {' '.join(str(fault).split())}"
    elif record.forces and record.forces[-1] <= spec.fmax * (1 + SLACK):
        status = "converged"
    else:
        status = f"gave up: {course.told[1]}" if course.told[1] else "gave up"
    return {"status": status, "calls": course.calls, "energy": record.energies, "force": record.forces}


def header(starts: dict[str, Atoms]) -> Json:
    """Return what a file of results says before its rows."""
    return {
        "benchmark": "descents",
        "command": COMMAND,
        "systems": {
            name: asdict(SYSTEMS[name].spec)
            | {
                "formula": start.get_chemical_formula(),
                "atoms": len(start),
                "start_sha256": sha256_of([start]),
            }
            for name, start in starts.items()
        },
        "versions": {"python": platform.python_version()} | versions("numpy", "scipy", "ase", "relax"),
        "platform": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }


def read_results(path: Path) -> Json:
    """Return the results in a file.  Raises ValueError where it holds none."""

    def drawn(results: Json) -> None:
        if results["benchmark"] != "descents":
            raise KeyError(results["benchmark"])
        for system in results["systems"]:
            curves(results, system)

    return read_shown(path, drawn)


class DescentBook(Book):
    """The rows of runs, a row for each optimizer and each structure."""

    DECISIVE = ("benchmark", "systems")

    @staticmethod
    def key(row: Json) -> tuple[str, str]:
        return row["system"], row["optimizer"]

    def identity(self, row: Json) -> Json:
        return identity(row["system"], row["optimizer"])

    def read(self, path: Path) -> Json:
        return read_results(path)

    def results(self) -> Json:
        order = [(name, made) for name, system in SYSTEMS.items() for made in system.optimizers]
        return self.head | {"rows": [self.rows[key] for key in order if key in self.rows]}


def identity(system: str, name: str) -> Json:
    """Return what decides a row, given what is said before the rows."""
    packages = [*position_optimizers.packages_of(name), *packages_of(SYSTEMS[system].spec.calculator)]
    return {
        "system": system,
        "optimizer": name,
        "parameters": SYSTEMS[system].settings_text(name),
        "versions": versions(*packages),
    }


def table(results: Json) -> str:
    """Return the force calls of all runs, and how far above the lowest they ended."""
    systems = results["systems"]
    found = {system: {curve.name: curve for curve in curves(results, system)} for system in systems}
    rows: dict[str, list[str]] = {}
    for name in dict.fromkeys(name for curves_there in found.values() for name in curves_there):
        rows[name] = [f"`{name}`"]
        for curve in (found[system].get(name) for system in systems):
            if curve is None:
                rows[name] += [""] * 2
                continue
            note = "" if curve.converged else f" ({curve.status})"
            rows[name] += [f"{len(curve.force)}{note}", f"{1e3 * curve.above[-1]:.2f}"]
    columns = [f"{name}: {what}" for name in systems for what in ("calls", "ends above, meV/atom")]
    return "\n".join(markdown(("optimizer", *columns), list(rows.values()), ("optimizer",)))


def stop_with(message: object) -> NoReturn:
    print("descents: " + " ".join(str(message).split()), file=sys.stderr)
    raise typer.Exit(2)


def main(
    out: Annotated[Path, typer.Option("--json", help="File of results, written run by run.")] = (
        RESULTS / "descents.json"
    ),
    figure: Annotated[Path, typer.Option(help="The figure, without .png and .svg.")] = FIGURE,
    render: Annotated[bool, typer.Option("--render", help="Only draw what is in --json.")] = False,
    resume: Annotated[bool, typer.Option(help="Take over runs of --json that are up to date.")] = True,
) -> None:
    """Record what optimizers see on their way down, and draw it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        results = read_results(out) if render else measure(out, resume)
        figure.parent.mkdir(parents=True, exist_ok=True)
        draw(results, figure)
        print(table(results))
    except (ValueError, OSError) as error:
        stop_with(error)


def measure(out: Path, resume: bool) -> Json:
    """Make the runs that are not there yet, saying so on stderr, and return all results."""
    starts = {name: system.start() for name, system in SYSTEMS.items()}
    book = DescentBook(out, header(starts), resume)
    if book.stale:
        print(f"not taken over, for it has changed since: {', '.join(book.stale)}", file=sys.stderr)
    for name, system in SYSTEMS.items():
        missing = [optimizer for optimizer in system.optimizers if (name, optimizer) not in book.rows]
        calculator = system.calculator() if missing else None
        for optimizer in missing:
            row = identity(name, optimizer) | run(system, optimizer, starts[name], calculator)
            book.add(row)
            print(f"{name}, {optimizer}: {row['status']}, {row['calls']} force calls", file=sys.stderr)
    return book.save()


if __name__ == "__main__":
    typer.run(main)
