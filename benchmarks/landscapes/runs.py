"""The run of one optimizer with all its steps, kept in a file so that it is made once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import read

from benchmarks.landscapes.cases import Case
from relax.analysis.comparison.files.results_file import Json, write_record
from relax.analysis.comparison.minimizers.construction import make_optimizer
from relax.analysis.comparison.minimizers.names import System
from relax.analysis.comparison.runs.run import FinalState, classify, relax_counted
from relax.io.write import write_structures


def kept_run(case: Case, name: str, identity: Json, folder: Path, resume: bool) -> tuple[Json, list[Atoms]]:
    """Return how a run ended, and its steps; those in ``folder``, if ``identity`` decided them too."""
    stem = f"{identity['case']}_{name.replace(':', '_')}"
    record, path = folder / f"{stem}.json", folder / f"{stem}.traj"
    if resume and record.exists() and path.exists():
        found = json.loads(record.read_text())
        if found["identity"] == identity:
            return found["end"], read(path, ":")
    record.unlink(missing_ok=True)
    end, steps = run(case, name)
    folder.mkdir(parents=True, exist_ok=True)
    write_structures(path, steps)
    write_record(record, {"identity": identity, "end": end})
    return end, steps


def run(case: Case, name: str) -> tuple[Json, list[Atoms]]:
    """Return how a run ended, and the structures at its start and after each of its steps."""
    start, steps = case.start(), []
    calculator = case.calculator()

    def make(atoms: Atoms) -> Any:
        optimizer = make_optimizer(name, atoms, System.POSITIONS)
        optimizer.attach(lambda: steps.append(bare(atoms)))
        return optimizer

    made = relax_counted(make, start, calculator, case.spec.fmax, case.spec.cap)
    state, fault = made.examine(final_state, FinalState())
    status, reason = classify(state, fault, made.reported, case.spec.fmax)
    end = {
        "optimizer": name,
        "status": status,
        "reason": reason,
        "calls": made.calls,
        "steps": len(steps) - 1,
        "energy": state.energy,
        "force": round(state.row, 6),
    }
    return end, steps


def bare(atoms: Atoms) -> Atoms:
    """Return the atoms as they are, without a calculator."""
    copy: Atoms = atoms.copy()
    copy.info = {}
    return copy


def final_state(atoms: Atoms) -> FinalState:
    """Return the state of a final structure; its energy is that of the whole structure, eV."""
    row = float(np.linalg.norm(atoms.get_forces(), axis=1).max())
    return FinalState(row, round(float(atoms.get_potential_energy()), 6))
