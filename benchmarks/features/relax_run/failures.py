"""What ``relax run`` does when something goes wrong, and where it ends."""

from __future__ import annotations

import numpy as np

from benchmarks.features import observations
from benchmarks.features.observations import OUT, objects
from benchmarks.features.relax_run.tool import TOOL
from benchmarks.features.tool import Cell, noted, seen
from benchmarks.features.workplace import RELAX, Workplace


def ends_as(place: Workplace, options: str, status: str, fault: str = "", name: str = "cu") -> Cell:
    """One run ends with a status."""
    stand_in = {"STAND_IN_FAULT": fault} if fault else {}
    done = place.run(f"{RELAX} {name}.extxyz --json {options}".strip(), **stand_in)
    (found,) = objects(done.text)
    return seen(done, found["status"] == status, f"status {found['status']}: {found['reason']}")


@TOOL.check("kill")
def kill(place: Workplace) -> Cell:
    """Three structures, killed during the second."""
    line = f"{RELAX} three.extxyz -o {OUT}"
    place.killed(line, 6)
    number = place.count(OUT)
    return noted(f"`{line}`, `kill -9`", number >= 1, f"{number} of 3 structures in the file")


@TOOL.check("resume")
def resume(place: Workplace) -> Cell:
    """Three structures, killed during the second, and continued."""
    line = f"{RELAX} three.extxyz -o {OUT}"
    place.killed(line, 6)
    finished, before = place.count(OUT), place.calls()
    done = place.run(f"{line} --resume", STAND_IN_CALLS="calls")
    calls = place.calls() - before
    whole = place.run(f"{RELAX} three.extxyz -o whole.extxyz", STAND_IN_CALLS="calls")
    saved = calls < place.calls() - before - calls
    words = f"{finished} of 3 kept after `kill -9`, all 3 after {calls} more calls"
    return seen(done, whole.code == 0 and saved and place.count(OUT) == 3, words)


@TOOL.check("restart")
def restart(place: Workplace) -> Cell:
    """The optimizer, continued from its restart file, takes the steps of an uninterrupted run."""
    from benchmarks.features.restarts import same_steps
    from relax import InternalLBFGSRelax

    return same_steps(place, InternalLBFGSRelax, "relax.InternalLBFGSRelax(restart=...)")


@TOOL.check("overwrite")
def overwrite(place: Workplace) -> Cell:
    """The same output twice."""
    place.run(f"{RELAX} cu.extxyz -o {OUT}")
    before = (place.folder / OUT).read_bytes()
    done = place.run(f"{RELAX} ni.extxyz -o {OUT}")
    kept = (place.folder / OUT).read_bytes() == before
    return seen(done, done.code == 2 and kept, f"{done.ending}, the file that exists is kept")


@TOOL.check("lock")
def lock(place: Workplace) -> Cell:
    """Two processes, one file."""
    return observations.second_writer(place, f"{RELAX} cu.extxyz --resume -o {OUT}")


@TOOL.check("others")
def others(place: Workplace) -> Cell:
    """Iron, which EMT does not know, between copper and nickel."""
    done = place.run(f"{RELAX} cu.extxyz fe.extxyz ni.extxyz --json")
    statuses = [found["status"] for found in objects(done.text)]
    return seen(done, statuses.count("converged") == 2, f"{', '.join(sorted(statuses))}; {done.ending}")


@TOOL.check("status")
def status(place: Workplace) -> Cell:
    """One step is not enough."""
    return ends_as(place, "--steps 1", "max_steps")


@TOOL.check("nan")
def nan(place: Workplace) -> Cell:
    """A force that is not a number."""
    return ends_as(place, "", "nonfinite", "nan")


@TOOL.check("exploded")
def exploded(place: Workplace) -> Cell:
    """Atoms that are driven apart."""
    return ends_as(place, "--fmax 0.01 --steps 200", "exploded", "explode", "cluster")


@TOOL.check("hang")
def hang(place: Workplace) -> Cell:
    """A call that does not return."""
    return ends_as(place, "--timeout 2", "timeout", "hang")


@TOOL.check("exit_code")
def exit_code(place: Workplace) -> Cell:
    """A good structure, one that does not converge, and one that EMT does not know."""
    lines = ("cu.extxyz", "cu.extxyz --steps 1", "fe.extxyz")
    good, unconverged, unknown = (place.run(f"{RELAX} {line}") for line in lines)
    codes = f"{good.code} converged, {unconverged.code} not converged, {unknown.code} unknown element"
    return seen(unconverged, good.code == 0 and bool(unconverged.code and unknown.code), f"codes {codes}")


@TOOL.check("minimum")
def minimum(place: Workplace) -> Cell:
    """A flat square of copper atoms."""
    return ends_as(place, "--check minimum", "saddle", name="square")


@TOOL.check("escape")
def escape(place: Workplace) -> Cell:
    """The same square, left."""
    done = place.run(f"{RELAX} square.extxyz --check minimum --escape -o {OUT}")
    height = float(np.ptp(place.read(OUT).positions[:, 2]))
    energy = place.read(OUT).get_potential_energy() - copper(place)
    return seen(
        done, done.code == 0 and energy < -0.01, f"{energy:.3f} eV below the square, {height:.2f} A high"
    )


def copper(place: Workplace) -> float:
    """Return the energy of the relaxed square, eV."""
    place.run(f"{RELAX} square.extxyz -o square_out.extxyz")
    return float(place.read("square_out.extxyz").get_potential_energy())


@TOOL.check("draws")
def draws(place: Workplace) -> Cell:
    """Three starts."""
    done = place.run(f"{RELAX} square.extxyz --draws 3 --rattle 0.3 --json")
    (found,) = objects(done.text)
    energies = [draw["energy"] for draw in found["draws"]]
    lowest = len(energies) == 3 and found["energy_last"] <= min(energies) + 1e-9
    return seen(done, lowest, f"{len(energies)} starts, the lowest end is kept")
