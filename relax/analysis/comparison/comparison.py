"""A comparison of minimizers: which runs there are, which are made already, and making the others."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ase import Atoms

from relax.analysis.comparison.files.journal import Journal
from relax.analysis.comparison.files.provenance import named_calculator
from relax.analysis.comparison.files.results_file import Json
from relax.analysis.comparison.minimizers import peers
from relax.analysis.comparison.minimizers.construction import check_optimizer
from relax.analysis.comparison.minimizers.names import PEERS, System, split_names
from relax.analysis.comparison.results import RUNS, End, Key, Protocol, header
from relax.analysis.comparison.runs import processes
from relax.analysis.comparison.runs.tasks import Task, one_by_one, run_task
from relax.analysis.comparison.starts import rattled, unique_names
from relax.calculators.named.settings import settings_text
from relax.calculators.registry import load
from relax.engine.batch.of_ase.cell_filter import has_cell

__all__ = ["CalculatorChoice", "Comparison", "checked_names", "system_of"]


class CalculatorChoice(NamedTuple):
    """A calculator or its name, and the options of :func:`relax.calculators.registry.load`."""

    calculator: Any
    device: str = "cpu"
    dtype: str | None = None
    head: str | None = None
    settings: Mapping[str, Any] | None = None

    def load(self) -> Any:
        """Return the calculator.

        Raises
        ------
        CalculatorError
            It is not available.
        ValueError
            It has no method ``calculate``, at which calls are counted.
        """
        found = load(*self) if isinstance(self.calculator, str) else self.calculator
        if not (hasattr(found, "calculate") and hasattr(found, "implemented_properties")):
            raise ValueError(f"calls are counted at ASE calculators only, and {type(found).__name__} is none")
        return found

    def entries(self) -> Json:
        """Return what a file of results says of the calculator."""
        options = {"dtype": self.dtype, "head": self.head}
        if isinstance(self.calculator, str):
            given = settings_text(self.settings or {}) or None
            return {**named_calculator(self.calculator), "calculator_parameters": given, **options}
        kind, parameters = type(self.calculator), getattr(self.calculator, "parameters", {})
        return {
            "calculator": f"{kind.__module__}.{kind.__qualname__}",
            "calculator_sha256": None,
            "calculator_parameters": repr(dict(parameters)),
            **options,
        }


def system_of(atoms: Atoms, cell: bool) -> System:
    """Return what of a structure relaxes: the ``cell`` too if all minimizers can relax it."""
    return System.CRYSTALS if cell and has_cell(atoms) else System.MOLECULES


def checked_names(rules: str | Sequence[str], cell: bool) -> list[str]:
    """Return the names of minimizers in a list, or in a text with commas.

    Raises
    ------
    ValueError
        There is none of a name, it has no such setting, its package is not installed, or it relaxes no cell.
    """
    names = split_names([rules] if isinstance(rules, str) else rules)
    if not names:
        raise ValueError("there is no rule to compare; give some, such as default,ase:FIRE")
    for name in names:
        if cell and name in PEERS:
            raise ValueError(f"{name} is for free molecules and relaxes no cell; leave one of them out")
        check_optimizer(name, System.CRYSTALS if cell else System.MOLECULES)
    peers.check_installed(names)
    return names


def check_peers(names: Sequence[str], structures: Sequence[Atoms]) -> None:
    """Raise ValueError for a minimizer that is for free molecules, unless all structures are such."""
    for name in (name for name in names if name in PEERS):
        for atoms in structures:
            what = "is periodic" if atoms.pbc.any() else "has constraints" if atoms.constraints else ""
            if what:
                raise ValueError(
                    f"{name} is for free molecules, and {atoms.info['name']} {what}; leave it out"
                )


class Comparison:
    """Minimizers on the same structures, starts and calculator.

    Parameters
    ----------
    structures
        The structures; they are copied, and get unique names in their ``info``.
    choice
        The calculator.
    rules
        Names of minimizers, see :mod:`relax.analysis.comparison.minimizers.names`.
    cell
        Whether the cell relaxes, along periodic directions; see :mod:`relax.engine.batch.of_ase.cell_filter`.
    path
        File of results; each run is written beside it as it ends, and none that is there is made again.
    resume
        Whether what the file has is kept.
    **protocol
        ``rattles``, ``draws``, ``seed``, ``fmax``, ``cap`` and ``first_call`` of :class:`.results.Protocol`.

    Raises
    ------
    ValueError
        As :func:`checked_names` and :func:`check_peers`; there is no structure; or the file has results of
        something else.
    OSError
        The file cannot be written.
    """

    def __init__(
        self,
        structures: Sequence[Atoms],
        choice: CalculatorChoice,
        rules: str | Sequence[str],
        *,
        cell: bool = False,
        path: Path | None = None,
        resume: bool = True,
        **protocol: Any,
    ) -> None:
        if not structures:
            raise ValueError("there is no structure to compare minimizers on")
        self.structures = [atoms.copy() for atoms in structures]
        for atoms, name in zip(self.structures, unique_names(structures), strict=True):
            atoms.info["name"] = name
        names = checked_names(rules, cell)
        check_peers(names, self.structures)
        self.choice, self.protocol = choice, Protocol(choice.entries(), names, **protocol)
        self.systems = [system_of(atoms, cell) for atoms in self.structures]
        self.journal = Journal(path, header(self.structures, self.systems, self.protocol), RUNS, resume)

    def tasks(self) -> list[Task]:
        """Return the runs that are to be made."""
        protocol, place = self.protocol, {atoms.info["name"]: i for i, atoms in enumerate(self.structures)}
        keys = [
            Key(rattle, draw, rule, name)
            for rattle, draw in protocol.starts
            for name in place
            for rule in protocol.names
        ]
        missing, tasks = self.journal.missing(keys), []
        for key in (key for key in keys if key in missing):
            i = place[key.structure]
            start = rattled(self.structures[i], key.rattle, protocol.seed + key.draw, i)
            tasks.append(Task(key, start, self.systems[i], protocol.fmax, protocol.cap, protocol.first_call))
        return tasks

    def measure(self, tasks: Sequence[Task], jobs: int = 1, loaded: Any = None) -> Generator[Key]:
        """Make runs; yield each when it has ended, and been written.

        Parameters
        ----------
        jobs
            Number of processes; one run after the other is made in this process.
        loaded
            The calculator, where this process has it already.
        """
        if jobs > 1:
            made = self.together(tasks, jobs)
        else:
            made = one_by_one(tasks, self.choice.load() if loaded is None else loaded)
        with contextlib.closing(made):
            for key, end in made:
                self.journal.add(key, end)
                yield key

    def together(self, tasks: Sequence[Task], jobs: int) -> Generator[tuple[Key, End]]:
        """Yield the runs of several processes."""
        jobs = max(1, min(jobs, len(tasks)))
        return processes.in_processes(run_task, tasks, jobs, processes.prepare_process, tuple(self.choice))

    def save(self) -> Json:
        """Write the rows that are complete to the file of results, and return all results."""
        return self.journal.save()
