"""A run that goes on from a restart file repeats no force call, however the run before it ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import read
from ase.optimize.optimize import RestartError
from toys import CountedEMT, ball

from relax.optimizers.named import OPTIMIZERS

ROOT = Path(__file__).parent.parent


class Stopped(EMT):
    """EMT that counts what it has computed, and is interrupted in a call."""

    def __init__(self, at: int = 0, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.calls, self.at = 0, at

    def calculate(self, *args: Any, **kwargs: Any) -> None:
        if self.calls == self.at - 1:
            raise KeyboardInterrupt
        super().calculate(*args, **kwargs)
        self.calls += 1


def alloy(cell: bool) -> Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.symbols[0] = "Au"
    atoms.rattle(0.1, seed=1)
    if not cell:
        atoms.pbc = False
    return atoms


def optimizer(rule: str, atoms: Atoms, cell: bool, **options: Any) -> Any:
    return OPTIMIZERS[rule](atoms, cell=cell, **({"logfile": None} | options))


@pytest.mark.parametrize("cell", [False, True], ids=["atoms", "cell"])
@pytest.mark.parametrize("rule", ["kriging", "internal-lbfgs", "fire"])
@pytest.mark.parametrize("how", ["Ctrl-C in a call", "all steps made"])
def test_calls_of_two_runs_are_those_of_one(how, rule, cell, tmp_path):
    whole, steps = alloy(cell), 5
    whole.calc = Stopped()
    optimizer(rule, whole, cell).run(0.005, steps=steps)
    assert whole.calc.calls > 3
    for n in range(1, whole.calc.calls):
        file = tmp_path / f"{n}.json"
        parts = alloy(cell)
        parts.calc = Stopped(at=n + 1 if how.startswith("Ctrl") else 0)
        first = optimizer(rule, parts, cell, restart=file)
        if how.startswith("Ctrl"):
            with pytest.raises(KeyboardInterrupt):
                first.run(0.005, steps=steps)
        else:
            first.run(0.005, steps=n - 1)
        before = parts.calc.calls
        assert before == n
        parts.calc = Stopped()
        again = optimizer(rule, parts, cell, restart=file)
        again.run(0.005, steps=steps - (n - 1))
        assert before + parts.calc.calls == whole.calc.calls
        assert again.result.force_calls == parts.calc.calls
        np.testing.assert_array_equal(parts.positions, whole.positions)
        np.testing.assert_array_equal(parts.cell.array, whole.cell.array)


def test_a_known_hessian_is_not_lost_before_the_first_step(tmp_path):
    def made(atoms: Atoms, **options: Any) -> Any:
        return optimizer("internal-lbfgs", atoms, False, hessian=20 * np.eye(12), **options)

    whole, parts = alloy(False), alloy(False)
    whole.calc, parts.calc = Stopped(), Stopped(at=2)
    made(whole).run(0.005)
    with pytest.raises(KeyboardInterrupt):
        made(parts, restart=tmp_path / "state.json").run(0.005)
    parts.calc = Stopped()
    made(parts, restart=tmp_path / "state.json").run(0.005)
    assert 1 + parts.calc.calls == whole.calc.calls
    np.testing.assert_array_equal(parts.positions, whole.positions)


class Drawn(EMT):
    """EMT with springs to the centre of the atoms."""

    def calculate(self, *args: Any, **kwargs: Any) -> None:
        super().calculate(*args, **kwargs)
        away = self.atoms.positions - self.atoms.positions.mean(axis=0)
        self.results["energy"] += 0.15 * (away**2).sum()
        self.results["free_energy"] = self.results["energy"]
        self.results["forces"] -= 0.3 * away


def test_calls_beside_a_cheap_calculator_are_those_of_one_run(tmp_path):
    def made(atoms: Atoms, **options: Any) -> Any:
        return optimizer("kriging", atoms, False, prior=Drawn(), **options)

    whole = alloy(False)
    whole.calc = Stopped()
    made(whole).run(0.001)
    assert whole.calc.calls > 2
    for n in range(1, whole.calc.calls):
        parts = alloy(False)
        parts.calc = Stopped(at=n + 1)
        with pytest.raises(KeyboardInterrupt):
            made(parts, restart=tmp_path / f"{n}.json").run(0.001)
        parts.calc = Stopped()
        made(parts, restart=tmp_path / f"{n}.json").run(0.001)
        assert n + parts.calc.calls == whole.calc.calls
        np.testing.assert_allclose(parts.positions, whole.positions, atol=1e-9)


SCRIPT = """
import os, signal, sys
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import read
from relax.optimizers.named import OPTIMIZERS

rule, during, between = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

class Slow(EMT):
    def calculate(self, *args, **kwargs):
        calls = open("calls", "a")
        if len(open("calls").read()) + 1 == during:
            os.kill(os.getpid(), signal.SIGKILL)
        super().calculate(*args, **kwargs)
        calls.write(".")
        calls.close()

def end():
    if len(open("calls").read()) == between:
        os.kill(os.getpid(), signal.SIGKILL)

if os.path.exists("path.traj"):
    atoms = read("path.traj")
else:
    atoms = bulk("Cu", cubic=True)
    atoms.symbols[0] = "Au"
    atoms.rattle(0.1, seed=1)
atoms.calc = Slow()
files = dict(restart="state.json", trajectory="path.traj", append_trajectory=True)
with OPTIMIZERS[rule](atoms, cell=True, logfile=None, **files) as opt:
    opt.attach(end)
    opt.run(0.02, steps=200)
"""


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["kriging", "internal-lbfgs", "frankenstein"])
def test_a_killed_process_has_lost_no_call_but_that_in_which_it_was(rule, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)

    def run(folder: str, during: int = 0, between: int = 0) -> tuple[int, int]:
        """Return the exit status, and how many calls were completed in the folder."""
        (tmp_path / folder).mkdir(exist_ok=True)
        words = [sys.executable, str(script), rule, str(during), str(between)]
        ended = subprocess.run(
            words, cwd=tmp_path / folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False
        )
        return ended.returncode, len((tmp_path / folder / "calls").read_text())

    status, calls = run("whole")
    assert (status, calls > 4) == (0, True)
    assert run("killed", during=3) == (-signal.SIGKILL, 2)
    assert run("killed", between=4) == (-signal.SIGKILL, 4)
    assert run("killed") == (0, calls)
    frames = {name: read(tmp_path / name / "path.traj", ":") for name in ("whole", "killed")}
    for ours, theirs in zip(frames["killed"], frames["whole"], strict=True):
        np.testing.assert_array_equal(ours.positions, theirs.positions)
        assert ours.get_potential_energy() == theirs.get_potential_energy()


@pytest.mark.parametrize("rattle", [0.0, 0.05])
@pytest.mark.parametrize("cell", [False, True])
def test_a_script_that_is_run_again_goes_on(cell, rattle, tmp_path):
    def script(at: int = 0, **files: Any) -> tuple[Atoms, Any]:
        atoms = alloy(cell)
        atoms.calc = Stopped(at=at)
        return atoms, optimizer("kriging", atoms, cell, rattle=rattle, **files)

    whole, opt = script()
    opt.run(0.002)
    files = {"restart": tmp_path / "state.json", "logfile": tmp_path / "log"}
    calls = 0
    for _ in range(2):
        atoms, opt = script(at=3, **files)
        with pytest.raises(KeyboardInterrupt):
            opt.run(0.002)
        calls += atoms.calc.calls
    atoms, opt = script(**files)
    assert not np.array_equal(atoms.positions, alloy(cell).positions)
    opt.run(0.002)
    assert calls + atoms.calc.calls == whole.calc.calls
    assert calls == 4
    np.testing.assert_array_equal(atoms.positions, whole.positions)
    np.testing.assert_array_equal(atoms.cell.array, whole.cell.array)
    assert (tmp_path / "log").read_text().count("goes on where the atoms are in") == 2


def left(tmp_path: Path, calculator: Any, cell: bool = False) -> tuple[Atoms, Path]:
    """Return atoms and the restart file of a run of two steps."""
    atoms = alloy(cell)
    atoms.calc = calculator
    optimizer("kriging", atoms, cell, restart=tmp_path / "state.json").run(1e-3, steps=2)
    return atoms, tmp_path / "state.json"


def calls_of(atoms: Atoms, calculator: Any, file: Path, **options: Any) -> int:
    """Return the force calls of a run of no steps that goes on."""
    atoms.calc = calculator
    opt = optimizer("kriging", atoms, options.pop("cell", False), restart=file, **options)
    opt.run(1e-3, steps=0)
    return opt.result.force_calls


def test_what_may_not_be_the_same_is_computed_again(tmp_path):
    atoms, file = left(tmp_path, EMT())
    text = file.read_text()
    assert calls_of(atoms.copy(), EMT(), file) == 0
    assert calls_of(atoms.copy(), EMT(asap_cutoff=True), file) == 1
    file.write_text(text)
    assert calls_of(atoms.copy(), CountedEMT(), file) == 1  # another class
    file.write_text(text)
    moved = atoms.copy()
    moved.positions[0, 0] += 1e-12
    assert calls_of(moved, EMT(), file) == 1
    file.write_text(text)
    other = atoms.copy()
    other.symbols[0] = "Ag"
    assert calls_of(other, EMT(), file) == 1
    file.write_text(text)
    other = atoms.copy()
    other.cell[0, 0] += 1e-9
    assert calls_of(other, EMT(), file) == 1
    damaged = json.loads(text)
    damaged["computed"]["forces"] = [1.0]
    file.write_text(json.dumps(damaged))
    assert calls_of(atoms.copy(), EMT(), file) == 1


def test_a_calculator_without_parameters_is_asked_again(tmp_path):
    atoms = ball()
    OPTIMIZERS["fire"](atoms, restart=tmp_path / "state", logfile=None).run(1e-9, steps=2)
    assert "computed" not in json.loads((tmp_path / "state").read_text())
    again = OPTIMIZERS["fire"](atoms, restart=tmp_path / "state", logfile=None)
    atoms.calc.reset()
    again.run(1e-9, steps=0)
    assert again.result.force_calls == 1


def test_a_stress_that_was_not_computed_is(tmp_path):
    class Without(EMT):
        """EMT that computes the stress only if it is asked for."""

        def calculate(self, atoms: Any = None, properties: Any = (), *more: Any) -> None:
            super().calculate(atoms, properties, *more)
            if "stress" not in properties:
                del self.results["stress"]

    atoms = alloy(True)
    atoms.calc = Without()
    file = tmp_path / "state.json"
    optimizer("kriging", atoms, False, restart=file).run(1e-3, steps=2)
    assert calls_of(atoms.copy(), Without(), file) == 0
    assert calls_of(atoms.copy(), Without(), file, stress=True) == 1


def test_outputs_have_what_was_not_computed_again(tmp_path):
    atoms, file = left(tmp_path, Stopped(), cell=True)
    energy, stress = atoms.get_potential_energy(), atoms.get_stress()
    there = atoms.copy()
    there.calc = calculator = Stopped(at=1)  # it may not be called
    options = {"restart": file, "logfile": tmp_path / "log", "trajectory": tmp_path / "path.traj"}
    with optimizer("kriging", there, True, **options) as opt:
        opt.run(1e-3, steps=0)
    frame = read(tmp_path / "path.traj")
    assert there.calc is calculator
    assert frame.get_potential_energy() == energy
    np.testing.assert_allclose(frame.get_stress(), stress, rtol=1e-12)
    np.testing.assert_array_equal(frame.positions, atoms.positions)
    assert f"{energy:.6f}" in (tmp_path / "log").read_text()
    assert opt.result.energy_last == pytest.approx(energy)


def test_a_file_of_another_version_says_so(tmp_path):
    atoms, file = left(tmp_path, EMT())
    data = json.loads(file.read_text())
    rule = data["state"]
    while "xs" not in rule:
        rule = rule["rule"]
    del rule["before"]
    file.write_text(json.dumps(data))
    with pytest.raises((RestartError, ValueError), match="written by another version of relax; delete it"):
        optimizer("kriging", atoms, False, restart=file)
