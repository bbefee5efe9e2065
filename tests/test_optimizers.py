"""The ASE optimizers as a user meets them: in place of ASE's own, on all that ASE relaxes."""

from __future__ import annotations

import copy
import inspect
import io
import json
import pickle
import re
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import ase.optimize
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixBondLength, FixBondLengths, FixedPlane
from ase.filters import ExpCellFilter, Filter, FrechetCellFilter, StrainFilter, UnitCellFilter
from ase.io import read, write
from ase.io.trajectory import Trajectory
from ase.mep import NEB
from ase.optimize.optimize import OptimizableAtoms, RestartError
from ase.parallel import DummyMPI, world
from helpers import cluster, morse
from toys import CountedEMT, Toy, ball, copper, fmax_of

import relax
from relax.optimizers.named import (
    OPTIMIZERS,
    CoReRelax,
    FIRERelax,
    FrankensteinRelax,
    LBFGSRelax,
    RuleOptimizer,
    SGDRelax,
)
from relax.optimizers.restart import described
from relax.rules import RULES, CoRe, Frankenstein
from relax.rules.wrappers import for_atoms
from relax.rules.wrappers.schedules import Cosine

ALL = pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=list(OPTIMIZERS))
SOME = pytest.mark.parametrize("optimizer", [FIRERelax, LBFGSRelax, CoReRelax])

PINNED: dict[str, Any] = {
    # What is asked of a result must not hang on defaults that follow the benchmarks.
    "core": CoRe.paper(),
    "frankenstein": Frankenstein.package(lr=0.01),
}


def pinned(optimizer: type, atoms: Any, **kwargs: Any) -> Any:
    """Build an optimizer whose rule does not change with its defaults."""
    rule = PINNED.get(optimizer.rule_class.__name__.lower())
    return optimizer(atoms, logfile=None, rule=rule, **kwargs)


def path_of(opt: Any, steps: int, fmax: float = 1e-9) -> list[np.ndarray]:
    """Run, and return the positions and cells (N + 3, 3) after each step."""
    path: list[np.ndarray] = []
    atoms = next(iter(opt.optimizable.iterimages()))
    opt.attach(lambda: path.append(np.concatenate([atoms.positions, atoms.cell[:]])))
    opt.run(fmax=fmax, steps=steps)
    return path


# What is relaxed


@cache
def minimum(stretch: float = 1.0, wrap: Any = lambda atoms: atoms) -> float:
    """Return the energy (eV) at which ASE's BFGS ends."""
    atoms = copper(stretch)
    assert ase.optimize.BFGS(wrap(atoms), logfile=None).run(fmax=0.01, steps=200)
    return float(atoms.get_potential_energy())


@ALL
def test_relaxes_a_crystal(optimizer):
    atoms = copper()
    opt = pinned(optimizer, atoms)
    assert opt.run(fmax=0.05, steps=400)
    assert opt.result.status == "converged"
    assert fmax_of(atoms.get_forces()) < 0.05
    assert atoms.get_potential_energy() - minimum() < 1e-3 * len(atoms)


@ALL
def test_relaxes_a_cell(optimizer):
    atoms = copper(stretch=1.01, rattle=0.05)
    opt = pinned(optimizer, UnitCellFilter(atoms))
    assert opt.run(fmax=0.1, steps=500)
    assert opt.result.status == "converged"
    assert atoms.get_potential_energy() - minimum(1.01, UnitCellFilter) < 1e-3 * len(atoms)


@pytest.mark.parametrize(
    "wrap",
    [
        FrechetCellFilter,
        StrainFilter,
        pytest.param(ExpCellFilter, marks=pytest.mark.filterwarnings("ignore:Use FrechetCellFilter")),
    ],
    ids=["Frechet", "Strain", "ExpCell"],
)
@SOME
def test_relaxes_with_each_cell_filter(optimizer, wrap):
    # A crystal without rattle: what is relaxed is the cell alone, which is quick.
    atoms = copper(stretch=1.02, rattle=0.0)
    opt = pinned(optimizer, wrap(atoms))
    start = atoms.get_potential_energy()
    assert opt.run(fmax=0.1, steps=60)
    assert opt.result.status == "converged"
    assert atoms.get_potential_energy() < start - 0.01
    assert atoms.get_potential_energy() - minimum(1.02, FrechetCellFilter) < 5e-3 * len(atoms)


def test_a_masked_cell_keeps_what_is_masked():
    atoms = copper(stretch=1.02, rattle=0.0)
    height = atoms.cell.lengths()[2]
    opt = FIRERelax(UnitCellFilter(atoms, mask=[1, 1, 0, 0, 0, 0]), logfile=None)
    assert opt.run(fmax=0.05, steps=60)
    assert atoms.cell.lengths()[2] == pytest.approx(height, abs=1e-10)
    assert atoms.cell.lengths()[0] < height - 0.01


@pytest.mark.parametrize(
    "which", [{"indices": [1, 3]}, {"mask": [n in (1, 3) for n in range(7)]}], ids=["indices", "mask"]
)
@ALL
def test_filter_leaves_the_hidden_atoms_alone(optimizer, which):
    atoms, hidden = ball(), [0, 2, 4, 5, 6]
    start = atoms.positions.copy()
    opt = pinned(optimizer, Filter(atoms, **which))
    opt.run(fmax=1e-3, steps=20)
    assert np.array_equal(atoms.positions[hidden], start[hidden])
    assert (atoms.positions != start)[[1, 3]].all()
    assert opt.result.energy_last < opt.result.energy_first
    assert opt.result.fmax == pytest.approx(fmax_of(atoms.get_forces()[[1, 3]]))


@ALL
def test_fixed_atoms_do_not_move(optimizer):
    atoms, free = ball(), [1, 3, 4, 5, 6]
    start = atoms.positions.copy()
    atoms.set_constraint(FixAtoms([0, 2]))
    opt = pinned(optimizer, atoms)
    opt.run(fmax=1e-3, steps=20)
    assert np.array_equal(atoms.positions[[0, 2]], start[[0, 2]])
    assert (atoms.positions != start)[free].all()
    assert opt.result.energy_last < opt.result.energy_first
    assert opt.result.fmax == pytest.approx(fmax_of(atoms.get_forces(apply_constraint=False)[free]))


def test_constraints_may_change_during_a_run():
    atoms = ball()
    run = FIRERelax(atoms, logfile=None).irun(fmax=1e-3, steps=20)
    next(run)
    next(run)
    here = atoms.positions[0].copy()
    atoms.set_constraint(FixAtoms([0]))
    for _ in range(3):
        next(run)
    assert np.array_equal(atoms.positions[0], here)
    atoms.set_constraint()
    next(run)
    next(run)
    assert not np.array_equal(atoms.positions[0], here)


@ALL
def test_where_every_atom_is_fixed_there_is_nothing_to_do(optimizer):
    atoms = ball()
    atoms.set_constraint(FixAtoms(range(len(atoms))))
    opt = optimizer(atoms, logfile=None)
    assert opt.run(fmax=0.05)
    assert opt.nsteps == 0


@ALL
def test_a_step_at_zero_force_is_finite(optimizer):
    """A driver in lock-step goes on stepping structures that are done."""
    atoms = ball()
    start = atoms.positions.copy()
    atoms.set_constraint(FixAtoms(range(len(atoms))))
    opt = optimizer(atoms, logfile=None)
    for _ in range(5):
        opt.step()
    assert np.array_equal(atoms.positions, start)


@pytest.mark.parametrize(
    ("constraint", "pairs"),
    [(FixBondLength(0, 1), [(0, 1)]), (FixBondLengths([[0, 1], [1, 2]]), [(0, 1), (1, 2)])],
    ids=["one", "several"],
)
@SOME
def test_fixed_bonds_keep_their_lengths(optimizer, constraint, pairs):
    atoms = ball()
    atoms.set_constraint(constraint)
    lengths = [atoms.get_distance(*pair) for pair in pairs]
    opt = pinned(optimizer, atoms)
    assert opt.run(fmax=0.05, steps=500)
    assert [atoms.get_distance(*pair) for pair in pairs] == pytest.approx(lengths, abs=1e-8)
    assert opt.result.energy_last < opt.result.energy_first


@ALL
def test_an_atom_in_a_fixed_plane_stays_there(optimizer):
    atoms = ball()
    start = atoms.positions.copy()
    atoms.set_constraint(FixedPlane(1, (0, 0, 1)))
    opt = pinned(optimizer, atoms)
    opt.run(fmax=1e-3, steps=20)
    assert atoms.positions[1, 2] == pytest.approx(start[1, 2], abs=1e-10)
    assert (atoms.positions != start)[1, :2].all()
    assert opt.result.energy_last < opt.result.energy_first


# spglib announces errors of another kind to come, and ASE asks it for the symmetry.
@pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")
@SOME
def test_fixed_symmetry_is_kept(optimizer):
    spglib = pytest.importorskip("spglib")
    from ase.constraints import FixSymmetry

    def group(atoms: Atoms) -> int:
        return spglib.get_symmetry_dataset(
            (atoms.cell[:], atoms.get_scaled_positions(), atoms.numbers)
        ).number

    # Copper with a stretched axis is tetragonal, and on its way back to cubic.
    atoms = copper(rattle=0.0)
    atoms.set_cell(atoms.cell[:] * [1.0, 1.0, 1.03], scale_atoms=True)
    number = group(atoms)
    atoms.set_constraint(FixSymmetry(atoms))
    opt = pinned(optimizer, UnitCellFilter(atoms))
    opt.run(fmax=0.05, steps=8)
    assert opt.result.status in {"converged", "max_steps"}
    assert opt.nsteps > 0
    assert group(atoms) == number == 139
    angles = atoms.cell.angles()
    assert angles == pytest.approx([90.0] * 3, abs=1e-8)
    assert atoms.cell.lengths()[0] == pytest.approx(atoms.cell.lengths()[1], abs=1e-8)


# Beside ASE's own


def test_the_arguments_stand_in_the_order_of_ase():
    expected = ["self", "atoms", "restart", "logfile", "trajectory", "append_trajectory"]
    theirs = list(inspect.signature(ase.optimize.optimize.Optimizer.__init__).parameters)
    for optimizer in OPTIMIZERS.values():
        ours = list(inspect.signature(optimizer.__init__).parameters)
        assert ours[:6] == theirs[:6] == expected


def test_every_rule_has_its_optimizer():
    assert set(OPTIMIZERS) == set(RULES)
    for name, optimizer in OPTIMIZERS.items():
        assert optimizer.rule_class is RULES[name]
        assert getattr(relax, optimizer.__name__) is optimizer
        assert issubclass(optimizer, ase.optimize.optimize.Optimizer)


@pytest.mark.parametrize(
    ("ours", "theirs", "settings"),
    [
        (FIRERelax, ase.optimize.FIRE, {}),
        (LBFGSRelax, ase.optimize.LBFGS, {"scaled": False, "careful": False}),
    ],
    ids=["fire", "lbfgs"],
)
class TestParity:
    def test_on_atoms(self, ours, theirs, settings):
        a, b = copper(rattle=0.25), copper(rattle=0.25)
        mine, its = ours(a, logfile=None, **settings), theirs(b, logfile=None)
        my_path, its_path = path_of(mine, 100, fmax=0.01), path_of(its, 100, fmax=0.01)
        assert mine.nsteps == its.nsteps == len(its_path) - 1 > 5
        np.testing.assert_allclose(my_path, its_path, rtol=0, atol=1e-10)

    def test_under_a_cell_filter(self, ours, theirs, settings):
        a, b = copper(stretch=1.03), copper(stretch=1.03)
        mine, its = (
            ours(FrechetCellFilter(a), logfile=None, **settings),
            theirs(FrechetCellFilter(b), logfile=None),
        )
        my_path, its_path = path_of(mine, 10, fmax=0.05), path_of(its, 10, fmax=0.05)
        assert mine.nsteps == its.nsteps == len(its_path) - 1 > 5
        np.testing.assert_allclose(my_path, its_path, rtol=0, atol=1e-8)

    def test_where_the_trust_radius_holds(self, ours, theirs, settings):
        a, b = copper(), copper()
        mine = ours(a, logfile=None, maxstep=0.02, **settings)
        its = theirs(b, logfile=None, maxstep=0.02)
        np.testing.assert_allclose(path_of(mine, 12), path_of(its, 12), rtol=0, atol=1e-10)


class CountedAtoms(OptimizableAtoms):
    """Counts how often it is asked for its gradient."""

    gradients = 0

    def get_gradient(self) -> np.ndarray:
        self.gradients += 1
        return super().get_gradient()


@ALL
def test_a_step_asks_for_one_gradient(optimizer):
    atoms = ball()
    counted = CountedAtoms(atoms)
    opt = optimizer(counted, logfile=None)
    for n in range(1, 6):
        opt.step()
        assert counted.gradients == atoms.calc.calls == n


@ALL
def test_any_optimizable_will_do(optimizer):
    atoms = ball()
    opt = optimizer(CountedAtoms(atoms), logfile=None)
    opt.run(fmax=1e-9, steps=3)
    assert opt.result.status == "max_steps"
    assert opt.result.force_calls == atoms.calc.calls == 4


@ALL
def test_a_driver_in_lock_step_needs_step_alone(optimizer):
    """As drivers for batched models do: results from outside, a convergence test of their own, no run."""
    batch = [Atoms(f"Cu{n}", cluster(n, seed=n)) for n in (3, 5, 7)]
    opts = [optimizer(atoms, logfile=None) for atoms in batch]
    for opt in opts:
        opt.fmax, opt.nsteps = 1e-6, 0
    for _ in range(5):
        for atoms, opt in zip(batch, opts, strict=True):
            energy, gradient = morse(atoms.positions)
            atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=-gradient)
            assert opt.converged() is False
            assert opt.converged(-gradient) is False
            opt.step()
            opt.nsteps += 1
    for atoms in batch:
        n = len(atoms)
        alone = Atoms(f"Cu{n}", cluster(n, seed=n), calculator=Toy())
        optimizer(alone, logfile=None).run(fmax=1e-6, steps=5)
        assert np.array_equal(atoms.positions, alone.positions)


def test_converged_with_forces_and_without():
    atoms = ball()
    opt = FIRERelax(atoms, logfile=None)
    opt.fmax = 0.05
    assert opt.converged() is False
    assert opt.converged(np.full((len(atoms), 3), 0.02)) is True  # longest row: 0.035
    assert opt.converged(np.full((len(atoms), 3), 0.03)) is False  # 0.052
    assert opt.gradient_converged(np.full(3 * len(atoms), 0.02)) is True
    assert opt.gradient_converged(np.full(3 * len(atoms), 0.03)) is False
    opt.run(fmax=0.05)
    assert opt.converged() is True
    assert opt.converged(atoms.get_forces()) is True


def test_positional_arguments(tmp_path, capsys):
    atoms = ball()
    opt = FIRERelax(atoms, tmp_path / "state.json", "-", tmp_path / "path.traj", True)
    opt.run(fmax=1e-9, steps=2)
    assert len(capsys.readouterr().out.splitlines()) == 4  # the head, and steps 0 to 2
    assert (tmp_path / "state.json").exists()
    opt = FIRERelax(atoms, None, None, tmp_path / "path.traj", True)
    opt.run(fmax=1e-9, steps=2)
    assert capsys.readouterr().out == ""
    with Trajectory(tmp_path / "path.traj") as frames:
        # ASE leaves out the first structure where a trajectory already has frames.
        assert len(frames) == 3 + 2


def test_the_log_is_on_standard_output_unless_told(capsys):
    SGDRelax(ball()).run(fmax=1e-9, steps=1)
    out = capsys.readouterr().out
    assert re.search(r"^SGDRelax: +1 \d\d:\d\d:\d\d +-?\d+\.\d+ +\d+\.\d+$", out, re.MULTILINE)


@pytest.mark.parametrize("as_path", [str, Path])
def test_a_logfile_by_name(tmp_path, as_path):
    opt = FIRERelax(ball(), logfile=as_path(tmp_path / "log"))
    opt.run(fmax=1e-9, steps=3)
    assert len((tmp_path / "log").read_text().splitlines()) == 5


def test_an_open_logfile():
    log = io.StringIO()
    atoms = ball()
    FIRERelax(atoms, logfile=log).run(fmax=1e-9, steps=3)
    rows = log.getvalue().splitlines()
    assert len(rows) == 5
    assert float(rows[-1].split()[-2]) == pytest.approx(atoms.get_potential_energy(), abs=1e-6)
    assert float(rows[-1].split()[-1]) == pytest.approx(fmax_of(atoms.get_forces()), abs=1e-6)


@pytest.mark.parametrize("as_path", [str, Path])
def test_a_trajectory_by_name(tmp_path, as_path):
    atoms = ball()
    opt = FIRERelax(atoms, logfile=None, trajectory=as_path(tmp_path / "t.traj"), loginterval=2)
    opt.run(fmax=1e-9, steps=5)
    with Trajectory(tmp_path / "t.traj") as frames:
        assert len(frames) == 3  # steps 0, 2, 4
        assert frames[1].get_potential_energy() == pytest.approx(morse(frames[1].positions)[0])
    FIRERelax(atoms, logfile=None, trajectory=as_path(tmp_path / "t.traj")).run(fmax=1e-9, steps=1)
    with Trajectory(tmp_path / "t.traj") as frames:
        assert len(frames) == 2  # written anew


def test_an_open_trajectory(tmp_path):
    atoms = ball()
    with Trajectory(tmp_path / "t.traj", "w", atoms) as frames:
        FIRERelax(atoms, logfile=None, trajectory=frames).run(fmax=1e-9, steps=2)
    assert len(read(tmp_path / "t.traj", ":")) == 3


@ALL
def test_the_description_in_the_trajectory(optimizer, tmp_path):
    opt = optimizer(
        UnitCellFilter(copper()),
        logfile=None,
        restart=tmp_path / "state",
        trajectory=tmp_path / "t.traj",
        restart_when="power",
        schedule=Cosine(steps=30),
    )
    opt.run(fmax=0.01, steps=1)
    words = opt.todict()
    assert json.loads(json.dumps(words)) == words
    assert words["type"] == "optimization"
    assert words["optimizer"] == optimizer.__name__
    assert words["fmax"] == 0.01
    assert words["maxstep"] == opt.rule.maxstep
    assert all(part in words["rule"] for part in ("MaxStep", "Restart", "Scheduled", "Cosine(steps=30"))
    assert optimizer.rule_class.__name__ in words["rule"]
    with Trajectory(tmp_path / "t.traj") as frames:
        assert frames.description == words | {"interval": 1}


def test_master_and_comm():
    FIRERelax(ball(), logfile=None, master=True, comm=world, loginterval=1).run(fmax=1e-9, steps=1)


class SecondRank(DummyMPI):
    rank, size = 1, 2


def test_another_rank_writes_nothing(tmp_path, capsys):
    opt = FIRERelax(ball(), restart=tmp_path / "state", logfile="-", comm=SecondRank())
    opt.run(fmax=1e-9, steps=2)
    assert capsys.readouterr().out == ""
    assert list(tmp_path.iterdir()) == []


def test_run_goes_on_where_it_was_left():
    atoms, once = ball(), ball()
    opt = FIRERelax(atoms, logfile=None)
    assert opt.run(fmax=1e-9, steps=4) is False
    assert opt.get_number_of_steps() == opt.nsteps == 4
    opt.run(fmax=1e-9, steps=5)
    assert opt.get_number_of_steps() == 9
    FIRERelax(once, logfile=None).run(fmax=1e-9, steps=9)
    assert np.array_equal(atoms.positions, once.positions)


@ALL
def test_no_steps(optimizer):
    atoms = ball()
    start = atoms.positions.copy()
    opt = optimizer(atoms, logfile=None)
    assert opt.run(fmax=1e-9, steps=0) is False
    assert opt.result.status == "max_steps"
    assert np.array_equal(atoms.positions, start)
    assert opt.run(fmax=1e9, steps=0) is True
    assert opt.result.status == "converged"


def test_irun_yields_bools():
    seen = list(FIRERelax(ball(), logfile=None).irun(fmax=0.05))
    assert all(type(met) is bool for met in seen)
    assert seen == [False] * (len(seen) - 1) + [True]


def test_irun_left_early_is_interrupted():
    opt = FIRERelax(ball(), logfile=None)
    for _ in opt.irun(fmax=1e-9):
        if opt.nsteps == 3:
            assert opt.result.status == "running"
            break
    assert opt.result.status == "interrupted"
    assert opt.result.reason == "left after 3 steps"
    assert opt.result.wall_time > 0


def test_irun_left_at_the_end_is_converged():
    opt = FIRERelax(ball(), logfile=None)
    for met in opt.irun(fmax=0.05):
        if met:
            break
    assert opt.result.status == "converged"


def test_observers():
    seen: list[tuple[Any, ...]] = []
    opt = FIRERelax(ball(), logfile=None)
    opt.attach(lambda *args, **kwargs: seen.append((opt.nsteps, args, kwargs)), 2, "a", b="c")
    opt.insert_observer(lambda: seen.append((opt.nsteps, "first")), position=0)
    opt.run(fmax=1e-9, steps=3)
    at_two = (2, ("a",), {"b": "c"})
    assert [entry for entry in seen if entry[0] == 2] == [(2, "first"), at_two]
    assert len(seen) == 4 + 2  # steps 0 to 3, and 0 and 2


@ALL
def test_context_manager(optimizer):
    with optimizer(ball(), logfile=None) as opt:
        opt.run(fmax=1e-9, steps=1)
    assert opt.nsteps == 1


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda opt: pickle.loads(pickle.dumps(opt))])
@ALL
def test_a_copy_goes_on_as_the_original(optimizer, duplicate):
    opt = optimizer(ball(), logfile=None)
    opt.run(fmax=1e-9, steps=4)
    twin = duplicate(opt)
    assert twin.atoms is not opt.atoms
    for each in (opt, twin):
        each.run(fmax=1e-9, steps=4)
    assert np.array_equal(opt.atoms.positions, twin.atoms.positions)
    assert opt.result.force_calls == twin.result.force_calls == 9


def test_reset_forgets():
    atoms = ball()
    opt = FIRERelax(atoms, logfile=None)
    opt.run(fmax=1e-9, steps=5)
    fresh = Atoms(atoms.symbols, atoms.positions, calculator=Toy())
    opt.reset()
    opt.run(fmax=1e-9, steps=3)
    FIRERelax(fresh, logfile=None).run(fmax=1e-9, steps=3)
    assert np.array_equal(atoms.positions, fresh.positions)


# What is refused


@pytest.mark.parametrize("wrap", [lambda atoms: atoms, UnitCellFilter, lambda a: Filter(a, indices=[0])])
def test_no_calculator(wrap):
    opt = FIRERelax(wrap(bulk("Cu")), logfile=None)
    with pytest.raises(RuntimeError, match="no calculator") as error:
        opt.run()
    assert "\n" not in str(error.value)


@ALL
def test_no_atoms(optimizer):
    with pytest.raises(ValueError, match="no atoms"):
        optimizer(Atoms(calculator=EMT()), logfile=None)


@pytest.mark.parametrize(
    ("optimizer", "wrong", "right"),
    [
        (FIRERelax, "dtmax", "dt_max"),
        (SGDRelax, "momentun", "momentum"),
        (CoReRelax, "eta_pluss", "eta_plus"),
        (FrankensteinRelax, "weightdecay", "weight_decay"),
        # Arguments of the optimizer are as easily misspelt as those of its rule.
        (FIRERelax, "max_step", "maxstep"),
        (LBFGSRelax, "maxstp", "maxstep"),
        (SGDRelax, "logfle", "logfile"),
        (CoReRelax, "restart_wen", "restart_when"),
    ],
)
def test_unknown_parameter(optimizer, wrong, right):
    with pytest.raises(TypeError, match=f"no parameter '{wrong}'; did you mean '{right}'"):
        optimizer(ball(), logfile=None, **{wrong: 0.1})


@pytest.mark.parametrize(
    "settings",
    [
        {"dt": 0.0},
        {"dt": float("nan")},
        {"dt": "0.1"},
        {"n_min": 2.5},
        {"f_dec": 1.5},
        {"maxstep": 0.0},
        {"maxstep": -0.2},
        {"maxstep_norm": "atoms"},
        {"clip": 0.0},
        {"clip": 1.0, "clip_norm": "rows"},
        {"restart_when": "always"},
    ],
    ids=str,
)
def test_out_of_bounds(settings):
    name = next(reversed(settings)).removeprefix("maxstep_").removeprefix("clip_").removeprefix("restart_")
    with pytest.raises(ValueError, match=f"{name}|limit"):
        FIRERelax(ball(), logfile=None, **settings)


def test_a_rule_as_it_stands():
    opt = CoReRelax(ball(), logfile=None, rule=CoRe.paper())
    assert "eta_minus=0.7375" in described(opt.rule)
    assert opt.run(fmax=0.05, steps=1000)
    with pytest.raises(TypeError, match=r"rule= or its parameters.*s_max"):
        CoReRelax(ball(), logfile=None, rule=CoRe.paper(), s_max=0.1)


def test_a_rule_of_ones_own():
    atoms, other = ball(), ball()
    RuleOptimizer(atoms, for_atoms(CoRe.paper()), logfile=None).run(fmax=1e-9, steps=5)
    CoReRelax(other, logfile=None, rule=CoRe.paper()).run(fmax=1e-9, steps=5)
    assert np.array_equal(atoms.positions, other.positions)


@pytest.mark.parametrize("granularity", ["atom", "component"])
@pytest.mark.parametrize("optimizer", [FrankensteinRelax, CoReRelax, OPTIMIZERS["adam"]])
def test_granularity(optimizer, granularity):
    opt = optimizer(ball(), logfile=None, granularity=granularity)
    opt.run(fmax=1e-9, steps=5)
    assert opt.result.status == "max_steps"
    assert f"granularity='{granularity}'" in described(opt.rule)


@ALL
def test_maximize_climbs(optimizer):
    atoms = ball()
    opt = optimizer(atoms, logfile=None, maximize=True, maxstep=0.01)
    opt.run(fmax=1e-9, steps=6)
    assert opt.result.energy_last > opt.result.energy_first
    assert opt.result.energy_last == pytest.approx(morse(atoms.positions)[0])


# Restart files

WRAPPED: dict[str, dict[str, Any]] = {
    "plain": {},
    "stall": {"restart_when": "stall", "clip": 1.0},
    "scheduled": {"schedule": Cosine(steps=20), "restart_when": "power", "centred": True},
}


def halves(build: Any, wrap: Any, tmp_path: Path, first: int = 7, second: int = 4) -> tuple[Any, Any]:
    """Return the paths of one run, and of one that is left and taken up by new objects, from files."""
    through = path_of(build(wrap()), first + second)
    state, frames = tmp_path / "state.json", tmp_path / "path.traj"
    opt = build(wrap(), restart=state)
    opt.run(fmax=1e-9, steps=first)
    left = next(iter(opt.optimizable.iterimages()))
    write(frames, left)
    written = state.read_bytes()
    assert written
    atoms = read(frames)
    atoms.calc = type(left.calc)()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = build(wrap(atoms), restart=state)
    path = path_of(again, second)
    assert state.read_bytes() != written
    return through[first:], path


@pytest.mark.parametrize("settings", WRAPPED.values(), ids=list(WRAPPED))
@ALL
def test_a_restarted_path_is_the_same_to_the_last_bit(optimizer, settings, tmp_path):
    def build(atoms: Any, **kwargs: Any) -> Any:
        return optimizer(atoms, logfile=None, **settings, **kwargs)

    through, taken_up = halves(build, lambda atoms=None: atoms or ball(), tmp_path)
    assert np.array_equal(through, taken_up)


@SOME
def test_a_restarted_cell_is_the_same_to_the_last_bit(optimizer, tmp_path):
    """The reference cell of the filter is not the cell of the structure that is taken up."""

    def build(atoms: Any, **kwargs: Any) -> Any:
        return optimizer(atoms, logfile=None, **WRAPPED["scheduled"], **kwargs)

    def wrap(atoms: Any = None) -> Any:
        return UnitCellFilter(atoms or copper(stretch=1.05))

    through, taken_up = halves(build, wrap, tmp_path, first=4, second=3)
    assert np.array_equal(through, taken_up)


@SOME
def test_a_restarted_frechet_cell_is_the_same_to_the_last_bit(optimizer, tmp_path):
    def build(atoms: Any, **kwargs: Any) -> Any:
        return optimizer(atoms, logfile=None, **kwargs)

    def wrap(atoms: Any = None) -> Any:
        return FrechetCellFilter(atoms or copper(stretch=1.05))

    through, taken_up = halves(build, wrap, tmp_path, first=4, second=3)
    assert np.array_equal(through, taken_up)


def test_the_reference_cell_is_that_of_the_start(tmp_path):
    start = copper(stretch=1.05)
    first = start.cell[:].copy()
    FIRERelax(FrechetCellFilter(start), restart=tmp_path / "state", logfile=None).run(fmax=1e-9, steps=2)
    later = FrechetCellFilter(start)
    assert np.abs(later.orig_cell - first).max() > 1e-3
    FIRERelax(later, restart=tmp_path / "state", logfile=None)
    assert np.array_equal(later.orig_cell, first)


@pytest.fixture
def state_file(tmp_path):
    path = tmp_path / "state.json"
    FIRERelax(ball(), restart=path, logfile=None).run(fmax=1e-9, steps=3)
    return path


@pytest.mark.parametrize(
    "settings", [{"dt": 0.2}, {"maxstep": 0.1}, {"clip": 1.0}, {"maximize": True}], ids=str
)
def test_a_restart_file_of_other_settings(state_file, settings):
    with pytest.raises(ValueError, match=r"was written by .*FIRE.*; use the same settings, or delete"):
        FIRERelax(ball(), restart=state_file, logfile=None, **settings)


def test_a_restart_file_of_another_rule(state_file):
    with pytest.raises(ValueError, match=r"was written by .*FIRE.*not by .*SGD"):
        SGDRelax(ball(), restart=state_file, logfile=None)


@pytest.mark.parametrize("n", [1, 6, 8])
def test_a_restart_file_of_another_structure(state_file, n):
    with pytest.raises(ValueError, match=f"7.* rows, this one has {n}"):
        FIRERelax(ball(n), restart=state_file, logfile=None)


def test_a_restart_file_of_a_cell_is_not_for_atoms(tmp_path):
    atoms = copper()
    FIRERelax(UnitCellFilter(atoms), restart=tmp_path / "state", logfile=None).run(fmax=1e-9, steps=1)
    with pytest.raises(ValueError, match=r"7.* rows, this one has 4"):
        FIRERelax(atoms, restart=tmp_path / "state", logfile=None)


def test_a_refused_restart_file_leaves_the_filter_alone(tmp_path):
    FIRERelax(UnitCellFilter(copper()), restart=tmp_path / "state", logfile=None).run(fmax=1e-9, steps=1)
    big = UnitCellFilter(copper().repeat((2, 1, 1)))
    cell = big.orig_cell.copy()
    with pytest.raises(ValueError, match="rows"):
        FIRERelax(big, restart=tmp_path / "state", logfile=None)
    assert np.array_equal(big.orig_cell, cell)


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"{",
        b"[1, 2]",
        b"7",
        b"null",
        b"{}",
        b'{"rule": "FIRE()"}',
        b"\xff\xfe\x00garbage",
        b'{"vel": [], "dt": 0.1}',
    ],
    ids=range(9),
)
def test_a_file_that_is_no_restart_file(tmp_path, garbage):
    path = tmp_path / "state"
    path.write_bytes(garbage)
    with pytest.raises(RestartError, match=r"Could not decode .*: it is no restart file of relax; delete it"):
        FIRERelax(ball(), restart=path, logfile=None)
    assert path.read_bytes() == garbage


@pytest.mark.parametrize("state", [5, None, {}, {"v": 1.0}], ids=str)
def test_a_restart_file_whose_state_is_not_one(state_file, state):
    data = json.loads(state_file.read_text()) | {"state": state}
    state_file.write_text(json.dumps(data))
    with pytest.raises((RestartError, ValueError), match=re.escape(str(state_file))):
        FIRERelax(ball(), restart=state_file, logfile=None)


def test_a_restart_file_of_ase_is_refused(tmp_path):
    ase.optimize.FIRE(ball(), restart=tmp_path / "state", logfile=None).run(fmax=1e-9, steps=2)
    with pytest.raises(RestartError):
        FIRERelax(ball(), restart=tmp_path / "state", logfile=None)


def test_the_restart_file_is_whole_or_not_touched(state_file, monkeypatch):
    before = state_file.read_bytes()
    opt = FIRERelax(ball(), restart=state_file, logfile=None)

    def disk_full(file: Any, data: Any) -> None:
        file.write("{")
        raise OSError("no space left on device")

    monkeypatch.setattr("relax.optimizers.restart.write_json", disk_full)
    with pytest.raises(OSError, match="no space left"):
        opt.run(fmax=1e-9, steps=3)
    assert opt.result.status == "interrupted"
    assert state_file.read_bytes() == before
    assert list(state_file.parent.iterdir()) == [state_file]


def test_a_first_restart_file_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def disk_full(file: Any, data: Any) -> None:
        raise OSError("no space left on device")

    opt = FIRERelax(ball(), restart=tmp_path / "state", logfile=None)
    monkeypatch.setattr("relax.optimizers.restart.write_json", disk_full)
    with pytest.raises(OSError, match="no space left"):
        opt.run(fmax=1e-9, steps=3)
    assert list(tmp_path.iterdir()) == []


def test_nothing_but_the_restart_file_is_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    FIRERelax(ball(), restart="state", logfile=None).run(fmax=1e-9, steps=5)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


class Halved:
    """A schedule with no ``__repr__`` of its own, as users write them."""

    def __call__(self, t: Any) -> Any:
        return 0.5 + 0 * t


def test_the_description_of_a_rule_is_the_same_in_every_process(tmp_path):
    # The address of an object is not, and would have every restart refused.
    assert " at 0x" not in described(for_atoms(CoRe(), schedule=Halved()))
    for _ in range(2):
        opt = FIRERelax(ball(), restart=tmp_path / "state", logfile=None, schedule=Halved())
        opt.run(fmax=1e-9, steps=2)


# A chain of images


class Exact(Toy):
    """A calculator without free energy, so that the energy itself has to do."""


def test_without_a_free_energy():
    atoms = ball()
    atoms.calc = Exact()
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_potential_energy(force_consistent=True)
    assert FIRERelax(atoms, logfile=None).run(fmax=0.05)


def chain(shared: bool = False, ends: bool = True, method: str = "improvedtangent") -> NEB:
    """A hop between two clusters: three images, the middle one to be relaxed."""
    images = [Atoms("Cu4", cluster(4, seed=3, rattle=0.05)) for _ in range(3)]
    images[2].rattle(0.3, seed=2)
    neb = NEB(images, method=method, allow_shared_calculator=shared)
    neb.interpolate()
    images[1].rattle(0.1, seed=4)
    one = Toy()
    for image in images if ends else images[1:2]:
        image.calc = one if shared else Toy()
    return neb


class TestNEB:
    def test_runs(self):
        neb = chain()
        opt = FIRERelax(neb, logfile=None)
        opt.run(fmax=1e-3, steps=5)
        assert opt.result.status == "max_steps"
        assert opt.result.steps == 5
        assert opt.result.fmax == pytest.approx(fmax_of(neb.get_forces()))

    def test_relaxes(self):
        opt = FIRERelax(chain(), logfile=None)
        assert opt.run(fmax=0.05, steps=300)
        assert opt.result.status == "converged"

    def test_as_ase(self):
        mine, its = chain(), chain()
        FIRERelax(mine, logfile=None).run(fmax=1e-3, steps=10)
        ase.optimize.FIRE(its, logfile=None).run(fmax=1e-3, steps=10)
        np.testing.assert_allclose(mine.get_positions(), its.get_positions(), rtol=0, atol=1e-10)

    def test_force_calls(self):
        neb = chain()
        opt = FIRERelax(neb, logfile=None)
        opt.run(fmax=1e-3, steps=5)
        calls = [image.calc.calls for image in neb.images]
        assert calls == [1, 6, 1]
        assert opt.result.force_calls == sum(calls)

    def test_with_a_shared_calculator(self):
        neb = chain(shared=True)
        opt = FIRERelax(neb, logfile=None)
        opt.run(fmax=1e-3, steps=5)
        assert opt.result.status == "max_steps"
        assert opt.result.force_calls == neb.images[1].calc.calls

    @pytest.mark.filterwarnings("ignore::UserWarning:ase.mep")
    def test_with_ends_that_have_no_calculator(self):
        neb = chain(ends=False, method="aseneb")
        opt = FIRERelax(neb, logfile=None)
        opt.run(fmax=1e-3, steps=5)
        assert opt.result.status == "max_steps"
        assert opt.result.force_calls == neb.images[1].calc.calls == 6

    def test_in_a_trajectory(self, tmp_path):
        FIRERelax(chain(), logfile=None, trajectory=tmp_path / "t.traj").run(fmax=1e-3, steps=2)
        assert len(read(tmp_path / "t.traj", ":")) == 9

    def test_an_image_that_goes_wrong_stops_the_chain(self):
        neb = chain()
        opt = FIRERelax(neb, logfile=None)
        opt.run(fmax=1e-3, steps=2)
        good = neb.get_positions()
        calc = neb.images[1].calc
        calc.at, calc.deed = calc.calls + 1, lambda results: results["forces"].fill(np.nan)
        assert opt.run(fmax=1e-3, steps=3) is False
        assert opt.result.status == "nonfinite"
        assert np.array_equal(neb.get_positions(), good)


def test_counted_emt_counts():
    """The tests above lean on it."""
    atoms = bulk("Cu")
    atoms.calc = CountedEMT()
    atoms.get_forces()
    atoms.get_stress()
    assert atoms.calc.calls == 1
