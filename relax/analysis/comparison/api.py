"""Minimizers compared by one call."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ase import Atoms

__all__ = ["compare"]


def compare(
    structures: Atoms | Sequence[Atoms],
    calculator: Any,
    rules: str | Sequence[str] = ("default", "core", "ase:FIRE", "ase:BFGS"),
    *,
    cell: bool = False,
    rattles: Sequence[float] = (0.0,),
    draws: int = 1,
    seed: int = 0,
    fmax: float = 0.05,
    cap: int = 500,
    stop: str = "calculator",
    jobs: int = 1,
    path: str | Path | None = None,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """Relax copies of ``structures`` with each of some minimizers, and return how each run ended.

    ::

        rows = relax.compare(structures, EMT(), ["default", "core:s_0=0.1", "ase:FIRE"])
        pandas.DataFrame(rows).pivot_table("scored_calls", "structure", "rule")

    Parameters
    ----------
    structures
        What is relaxed; they stay as they are.  Their constraints hold.
    calculator
        An ASE calculator, or the name of one (see :mod:`relax.calculators.registry`).
    rules
        The minimizers: ``"default"``, rules of relax, ``"ase:FIRE"``, ..., as
        :mod:`relax.analysis.comparison.minimizers.names` has them.
    cell
        Whether the cell relaxes too, along its periodic directions.  Directions that are not periodic must
        lie along x, y or z, as in a slab with the vacuum along z; else the cell is kept.
    rattles
        Standard deviations of random displacements of the atoms at the start, A; 0 is the structure as it is.
    draws
        Number of starts of each structure for each rattle that is not 0.
    seed
        Seed of the first draw; the next ones have the seeds after it.
    fmax
        Largest row of the gradient at which a run ends, eV/A.
    cap
        Largest number of force calls of a run.
    stop
        ``"calculator"``: a run ends at the first force call within ``fmax``, the same for all;
        ``"optimizer"``: when the minimizer ends it.
    jobs
        Number of processes.  More than one need a calculator that can be pickled, and a script that is
        guarded by ``if __name__ == "__main__"``.
    path
        A file of results in JSON.  Each run is written beside it as it ends, to ``NAME.partial.jsonl``, and
        the same call continues from there.
    progress
        Whether a bar on standard error shows how far it is.

    Returns
    -------
    list of dict
        A row for each rattle, draw, rule and structure: ``rule``, ``structure`` (its name), ``formula``,
        ``atoms``, ``cell`` (whether it relaxed), ``rattle`` (A), ``draw``, ``status`` (see
        :mod:`relax.analysis.comparison.runs.run`), ``calls``, ``scored_calls`` (``cap`` for a failure),
        ``energy`` (eV/atom), ``above_lowest`` (meV/atom above the lowest end of any run of the structure),
        ``fmax`` (eV/A, at the end), ``seconds_calculator``, ``seconds_outside`` and ``reason``.

    Raises
    ------
    ValueError
        There is no structure, one cannot be relaxed or is not for the calculator; there is no minimizer of a
        name; a number is out of its bounds; or the file has other results.
    CalculatorError
        The calculator is not available.
    """
    from relax.analysis.comparison.comparison import CalculatorChoice, Comparison
    from relax.analysis.comparison.results import STOPS, flat_rows
    from relax.calculators.registry import unsupported
    from relax.io.check import check_structure
    from relax.io.progress import tracked

    for name, number, least in (("draws", draws, 1), ("cap", cap, 1), ("jobs", jobs, 1), ("seed", seed, 0)):
        if number < least:
            raise ValueError(f"{name} must be {least} or more (got {number})")
    if not fmax > 0:
        raise ValueError(f"fmax must be greater than 0 (got {fmax:g})")
    if not rattles or not all(rattle >= 0 for rattle in rattles):
        raise ValueError(f"rattles must be one or more lengths of 0 or more (got {rattles})")
    if stop not in STOPS.values():
        raise ValueError(f"stop must be {' or '.join(STOPS.values())} (got {stop!r})")
    structures = [structures] if isinstance(structures, Atoms) else list(structures)
    choice = CalculatorChoice(calculator)
    loaded = choice.load()
    for i, atoms in enumerate(structures):
        check_structure(atoms)
        if why := unsupported(loaded, atoms):
            raise ValueError(f"structure {i}: {why}")
    comparison = Comparison(
        structures,
        choice,
        rules,
        cell=cell,
        path=None if path is None else Path(path),
        rattles=tuple(dict.fromkeys(float(rattle) for rattle in rattles)),
        draws=draws,
        seed=seed,
        fmax=fmax,
        cap=cap,
        first_call=stop == "calculator",
    )
    tasks = comparison.tasks()
    with contextlib.closing(comparison.measure(tasks, jobs, loaded)) as runs:
        for _ in tracked(runs, len(tasks), lambda: jobs, "runs") if progress else runs:
            pass
    return flat_rows(comparison.save())
