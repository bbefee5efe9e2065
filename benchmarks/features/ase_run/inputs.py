"""What ``ase run`` reads and which degrees of freedom it relaxes."""

from __future__ import annotations

import json

import numpy as np
from ase.calculators.emt import EMT
from ase.constraints import FixSymmetry
from ase.filters import FrechetCellFilter
from ase.optimize import LBFGS

from benchmarks.features import observations
from benchmarks.features.ase_run.tool import TOOL
from benchmarks.features.observations import NOISE_FREE, OUT
from benchmarks.features.tool import Cell, in_python, seen
from benchmarks.features.workplace import ASE, Workplace
from relax.geometry.symmetry import space_group


@TOOL.check("files")
def files(place: Workplace) -> Cell:
    """Two files."""
    done = place.run(f"{ASE} cu.extxyz ni.extxyz -f 0.05 -o {OUT}")
    return seen(done, place.count(OUT) == 2, done.ending)


@TOOL.check("frames")
def frames(place: Workplace) -> Cell:
    """A file of three structures, as it is and asking for all."""
    done = place.run(f"{ASE} three.extxyz -f 0.05 -o {OUT}")
    every = place.run(f"{ASE} three.extxyz@: -f 0.05 -o all.extxyz")
    return seen(
        done, place.count(OUT) == 3, f"{place.count(OUT)} structure, the last; with `@:` {every.ending}"
    )


@TOOL.check("folders")
def folders(place: Workplace) -> Cell:
    """A folder, and a pattern."""
    runs = [place.run(f"{ASE} {name} -f 0.05 -o {OUT}") for name in ("'*/*.extxyz'", "folder")]
    return seen(runs[0], place.count(OUT) > 1, f"{runs[0].ending}; `folder`: {runs[1].ending}")


@TOOL.check("stdin")
def stdin(place: Workplace) -> Cell:
    """A structure on standard input, in the format of ASE's databases."""
    from ase.db import connect

    with connect(place.folder / "cu.json") as database:
        database.write(place.read("cu.extxyz"))
    done = place.run(f"{ASE} -f 0.05 -o {OUT}", stdin=(place.folder / "cu.json").read_text())
    return seen(done, place.count(OUT) == 1, f"JSON of `ase.db` on standard input, {done.ending}")


@TOOL.check("named_calculator")
def named_calculator(place: Workplace) -> Cell:
    """A calculator by its name."""
    done = place.run(f"ase run emt cu.extxyz -f 0.05 -o {OUT}")
    known = place.run("ase run --help").text.count(",")
    return seen(done, done.code == 0 and known > 20, f"{done.ending}; the help names more than 20")


@TOOL.check("own_calculator")
def own_calculator(place: Workplace) -> Cell:
    """A calculator of a module, by the command, and registered under a name in Python."""
    done = place.run(f"ase run stand_in:StandIn cu.extxyz -f 0.05 -o {OUT}")
    registered = place.run(f"{ASE} cu.extxyz -f 0.05 -o {OUT}")
    if done.code == 0:
        return seen(done, True, done.ending)
    return in_python("`register_calculator_class`", registered.code == 0, f"`{done.line}`: {done.ending}")


@TOOL.check("config")
def config(place: Workplace) -> Cell:
    """No option for it."""
    return observations.lacks(place, "ase run", "config|file|settings")


@TOOL.check("completion")
def completion(place: Workplace) -> Cell:
    """The command that adds it to bash."""
    done = place.run("ase completion")
    return seen(done, done.code == 0 and "complete" in done.text, "prints what adds it to bash")


@TOOL.check("device")
def device(place: Workplace) -> Cell:
    """As a parameter of the calculator."""
    done = place.run(f"{ASE} cu.extxyz -p device=cuda", STAND_IN_CALLS="calls")
    first = json.loads((place.folder / "calls").read_text().splitlines()[0])
    return seen(done, first == {"device": "cuda"}, "the calculator is made with `device='cuda'`")


@TOOL.check("cell")
def cell(place: Workplace) -> Cell:
    """The volume changes."""
    return observations.cell_relaxes(place, f"{ASE} cu.extxyz -s 0.05 -o {OUT}")


def filtered(place: Workplace, name: str, **options: object) -> np.ndarray:
    """Return the cell of a structure after LBFGS with a filter of ASE."""
    atoms = place.read(f"{name}.extxyz")
    atoms.calc = EMT()
    LBFGS(FrechetCellFilter(atoms, **options), logfile=None).run(fmax=0.05, steps=100)
    return np.array(atoms.cell[:])


@TOOL.check("pressure")
def pressure(place: Workplace) -> Cell:
    """No option; the filter has it."""
    observations.lacks(place, "ase run", "pressure")
    free = np.linalg.det(filtered(place, "cu"))
    pressed = np.linalg.det(filtered(place, "cu", scalar_pressure=20 / 160.21766))
    words = f"volume {pressed:.1f} A^3 at 20 GPa, without {free:.1f} A^3"
    return in_python("`FrechetCellFilter(scalar_pressure=...)`", bool(pressed < 0.95 * free), words)


@TOOL.check("mask")
def mask(place: Workplace) -> Cell:
    """No option; the filter has it."""
    observations.lacks(place, "ase run", "mask")
    change = np.abs(filtered(place, "cu", mask=[1, 1, 0, 0, 0, 1]) - place.read("cu.extxyz").cell[:])
    words = f"the height changed by {change[2].max():.1e} A, the plane by {change[:2].max():.3f} A"
    return in_python("`FrechetCellFilter(mask=...)`", bool(change[2].max() < 1e-6 < change[:2].max()), words)


@TOOL.check("constraints")
def constraints(place: Workplace) -> Cell:
    """A fixed atom stays."""
    return observations.atom_is_fixed(place, f"{ASE} fixed.extxyz -f 0.05 -o {OUT}")


@TOOL.check("symmetry")
def symmetry(place: Workplace) -> Cell:
    """No option; a constraint has it."""
    observations.lacks(place, "ase run", "symm")
    groups = []
    for kept in (False, True):
        atoms = place.read("ordered.extxyz")
        atoms.calc = noisy()
        if kept:
            atoms.set_constraint(FixSymmetry(atoms))
        LBFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=0.001, steps=5)
        groups.append(space_group(atoms, NOISE_FREE))
    words = f"noisy forces, space group {groups[1]}, without it {groups[0]}"
    return in_python(
        "`FixSymmetry`",
        groups[1] == space_group(place.read("ordered.extxyz"), NOISE_FREE) != groups[0],
        words,
    )


def noisy() -> EMT:
    """Return EMT with forces that are off by 0.05 eV/A."""
    generator = np.random.default_rng(0)

    class Noisy(EMT):  # type: ignore[misc]
        def calculate(self, *args: object, **kwargs: object) -> None:
            super().calculate(*args, **kwargs)
            self.results["forces"] += generator.normal(0, 0.05, self.results["forces"].shape)

    return Noisy()


@TOOL.check("batches")
def batches(place: Workplace) -> Cell:
    """A command takes one structure, so that no call can have several."""
    done = place.run(f"{ASE} three.extxyz -f 0.05 -o {OUT}")
    return seen(done, place.count(OUT) > 1, f"{place.count(OUT)} of 3 structures relaxed")
