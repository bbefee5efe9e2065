"""What ``ase run`` does when something goes wrong, and where it ends."""

from __future__ import annotations

import numpy as np
from ase.calculators.emt import EMT
from ase.optimize import BFGS, LBFGS
from ase.optimize.basin import BasinHopping
from ase.vibrations import Vibrations

from benchmarks.features import observations
from benchmarks.features.ase_run.tool import TOOL
from benchmarks.features.observations import OUT
from benchmarks.features.restarts import same_steps
from benchmarks.features.tool import Cell, argument_names, in_python, no_name, noted, seen
from benchmarks.features.workplace import ASE, Workplace

COPPER, NICKEL, IRON = (f"{ASE} {name}.extxyz -f 0.05 -o {OUT}" for name in ("cu", "ni", "fe"))
SQUARE = f"{ASE} square.extxyz -f 0.01 -o {OUT}"


@TOOL.check("kill")
def kill(place: Workplace) -> Cell:
    """Two commands, the second killed."""
    return observations.survives_kill(place, COPPER, NICKEL)


@TOOL.check("resume")
def resume(place: Workplace) -> Cell:
    """The same command twice."""
    return observations.starts_again(place, COPPER)


@TOOL.check("restart")
def restart(place: Workplace) -> Cell:
    """No option; optimizers have it."""
    observations.lacks(place, "ase run", "restart")
    return same_steps(place, BFGS, "ase.optimize.BFGS(restart=...)")


@TOOL.check("overwrite")
def overwrite(place: Workplace) -> Cell:
    """The same output twice."""
    return observations.keeps_output(place, COPPER, NICKEL)


@TOOL.check("lock")
def lock(place: Workplace) -> Cell:
    """Two processes, one file."""
    return observations.second_writer(place, COPPER)


@TOOL.check("others")
def others(place: Workplace) -> Cell:
    """Iron, which EMT does not know, then nickel."""
    return observations.ends_one_by_one(place, IRON, NICKEL)


@TOOL.check("status")
def status(place: Workplace) -> Cell:
    """What the structure says, and what the optimizer returns."""
    done = place.run(COPPER)
    info = [key for key in place.read(OUT).info if key in ("status", "converged", "reason")]
    atoms = place.read("cu.extxyz")
    atoms.calc = EMT()
    returned = LBFGS(atoms, logfile=None).run(fmax=0.05, steps=1)
    words = (
        f"prints {len(done.text)} characters; in Python `LBFGS.run(steps=1)` returns {returned}, no reason"
    )
    return seen(done, "yes" if info else "partly" if not returned else "no", words)


@TOOL.check("nan")
def nan(place: Workplace) -> Cell:
    """A force that is not a number."""
    done = place.run(COPPER, STAND_IN_FAULT="nan")
    told = bool(done.code) and ("nan" in done.text or "finite" in done.text)
    last = " ".join(done.text.split("error:")[-1].split())[:60]
    return seen(done, told, f"{done.ending}: {last}")


@TOOL.check("exploded")
def exploded(place: Workplace) -> Cell:
    """Atoms that are driven apart."""
    return observations.flies_apart(place, f"{ASE} cluster.extxyz -f 0.01", "cluster.traj", limit=10)


@TOOL.check("hang")
def hang(place: Workplace) -> Cell:
    """A call that does not return, and options about time."""
    observations.lacks(place, "ase run", "time")
    no_name("time", argument_names(LBFGS, LBFGS.run), "arguments of `LBFGS` and its `run`")
    return observations.waits(place, COPPER)


@TOOL.check("exit_code")
def exit_code(place: Workplace) -> Cell:
    """A good structure, one whose force is not a number, and one that EMT does not know."""
    good, unknown = place.run(COPPER), place.run(IRON)
    broken = place.run(COPPER, STAND_IN_FAULT="nan")
    codes = f"{good.code} converged, {broken.code} a force that is nan, {unknown.code} unknown element"
    answer = good.code == 0 and bool(unknown.code and broken.code)
    return seen(unknown, answer, f"codes {codes}; there is no limit on steps")


@TOOL.check("minimum")
def minimum(place: Workplace) -> Cell:
    """The command ends at a saddle point; vibrations show that it is one."""
    stays, words = observations.stays_at_the_saddle(place, SQUARE)
    atoms = place.read(OUT)
    atoms.calc = EMT()
    vibrations = Vibrations(atoms, name=str(place.folder / "vib"))
    vibrations.run()
    lowest = vibrations.get_energies()[0]
    words = f"an imaginary mode of {1e3 * abs(lowest.imag):.0f} meV; {words}"
    return in_python("`ase.vibrations.Vibrations`", stays and bool(lowest.imag > 1e-3), words)


@TOOL.check("escape")
def escape(place: Workplace) -> Cell:
    """The command ends at a saddle point."""
    stays, words = observations.stays_at_the_saddle(place, SQUARE)
    return noted("a flat square of copper", not stays, words)


@TOOL.check("draws")
def draws(place: Workplace) -> Cell:
    """No option; basin hopping relaxes several starts and keeps the lowest."""
    observations.lacks(place, "ase run", "draw|rattle|seed")
    atoms = place.read("square.extxyz")
    atoms.calc = EMT()
    LBFGS(atoms, logfile=None).run(fmax=0.01)
    before = atoms.get_potential_energy()
    np.random.seed(0)  # noqa: NPY002 - the generator that BasinHopping draws from
    hopping = BasinHopping(
        atoms, dr=0.3, fmax=0.05, logfile=None, optimizer_logfile=None, local_minima_trajectory=None,
        trajectory=str(place.folder / "hops.traj"),
    )  # fmt: skip
    hopping.run(5)
    energy = hopping.get_minimum()[0]
    words = f"5 hops end {before - energy:.3f} eV below the first minimum"
    return in_python("`ase.optimize.basin.BasinHopping`", energy < before - 0.01, words)
