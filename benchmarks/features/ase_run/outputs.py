"""What ``ase run`` reports, and what else ASE does."""

from __future__ import annotations

import re

import ase
import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import read
from ase.md.verlet import VelocityVerlet
from ase.mep import NEB
from ase.optimize import FIRE
from ase.phonons import Phonons

from benchmarks.features import observations
from benchmarks.features.ase_run.tool import TOOL
from benchmarks.features.observations import OUT, objects
from benchmarks.features.tool import Cell, in_python, module_names, no_name, noted, seen
from benchmarks.features.workplace import ASE, Workplace

COPPER = f"{ASE} cu.extxyz -f 0.05 -o {OUT}"


@TOOL.check("json")
def json_lines(place: Workplace) -> Cell:
    """What is printed, and a structure as JSON."""
    done = place.run(f"{ASE} cu.extxyz -f 0.05 -o out.json")
    written = (place.folder / "out.json").exists() and "energy" in (place.folder / "out.json").read_text()
    words = (
        f"{len(objects(done.text))} lines of JSON printed; structure and energy in a JSON database: {written}"
    )
    return seen(done, "yes" if objects(done.text) else "partly" if written else "no", words)


@TOOL.check("trajectory")
def trajectory(place: Workplace) -> Cell:
    """All steps."""
    done = place.run(COPPER)
    number = len(read(place.folder / "cu.traj", ":"))
    return seen(done, number > 1, f"{number} frames in cu.traj")


@TOOL.check("log")
def log(place: Workplace) -> Cell:
    """A line for each step."""
    done = place.run(COPPER)
    number = len((place.folder / "cu.log").read_text().splitlines())
    return seen(done, number > 1, f"{number} lines in cu.log")


@TOOL.check("formats")
def formats(place: Workplace) -> Cell:
    """Formats of ASE."""
    names = ("out.cif", "out.xsf", "out.xyz", "out.json")
    runs = [place.run(f"{ASE} cu.extxyz -f 0.05 -o {name}") for name in names]
    wrong = [f"{name} {run.ending}" for name, run in zip(names, runs, strict=True) if run.code]
    answer = "yes" if not wrong else "partly" if len(wrong) < len(names) else "no"
    return seen(
        runs[0], answer, "not written: " + ", ".join(wrong) if wrong else f"likewise {', '.join(names)}"
    )


@TOOL.check("calls")
def calls(place: Workplace) -> Cell:
    """Whether a number of calls is printed or logged."""
    done = place.run(COPPER, STAND_IN_CALLS="calls")
    text = done.text + (place.folder / "cu.log").read_text()
    return seen(
        done, bool(re.search("calls|evaluations", text)), f"{place.calls()} calls, of steps only a line each"
    )


@TOOL.check("progress")
def progress(place: Workplace) -> Cell:
    """What a terminal shows."""
    shown = place.on_terminal(COPPER, STAND_IN_SLOW="0.1")
    left = bool(re.search(r"\bleft\b|\beta\b|remaining", shown, re.IGNORECASE))
    return noted(f"`{COPPER}` on a terminal", left, f"{len(shown)} characters")


@TOOL.check("minimizers")
def minimizers(place: Workplace) -> Cell:
    """No option; Python has many."""
    observations.lacks(place, "ase run", "optimi|minimi")
    atoms = place.read("cu.extxyz")
    atoms.calc = EMT()
    converged = FIRE(atoms, logfile=None).run(fmax=0.05)
    return in_python("`ase.optimize.FIRE`", bool(converged), "converged; `ase run` uses LBFGS")


@TOOL.check("compare")
def compare(place: Workplace) -> Cell:
    """No module for it but a test of ASE's own."""
    names = [name for name in module_names(ase) if not name.startswith("ase.test")]
    return no_name("bench|compare_opt|perform", names, "modules of ASE")


@TOOL.check("dynamics")
def dynamics(place: Workplace) -> Cell:
    """Energy stays over ten steps."""
    atoms = place.read("cu.extxyz")
    atoms.calc = EMT()
    before = atoms.get_total_energy()
    VelocityVerlet(atoms, timestep=0.1, logfile=None).run(10)
    drift = abs(atoms.get_total_energy() - before)
    return in_python("`ase.md.verlet.VelocityVerlet`", drift < 0.01, f"10 steps, drift {drift:.1e} eV")


@TOOL.check("phonons")
def phonons(place: Workplace) -> Cell:
    """Acoustic modes at the zone centre."""
    found = Phonons(bulk("Cu", a=3.6), EMT(), supercell=(3, 3, 3), name=str(place.folder / "phonon"))
    found.run()
    found.read(acoustic=True)
    energies = np.asarray(found.band_structure(np.array([[0.25, 0, 0]])))
    return in_python(
        "`ase.phonons.Phonons`", bool(energies.max() > 1e-3), f"modes up to {1e3 * energies.max():.1f} meV"
    )


@TOOL.check("eos")
def eos(place: Workplace) -> Cell:
    """The option for it."""
    done = place.run(f"{ASE} ordered.extxyz -E 5,2.0")
    return seen(done, done.code == 0 and "bulk modulus" in done.text, "prints volume and bulk modulus")


@TOOL.check("elasticity")
def elasticity(place: Workplace) -> Cell:
    """No module for it."""
    return no_name("elastic", module_names(ase), "modules of ASE")


@TOOL.check("neb")
def neb(place: Workplace) -> Cell:
    """A band of five images."""
    first = place.read("cu.extxyz")
    images = [first.copy() for _ in range(4)] + [place.read("folder/b.extxyz")]
    for image in images:
        image.calc = EMT()
    band = NEB(images, method="improvedtangent")
    band.interpolate()
    forces = band.get_forces()
    return in_python("`ase.mep.NEB`", bool(np.isfinite(forces).all()), f"forces on {len(images) - 2} images")


@TOOL.check("training")
def training(place: Workplace) -> Cell:
    """No module for it."""
    names = [name for name in module_names(ase) if not name.startswith("ase.test")]
    return no_name(r"\btrain|finetun|fitting", names, "modules of ASE")


@TOOL.check("viewer")
def viewer(place: Workplace) -> Cell:
    """The command, without a display."""
    done = place.run("ase gui --help")
    return seen(done, done.code == 0, "the command is there; it was not opened, for want of a display")


@TOOL.check("carbon")
def carbon(place: Workplace) -> Cell:
    """No module for it."""
    return no_name("carbon|emission", module_names(ase), "modules of ASE")
