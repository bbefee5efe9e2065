"""What a run says of itself: force calls counted at the calculator, and a verdict that can be trusted."""

from __future__ import annotations

import math
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import add_adsorbate, bulk, fcc111, molecule
from ase.calculators.lj import LennardJones
from ase.filters import ExpCellFilter, Filter, FrechetCellFilter, StrainFilter, UnitCellFilter
from ase.utils.abc import Optimizable
from helpers import cluster, morse
from toys import CountedEMT, Pressed, Toy, ball, copper, fmax_of

from relax.calculators.base import CallCounter
from relax.core.errors import RelaxationStopped
from relax.core.result import STATUSES, Result
from relax.core.rule import Point, Rule
from relax.core.segments import Array
from relax.core.state import State
from relax.geometry.sanity import Integrity, Shape
from relax.optimizers.named import OPTIMIZERS, FIRERelax, RuleOptimizer, SGDRelax

ALL = pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=list(OPTIMIZERS))


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.array_equal(a, b))


def is_whole(atoms: Atoms, start: Atoms) -> bool:
    return not Integrity(start).fault(Shape.of(atoms))


# Force calls


@ALL
@pytest.mark.parametrize("steps", [0, 1, 9])
def test_a_run_of_n_steps_makes_n_plus_1_calls(optimizer, steps, tmp_path):
    atoms = ball()
    opt = optimizer(atoms, logfile=tmp_path / "log", trajectory=tmp_path / "traj", restart=tmp_path / "state")
    opt.run(fmax=1e-9, steps=steps)
    assert opt.nsteps == steps
    assert opt.result.force_calls == atoms.calc.calls == steps + 1


@pytest.mark.parametrize(
    "wrap",
    [
        lambda atoms: Filter(atoms, indices=[0, 2]),
        lambda atoms: Filter(atoms, mask=[True, True, False, True]),
        UnitCellFilter,
        FrechetCellFilter,
        StrainFilter,
        pytest.param(ExpCellFilter, marks=pytest.mark.filterwarnings("ignore:Use FrechetCellFilter")),
    ],
    ids=["indices", "mask", "UnitCell", "Frechet", "Strain", "ExpCell"],
)
def test_a_filter_costs_no_calls(wrap, tmp_path):
    atoms = copper(stretch=1.02)
    opt = FIRERelax(wrap(atoms), logfile=tmp_path / "log", trajectory=tmp_path / "traj")
    opt.run(fmax=1e-9, steps=5)
    assert opt.result.force_calls == atoms.calc.calls == 6


def test_calls_are_counted_apart_where_a_calculator_is_shared():
    calc = Toy()
    optimizers = []
    for seed in (0, 1):
        atoms = ball(5, seed)
        atoms.calc = calc
        optimizers.append(FIRERelax(atoms, logfile=None))
    for _ in zip(*(opt.irun(fmax=1e-9, steps=6) for opt in optimizers), strict=True):
        pass
    counts = [opt.result.force_calls for opt in optimizers]
    assert min(counts) >= 7  # the two push each other out of the cache, which costs calls
    assert sum(counts) == calc.calls


def test_evaluations_of_others_are_not_counted():
    atoms = ball()

    def look_around() -> None:
        other = atoms.copy()
        other.rattle(0.1)
        other.calc = atoms.calc
        other.get_forces()

    opt = FIRERelax(atoms, logfile=None)
    opt.attach(look_around)
    before = atoms.calc.calls
    opt.run(fmax=1e-9, steps=3)
    by_others = 4
    assert opt.result.force_calls == atoms.calc.calls - before - by_others


def test_what_is_cached_costs_nothing():
    atoms = ball()
    atoms.get_forces()
    opt = FIRERelax(atoms, logfile=None)
    opt.run(fmax=1e-9, steps=3)
    assert opt.result.force_calls == 3


def test_counting_goes_on_in_a_second_run():
    atoms = ball()
    opt = FIRERelax(atoms, logfile=None)
    opt.run(fmax=1e-9, steps=3)
    opt.run(fmax=1e-9, steps=4)
    assert opt.result.steps == 7
    assert opt.result.force_calls == atoms.calc.calls == 8


def fail(results: Any) -> None:
    raise RuntimeError("no")


@pytest.mark.parametrize("deed", [lambda results: None, fail], ids=["good", "raises"])
def test_calculate_is_left_as_it_was_found(deed):
    atoms = ball(at=3, deed=deed)
    FIRERelax(atoms, logfile=None).run(fmax=1e-9, steps=5)
    assert "calculate" not in vars(atoms.calc)


@pytest.mark.parametrize("deed", [lambda results: None, fail], ids=["good", "raises"])
def test_a_calculate_of_the_instance_is_put_back(deed):
    atoms = ball(at=3, deed=deed)
    own = atoms.calc.calculate = lambda *args, **kwargs: Toy.calculate(atoms.calc, *args, **kwargs)
    opt = FIRERelax(atoms, logfile=None)
    opt.run(fmax=1e-9, steps=5)
    assert atoms.calc.calculate is own
    assert opt.result.force_calls == atoms.calc.calls


def test_counter_by_itself():
    counter, calc = CallCounter(), Toy()
    atoms = Atoms("Cu3", cluster(3))
    calc.calculate(atoms)
    with counter.watching([calc, calc, None]):  # one calculator of two images counts once
        calc.calculate(atoms)
        assert counter.calls == 1
    calc.calculate(atoms)
    assert counter.calls == 1
    assert calc.calls == 3


def test_nested_counters_both_count():
    one, two, calc = CallCounter(), CallCounter(), Toy()
    with one.watching([calc]), two.watching([calc]):
        calc.calculate(Atoms("Cu3", cluster(3)))
    assert (one.calls, two.calls) == (1, 1)
    assert "calculate" not in vars(calc)


# Numbers that are not finite


def spoil(what: str, value: float) -> Any:
    def deed(results: dict[str, Any]) -> None:
        if what == "forces":
            results["forces"][1, 2] = value
        else:
            results["energy"] = value

    return deed


def assert_holds(atoms: Atoms, result: Result, visited: np.ndarray) -> None:
    """The structure handed back is ``visited``, and what the result says is of that structure."""
    assert same(atoms.positions, visited)
    energy, gradient = atoms.calc.potential(visited)
    assert result.energy_last == pytest.approx(energy, rel=1e-12)
    assert result.fmax == pytest.approx(fmax_of(gradient), rel=1e-12)


@pytest.mark.parametrize("k", [2, 3, 6])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("what", ["forces", "energy"])
def test_nonfinite_stops_at_once_and_restores(what, value, k):
    atoms = ball(at=k, deed=spoil(what, value))
    opt = FIRERelax(atoms, logfile=None)
    assert opt.run(fmax=1e-9, steps=20) is False
    result = opt.result
    assert result.status == "nonfinite"
    assert not result.converged
    assert atoms.calc.calls == result.force_calls == k
    assert result.steps == k - 1
    assert_holds(atoms, result, atoms.calc.visited[k - 2])


@pytest.mark.parametrize("what", ["forces", "energy"])
@ALL
def test_every_optimizer_stops_at_nan(optimizer, what):
    atoms = ball(at=4, deed=spoil(what, math.nan))
    opt = optimizer(atoms, logfile=None)
    assert opt.run(fmax=1e-9, steps=20) is False
    assert opt.result.status == "nonfinite"
    assert_holds(atoms, opt.result, atoms.calc.visited[2])


@pytest.mark.parametrize("what", ["forces", "energy"])
def test_nan_at_the_very_first_call(what):
    atoms = ball(at=1, deed=spoil(what, math.nan))
    start = atoms.positions.copy()
    opt = FIRERelax(atoms, logfile=None)
    assert list(opt.irun(fmax=1e-9, steps=20)) == [False]
    result = opt.result
    assert result.status == "nonfinite"
    assert (result.steps, result.force_calls) == (0, 1)
    assert math.isnan(result.energy_first)
    assert same(atoms.positions, start)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("what", "words"), [("forces", "force on row 1 is"), ("energy", "energy is")])
def test_the_number_that_is_not_finite_is_told(what, words, value):
    opt = FIRERelax(ball(at=2, deed=spoil(what, value)), logfile=None)
    opt.run(steps=5)
    assert f"the {words} {value}" in opt.result.reason


def test_step_alone_lets_the_stop_out():
    opt = FIRERelax(ball(at=1, deed=spoil("forces", math.nan)), logfile=None)
    with pytest.raises(RelaxationStopped, match="nonfinite") as stop:
        opt.step()
    assert stop.value.status == "nonfinite"


def test_the_stop_reaches_another_process():
    # A pool of workers pickles what it raises, and hangs where that cannot be read back.
    stop = pickle.loads(pickle.dumps(RelaxationStopped("exploded", "all gone")))
    assert (stop.status, stop.reason, str(stop)) == ("exploded", "all gone", "exploded: all gone")


@dataclass(frozen=True)
class Bad(Rule):
    """A rule whose second step is not a number."""

    def init(self, x: Array) -> State:
        return {"t": x[:, :1] * 0.0}

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        dx = -0.01 * point.g
        return np.where(state["t"] > 0, math.nan, dx), {"t": state["t"] + 1}


def test_a_rule_whose_step_is_not_finite():
    atoms = ball()
    opt = RuleOptimizer(atoms, Bad(), logfile=None)
    assert opt.run(fmax=1e-9, steps=20) is False
    assert opt.result.status == "nonfinite"
    assert_holds(atoms, opt.result, atoms.calc.visited[1])


# Calculators that raise


@pytest.mark.parametrize("k", [1, 2, 6])
def test_calculator_error(k, tmp_path):
    def deed(results: Any) -> None:
        raise ArithmeticError("SCF did not\n  converge")

    atoms = ball(at=k, deed=deed)
    start = atoms.positions.copy()
    opt = FIRERelax(atoms, logfile=tmp_path / "log")
    assert opt.run(fmax=1e-9, steps=20) is False
    result = opt.result
    assert result.status == "calculator_error"
    assert result.reason == "ArithmeticError: SCF did not converge"
    assert result.force_calls == atoms.calc.calls == k
    if k == 1:
        assert same(atoms.positions, start)
        assert math.isnan(result.energy_first)
    else:
        assert_holds(atoms, result, atoms.calc.visited[k - 2])
    last = (tmp_path / "log").read_text().splitlines()[-1]
    assert last == "FIRERelax: stopped, calculator_error: ArithmeticError: SCF did not converge"


def test_calculator_error_without_words():
    def deed(results: Any) -> None:
        raise ArithmeticError

    opt = FIRERelax(ball(at=2, deed=deed), logfile=None)
    opt.run()
    assert opt.result.reason == "ArithmeticError: no message"


def test_a_run_goes_on_after_the_calculator_recovered():
    atoms = ball(at=3, deed=fail)
    opt = FIRERelax(atoms, logfile=None)
    assert not opt.run(fmax=0.05)
    assert opt.run(fmax=0.05)
    assert opt.result.status == "converged"


def test_ctrl_c_is_no_calculator_error():
    def deed(results: Any) -> None:
        raise KeyboardInterrupt

    atoms = ball(at=3, deed=deed)
    opt = FIRERelax(atoms, logfile=None)
    with pytest.raises(KeyboardInterrupt):
        opt.run()
    assert opt.result.status == "interrupted"
    assert "calculate" not in vars(atoms.calc)


def test_an_observer_that_raises_is_heard():
    def observer() -> None:
        raise LookupError("mine")

    opt = FIRERelax(ball(), logfile=None)
    opt.attach(observer)
    with pytest.raises(LookupError, match="mine"):
        opt.run()
    assert opt.result.status == "interrupted"


# Structures that fly apart


def burst(reach: float) -> Any:
    """Push every atom outwards with 5 eV/A until it is ``reach`` from the centre."""

    def potential(x: np.ndarray) -> tuple[float, np.ndarray]:
        r = np.linalg.norm(x, axis=1, keepdims=True)
        return float(5 * np.clip(reach - r, 0, None).sum()), np.where(r < reach, -5 * x / r, 0.0)

    return potential


def octahedron(**kwargs: Any) -> Atoms:
    sites = 1.8 * np.concatenate([np.eye(3), -np.eye(3)])
    return Atoms("Cu6", sites, calculator=Toy(**kwargs))


QUICK: dict[str, dict[str, Any]] = {
    "adagrad": {"lr": 1.0},
    "adadelta": {"eps": 1e-2},
    "rmsprop": {"lr": 0.3},
    "core": {"metric": False},  # in a metric it finds that this potential lets the whole cluster leave
    "kriging": {"largest": 0.2},  # where nothing is curved, longer searches follow rounding
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_burst_cluster_is_exploded(name):
    # Out of reach no force is left: a run that only looks at forces would call that converged.
    atoms = octahedron(potential=burst(reach=40.0))
    start = atoms.copy()
    opt = OPTIMIZERS[name](atoms, logfile=None, maxstep=3.0, maxstep_norm="atom", **QUICK.get(name, {}))
    assert opt.run(fmax=0.05, steps=2000) is False
    assert opt.result.status == "exploded"
    assert "6 of 6 atoms lost all neighbours" in opt.result.reason
    assert any(same(atoms.positions, x) for x in atoms.calc.visited)
    assert is_whole(atoms, start)


@pytest.mark.parametrize("maxstep", [0.1, 0.7, 5.0, 100.0])
def test_the_result_is_of_the_structure_from_before_the_explosion(maxstep):
    # The last whole structure is older than the last one evaluated, by up to the way between two looks.
    atoms = octahedron(potential=burst(reach=40.0))
    opt = SGDRelax(atoms, logfile=None, lr=100.0, maxstep=maxstep)
    assert not opt.run(fmax=0.05, steps=2000)
    assert opt.result.status == "exploded"
    assert_holds(atoms, opt.result, atoms.positions)


@pytest.mark.parametrize("reach", [30.0, 1e3, 1e6])
def test_one_huge_step_is_exploded(reach):
    """Forces fade with distance, so that the debris looks converged."""
    atoms = ball(13)
    start = atoms.copy()
    opt = FIRERelax(atoms, logfile=None, dt=1e4, dt_max=1e4, maxstep=reach, maxstep_norm="structure")
    assert opt.run(fmax=0.05, steps=50) is False
    assert opt.result.status == "exploded"
    assert is_whole(atoms, start)
    assert any(same(atoms.positions, x) for x in atoms.calc.visited)


def test_every_status_of_the_watch_is_a_status():
    assert {"exploded", "nonfinite", "calculator_error", "stalled"} <= set(STATUSES)


class Several(Optimizable):
    """Structures that move as one, as the images of a chain do."""

    def __init__(self, images: list[Atoms]) -> None:
        self.images = images

    def ndofs(self) -> int:
        return sum(3 * len(atoms) for atoms in self.images)

    def get_x(self) -> np.ndarray:
        return np.concatenate([atoms.positions.ravel() for atoms in self.images])

    def set_x(self, x: np.ndarray) -> None:
        rows = x.reshape(len(self.images), -1, 3)
        for atoms, positions in zip(self.images, rows, strict=True):
            atoms.positions = positions

    def get_gradient(self) -> np.ndarray:
        return -np.concatenate([atoms.get_forces().ravel() for atoms in self.images])

    def get_value(self) -> float:
        return sum(atoms.get_potential_energy() for atoms in self.images)

    def iterimages(self) -> Any:
        return iter(self.images)


@pytest.mark.parametrize("order", [1, -1], ids=["last-bursts", "first-bursts"])
def test_what_is_restored_is_whole_in_every_image(order):
    def drift(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float(x[:, 0].sum()), np.tile([1.0, 0.0, 0.0], (len(x), 1))

    images = [octahedron(potential=drift), octahedron(potential=burst(reach=40.0))][::order]
    start = images[0].copy()
    opt = SGDRelax(Several(images), logfile=None, lr=100.0, maxstep=3.0)
    assert not opt.run(fmax=0.05, steps=50)
    assert opt.result.status == "exploded"
    assert all(is_whole(atoms, start) for atoms in images)


@pytest.mark.parametrize("cubic", [True, False], ids=["4-atoms", "1-atom"])
@pytest.mark.parametrize(("pressure", "status"), [(1.0, "exploded"), (-1.0, "collapsed")])
@pytest.mark.parametrize("wrap", [UnitCellFilter, FrechetCellFilter, StrainFilter])
def test_a_volume_that_runs_away_stops_the_run(wrap, pressure, status, cubic):
    # In a cell of one atom at the origin no atom moves at all, however the cell does.
    atoms = bulk("Cu", cubic=cubic)
    volume = atoms.get_volume()
    atoms.calc = Pressed(pressure)
    opt = SGDRelax(wrap(atoms), logfile=None, lr=1.0, maxstep=0.4)
    assert opt.run(fmax=1e-9, steps=15) is False
    assert opt.result.status == status
    assert "the volume went from" in opt.result.reason
    assert 1 / 5 < atoms.get_volume() / volume < 5


def pushed(atoms: Atoms, force: np.ndarray) -> Any:
    """A potential that is a constant ``force`` (N, 3)."""
    return lambda x: (-float((force * x).sum()), -force)


def test_a_molecule_that_leaves_in_one_piece_is_no_explosion():
    slab = fcc111("Cu", (2, 2, 2), vacuum=6.0)
    add_adsorbate(slab, molecule("CO"), 2.0, "ontop")
    slab.pbc = (True, True, False)
    force = np.zeros((len(slab), 3))
    force[-2:, 2] = 1.0
    slab.calc = Toy(pushed(slab, force))
    height = slab.positions[-2:, 2].copy()
    opt = SGDRelax(slab, logfile=None, lr=1.0, maxstep=0.5)
    opt.run(fmax=0.05, steps=40)
    assert opt.result.status == "max_steps"
    assert (slab.positions[-2:, 2] - height).min() > 15.0


def test_an_atom_that_leaves_by_itself_is_an_explosion():
    slab = fcc111("Cu", (2, 2, 2), vacuum=6.0)
    add_adsorbate(slab, "H", 1.5, "ontop")
    slab.pbc = (True, True, False)
    force = np.zeros((len(slab), 3))
    force[-1, 2] = 1.0
    slab.calc = Toy(pushed(slab, force))
    opt = SGDRelax(slab, logfile=None, lr=1.0, maxstep=0.5)
    assert not opt.run(fmax=0.05, steps=40)
    assert opt.result.status == "exploded"
    assert f"1 of {len(slab)} atoms" in opt.result.reason
    assert f"atom {len(slab) - 1} (H)" in opt.result.reason


def test_an_atom_alone_from_the_start_is_no_explosion():
    x = np.concatenate([cluster(7), [[60.0, 0.0, 0.0]]])
    atoms = Atoms("Cu8", x, calculator=Toy())
    opt = FIRERelax(atoms, logfile=None)
    assert opt.run(fmax=0.01)
    assert opt.result.status == "converged"


def test_a_single_atom_is_no_explosion():
    atoms = Atoms("Ar", calculator=LennardJones())
    opt = FIRERelax(atoms, logfile=None)
    assert opt.run()
    assert opt.result.status == "converged"
    assert opt.result.steps == 0


def test_a_crystal_of_one_atom_is_not_alone():
    atoms = bulk("Cu", a=3.7)
    atoms.calc = CountedEMT()
    assert not Integrity(atoms).was_alone.any()
    opt = FIRERelax(FrechetCellFilter(atoms, mask=[True] * 3 + [False] * 3), logfile=None)
    assert opt.run(fmax=0.1, steps=30)
    assert opt.result.status == "converged"


@pytest.mark.parametrize(
    ("atoms", "alone"),
    [
        (Atoms("Cu"), [True]),
        (Atoms("Cu2", [[0, 0, 0], [0, 0, 7.8]]), [False, False]),
        (Atoms("Cu2", [[0, 0, 0], [0, 0, 8.0]]), [True, True]),
        (Atoms("Cu3", [[0, 0, 0], [0, 0, 2.5], [0, 0, 30]]), [False, False, True]),
        (Atoms("Cu", cell=[30, 30, 4], pbc=(False, False, True)), [False]),
        (Atoms("Cu", cell=[4, 30, 30], pbc=(False, False, True)), [True]),
        (Atoms("Cu", cell=[30] * 3, pbc=True), [True]),
        # Neighbours across the boundary, within reach but not close.
        (Atoms("Cu2", [[0, 0, 0.5], [0, 0, 25.5]], cell=[30] * 3, pbc=True), [False, False]),
        (Atoms("Cu2", [[0, 0, 0.5], [0, 0, 25.5]], cell=[30] * 3), [True, True]),
        (Atoms("H2", [[0, 0, 0], [0, 0, 2.0]]), [True, True]),
    ],
)
def test_who_is_alone(atoms, alone):
    assert Integrity(atoms).was_alone.tolist() == alone


@pytest.mark.parametrize(("factor", "whole"), [(4.9, True), (5.1, False), (1 / 4.9, True), (1 / 5.1, False)])
def test_how_far_a_volume_may_go(factor, whole):
    atoms = bulk("Cu", cubic=True)
    integrity = Integrity(atoms)
    atoms.set_cell(atoms.cell * factor ** (1 / 3), scale_atoms=True)
    assert (integrity.fault(Shape.of(atoms)) is None) is whole


def test_a_box_of_vacuum_says_nothing_about_a_cluster():
    """Cells that are not complete have no volume to watch."""
    atoms = ball()
    atoms.cell = [10, 10, 0]
    integrity = Integrity(atoms)
    atoms.cell = [100, 100, 0]
    assert integrity.fault(Shape.of(atoms)) is None


# The other ends


def test_stalled():
    atoms = ball()
    opt = FIRERelax(atoms, logfile=None, maxstep=1e-12)
    assert opt.run(fmax=0.01, steps=500) is False
    assert opt.result.status == "stalled"
    assert opt.result.steps == 10
    assert_holds(atoms, opt.result, atoms.calc.visited[-1])


def test_stalled_where_the_schedule_ends_at_zero():
    opt = FIRERelax(ball(), logfile=None, schedule=lambda t: 1.0 * (t < 3))
    assert opt.run(fmax=1e-6, steps=500) is False
    assert opt.result.status == "stalled"
    assert opt.result.steps == 13


def test_a_stall_counts_anew_in_the_next_run():
    opt = FIRERelax(ball(), logfile=None, maxstep=1e-12)
    opt.run(fmax=0.01, steps=6)
    assert opt.result.status == "max_steps"
    opt.run(fmax=0.01, steps=500)
    assert opt.result.status == "stalled"
    assert opt.result.steps == 16


def test_max_steps():
    opt = FIRERelax(ball(), logfile=None)
    assert opt.run(fmax=1e-9, steps=4) is False
    assert opt.result.status == "max_steps"
    assert "after 4 steps" in opt.result.reason
    assert f"{opt.result.fmax:.4g}" in opt.result.reason


@ALL
def test_the_fields_of_a_result(optimizer):
    atoms = ball()
    start = atoms.positions.copy()
    opt = optimizer(atoms, logfile=None)
    assert opt.result.status == "running"
    assert math.isnan(opt.result.fmax)
    assert opt.result.wall_time == 0
    opt.run(fmax=1e-9, steps=3)
    result = opt.result
    assert result.status in STATUSES
    assert result.steps == 3
    assert result.energy_first == pytest.approx(morse(start)[0], rel=1e-12)
    assert_holds(atoms, result, atoms.calc.visited[-1])
    assert result.wall_time > 0
    assert opt.result.wall_time == result.wall_time  # the clock stands still after the end


def test_fmax_counts_the_rows_of_the_cell():
    atoms = bulk("Cu", cubic=True, a=3.7)
    atoms.calc = CountedEMT()
    cell = UnitCellFilter(atoms)
    opt = FIRERelax(cell, logfile=None)
    opt.run(fmax=1e-9, steps=2)
    assert opt.result.fmax == pytest.approx(fmax_of(cell.get_forces()), rel=1e-10)
    assert fmax_of(atoms.get_forces()) < 1e-9 < opt.result.fmax


def test_converged():
    atoms = copper()
    opt = FIRERelax(atoms, logfile=None)
    assert opt.run(fmax=0.05) is True
    assert opt.result.converged
    assert opt.result.status == "converged"
    assert "0.05 eV/A" in opt.result.reason
    assert opt.result.fmax == pytest.approx(fmax_of(atoms.get_forces()))
    assert opt.result.fmax < 0.05
    assert opt.result.energy_last == atoms.get_potential_energy() < opt.result.energy_first


def test_a_result_cannot_be_edited():
    result = FIRERelax(ball(), logfile=None).result
    with pytest.raises(AttributeError):
        result.status = "converged"
