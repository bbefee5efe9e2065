"""What is done beside a batch: what a monitor sees, what Ctrl-C leaves, and calls that hang."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import read

from relax import LBFGSRelax, relax_many
from relax.core.errors import UsageError
from relax.engine.api import Relaxed
from relax.engine.batch.monitor import Monitor, Standing


def crystals(count: int = 4) -> list[Atoms]:
    made = [bulk(symbol, cubic=True) * (1 + k % 2, 1, 1) for k, symbol in enumerate(["Cu", "Al", "Ag", "Pd"])]
    for seed, atoms in enumerate(made):
        atoms.rattle(0.1, seed=seed)
    return made[:count]


class Frames(Monitor):
    """Keeps what it sees."""

    follows = True

    def __init__(self) -> None:
        self.seen: list[tuple[Standing, Atoms]] = []

    def follow(self, standing: Standing) -> None:
        self.seen.append((standing, standing.atoms()))


@pytest.mark.parametrize("size", [None, 3])
@pytest.mark.parametrize("check", [None, "minimum"])
@pytest.mark.parametrize("cell", [False, True])
def test_a_monitor_sees_the_frames_of_a_trajectory(tmp_path, size, check, cell):
    monitor = Frames()
    ends = list(
        relax_many(
            crystals(), EMT(), "lbfgs", cell=cell, check=check, batch_size=size, monitor=monitor, fmax=0.02
        )
    )
    assert all(end.result.converged for end in ends)
    for index, atoms in enumerate(crystals()):
        atoms.calc = EMT()
        path = str(tmp_path / f"{index}.traj")
        LBFGSRelax(atoms, logfile=None, trajectory=path, cell=cell, check=check).run(0.02)
        seen = [(standing, frame) for standing, frame in monitor.seen if standing.index == index]
        expected = read(path, ":")
        assert [standing.steps for standing, _ in seen] == list(range(len(expected)))
        for (standing, frame), other in zip(seen, expected, strict=True):
            np.testing.assert_allclose(frame.positions, other.positions, atol=1e-9)
            np.testing.assert_allclose(frame.cell, other.cell, atol=1e-9)
            assert standing.energy == pytest.approx(other.get_potential_energy(), abs=1e-9)
            assert frame.get_potential_energy() == pytest.approx(standing.energy, abs=1e-12)
            assert standing.fmax == pytest.approx(np.linalg.norm(other.get_forces(), axis=1).max(), abs=1e-8)


def collect(ends: list[Relaxed], structures: Iterable[Atoms], calculator: Any, **options: Any) -> None:
    """Put what ends into a list, which is there after an error too."""
    for end in relax_many(structures, calculator, "lbfgs", **options):
        ends.append(end)


class Stops(EMT):
    """EMT that raises at its last call."""

    def __init__(self, calls: int, error: BaseException) -> None:
        super().__init__()
        self.left, self.error = calls, error

    def calculate(self, *args: Any) -> None:
        self.left -= 1
        if self.left < 0:
            raise self.error
        super().calculate(*args)


@pytest.mark.parametrize(("size", "begun"), [(None, 1), (1, 1), (3, 3)])
def test_after_an_interruption_what_has_begun_is_yielded(size, begun):
    starts, ends = crystals(), []
    given = iter(starts)
    with pytest.raises(KeyboardInterrupt):
        collect(ends, given, Stops(7, KeyboardInterrupt()), fmax=1e-9, batch_size=size)
    assert [end.result.status for end in ends] == ["interrupted"] * begun
    assert len(list(given)) == 4 - begun
    for end in ends:
        again, start = end.atoms.copy(), starts[end.index].copy()
        again.calc = start.calc = EMT()
        assert end.result.steps == 7 // begun
        assert end.atoms.get_potential_energy() == pytest.approx(again.get_potential_energy(), abs=1e-9)
        assert again.get_potential_energy() < start.get_potential_energy()


def test_what_is_interrupted_before_it_is_evaluated_is_where_it_started():
    ends: list[Relaxed] = []
    with pytest.raises(KeyboardInterrupt):
        collect(ends, crystals(1), Stops(0, KeyboardInterrupt()))
    assert [(end.result.status, end.atoms.calc) for end in ends] == [("interrupted", None)]
    np.testing.assert_array_equal(ends[0].atoms.positions, crystals()[0].positions)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_wherever_an_interruption_comes_nothing_that_was_taken_is_lost(size):
    class Ends(Monitor):
        def __init__(self, left: int) -> None:
            self.left = left

        def interruptible(self) -> Any:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
            return super().interruptible()

    statuses = set()
    for left in range(2, 30):
        given, ends = iter(crystals()), []
        with contextlib.suppress(KeyboardInterrupt):
            collect(ends, given, EMT(), fmax=0.1, monitor=Ends(left), batch_size=size)
        assert len(ends) + len(list(given)) == 4
        assert len({end.index for end in ends}) == len(ends)
        statuses |= {end.result.status for end in ends}
    assert statuses == {"converged", "interrupted"}


def test_a_monitor_may_end_the_run_and_nothing_is_lost():
    class Full(Frames):
        def interruptible(self) -> Any:
            if len(self.seen) > 3:
                raise UsageError("the disk is full")
            return super().interruptible()

    ends = []
    with pytest.raises(UsageError, match="the disk is full"):
        collect(ends, crystals(), EMT(), fmax=1e-9, monitor=Full(), batch_size=2)
    assert [end.result.status for end in ends] == ["interrupted"] * 2


class Hangs(EMT):
    """EMT that does not return for structures of eight atoms."""

    def calculate(self, atoms: Any = None, *args: Any) -> None:
        if len(atoms) == 8:
            time.sleep(600)
        super().calculate(atoms, *args)


@pytest.mark.parametrize("size", [1, 4])
def test_a_call_that_hangs_is_ended_and_the_others_go_on(size):
    ends = {
        end.index: end.result
        for end in relax_many(crystals(), Hangs(), "lbfgs", timeout=5.0, batch_size=size)
    }
    assert [ends[k].status for k in range(4)] == ["converged", "timeout", "converged", "timeout"]
    assert ends[1].reason == "the time was up, in the middle of a force call"


def test_calls_are_counted_at_the_calculator():
    class Twice(EMT):
        """EMT that is asked for stress and forces one after the other."""

        count = 0

        def calculate(self, atoms: Any = None, properties: Any = (), *args: Any) -> None:
            Twice.count += 1
            super().calculate(atoms, properties, *args)
            self.results = {key: self.results[key] for key in ("energy", "free_energy", *properties)}

    (end,) = relax_many(crystals(1), Twice(), "lbfgs", cell=True)
    assert end.result.converged
    assert end.result.force_calls == Twice.count > end.result.steps + 1


@pytest.mark.parametrize("size", [0, -1, 1.5, "two"])
def test_the_size_of_a_batch_is_a_whole_number(size):
    with pytest.raises(ValueError, match=r"batch_size = .* is not allowed; give a whole number of 1 or more"):
        relax_many(crystals(), EMT(), batch_size=size)
