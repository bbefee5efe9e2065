"""Verdicts: what a run says it came to, and what it does where it went wrong."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import add_adsorbate, bulk, fcc111, molecule
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list
from toys import Bonds, Toy, ball, copper

from relax import CoReRelax, FIRERelax, SGDRelax
from relax.core.errors import RelaxationStopped
from relax.core.result import STATUSES
from relax.core.settings import BACKTRACKS, RECOVERABLE, UPHILL
from relax.geometry.cell import CellFreedom
from relax.geometry.sanity import Integrity, Shape, changed_bonds
from relax.optimizers.named import OPTIMIZERS


def salt(a: float = 5.5, **kwargs: Any) -> Atoms:
    """Return rock salt, rattled, under :class:`Bonds`."""
    atoms = bulk("NaCl", "rocksalt", a=a).repeat((1, 1, 2))
    atoms.rattle(0.1, seed=1)
    atoms.calc = Bonds(skin=0.5, **kwargs)
    return atoms


# Uphill


class Tilted(Toy):
    """A cluster whose energy is told too high by some eV/atom from a certain call on."""

    def __init__(self, rise: float, after: int = 3) -> None:
        super().__init__()
        self.rise, self.after = rise, after

    def calculate(self, *args: Any, **kwargs: Any) -> None:
        super().calculate(*args, **kwargs)
        if self.calls > self.after:
            self.results["energy"] += self.rise * len(self.atoms)


def test_an_energy_that_runs_away_upwards_is_uphill_at_once():
    atoms = ball()
    atoms.calc = Tilted(UPHILL + 1.0)
    opt = FIRERelax(atoms, logfile=None)
    assert opt.run(fmax=1e-6, steps=20) is False
    assert opt.result.status == "uphill"
    assert "eV/atom above that of the start" in opt.result.reason
    assert opt.result.force_calls == 4
    assert np.array_equal(atoms.positions, atoms.calc.visited[2])
    assert opt.result.energy_last < opt.result.energy_first


@pytest.mark.parametrize(("rise", "status"), [(0.0, "converged"), (2e-3, "uphill")])
def test_no_run_converges_above_its_start(rise, status):
    atoms = ball()
    FIRERelax(atoms, logfile=None).run(fmax=0.04)  # so that there is little to gain
    atoms.calc = Tilted(rise, after=1)
    opt = FIRERelax(atoms, logfile=None)
    assert opt.run(fmax=0.03) is (status == "converged")
    assert opt.result.status == status
    if status == "uphill":  # what is handed back is the lowest that was seen: the start
        assert opt.result.energy_last == opt.result.energy_first
        assert np.array_equal(atoms.positions, atoms.calc.visited[0])


def test_a_run_is_held_against_its_own_start():
    """Another calculator has another zero of energy."""
    atoms = ball()
    opt = FIRERelax(atoms, logfile=None)
    opt.run(fmax=1e-6, steps=2)
    atoms.calc = Tilted(100.0, after=0)
    assert opt.run(fmax=0.05)
    assert opt.result.status == "converged"


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=list(OPTIMIZERS))
def test_a_climb_is_no_fault(optimizer):
    atoms = ball()
    atoms.calc = Tilted(UPHILL + 1.0)
    opt = optimizer(atoms, logfile=None, maximize=True, maxstep=0.01)
    opt.run(fmax=1e-9, steps=6)
    assert opt.result.status == "max_steps"


# Collapsed


def towards(strength: float) -> Any:
    """Two atoms that fall into each other."""

    def potential(x: np.ndarray) -> tuple[float, np.ndarray]:
        d = x[1] - x[0]
        r = np.linalg.norm(d)
        return float(-strength / r), np.array([-d, d]) * strength / r**3

    return potential


@pytest.mark.parametrize("maxstep", [0.05, 0.2])
def test_atoms_on_top_of_each_other_are_collapsed(maxstep):
    atoms = Atoms("Cu2", [[0, 0, 0], [0, 0, 2.5]], calculator=Toy(towards(20.0)))
    start = atoms.copy()
    opt = SGDRelax(atoms, logfile=None, lr=1.0, maxstep=maxstep)
    assert opt.run(fmax=0.05, steps=200) is False
    assert opt.result.status == "collapsed"
    assert "atoms 0 (Cu) and 1 (Cu) are at 0." in opt.result.reason
    assert "of the sum of their covalent radii" in opt.result.reason
    assert Integrity(start).fault(Shape.of(atoms)) is None
    assert opt.result.shortest > 0.4


def test_a_run_that_ends_between_two_looks_is_looked_at():
    # 0.45 A in all: less than the way from one look to the next.
    atoms = Atoms("H2", [[0, 0, 0], [0, 0, 0.6]], calculator=Toy(towards(20.0)))
    opt = SGDRelax(atoms, logfile=None, lr=1.0, maxstep=0.075)
    assert opt.run(fmax=0.05, steps=3) is False
    assert opt.result.status == "collapsed"


def test_a_start_that_is_tight_may_be_relaxed():
    atoms = salt()
    atoms.positions[1] = atoms.positions[0] + [0.6, 0, 0]
    opt = FIRERelax(atoms, logfile=None)
    assert opt.optimizable.standing.fmax != opt.optimizable.standing.fmax
    assert opt.run(fmax=0.05, steps=300)
    assert opt.result.shortest > 0.8


# On bad


def burnt(results: dict[str, Any]) -> None:
    results["forces"][0] = np.nan


def test_stop_is_the_default():
    atoms = salt(at=3, deed=burnt)
    opt = FIRERelax(atoms, logfile=None)
    assert opt.run(fmax=0.05) is False
    assert (opt.result.status, opt.result.force_calls) == ("nonfinite", 3)


@pytest.mark.parametrize("cell", [False, True])
@pytest.mark.parametrize("optimizer", [CoReRelax, FIRERelax])
def test_backtrack_goes_back_and_on(optimizer, cell, tmp_path):
    atoms = salt(at=3, deed=burnt)
    opt = optimizer(atoms, logfile=tmp_path / "log", cell=cell, on_bad="backtrack")
    assert opt.run(fmax=0.05, steps=400)
    assert opt.result.status == "converged"
    assert "went back, nonfinite: the force on row 0 is nan" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("build", [lambda: salt(a=5.3), ball], ids=["salt", "cluster"])
@pytest.mark.parametrize("cell", [False, True])
def test_backtrack_recovers_a_run_that_its_first_steps_blew_up(build, cell):
    def run(on_bad: str) -> Any:
        atoms = build()
        freedom = CellFreedom(max_strain=1.0) if cell and atoms.pbc.all() else False
        settings = {"s_0": 6.0, "s_max": 6.0, "maxstep": 12.0}
        opt = CoReRelax(atoms, logfile=None, cell=freedom, on_bad=on_bad, **settings)
        opt.run(fmax=0.05, steps=400)
        return opt.result

    stopped = run("stop")
    assert stopped.status in RECOVERABLE
    assert stopped.energy_last <= stopped.energy_first
    recovered = run("backtrack")
    assert recovered.status == "converged"
    assert recovered.energy_last < recovered.energy_first - 0.1


def test_backtrack_ends_where_nothing_helps():
    class Always(Bonds):
        def calculate(self, *args: Any, **kwargs: Any) -> None:
            super().calculate(*args, **kwargs)
            if self.calls > 1:
                burnt(self.results)

    atoms = salt()
    atoms.calc = Always()
    start = atoms.positions.copy()
    opt = FIRERelax(atoms, logfile=None, on_bad="backtrack")
    assert opt.run(fmax=0.05) is False
    assert opt.result.status == "nonfinite"
    assert opt.result.steps == BACKTRACKS + 1
    assert np.array_equal(atoms.positions, start)


def test_backtrack_takes_no_more_steps_than_it_was_given():
    for before in (0, 5):
        atoms = salt()
        opt = FIRERelax(atoms, logfile=None, on_bad="backtrack")
        if before:
            opt.run(fmax=1e-9, steps=before)
        atoms.calc = Bonds(at=4, deed=burnt)
        opt.run(fmax=1e-9, steps=10)
        assert opt.result.status == "max_steps"
        assert opt.nsteps == before + 10


@pytest.mark.parametrize("status", ["calculator_error", "timeout"])
def test_backtrack_is_for_what_a_shorter_step_may_avoid(status):
    def deed(results: Any) -> None:
        if status == "timeout":
            time.sleep(60)
        raise ArithmeticError

    opt = FIRERelax(salt(at=3, deed=deed), logfile=None, on_bad="backtrack")
    opt.run(fmax=0.05, timeout=0.5)
    assert opt.result.status == status not in RECOVERABLE
    assert opt.result.steps == 2


def test_raise_raises_with_the_good_structure_in_place():
    atoms = salt(at=3, deed=burnt)
    opt = FIRERelax(atoms, logfile=None, on_bad="raise")
    with pytest.raises(RelaxationStopped, match="nonfinite: the force on row 0 is nan") as stop:
        opt.run(fmax=0.05)
    assert stop.value.status == opt.result.status == "nonfinite"
    assert np.isfinite(atoms.calc.get_property("energy", atoms))
    assert opt.result.energy_last == atoms.get_potential_energy()
    good = salt()
    FIRERelax(good, logfile=None).run(fmax=0.05, steps=1)
    assert np.array_equal(atoms.positions, good.positions)


@pytest.mark.parametrize("on_bad", ["stop", "raise", "backtrack"])
def test_a_run_that_is_only_long_raises_nothing(on_bad):
    opt = FIRERelax(salt(), logfile=None, on_bad=on_bad)
    assert opt.run(fmax=1e-9, steps=3) is False
    assert opt.result.status == "max_steps"


# Timeouts


class Slow(Toy):
    """A calculator that takes its time."""

    def calculate(self, *args: Any, **kwargs: Any) -> None:
        time.sleep(0.05)
        super().calculate(*args, **kwargs)


def test_the_time_is_up_between_or_within_calls():
    atoms = ball()
    atoms.calc = Slow()
    opt = FIRERelax(atoms, logfile=None)
    began = time.perf_counter()
    assert opt.run(fmax=1e-9, timeout=0.4) is False
    assert opt.result.status == "timeout"
    assert "the time was up" in opt.result.reason
    assert 0.3 < time.perf_counter() - began < 20
    assert 2 <= opt.result.force_calls <= 9
    assert any(np.array_equal(atoms.positions, x) for x in atoms.calc.visited)


def test_a_call_that_hangs_is_ended():
    def hang(results: Any) -> None:
        time.sleep(600)

    atoms = ball(at=3, deed=hang)
    opt = FIRERelax(atoms, logfile=None)
    began = time.perf_counter()
    assert opt.run(fmax=1e-9, timeout=0.3) is False
    assert time.perf_counter() - began < 60
    assert opt.result.status == "timeout"
    assert "in the middle of a force call" in opt.result.reason
    assert np.array_equal(atoms.positions, atoms.calc.visited[1])


def test_in_another_thread_the_time_is_up_after_the_call():
    atoms = ball()
    atoms.calc = Slow()
    opt = FIRERelax(atoms, logfile=None)
    thread = threading.Thread(target=lambda: opt.run(fmax=1e-9, timeout=0.2))
    thread.start()
    thread.join(60)
    assert opt.result.status == "timeout"


def test_a_timeout_is_of_one_run():
    opt = FIRERelax(ball(), logfile=None)
    assert opt.run(fmax=1e-9, timeout=0.0) is False
    assert opt.result.status == "timeout"
    assert opt.result.force_calls == 0
    assert opt.run(fmax=0.05, timeout=1e4)
    assert opt.result.status == "converged"


# Measures


def test_every_recoverable_end_is_a_status():
    assert set(RECOVERABLE) < set(STATUSES)


@pytest.mark.parametrize("cell", [False, True])
def test_space_groups_before_and_after(cell):
    atoms = bulk("Cu", cubic=True)
    atoms.set_cell(atoms.cell[:] * [1.0, 1.0, 1.03], scale_atoms=True)
    atoms.calc = copper().calc
    opt = FIRERelax(atoms, logfile=None, cell=cell)
    assert opt.result.spacegroup_first == opt.result.spacegroup_last == "I4/mmm (139)"
    assert opt.run(fmax=0.005, steps=200)
    assert opt.result.spacegroup_first == "I4/mmm (139)"
    assert opt.result.spacegroup_last == ("Fm-3m (225)" if cell else "I4/mmm (139)")


def test_the_tolerance_of_space_groups_is_the_users():
    def group(symprec: float) -> str:
        return FIRERelax(copper(rattle=0.02), logfile=None, symprec=symprec).result.spacegroup_first

    assert group(0.2) == "Fm-3m (225)"
    assert group(1e-4) == "P1 (1)"


def test_a_rattle_is_part_of_the_run():
    atoms = copper(rattle=0.0)
    opt = FIRERelax(atoms, logfile=None, rattle=0.05, cell=True)
    opt.run(fmax=0.05, steps=0)
    assert opt.result.spacegroup_first == "Fm-3m (225)"
    assert opt.result.spacegroup_last == "P1 (1)"
    assert opt.result.volume_ratio != 1.0


@pytest.mark.parametrize("stretch", [0.95, 1.04])
def test_the_volume_ratio(stretch):
    atoms = copper(stretch=stretch, rattle=0.02)
    volume = atoms.get_volume()
    opt = FIRERelax(atoms, logfile=None, cell=True)
    assert opt.result.volume_ratio == 1.0
    opt.run(fmax=0.05, steps=100)
    assert opt.result.volume_ratio == pytest.approx(atoms.get_volume() / volume, rel=1e-12)
    assert (opt.result.volume_ratio > 1) is (stretch < 1)


def test_what_has_no_cell_has_no_volume_ratio_nor_space_group():
    atoms = molecule("H2O")
    atoms.calc = Toy()
    opt = FIRERelax(atoms, logfile=None)
    opt.run(fmax=0.05, steps=3)
    assert np.isnan(opt.result.volume_ratio)
    assert opt.result.spacegroup_first == opt.result.spacegroup_last == ""
    assert np.isnan(opt.result.smax)


def brute_force_shortest(atoms: Atoms) -> float:
    """Return the shortest distance of all, over the sum of the covalent radii."""
    i, j, d = neighbor_list("ijd", atoms, 12.0)
    radii = covalent_radii[atoms.numbers]
    return float((d / (radii[i] + radii[j])).min())


@pytest.mark.parametrize(
    "atoms",
    [
        molecule("CH3CH2OH"),
        bulk("Cu"),
        bulk("NaCl", "rocksalt", a=5.6),
        Atoms("H2", [[0, 0, 0], [0, 0, 5.0]]),
        Atoms("CsH", [[0, 0, 0], [0, 0, 3.5]], cell=[9, 9, 9], pbc=True),
        Atoms("Cu", cell=[4, 30, 30], pbc=(True, False, False)),
    ],
    ids=lambda atoms: str(atoms.symbols),
)
def test_the_shortest_distance(atoms):
    assert Shape.of(atoms).shortest == pytest.approx(brute_force_shortest(atoms), rel=1e-9)


def test_an_atom_alone_has_no_shortest_distance():
    assert Shape.of(Atoms("Cu")).shortest == np.inf


def test_the_reason_says_what_was_reached():
    opt = FIRERelax(copper(rattle=0.05), logfile=None, cell=True)
    assert opt.run(fmax=0.05, smax=0.5)
    assert opt.result.reason == f"no force above 0.05 eV/A, residual stress {opt.result.smax:.3g} GPa"
    opt = FIRERelax(copper(rattle=0.05), logfile=None)
    assert opt.run(fmax=0.05)
    assert opt.result.reason == "no force above 0.05 eV/A"


@pytest.mark.parametrize("cell", [False, True])
def test_the_residual_stress_is_told_where_it_is_known(cell):
    atoms = salt()
    opt = FIRERelax(atoms, logfile=None, cell=cell)
    opt.run(fmax=1e-6, steps=2)
    assert np.isfinite(opt.result.smax)
    assert opt.result.smax == pytest.approx(np.abs(atoms.get_stress()).max() / 0.006241509, rel=1e-6)


def test_bonds_change_where_they_break_or_form():
    water = molecule("H2O")
    apart = water.copy()
    apart.set_distance(0, 1, 2.0, fix=0)
    assert changed_bonds(water, apart) == changed_bonds(apart, water) == [(0, 1)]
    crystal = bulk("Cu", cubic=True)
    relaxed = crystal.copy()
    relaxed.rattle(0.1, seed=1)
    relaxed.set_cell(1.05 * relaxed.cell, scale_atoms=True)
    assert changed_bonds(crystal, relaxed) == []


def test_neighbours_of_metals_are_not_bonds():
    slab = fcc111("Cu", (2, 2, 2), vacuum=8.0)
    add_adsorbate(slab, molecule("CO"), 1.8, "ontop")
    apart = slab.copy()
    apart.positions[-2:, 2] += 3.0
    assert changed_bonds(slab, apart) == []
    apart.positions[8, 2] += 3.0  # the oxygen, which is above
    assert changed_bonds(slab, apart) == [(8, 9)]
