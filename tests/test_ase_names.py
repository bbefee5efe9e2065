"""Optimizers of ASE by name: ``ase:BFGS`` in ``relax run``, ``relax`` and ``relax_many``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import warnings

import ase.io
import ase.optimize
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms, FixBondLength, FixSymmetry
from ase.filters import FrechetCellFilter
from ase.optimize.precon import Exp, PreconLBFGS
from ase.optimize.sciopt import SciPyFminCG
from ase.units import GPa

from relax import relax as relax_one
from relax import relax_many
from relax.engine.batch.monitor import Monitor
from relax.geometry.cell import CellFreedom

THEIRS = {
    name: getattr(ase.optimize, name)
    for name in (
        *("FIRE", "FIRE2", "BFGS", "LBFGS", "LBFGSLineSearch", "BFGSLineSearch", "GoodOldQuasiNewton"),
        "MDMin",
        "GPMin",
    )
} | {"CG": SciPyFminCG, "PreconLBFGS": PreconLBFGS}


class Counted(EMT):
    """Counts its calls."""

    calls = 0

    def calculate(self, *args, **kwargs):
        self.calls += 1
        super().calculate(*args, **kwargs)


def by_hand(name, target, fmax=0.02, steps=300, **keywords):
    """Run an optimizer of ASE; return its number of steps, and the force calls."""
    atoms = getattr(target, "atoms", target)
    atoms.calc = Counted()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"ase\.optimize")
        optimizer = THEIRS[name](target, logfile=None, **keywords)
        optimizer.run(fmax=fmax, steps=steps)
    return optimizer.nsteps, atoms.calc.calls


def rattled(size=2):
    """Return copper whose atoms are displaced."""
    atoms = bulk("Cu", cubic=True) * (size, 1, 1)
    atoms.rattle(0.1, seed=1)
    return atoms


def strained():
    """Return copper whose atoms are displaced and whose cell is strained."""
    atoms = bulk("Cu", cubic=True)
    atoms.set_cell(atoms.cell.array * [[1.03], [1], [0.97]], scale_atoms=True)
    atoms.rattle(0.1, seed=1)
    return atoms


def one(atoms, calculator, rule, **options):
    """Return the only structure of ``relax_many``."""
    (relaxed,) = relax_many([atoms], calculator, rule, **options)
    return relaxed


class TestIsTheRunByHand:
    @pytest.mark.parametrize("name", THEIRS)
    def test_of_positions(self, name):
        theirs, calculator = rattled(), Counted()
        steps, calls = by_hand(name, theirs)
        relaxed = one(rattled(), calculator, f"ase:{name}", fmax=0.02)
        result = relaxed.result
        assert result.status == "converged"
        assert (result.steps, result.force_calls, calculator.calls) == (steps, calls, calls)
        assert result.energy_last == pytest.approx(theirs.get_potential_energy(), abs=1e-10)
        assert relaxed.atoms.get_potential_energy() == result.energy_last

    # By hand PreconLBFGS has another criterion.
    @pytest.mark.parametrize("name", [n for n in THEIRS if n != "PreconLBFGS"])
    def test_of_a_cell(self, name):
        theirs, calculator = strained(), Counted()
        steps, calls = by_hand(name, FrechetCellFilter(theirs))
        result = one(strained(), calculator, f"ase:{name}", fmax=0.02, cell=True).result
        assert result.status == "converged"
        assert (result.steps, result.force_calls, calculator.calls) == (steps, calls, calls)
        assert result.energy_last == pytest.approx(theirs.get_potential_energy(), abs=1e-10)

    @pytest.mark.parametrize(
        ("freedom", "arguments"),
        [
            ({"pressure": 5.0}, {"scalar_pressure": 5 * GPa}),
            ({"hydrostatic": True}, {"hydrostatic_strain": True}),
            ({"constant_volume": True}, {"constant_volume": True}),
            ({"mask": "xy"}, {"mask": [1, 1, 0, 0, 0, 1]}),
        ],
    )
    def test_of_a_part_of_a_cell(self, freedom, arguments):
        theirs = strained()
        steps, calls = by_hand("BFGS", FrechetCellFilter(theirs, **arguments))
        relaxed = one(strained(), EMT(), "ase:BFGS", fmax=0.02, cell=CellFreedom(**freedom))
        assert relaxed.result.status == "converged"
        assert (relaxed.result.steps, relaxed.result.force_calls) == (steps, calls)
        np.testing.assert_allclose(relaxed.atoms.cell.array, theirs.cell.array, atol=1e-9)

    def test_of_a_slab(self):
        atoms = strained()
        atoms.pbc = True, True, False
        theirs = atoms.copy()
        by_hand("BFGS", FrechetCellFilter(theirs, mask=[1, 1, 0, 0, 0, 1]))
        relaxed = one(atoms, EMT(), "ase:BFGS", fmax=0.02, cell=True)
        np.testing.assert_allclose(relaxed.atoms.cell.array, theirs.cell.array, atol=1e-9)
        np.testing.assert_array_equal(relaxed.atoms.cell[2], atoms.cell[2])

    @pytest.mark.parametrize("constraint", [FixAtoms([0, 3]), FixBondLength(0, 1)])
    def test_under_constraints(self, constraint):
        atoms = rattled()
        atoms.set_constraint(constraint)
        theirs = atoms.copy()
        steps, calls = by_hand("BFGS", theirs)
        relaxed = one(atoms, EMT(), "ase:BFGS", fmax=0.02)
        assert (relaxed.result.steps, relaxed.result.force_calls) == (steps, calls)
        np.testing.assert_allclose(relaxed.atoms.positions, theirs.positions, atol=1e-9)
        assert relaxed.atoms.constraints[0].todict() == constraint.todict()

    def test_with_its_symmetry_kept(self):
        atoms = Atoms("CuAu", scaled_positions=[[0, 0, 0], [0.5] * 3], cell=[2.7, 2.7, 3.9], pbc=True)
        theirs = atoms.copy()
        theirs.set_constraint(FixSymmetry(theirs))
        _, calls = by_hand("BFGS", FrechetCellFilter(theirs))
        relaxed = one(atoms, EMT(), "ase:BFGS", fmax=0.02, cell=True, symmetry="keep")
        assert relaxed.result.force_calls == calls
        assert relaxed.result.spacegroup_first == relaxed.result.spacegroup_last == "P4/mmm (123)"
        assert not relaxed.atoms.constraints

    def test_with_keyword_arguments(self):
        steps, calls = by_hand("BFGS", rattled(), maxstep=0.03, alpha=40.0)
        result = one(rattled(), EMT(), "ase:BFGS", fmax=0.02, maxstep=0.03, alpha=40.0).result
        assert (result.steps, result.force_calls) == (steps, calls)
        assert calls != by_hand("BFGS", rattled())[1]

    def test_with_a_preconditioner_that_makes_a_call_of_its_own(self):
        steps, calls = by_hand("PreconLBFGS", rattled(), precon=Exp(A=3))
        result = one(rattled(), EMT(), "ase:PreconLBFGS", fmax=0.02, precon=Exp(A=3)).result
        assert (result.steps, result.force_calls) == (steps, calls)
        assert calls > steps + 1

    def test_that_uses_all_its_steps(self):
        theirs = rattled()
        by_hand("CG", theirs, fmax=1e-6, steps=3)
        relaxed = one(rattled(), EMT(), "ase:CG", fmax=1e-6, steps=3)
        assert (relaxed.result.status, relaxed.result.steps) == ("max_steps", 3)
        np.testing.assert_allclose(relaxed.atoms.positions, theirs.positions, atol=1e-10)


class Failing(Counted):
    """From its third call on, does what ``fault`` says."""

    def __init__(self, fault):
        super().__init__()
        self.fault = fault

    def calculate(self, *args, **kwargs):
        super().calculate(*args, **kwargs)
        if self.calls >= 3:
            self.fault(self)


def raises(_):
    raise RuntimeError("out of licences")


def is_not_a_number(calculator):
    calculator.results["forces"] = np.full_like(calculator.results["forces"], np.nan)


def hangs(_):
    time.sleep(60)


@pytest.mark.parametrize("name", ["BFGS", "PreconLBFGS", "CG"])
class TestEnds:
    """The last structure that made sense is kept, whichever optimizer it was."""

    @pytest.mark.parametrize(
        ("fault", "status", "reason"),
        [(raises, "calculator_error", "out of licences"), (is_not_a_number, "nonfinite", "force on row 0")],
    )
    def test_where_the_calculator_fails(self, name, fault, status, reason):
        calculator = Failing(fault)
        relaxed = one(rattled(), calculator, f"ase:{name}", fmax=1e-4)
        assert relaxed.result.status == status
        assert reason in relaxed.result.reason
        assert relaxed.result.force_calls == calculator.calls == 3
        assert np.isfinite(relaxed.atoms.get_forces()).all()
        again = relaxed.atoms.copy()
        again.calc = EMT()
        assert again.get_potential_energy() == pytest.approx(relaxed.result.energy_last, abs=1e-10)

    def test_where_a_call_hangs(self, name):
        began = time.perf_counter()
        relaxed = one(rattled(), Failing(hangs), f"ase:{name}", fmax=1e-4, timeout=2.0)
        assert time.perf_counter() - began < 50  # the call alone takes 60 s
        assert relaxed.result.status == "timeout"
        assert relaxed.result.force_calls == 3

    def test_where_a_structure_comes_apart(self, name):
        class Pulls(EMT):
            def calculate(self, *args, **kwargs):
                super().calculate(*args, **kwargs)
                x = self.atoms.positions
                forces = 5.0 * (x - x.mean(axis=0))
                energy = -0.5 * (forces * forces).sum() / 5
                self.results |= {"energy": energy, "free_energy": energy, "forces": forces}

        result = one(molecule("CH4"), Pulls(), f"ase:{name}").result
        # The first line search of CG finds no end, and the others make steps.
        assert result.status == ("nonfinite" if name == "CG" else "exploded")

    def test_at_a_saddle_and_beyond(self, name):
        atoms = Atoms("Cu4", 2.3 * np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]))
        rule = f"ase:{name}"
        saddle = one(atoms, EMT(), rule, fmax=0.01, check="minimum").result
        assert saddle.status == "saddle"
        assert saddle.curvature < 0
        minimum = one(atoms, EMT(), rule, fmax=0.01, check="minimum", escape=True).result
        assert (minimum.status, minimum.escapes > 0) == ("converged", True)
        assert minimum.energy_last < saddle.energy_last

    def test_with_nothing_free_to_move(self, name):
        atoms = rattled()
        atoms.set_constraint(FixAtoms(range(len(atoms))))
        result = one(atoms, EMT(), f"ase:{name}").result
        assert (result.status, result.steps, result.force_calls) == ("converged", 0, 1)


def test_an_optimizer_that_gives_up_has_stalled(monkeypatch):
    def gives_up(self):
        raise RuntimeError("LineSearch failed!")

    monkeypatch.setattr(ase.optimize.BFGS, "step", gives_up)
    result = one(rattled(), EMT(), "ase:BFGS").result
    assert result.status == "stalled"
    assert result.reason == "ase:BFGS has given up: RuntimeError: LineSearch failed!"


def test_structures_come_one_after_the_other_and_harm_no_other():
    broken = Atoms("Cu2", [[0, 0, 0], [0, 0, np.nan]])
    given = [rattled(), broken, Atoms("He2", [[0, 0, 0], [0, 0, 2.0]]), rattled()]
    ends = list(relax_many(given, EMT(), "ase:LBFGS"))
    assert [end.index for end in ends] == [0, 1, 2, 3]
    assert [end.result.status for end in ends] == ["converged", "nonfinite", "refused", "converged"]
    assert ends[0].result.energy_last == ends[3].result.energy_last


def test_draws_keep_the_lowest_end():
    result = one(rattled(), EMT(), "ase:BFGS", draws=3, rattle=0.1).result
    assert len(result.draws) == 3
    assert result.force_calls == sum(draw.force_calls for draw in result.draws)


def test_a_monitor_follows_the_steps_and_an_interruption_keeps_what_has_begun():
    class Follows(Monitor):
        steps: list[int] = []  # noqa: RUF012

        def follow(self, standing):
            self.steps.append(standing.steps)
            assert standing.atoms().get_potential_energy() == standing.energy

    class Interrupted(Counted):
        def calculate(self, *args, **kwargs):
            if self.calls == 8:
                raise KeyboardInterrupt
            super().calculate(*args, **kwargs)

    monitor = Follows()
    ends = relax_many([rattled()] * 2, Interrupted(), "ase:CG", fmax=1e-5, monitor=monitor)
    assert next(ends).result.status == "interrupted"
    with pytest.raises(KeyboardInterrupt):
        next(ends)
    assert monitor.steps == list(range(len(monitor.steps)))
    assert len(monitor.steps) < 8  # trials of the line search are no steps


class TestRelax:
    def test_moves_the_atoms_in_place_and_writes_files(self, tmp_path):
        atoms, theirs = rattled(), rattled()
        steps, _ = by_hand("BFGS", theirs, fmax=0.05)
        log, frames = tmp_path / "log", tmp_path / "a.traj"
        result = relax_one(atoms, EMT(), "ase:BFGS", logfile=log, trajectory=frames)
        np.testing.assert_allclose(atoms.positions, theirs.positions, atol=1e-10)
        assert len(ase.io.read(frames, ":")) == steps + 1
        assert len(log.read_text().splitlines()) == steps + 2
        assert ase.io.read(frames).get_potential_energy() == result.energy_last

    @pytest.mark.parametrize(
        ("rule", "options", "message"),
        [
            ("ase:BFSG", {}, "unknown rule 'ase:BFSG'; did you mean 'ase:BFGS'"),
            ("ase:bfgs", {}, "did you mean 'ase:BFGS'"),
            ("ase:BFGS", {"maxsteps": 0.1}, "no setting 'maxsteps'; did you mean 'maxstep'"),
            ("ase:BFGS", {"maxstep": "long"}, "maxstep of ase:BFGS must be a number"),
            ("ase:BFGS", {"restart": "a.json"}, "no setting 'restart'"),
            ("ase:PreconLBFGS", {"variable_cell": True}, "no setting 'variable_cell'"),
            ("ase:PreconLBFGS", {"precon": "Expo"}, "does not take these parameters"),
            ("ase:BFGS", {"metric": True}, "metric= is for the rules of relax"),
            ("ase:BFGS", {"hessian": np.eye(24)}, "hessian="),
            ("ase:BFGS", {"on_bad": "backtrack"}, "on_bad = 'backtrack' is for the rules of relax"),
            ("ase:BFGS", {"cell": CellFreedom(max_strain=0.1)}, "max_strain is for the rules of relax"),
            ("ase:BFGS", {"cell": CellFreedom(mask="xy", constant_volume=True)}, "constant_volume for all"),
        ],
    )
    def test_says_in_one_line_what_it_cannot_follow(self, rule, options, message):
        with pytest.raises(ValueError, match=message) as error:
            relax_one(rattled(), EMT(), rule, **options)
        assert "\n" not in str(error.value)

    def test_is_for_plain_atoms(self):
        atoms = rattled()
        with pytest.raises(ValueError, match="ase:BFGS needs Atoms, not a FrechetCellFilter"):
            relax_one(FrechetCellFilter(atoms), EMT(), "ase:BFGS")

    def test_refuses_a_slab_that_lies_askew(self):
        atoms = strained()
        atoms.pbc = True, True, False
        atoms.rotate(20, "x", rotate_cell=True)
        with pytest.raises(ValueError, match="along x, y or z; turn the cell"):
            relax_one(atoms, EMT(), "ase:BFGS", cell=True)


class TestCommand:
    @pytest.fixture
    def file(self, tmp_path):
        ase.io.write(tmp_path / "in.xyz", [rattled(), rattled(1)])
        return tmp_path / "in.xyz"

    def test_writes_and_resumes(self, relax, file, tmp_path):
        out = tmp_path / "out.xyz"
        run = ("run", file, "-c", "emt", "--rule", "ase:BFGS", "--set", "maxstep=0.1", "-o", out)
        code, text, _ = relax(*run)
        assert code == 0
        assert "2 of 2 converged" in text
        frames = ase.io.read(out, ":")
        theirs = rattled()
        _, calls = by_hand("BFGS", theirs, fmax=0.05, maxstep=0.1)
        assert frames[0].info["relax_rule"] == "ase:BFGS maxstep=0.1"
        assert frames[0].info["relax_force_calls"] == calls
        before = out.read_bytes()
        assert relax(*run, "--resume")[0] == 0
        assert out.read_bytes() == before
        code, _, message = relax(*run[:-4], "maxstep=0.2", "-o", out, "--resume")
        assert code == 2
        assert "maxstep" in message[0]

    def test_log_and_json(self, relax, file, tmp_path):
        log = tmp_path / "log"
        code, text, _ = relax("run", f"{file}@0", "-c", "emt", "-r", "ase:CG", "--json", "--logfile", log)
        (fields,) = map(json.loads, text.splitlines())
        assert (code, fields["rule"], fields["status"]) == (0, "ase:CG", "converged")
        assert len(log.read_text().splitlines()) == fields["steps"] + 3

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["ase:BFSG"], "unknown rule 'ase:BFSG'; did you mean 'ase:BFGS'?"),
            (["ase:BFGS", "--set", "maxsep=1"], "no setting 'maxsep'; did you mean 'maxstep'?"),
            (["ase:BFGS", "--set", "maxstep"], "--set maxstep: write KEY=VALUE"),
            (["ase:BFGS", "--metric"], "--metric is for the rules of relax, not for ase:BFGS"),
            (["ase:BFGS", "--on-bad", "backtrack"], "--on-bad is for the rules of relax"),
        ],
    )
    def test_says_in_one_line_what_is_wrong(self, relax, file, arguments, message):
        code, _, text = relax("run", file, "-c", "emt", "--rule", *arguments)
        assert code == 2
        assert len(text) == 1
        assert message in text[0]

    def test_rules_lists_the_optimizers_and_their_arguments(self, relax):
        assert "ase:BFGS" in relax("rules")[1]
        code, text, _ = relax("rules", "ase:BFGS")
        assert code == 0
        assert "  maxstep=0.2\n  alpha=70.0\n" in text
        (fields,) = json.loads(relax("rules", "ase:FIRE2", "--json")[1])
        assert {"name": "dtmin", "default": 0.002} in fields["parameters"]

    def test_an_interruption_keeps_what_is_done(self, file, tmp_path):
        (tmp_path / "slow.py").write_text(
            "import time\nfrom ase.calculators.emt import EMT\n"
            "class Slow(EMT):\n    calls = 0\n    def calculate(self, *args):\n"
            "        super().calculate(*args)\n        Slow.calls += 1\n"
            "        if Slow.calls == 4:\n            print('slow', flush=True)\n            time.sleep(60)\n"
            "calculator = Slow()\n"
        )
        out = tmp_path / "out.xyz"
        arguments = ("run", file, "-c", "slow:calculator", "-r", "ase:CG", "-o", out)
        path = os.pathsep.join([str(tmp_path), *sys.path])
        with subprocess.Popen(
            [sys.executable, "-m", "relax", *map(str, arguments)],
            env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert "slow\n" in iter(process.stderr.readline, "")
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=50)
        assert process.returncode == 130
        (frame,) = ase.io.read(out, ":")
        assert frame.info["relax_status"] == "interrupted"
        assert np.isfinite(frame.get_forces()).all()
