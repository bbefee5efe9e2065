"""What can go wrong with a run, one fault a row: each ends in time, with a verdict and a good structure."""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import gc
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.calculator import all_changes
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.filters import FrechetCellFilter
from ase.io import Trajectory, read, write
from ase.io.trajectory import TrajectoryWriter
from toys import Bonds, Pressed, ball

from relax import CoReRelax, LBFGSRelax, relax_many
from relax import relax as relax_one
from relax.calculators import as_potential
from relax.cli.app import main
from relax.core.result import Result
from relax.engine.evaluation import alarm
from relax.geometry.cell import CellFreedom, periodic_plane
from relax.io.outputs.results_file import ResultsFile
from relax.io.write import extxyz_text, write_structures

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[1]

RULES = pytest.mark.parametrize("optimizer", [CoReRelax, LBFGSRelax], ids=["core", "lbfgs"])
CELL = pytest.mark.parametrize("cell", [False, True], ids=["positions", "cell"])


@pytest.fixture(autouse=True)
def none_hangs() -> Iterator[None]:
    faulthandler.dump_traceback_later(300, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def salt(**kwargs: Any) -> Atoms:
    """Return rock salt, rattled and a little too large, under :class:`Bonds`."""
    atoms = bulk("NaCl", "rocksalt", a=5.5).repeat((1, 1, 2))
    atoms.rattle(0.1, seed=1)
    atoms.calc = Bonds(skin=0.5, **kwargs)
    return atoms


def energy_of(atoms: Atoms) -> float:
    """Return the energy by a calculator without faults, eV."""
    good = atoms.copy()
    good.calc = Bonds(skin=0.0)
    return float(good.get_potential_energy())


def assert_good(atoms: Atoms, start: Atoms) -> None:
    """The structure handed back is finite, and no higher than the start."""
    assert np.isfinite(atoms.positions).all()
    assert np.isfinite(atoms.cell[:]).all()
    assert energy_of(atoms) <= energy_of(start) + 1e-9


# What a calculator answers


def spoilt(what: str, value: float) -> Callable[[dict[str, Any]], None]:
    def deed(results: dict[str, Any]) -> None:
        if what == "energy":
            results["energy"] = value
        else:
            results[what].flat[3] = value

    return deed


def replaced(what: str, change: Callable[[Any], Any]) -> Callable[[dict[str, Any]], None]:
    return lambda results: results.update({what: change(results[what])})


def raising(error: BaseException) -> Callable[[Any], None]:
    def deed(results: Any) -> None:
        raise error

    return deed


@dataclass(frozen=True)
class Evaluation:
    """An answer that is none, what becomes of the run, and a word of its reason."""

    deed: Callable[[dict[str, Any]], None]
    status: str
    words: str = ""
    of_stress: bool = False  # seen only where the cell relaxes
    run: dict[str, Any] = field(default_factory=dict)


def sleep(results: Any) -> None:
    time.sleep(600)


def spin(results: Any) -> None:
    while True:
        pass


def swallow(results: Any) -> None:
    """Hang, and take the first interruption for an error of one's own."""
    with contextlib.suppress(RuntimeError):
        time.sleep(600)
    time.sleep(600)


NAN, INF = float("nan"), float("inf")
ANSWERS = {
    "force nan": Evaluation(spoilt("forces", NAN), "nonfinite", "the force on row 1 is nan"),
    "force inf": Evaluation(spoilt("forces", INF), "nonfinite", "the force on row 1 is inf"),
    "force -inf": Evaluation(spoilt("forces", -INF), "nonfinite", "the force on row 1 is -inf"),
    "force 1e300": Evaluation(spoilt("forces", 1e300), "nonfinite", "e+300"),
    "energy nan": Evaluation(spoilt("energy", NAN), "nonfinite", "the energy is nan"),
    "energy inf": Evaluation(spoilt("energy", INF), "nonfinite", "the energy is inf"),
    "energy -inf": Evaluation(spoilt("energy", -INF), "nonfinite", "the energy is -inf"),
    "energy -1e300": Evaluation(spoilt("energy", -1e300), "nonfinite", "e+300"),
    "stress nan": Evaluation(spoilt("stress", NAN), "nonfinite", "stress is nan", of_stress=True),
    "stress inf": Evaluation(spoilt("stress", INF), "nonfinite", "stress is inf", of_stress=True),
    "an error": Evaluation(raising(ArithmeticError("no SCF")), "calculator_error", "ArithmeticError: no SCF"),
    "out of memory": Evaluation(raising(MemoryError("8 GiB")), "calculator_error", "MemoryError: 8 GiB"),
    "not there": Evaluation(raising(NotImplementedError("U")), "calculator_error", "NotImplementedError: U"),
    "a nested error": Evaluation(raising(StopIteration()), "calculator_error", "StopIteration"),
    "sleeps": Evaluation(sleep, "timeout", "in the middle of a force call", run={"timeout": 0.3}),
    "spins": Evaluation(spin, "timeout", "in the middle of a force call", run={"timeout": 0.3}),
    "swallows": Evaluation(swallow, "timeout", "in the middle of a force call", run={"timeout": 0.3}),
    "forces short": Evaluation(replaced("forces", lambda f: f[:-1]), "calculator_error"),
    "forces long": Evaluation(replaced("forces", lambda f: np.tile(f, (2, 1))), "calculator_error"),
    "forces in a row": Evaluation(replaced("forces", lambda f: f.ravel()[1:]), "calculator_error"),
    "forces in the plane": Evaluation(replaced("forces", lambda f: f[:, :2]), "calculator_error"),
    "forces of nothing": Evaluation(replaced("forces", lambda f: f[:0]), "calculator_error"),
    "forces None": Evaluation(replaced("forces", lambda f: None), "calculator_error"),
    "forces in words": Evaluation(replaced("forces", lambda f: f.astype(str)), "calculator_error"),
    "forces complex": Evaluation(replaced("forces", lambda f: f + 0.1j), "calculator_error", "complex"),
    "energy None": Evaluation(replaced("energy", lambda e: None), "calculator_error"),
    "energies": Evaluation(replaced("energy", lambda e: np.array([e, e])), "calculator_error"),
    "energy in words": Evaluation(replaced("energy", lambda e: "low"), "calculator_error"),
    "stress short": Evaluation(replaced("stress", lambda s: s[:3]), "calculator_error", of_stress=True),
    "stress None": Evaluation(replaced("stress", lambda s: None), "calculator_error", of_stress=True),
    "stress complex": Evaluation(replaced("stress", lambda s: s + 1j), "calculator_error", "complex", True),
}  # fmt: skip


ASKED = [
    pytest.param(answer, cell, id=f"{name}-{'cell' if cell else 'positions'}")
    for name, answer in ANSWERS.items()
    for cell in ((True,) if answer.of_stress else (False, True))
]


@pytest.mark.parametrize("at", [1, 4], ids=["first call", "later"])
@RULES
@pytest.mark.parametrize(("answer", "cell"), ASKED)
def test_answers(answer, cell, optimizer, at):
    atoms = salt(at=at, deed=answer.deed)
    start = atoms.copy()
    opt = optimizer(atoms, logfile=None, cell=cell)
    assert opt.run(fmax=1e-6, steps=5, **answer.run) is False
    assert opt.result.status == answer.status
    assert answer.words in opt.result.reason
    assert_good(atoms, start)
    if at == 1:
        assert np.array_equal(atoms.positions, start.positions)
        assert np.array_equal(atoms.cell[:], start.cell[:])
    else:
        assert opt.result.energy_last == pytest.approx(energy_of(atoms), rel=1e-12)
        assert opt.result.energy_last < opt.result.energy_first


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@CELL
@RULES
def test_what_ends_the_program_is_let_through_and_leaves_a_good_structure(optimizer, cell, error):
    atoms = salt(at=4, deed=raising(error()))
    start = atoms.copy()
    opt = optimizer(atoms, logfile=None, cell=cell)
    with pytest.raises(error):
        opt.run(fmax=1e-6, steps=10)
    assert opt.result.status == "interrupted"
    assert opt.result.energy_last == pytest.approx(energy_of(atoms), rel=1e-12)
    assert_good(atoms, start)


@RULES
def test_the_alarm_clock_is_left_as_it_was(optimizer):
    before = signal.getsignal(signal.SIGALRM)
    for deed in (sleep, lambda results: None):
        optimizer(salt(at=2, deed=deed), logfile=None).run(fmax=1e-6, steps=3, timeout=0.3)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_an_alarm_at_the_last_moment_leaves_no_clock_running(monkeypatch):
    def late(which: int, seconds: float, *more: float) -> Any:
        if seconds == 0:
            signal.raise_signal(signal.SIGALRM)
        return stop(which, seconds, *more)

    stop, before = signal.setitimer, signal.getsignal(signal.SIGALRM)
    monkeypatch.setattr(signal, "setitimer", late)
    with alarm(time.perf_counter() + 60.0):
        pass
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


class Silent(Bonds):
    """Bonds that never say what is ``missing``."""

    def __init__(self, missing: str) -> None:
        super().__init__()
        self.missing = missing
        self.implemented_properties = [p for p in ("energy", "forces", "stress") if p != missing]

    def calculate(
        self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        del self.results[self.missing]


@pytest.mark.parametrize("missing", ["energy", "forces", "stress"])
@CELL
@RULES
def test_what_a_calculator_never_gives(optimizer, cell, missing):
    atoms = salt()
    atoms.calc = Silent(missing)
    start = atoms.copy()
    opt = optimizer(atoms, logfile=None, cell=cell)
    opt.run(fmax=1e-6, steps=5)
    if missing == "stress" and not cell:
        assert opt.result.status == "max_steps"
        return
    assert opt.result.status == "calculator_error"
    assert missing in opt.result.reason
    assert np.array_equal(atoms.positions, start.positions)


# What a potential does


class Bent(Bonds):
    """Bonds whose energy, forces and stress are bent by call and volume."""

    def __init__(self, bend: Callable[[Bent, Atoms], None]) -> None:
        super().__init__()
        self.bend = bend

    def calculate(
        self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        self.bend(self, atoms)


def upside_down(calc: Bent, atoms: Atoms) -> None:
    calc.results["forces"] = -calc.results["forces"]
    calc.results["stress"] = -calc.results["stress"]


def climbs(calc: Bent, atoms: Atoms) -> None:
    calc.results["energy"] += 0.5 * len(atoms) * calc.calls


def creeps(calc: Bent, atoms: Atoms) -> None:
    """A little too high where the forces are gone."""
    calc.results["energy"] = 0.01 * len(atoms) * calc.calls


def noise(calc: Bent, atoms: Atoms) -> None:
    rng = np.random.default_rng(calc.calls)
    calc.results["forces"] = rng.normal(size=(len(atoms), 3))


def pulls(calc: Bent, atoms: Atoms) -> None:
    """Two atoms towards each other, the more the nearer: the energy has no bottom."""
    d = atoms.positions[1] - atoms.positions[0]
    r = float(np.linalg.norm(d)) + 1e-9
    calc.results["energy"] -= 200 / r
    calc.results["forces"][0] += 200 * d / r**3
    calc.results["forces"][1] -= 200 * d / r**3


def nothing(calc: Bent, atoms: Atoms) -> None:
    calc.results = {"energy": 0.0, "forces": np.zeros((len(atoms), 3)), "stress": np.zeros(6)}


POTENTIALS = {
    "forces upside down": (upside_down, {"uphill", "exploded", "collapsed"}),
    "energy that climbs": (climbs, {"uphill"}),
    "energy that creeps": (creeps, {"uphill", "max_steps"}),
    "forces of noise": (noise, {"uphill", "max_steps", "exploded", "collapsed"}),
    "energy without bottom": (pulls, {"collapsed", "exploded"}),  # CoRe in a metric widens the cell
    "no forces": (nothing, {"converged"}),
}


@CELL
@RULES
@pytest.mark.parametrize(("bend", "statuses"), POTENTIALS.values(), ids=list(POTENTIALS))
def test_potentials(bend, statuses, optimizer, cell):
    atoms = salt()
    start = atoms.copy()
    atoms.calc = Bent(bend)
    opt = optimizer(atoms, logfile=None, cell=cell)
    opt.run(fmax=0.01, steps=80)
    assert opt.result.status in statuses
    assert np.isfinite(atoms.positions).all()
    assert 1 / 5 < atoms.get_volume() / start.get_volume() < 5
    assert opt.result.shortest > 0.3
    if opt.result.status != "max_steps" and bend is not noise:
        assert opt.result.energy_last <= opt.result.energy_first


@pytest.mark.parametrize(("pressure", "status"), [(1.0, "exploded"), (-1.0, "collapsed")])
@RULES
def test_cells_that_run_away(optimizer, pressure, status):
    atoms = salt()
    volume = atoms.get_volume()
    atoms.calc = Pressed(pressure)
    opt = optimizer(atoms, logfile=None, cell=True)
    assert opt.run(fmax=1e-3, steps=300) is False
    assert opt.result.status == status
    assert 1 / 5 < atoms.get_volume() / volume < 5
    assert opt.result.volume_ratio == pytest.approx(atoms.get_volume() / volume)


# What a structure is


def apart(distance: float) -> Atoms:
    """Return rock salt with two atoms that are so far from each other, A."""
    atoms = salt()
    atoms.positions[1] = atoms.positions[0] + [distance, 0, 0]
    return atoms


def celled(cell: Any, pbc: Any = True, scaled: bool = False) -> Atoms:
    atoms = salt()
    atoms.set_cell(cell, scale_atoms=scaled)
    atoms.pbc = pbc
    return atoms


def left_handed() -> Atoms:
    atoms = salt()
    atoms.set_cell(atoms.cell[[1, 0, 2]])
    return atoms


def lone() -> Atoms:
    return Atoms("Na", cell=[9, 9, 9], pbc=True, calculator=Bonds())


def pair() -> Atoms:
    return Atoms("NaCl", [[0, 0, 0], [0, 0, 2.5]], calculator=Bonds())


def boxed() -> Atoms:
    atoms = ball()
    atoms.cell = FLAT
    return atoms


def gas() -> Atoms:
    atoms = Atoms("Na4", 12.0 * np.eye(4)[:, :3], cell=[60, 60, 60], pbc=True)
    atoms.calc = Bonds()
    return atoms


def in_a_vacuum() -> Atoms:
    atoms = salt()
    atoms.center(vacuum=20.0)
    return atoms


def one_atom() -> Atoms:
    atoms = bulk("Na", "sc", a=4.0)
    atoms.calc = Bonds(cutoff=6.0)
    return atoms


def slab() -> Atoms:
    atoms = salt()
    atoms.center(vacuum=8.0, axis=2)
    atoms.pbc = (True, True, False)
    return atoms


def wire() -> Atoms:
    atoms = salt()
    atoms.center(vacuum=8.0, axis=(0, 1))
    atoms.pbc = (False, False, True)
    return atoms


def fixed() -> Atoms:
    atoms = salt()
    atoms.set_constraint(FixAtoms(range(len(atoms))))
    return atoms


def misplaced(value: float) -> Atoms:
    atoms = salt()
    atoms.positions[2, 1] = value
    return atoms


def stranger() -> Atoms:
    atoms = bulk("U", "fcc", a=4.0)
    atoms.calc = EMT()
    return atoms


def nameless() -> Atoms:
    return Atoms("X2", [[0, 0, 0], [2, 2, 2]], cell=[4, 4, 4], pbc=True, calculator=EMT())


SKEW = [[5.5, 0, 0], [5.5, 1e-4, 0], [0, 0, 5.5]]
FLAT = [[5.5, 0, 0], [5.5, 0, 0], [0, 0, 5.5]]
NO_CELL = "needs three vectors with a volume"
Ending = str | type[Exception]
# How a run of positions ends, and of the cell; words of the reason, or of the error.
STRUCTURES: dict[str, tuple[Callable[[], Atoms], str, str, str]] = {
    "atoms at one place": (lambda: apart(0.0), "collapsed", "collapsed", "at the same place"),
    "atoms 0.001 A apart": (lambda: apart(1e-3), "collapsed", "collapsed", "at the same place"),
    "atoms 0.3 A apart": (lambda: apart(0.3), "converged", "converged", ""),
    "atoms 1 A apart": (lambda: apart(1.0), "converged", "converged", ""),
    "a gas": (gas, "converged", "converged", ""),
    "a cluster in a vacuum": (in_a_vacuum, "converged", "converged", ""),
    "a cell of a point": (lambda: celled([1e-3] * 3, scaled=True), "collapsed", NO_CELL, "too small"),
    "a cell of no size": (lambda: celled([0.0] * 3), "collapsed", NO_CELL, "too small"),
    "a cell crushed to 1 A": (lambda: celled([1.0] * 3, scaled=True), "collapsed", "collapsed", "too small"),
    "a skewed cell": (lambda: celled(SKEW), "collapsed", "collapsed", "too small"),
    "a skewed slab": (lambda: celled(SKEW, (True, True, False)), "collapsed", "collapsed", "too small"),
    "a singular cell": (lambda: celled(FLAT), "collapsed", NO_CELL, "too small"),
    "a singular slab": (lambda: celled(FLAT, (True, True, False)), "collapsed", NO_CELL, "too small"),
    "a singular box": (boxed, "converged", "not periodic", ""),
    "a left-handed cell": (left_handed, "converged", "converged", ""),
    "a crystal of one atom": (one_atom, "converged", "converged", ""),
    "an atom alone": (lambda: Atoms("Na", calculator=Bonds()), "converged", "not periodic", ""),
    "an atom in a box": (lone, "converged", "converged", ""),
    "a molecule": (pair, "converged", "not periodic", ""),
    "a molecule in a box": (lambda: celled([20] * 3, False), "converged", "not periodic", ""),
    "a slab": (slab, "converged", "converged", ""),
    "a wire": (wire, "converged", "converged", ""),
    "all atoms fixed": (fixed, "converged", "converged", ""),
    "no atoms": (lambda: Atoms(cell=[5, 5, 5], pbc=True, calculator=Bonds()), "no atoms", "no atoms", ""),
    "position nan": (lambda: misplaced(NAN), "nonfinite", "nonfinite", "position or the cell"),
    "position inf": (lambda: misplaced(INF), "nonfinite", "nonfinite", "position or the cell"),
    "cell nan": (lambda: celled([5.5, NAN, 5.5]), "nonfinite", NO_CELL, "position or the cell"),
    "an element nobody knows": (stranger, "calculator_error", "calculator_error", ""),
    "atoms of no element": (nameless, "calculator_error", "calculator_error", ""),
}  # fmt: skip


@CELL
@RULES
@pytest.mark.parametrize("name", STRUCTURES)
def test_structures(name, optimizer, cell):
    build, *endings, words = STRUCTURES[name]
    ending = endings[cell]
    atoms = build()
    start = atoms.copy()
    if " " in ending:
        with pytest.raises(ValueError, match=ending):
            optimizer(atoms, logfile=None, cell=cell)
        return
    opt = optimizer(atoms, logfile=None, cell=cell)
    opt.run(fmax=0.02, smax=0.5 if cell else None, steps=400)
    assert opt.result.status == ending
    assert words in opt.result.reason
    if ending == "converged":
        assert opt.result.energy_last <= opt.result.energy_first
        if not cell:
            assert np.array_equal(atoms.cell[:], start.cell[:])
    else:
        assert np.array_equal(atoms.positions, start.positions, equal_nan=True)
        assert np.array_equal(atoms.cell[:], start.cell[:], equal_nan=True)


@RULES
def test_a_left_handed_cell_ends_as_its_mirror_does(optimizer):
    ends = []
    for atoms in (salt(), left_handed()):
        opt = optimizer(atoms, logfile=None, cell=True)
        assert opt.run(fmax=1e-3, smax=0.01, steps=400)
        ends.append(atoms)
    right, left = ends
    assert np.linalg.det(left.cell[:]) < 0
    assert left.get_volume() == pytest.approx(right.get_volume(), rel=1e-4)
    assert left.get_potential_energy() == pytest.approx(right.get_potential_energy(), abs=1e-4)


@pytest.mark.parametrize("build", [slab, wire])
@RULES
def test_no_vacuum_is_lost(optimizer, build):
    atoms = build()
    cell = atoms.cell[:].copy()
    optimizer(atoms, logfile=None, cell=True).run(fmax=0.02, steps=300)
    across = np.eye(3) - periodic_plane(cell, atoms.pbc)
    np.testing.assert_allclose(atoms.cell[:] @ across, cell @ across, rtol=0, atol=1e-12)
    assert np.abs(atoms.cell[:][atoms.pbc] - cell[atoms.pbc]).max() > 1e-3


@pytest.mark.parametrize("name", ["position nan", "cell nan", "a singular cell", "a slab", "a molecule"])
@RULES
def test_structures_that_have_no_symmetry_to_keep(optimizer, name):
    with pytest.raises(ValueError, match="periodic in three directions"):
        optimizer(STRUCTURES[name][0](), logfile=None, symmetry="keep")


# Files


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let the system refuse to write past ``size`` bytes of any file, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def unwritable(error: int) -> Callable[..., Any]:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise OSError(error, "refused by the test")

    return refuse


# ASE does not close the file that it could not write.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@CELL
@RULES
def test_a_full_disk_leaves_the_frames_that_were_whole(optimizer, cell, tmp_path):
    atoms = salt()
    start = atoms.copy()
    opt = optimizer(atoms, logfile=None, trajectory=tmp_path / "t.traj", cell=cell)
    opt.run(fmax=1e-6, steps=3)
    size = (tmp_path / "t.traj").stat().st_size
    with files_of_at_most(size + 300), pytest.raises(OSError, match="File too large"):
        opt.run(fmax=1e-6, steps=10)
    assert opt.result.status == "interrupted"
    assert_good(atoms, start)
    with Trajectory(tmp_path / "t.traj") as frames:
        assert len(frames) == 4
        assert [len(frame) for frame in frames] == [4] * 4
        assert np.isfinite(frames[-1].get_forces()).all()


@CELL
@RULES
def test_a_full_disk_leaves_the_last_whole_restart_file(optimizer, cell, tmp_path):
    atoms = salt()
    start = atoms.copy()
    opt = optimizer(atoms, logfile=None, restart=tmp_path / "state", cell=cell)
    opt.run(fmax=1e-6, steps=3)
    before = (tmp_path / "state").read_bytes()
    with files_of_at_most(len(before) // 2), pytest.raises(OSError, match="File too large"):
        opt.run(fmax=1e-6, steps=10)
    assert opt.result.status == "interrupted"
    assert_good(atoms, start)
    assert (tmp_path / "state").read_bytes() == before
    assert list(tmp_path.iterdir()) == [tmp_path / "state"]
    atoms.calc = Bonds()
    optimizer(atoms, logfile=None, restart=tmp_path / "state", cell=cell).run(fmax=1e-6, steps=1)


@pytest.mark.parametrize("what", ["logfile", "trajectory", "restart"])
@pytest.mark.parametrize("where", ["no/folder/file", "."], ids=["no folder", "a folder"])
@RULES
def test_a_file_that_cannot_be(optimizer, what, where, tmp_path):
    atoms = salt()
    start = atoms.copy()
    with pytest.raises(OSError, match=str(tmp_path)):
        optimizer(atoms, **({"logfile": None} | {what: tmp_path / where})).run(fmax=1e-6, steps=3)
    assert_good(atoms, start)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@RULES
def test_a_full_disk_under_the_log(optimizer):
    atoms = salt()
    start = atoms.copy()
    opt = optimizer(atoms, logfile="/dev/full")
    with pytest.raises(OSError, match="No space left"):
        opt.run(fmax=1e-6, steps=3)
    assert opt.result.status == "interrupted"
    assert_good(atoms, start)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("what", ["tempfile.mkstemp", "os.replace"])
@RULES
def test_a_restart_file_that_is_refused(optimizer, what, number, tmp_path, monkeypatch):
    atoms = salt()
    opt = optimizer(atoms, logfile=None, restart=tmp_path / "state")
    monkeypatch.setattr(f"relax.optimizers.restart.{what}", unwritable(number))
    with pytest.raises(OSError, match="refused by the test"):
        opt.run(fmax=1e-6, steps=3)
    assert opt.result.status == "interrupted"
    assert list(tmp_path.iterdir()) == []


# On the command line


@pytest.fixture
def relax(capsys, tmp_path, monkeypatch):
    """Return a function that runs the command in an empty folder: exit code, lines of errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*words: object) -> tuple[int, list[str]]:
        with pytest.raises(SystemExit) as ended:
            main(["run", "-c", "emt", *(str(word) for word in words)])
        return int(ended.value.code or 0), capsys.readouterr().err.splitlines()

    return run


def copper() -> Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=1)
    return atoms


UNUSABLE: dict[str, tuple[Callable[[], Atoms], str]] = {
    "unknown element": (lambda: bulk("U", "fcc", a=4.0), "EMT"),
    "atoms on one spot": (lambda: Atoms("Cu2", cell=[4, 4, 4], pbc=True), "overlap"),
    "an atom and its image": (lambda: Atoms("Cu", cell=[0.05, 4, 4], pbc=True), "overlap"),
    "flat cell": (lambda: Atoms("Cu", cell=FLAT, pbc=True), "flat"),
    "no cell": (lambda: Atoms("Cu", pbc=True), "flat"),
    "position nan": (lambda: Atoms("Cu2", [[0, 0, 0], [0, 0, NAN]]), "position of atom 1"),
    "no atoms": (lambda: Atoms(), "no"),
}


@pytest.mark.parametrize(("rule", "cell"), [("core", []), ("lbfgs", ["--cell"])], ids=["core", "lbfgs-cell"])
@pytest.mark.parametrize("name", UNUSABLE)
def test_invalid_structure_is_reported_and_the_rest_is_relaxed(relax, name, rule, cell):
    build, words = UNUSABLE[name]
    write("good.traj", copper())
    write("bad.traj", build())
    code, err = relax("bad.traj", "good.traj", "--rule", rule, *cell, "-o", "out.extxyz")
    assert code == 2
    assert len(err) == 1
    assert err[0].startswith("relax: bad.traj: ")
    assert words in err[0]
    (done,) = read("out.extxyz", ":")
    assert done.info["relax_status"] == "converged"
    assert sorted(path.name for path in Path().iterdir()) == ["bad.traj", "good.traj", "out.extxyz"]


@pytest.mark.parametrize("rule", ["core", "lbfgs"])
def test_a_molecule_keeps_its_box(relax, rule):
    write("co.extxyz", molecule("CO"))
    code, err = relax("co.extxyz", "--rule", rule, "--cell")
    assert code == 0
    assert err == ["relax: co.extxyz: not periodic, so its cell is kept"]


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("rule", ["core", "lbfgs"])
def test_an_output_that_cannot_be_written(relax, rule, error, monkeypatch):
    write("good.traj", copper())
    Path("out.extxyz").write_text("what was here before")
    monkeypatch.setattr("relax.io.write.write_xyz", unwritable(error))
    code, err = relax("good.traj", "--rule", rule, "-o", "out.extxyz", "--force")
    assert code == 2
    assert len(err) == 1
    assert "refused by the test" in err[0]
    assert Path("out.extxyz").read_text() == "what was here before"
    assert sorted(path.name for path in Path().iterdir()) == ["good.traj", "out.extxyz"]


@pytest.mark.parametrize(
    ("option", "where"),
    [("-o", "no/out.extxyz"), ("--trajectory", "no/t.traj"), ("--logfile", "no/log"), ("-o", "folder")],
    ids=lambda word: word.strip("-").replace("/", " "),
)
@pytest.mark.parametrize("rule", ["core", "lbfgs"])
def test_a_place_that_is_not_there(relax, rule, option, where):
    Path("folder").mkdir()
    write("good.traj", copper())
    code, err = relax("good.traj", "--rule", rule, option, where)
    assert code == 2
    assert len(err) == 1
    assert sorted(path.name for path in Path().iterdir()) == ["folder", "good.traj"]


FAULTY = """
import numpy as np
import time
from ase.calculators.emt import EMT

class Faulty(EMT):
    def calculate(self, *args, **kwargs):
        super().calculate(*args, **kwargs)
        self.count = getattr(self, "count", 0) + 1
        if self.count == 3:
            {deed}
"""


SMEARED = "self.results['free_energy'] = self.results['energy'] - 7.5"


def faulty(relax: Callable[..., Any], deed: str, *words: object, at: int = 3) -> Any:
    """Relax with a calculator that does a ``deed`` from its ``at``-th call on."""
    name = f"faulty_{abs(hash((deed, at)))}"
    Path(f"{name}.py").write_text(FAULTY.replace("== 3", f">= {at}").format(deed=deed))
    return relax(*words, "-o", "out.extxyz", "-c", f"{name}:Faulty")


@pytest.mark.parametrize(
    ("deed", "status", "more"),
    [
        ("raise RuntimeError('no SCF')", "calculator_error", []),
        ("self.results['forces'][0] = np.nan", "nonfinite", []),
        ("self.results['free_energy'] = np.inf", "nonfinite", []),
        ("self.results['forces'] = np.zeros((1, 3))", "calculator_error", []),
        ("time.sleep(600)", "timeout", ["--timeout", "1.5"]),
    ],
    ids=["raises", "force nan", "energy inf", "wrong shape", "hangs"],
)
@pytest.mark.parametrize("cell", [[], ["--cell"]], ids=["positions", "cell"])
@pytest.mark.parametrize("rule", ["core", "lbfgs"])
def test_a_faulty_calculator_on_the_command_line(relax, rule, cell, deed, status, more, capsys):
    Path(f"faulty_{abs(hash(deed))}.py").write_text(FAULTY.format(deed=deed))
    write("good.traj", copper())
    name = f"faulty_{abs(hash(deed))}:Faulty"
    words = ["run", "good.traj", "--rule", rule, *cell, *more, "-c", name]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--fmax", "1e-6", "-o", "out.extxyz", "--trajectory", "t.traj"])
    assert ended.value.code == 1
    capsys.readouterr()
    (done,) = read("out.extxyz", ":")
    assert done.info["relax_status"] == status
    assert np.isfinite(done.positions).all()
    last = read("t.traj")
    np.testing.assert_allclose(done.positions, last.positions, rtol=0, atol=1e-7)


SLOW = """
import time
from pathlib import Path
from ase.calculators.emt import EMT

class Slow(EMT):
    def calculate(self, *args):
        Path("began").touch()
        while not Path("go").exists():
            time.sleep(0.05)
        super().calculate(*args)
"""


def started(*words: str) -> subprocess.Popen[str]:
    """Start ``relax run`` in a process of its own, and wait for its first force call."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "relax", "run", *words, "-c", "slow:Slow"],
        env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    for _ in range(600):
        if Path("began").exists():
            return process
        time.sleep(0.1)
    process.kill()
    raise AssertionError(process.communicate()[1])


@pytest.mark.parametrize("batch", [[], ["--batch-size", "2", "--resume"]], ids=["one by one", "batch"])
def test_one_process_at_a_time_writes_an_output(relax, batch):
    Path("slow.py").write_text(SLOW)
    write("good.traj", copper())
    first = started("good.traj", *batch, "-o", "out.extxyz")
    code, err = relax("good.traj", *batch, "-o", "out.extxyz")
    holder = f"process {first.pid} on {socket.gethostname()}"
    says = f"relax: --output out.extxyz: {holder} is writing this file; wait for it, or give another name"
    assert (code, err) == (2, [says])
    Path("go").touch()
    assert first.wait(60) == 0, first.communicate()[1]
    first.communicate()
    assert len(read("out.extxyz", ":")) == 1
    assert not list(Path().glob(".*"))


def test_a_process_that_was_killed_keeps_nobody_out(relax):
    Path("slow.py").write_text(SLOW)
    write("good.traj", copper())
    first = started("good.traj", "-o", "out.extxyz")
    first.kill()
    first.communicate()
    assert Path(".out.extxyz.lock").exists()
    assert relax("good.traj", "-o", "out.extxyz") == (0, [])
    assert not list(Path().glob(".*"))


# The same answer in every mode


COMMANDS = pytest.mark.parametrize(
    "words", [[], ["--batch-size", "2"], ["--draws", "2"]], ids=["alone", "batch", "draws"]
)


class Answers(EMT):
    """EMT with a ``deed`` done to all of its results."""

    def __init__(self, deed: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self.deed = deed

    def calculate(self, *args: Any) -> None:
        super().calculate(*args)
        self.deed(self.results)


class Answering:
    """A potential of many structures at once, with a deed done to the energies."""

    unit, device, batched = "atoms", "cpu", True

    def __init__(self, deed: Callable[[dict[str, Any]], None]) -> None:
        self.deed, self.inner = deed, as_potential(EMT())
        self.admit, self.release = self.inner.admit, self.inner.release

    def evaluate(self, geometry: Any, stress: bool) -> Any:
        answer = self.inner.evaluate(geometry, stress)
        results = {"energy": answer.energies[0], "free_energy": answer.energies[0]}
        self.deed(results)
        answer.energies = results["energy"]
        return answer


def energies(change: Callable[[Any], Any]) -> Callable[[dict[str, Any]], None]:
    """Return what does ``change`` to the energy and to the free energy."""
    return lambda results: results.update({k: change(results[k]) for k in ("energy", "free_energy")})


MODES: dict[str, Callable[[Any], Result]] = {
    "single": lambda deed: relax_one(copper(), Answers(deed), "lbfgs"),
    "one by one": lambda deed: next(relax_many([copper()], Answers(deed), "lbfgs")).result,
    "draws": lambda deed: relax_one(copper(), Answers(deed), "lbfgs", draws=2),
    "batch": lambda deed: next(relax_many([copper()], Answering(deed), "lbfgs")).result,
}
MODE = pytest.mark.parametrize("mode", MODES.values(), ids=list(MODES))


@MODE
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_an_energy_of_any_shape_of_one_is_accepted(mode, shape):
    result = mode(energies(lambda energy: np.full(shape, energy)))
    assert result.converged
    assert result.energy_last == pytest.approx(relax_one(copper(), EMT(), "lbfgs").energy_last)


@MODE
@pytest.mark.parametrize("answer", ["low", "-1.5", None, np.array([1.0, 2.0]), True])
def test_an_energy_that_is_no_number_is_an_error_of_the_calculator(mode, answer):
    result = mode(energies(lambda energy: answer))
    assert (result.status, result.energy_last) == ("calculator_error", pytest.approx(NAN, nan_ok=True))
    assert re.fullmatch(r"ValueError: the calculator gives .* for the energ(y|ies), not .*", result.reason)


@COMMANDS
def test_an_energy_of_one_is_written_as_a_number(relax, words):
    write("good.traj", copper())
    change = "self.results.update(energy=np.array([1.0]), free_energy=np.array([1.0]))"
    assert faulty(relax, change, "good.traj", *words, at=1)[0] == 0
    assert read("out.extxyz").get_potential_energy() == 1.0


@COMMANDS
def test_the_file_of_a_failed_run_says_what_is_known(relax, words):
    write("good.traj", copper())
    deed = r"raise RuntimeError('no \"SCF\" in C:\\tmp\\ source=x = [1] \\')"
    assert faulty(relax, deed, "good.traj", *words, "--fmax", "1e-6", at=4)[0] == 1
    done = read("out.extxyz")
    assert done.info["source"] == "good.traj"
    assert done.info["relax_status"] == "calculator_error"
    assert done.info["relax_reason"].startswith('RuntimeError: no "SCF" in C:/tmp/')
    again = done.copy()
    again.calc = EMT()
    assert done.get_potential_energy() == pytest.approx(again.get_potential_energy(), abs=1e-6)
    np.testing.assert_allclose(done.get_forces(), again.get_forces(), atol=1e-5)
    fmax = np.linalg.norm(done.get_forces(), axis=1).max()
    assert done.info["relax_fmax"] == pytest.approx(fmax, abs=1e-5)
    again = ResultsFile("", "out.extxyz", done.info["relax_rule"], done.info["relax_options"], resume=True)
    assert again.already_done("good.traj", done.info["relax_input"])


@COMMANDS
def test_the_file_of_a_run_that_failed_at_once_has_a_reason_and_no_number(relax, words):
    write("good.traj", copper())
    assert faulty(relax, "self.results['forces'][0] = np.nan", "good.traj", *words, at=1)[0] == 1
    done = read("out.extxyz")
    assert done.info["relax_reason"] == "the force on row 0 is nan"
    assert "relax_fmax" not in done.info
    assert done.calc is None


@MODE
@pytest.mark.parametrize("name", ["energy", "free_energy"])
@pytest.mark.parametrize("value", [NAN, INF])
def test_no_energy_may_be_infinite(mode, name, value):
    if mode is MODES["batch"] and name == "free_energy":
        pytest.skip("a potential has one energy")
    result = mode(lambda results: results.update({name: value}))
    assert result.status == "nonfinite"
    assert f"the energy is {value}" in result.reason


@COMMANDS
def test_table_json_and_file_have_the_energy_that_forces_are_the_slope_of(relax, words, capsys):
    write("good.traj", copper())
    Path("smeared.py").write_text(FAULTY.replace("if self.count == 3", "if True").format(deed=SMEARED))
    command = ["run", "good.traj", "-c", "smeared:Faulty", *words]
    with pytest.raises(SystemExit):
        main([*command, "-o", "out.extxyz"])
    table = capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([*command, "--json"])
    told = json.loads(capsys.readouterr().out)
    done = read("out.extxyz")
    again = done.copy()
    again.calc = EMT()
    assert done.get_potential_energy() == pytest.approx(again.get_potential_energy() - 7.5, abs=1e-6)
    assert told["energy_last"] == pytest.approx(done.get_potential_energy(), abs=1e-6)
    assert f"{done.get_potential_energy():.4f}" in table


# What is asked for


ONE_CELL = "is not allowed; give True, False or a CellFreedom"


@pytest.mark.parametrize("cell", ["no", "False", 1, 0, None, [True], {}, CellFreedom], ids=repr)
def test_a_cell_relaxes_or_does_not(cell):
    for ask in (
        lambda: relax_one(copper(), EMT(), cell=cell),
        lambda: relax_one(copper(), EMT(), cell=cell, draws=2),
        lambda: relax_many([copper()], EMT(), cell=cell),
        lambda: CoReRelax(copper(), logfile=None, cell=cell),
    ):
        with pytest.raises(TypeError, match=ONE_CELL):
            ask()
    (done,) = relax_many([copper()], EMT(), cell=lambda atoms: cell)
    assert done.result.status == "refused"
    assert ONE_CELL in done.result.reason


@pytest.mark.parametrize("cell", [np.True_, np.False_, True, False])
def test_truth_values_of_numpy_are_truth_values(cell):
    atoms, start = copper(), copper()
    relax_one(atoms, EMT(), cell=cell)
    (done,) = relax_many([copper()], EMT(), cell=cell)
    for one in (atoms, done.atoms):
        assert np.array_equal(one.cell.array, start.cell.array) != bool(cell)


# A full disk under the files of the command


FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")


@FULL
def test_a_full_disk_under_the_log_of_the_command(relax):
    write("good.traj", copper())
    code, err = relax("good.traj", "--logfile", "/dev/full", "-o", "out.extxyz")
    assert (code, err) == (2, ["relax: --logfile /dev/full: No space left on device"])


@pytest.mark.parametrize(("which", "where"), [("--trajectory", "paths"), ("--logfile", "log")])
def test_a_full_disk_keeps_what_is_finished(relax, which, where):
    write("small.traj", copper())
    write("large.traj", copper() * (2, 1, 1))
    words = [which, where, "--rule", "core", "--fmax", "1e-9", "--steps", "60", "-o", "out.extxyz"]
    relax("small.traj", *words)
    (file,) = Path("paths").iterdir() if which == "--trajectory" else [Path("log")]
    with files_of_at_most(file.stat().st_size + 300):
        code, err = relax("small.traj", "large.traj", "small.traj", *words, "--force")
    assert (code, err) == (2, [f"relax: {which} {where}: File too large"])
    gc.collect()  # a file that is still open is a warning, and so an error
    statuses = [frame.info["relax_status"] for frame in read("out.extxyz", ":")]
    assert statuses == ["max_steps", "interrupted"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_trajectory_that_cannot_begin_keeps_what_is_finished(relax, number, monkeypatch):
    for name in ("one.traj", "two.traj"):
        write(name, copper())

    def refuse(self: Any, filename: Any, mode: str) -> None:
        if "two" in str(filename):
            raise OSError(number, os.strerror(number))
        begin(self, filename, mode)

    begin = TrajectoryWriter._open
    monkeypatch.setattr(TrajectoryWriter, "_open", refuse)
    code, err = relax("one.traj", "two.traj", "--trajectory", "paths", "-o", "out.extxyz")
    assert (code, err) == (2, [f"relax: --trajectory paths: {os.strerror(number)}"])
    assert read("out.extxyz", ":")[0].info["relax_status"] == "converged"


def test_a_log_on_standard_output(relax, capsys):
    write("good.traj", copper())
    with pytest.raises(SystemExit) as ended:
        main(["run", "good.traj", "-c", "emt", "--logfile", "-"])
    out, err = capsys.readouterr()
    assert (ended.value.code, err) == (0, "")
    lines = [line for line in out.splitlines() if line.endswith("  good.traj")]
    assert out.startswith("  step  calls ")
    assert len(lines) > 1
    assert "1 of 1 converged" in out
    assert [path.name for path in Path().iterdir()] == ["good.traj"]
    says = "relax: --logfile - and --json both write to standard output; name a file for the log"
    assert relax("good.traj", "--logfile", "-", "--json") == (2, [says])


# Signals


STOPPED = """
import signal
from ase.calculators.emt import EMT

class Stopped(EMT):
    def calculate(self, atoms=None, *args):
        if len(atoms) == 8:
            signal.raise_signal({number})
        super().calculate(atoms, *args)
"""


@pytest.mark.usefixtures("hangup")
@pytest.mark.parametrize("words", [[], ["--batch-size", "2"]], ids=["one by one", "batch"])
@pytest.mark.parametrize("output", ["out.extxyz", "out.traj"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_what_is_finished_when_a_signal_comes_is_written(relax, words, output, number, monkeypatch):
    Path(f"stopped_{number:d}.py").write_text(STOPPED.format(number=int(number)))
    write("good.traj", copper())
    write("large.traj", copper() * (2, 1, 1))
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}

    def disturbed(write: Callable[..., Any]) -> Callable[..., Any]:
        """Return what writes while signals come."""

        def again(*args: Any) -> Any:
            for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.raise_signal(each)
            return write(*args)

        return again

    # The first structure is written before the signal that counts.
    texts = iter([extxyz_text, disturbed(extxyz_text)])
    monkeypatch.setattr("relax.io.outputs.results_file.extxyz_text", lambda frame: next(texts)(frame))
    monkeypatch.setattr("relax.io.outputs.run_output.write_structures", lambda path, frames, rehearse: (
        rehearse or disturbed(write_structures)(path, frames)
    ))  # fmt: skip
    files = ("good.traj", "large.traj")
    code, err = relax(*files, *words, "-c", f"stopped_{number:d}:Stopped", "-o", output)
    assert (code > 128, err) == (True, [])
    statuses = {frame.info["source"]: frame.info["relax_status"] for frame in read(output, ":")}
    # In a batch the signal comes before the other structure has converged.
    assert statuses == {"good.traj": "interrupted" if words else "converged", "large.traj": "interrupted"}
    assert {number: signal.getsignal(number) for number in before} == before


def test_a_hangup_that_is_ignored_stays_so(relax):
    Path("hung.py").write_text(STOPPED.format(number="signal.SIGHUP"))
    write("large.traj", copper() * (2, 1, 1))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert relax("large.traj", "-c", "hung:Stopped") == (0, [])
    finally:
        signal.signal(signal.SIGHUP, before)


# What relax.relax and relax_many are given


@pytest.mark.parametrize(
    ("thing", "says"),
    [
        ([copper(), copper()], "not a list; relax_many relaxes several structures"),
        ((copper(),), "not a tuple; relax_many relaxes several structures"),
        ("POSCAR", "not a str"),
        (None, "not a NoneType"),
        (Atoms, "not the class Atoms"),
    ],
)
def test_what_is_no_structure_is_told(thing, says):
    for ask in (
        lambda: relax_one(thing, EMT()),
        lambda: relax_one(thing),
        lambda: relax_one(thing, EMT(), draws=2),
        lambda: LBFGSRelax(thing, logfile=None),
    ):
        with pytest.raises(TypeError, match=f"^expected ase.Atoms or an ASE filter, {says}$"):
            ask()


@pytest.mark.parametrize("draws", [1, 2])
def test_atoms_that_the_calculator_does_not_support_are_told(draws):
    with pytest.raises(ValueError, match=r"^EMT does not know the element of atom 0, U"):
        relax_one(bulk("U", "fcc", a=4.0), EMT(), draws=draws)


@pytest.mark.parametrize("name", ["fmax", "steps", "energy_change", "displacement", "smax", "timeout"])
@pytest.mark.parametrize("value", [None, "0.01", True, [0.1]], ids=repr)
def test_a_criterion_is_a_number(name, value):
    if value is None and name in ("smax", "timeout"):
        pytest.skip("it may be left out")
    says = re.escape(f"{name} = {value!r} is not allowed; give a number of 0 or more")
    for ask in (
        lambda: relax_one(copper(), EMT(), **{name: value}),
        lambda: relax_many([copper()], EMT(), **{name: value}),
    ):
        with pytest.raises(TypeError, match=says):
            ask()


@pytest.mark.parametrize("number", [np.float32, np.float64, int])
def test_any_number_is_a_criterion(number):
    assert relax_one(copper(), EMT(), fmax=number(1)).converged


@pytest.mark.parametrize("start", ["atoms", "filter", "draws", "many", "batch"])
def test_forces_along_the_wrong_axis_are_an_error_of_the_calculator(start):
    atoms = copper()
    atoms.calc = Answers(lambda results: results.update(forces=results["forces"].T))
    if start == "many":
        result = next(relax_many([atoms], atoms.calc)).result
    elif start == "batch":
        potential = Answering(lambda results: None)
        evaluate = potential.inner.evaluate
        potential.inner.evaluate = lambda *args: replace(evaluate(*args), forces=evaluate(*args).forces.T)
        result = next(relax_many([atoms], potential)).result
    else:
        result = relax_one(
            FrechetCellFilter(atoms) if start == "filter" else atoms, draws=1 + (start == "draws")
        )
    assert result.status == "calculator_error"
    assert "of shape (3, 4) for the forces, not float of shape (4, 3)" in result.reason
