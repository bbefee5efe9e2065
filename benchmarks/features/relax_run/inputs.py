"""What ``relax run`` reads and which degrees of freedom it relaxes."""

from __future__ import annotations

from benchmarks.features import observations
from benchmarks.features.observations import OUT, objects
from benchmarks.features.relax_run.tool import TOOL
from benchmarks.features.tool import Cell, seen
from benchmarks.features.workplace import RELAX, Workplace


@TOOL.check("files")
def files(place: Workplace) -> Cell:
    """Two files."""
    done = place.run(f"{RELAX} cu.extxyz ni.extxyz -o {OUT}")
    return seen(done, place.count(OUT) == 2, f"{place.count(OUT)} structures relaxed")


@TOOL.check("frames")
def frames(place: Workplace) -> Cell:
    """A file of three structures."""
    done = place.run(f"{RELAX} three.extxyz -o {OUT}")
    return seen(done, place.count(OUT) == 3, f"{place.count(OUT)} structures relaxed")


@TOOL.check("folders")
def folders(place: Workplace) -> Cell:
    """A folder, and a pattern."""
    place.run(f"{RELAX} folder -o folder.extxyz")
    done = place.run(f"{RELAX} '**/a.extxyz' -o {OUT}")
    numbers = place.count("folder.extxyz"), place.count(OUT)
    return seen(done, numbers == (2, 1), f"{numbers[1]} structure of the pattern, {numbers[0]} of `folder`")


@TOOL.check("stdin")
def stdin(place: Workplace) -> Cell:
    """Extended XYZ on standard input."""
    done = place.run(f"{RELAX} - -o {OUT}", stdin=(place.folder / "three.extxyz").read_text())
    return seen(done, place.count(OUT) == 3, f"{place.count(OUT)} structures relaxed")


@TOOL.check("named_calculator")
def named_calculator(place: Workplace) -> Cell:
    """A calculator by its name, and those that a wrong name is answered with."""
    done = place.run("relax run -c emt cu.extxyz")
    wrong = place.run("relax run -c nonsense cu.extxyz")
    known = all(name in wrong.text for name in ("chgnet", "mace:", "sevennet:", "orb:", "uma:", "ase:"))
    return seen(done, done.code == 0 and known, f"{done.ending}; a wrong name is answered with all names")


@TOOL.check("own_calculator")
def own_calculator(place: Workplace) -> Cell:
    """A calculator of a module."""
    done = place.run(f"{RELAX} cu.extxyz", STAND_IN_CALLS="calls")
    return seen(
        done, done.code == 0 < place.calls(), f"the calculator of the module had {place.calls()} calls"
    )


@TOOL.check("config")
def config(place: Workplace) -> Cell:
    """The number of steps, from a file."""
    (place.folder / "options.toml").write_text("[run]\nsteps = 1\n")
    done = place.run(f"{RELAX} cu.extxyz --config options.toml --json")
    (found,) = objects(done.text)
    return seen(done, found["steps"] == 1, f"stopped after {found['steps']} step, as the file says")


@TOOL.check("completion")
def completion(place: Workplace) -> Cell:
    """What the shell is told when a name of a rule is to be completed."""
    words = {"_RELAX_COMPLETE": "complete_bash", "COMP_WORDS": "relax run --rule fra", "COMP_CWORD": "3"}
    done = place.run("relax", **words)
    return seen(done, "frankenstein" in done.text, "bash completes `--rule fra` to `frankenstein`")


@TOOL.check("device")
def device(place: Workplace) -> Cell:
    """The option, and the values that it is checked for."""
    done = place.run(f"{RELAX} cu.extxyz --device nonsense")
    return seen(done, "cuda" in done.text, "refused, with `cuda` and `cpu` as what is expected")


@TOOL.check("cell")
def cell(place: Workplace) -> Cell:
    """The volume changes."""
    return observations.cell_relaxes(place, f"{RELAX} cu.extxyz --cell -o {OUT}")


@TOOL.check("pressure")
def pressure(place: Workplace) -> Cell:
    """The volume is smaller under pressure."""
    return observations.pressure_counts(place, f"{RELAX} cu.extxyz --cell -o {OUT} --force", "--pressure 20")


@TOOL.check("mask")
def mask(place: Workplace) -> Cell:
    """The height stays."""
    return observations.mask_holds(place, f"{RELAX} cu.extxyz --cell --cell-mask xy -o {OUT}")


@TOOL.check("constraints")
def constraints(place: Workplace) -> Cell:
    """A fixed atom stays."""
    return observations.atom_is_fixed(place, f"{RELAX} fixed.extxyz -o {OUT}")


@TOOL.check("symmetry")
def symmetry(place: Workplace) -> Cell:
    """The space group stays."""
    line = f"{RELAX} ordered.extxyz --cell --fmax 0.001 --steps 5 -o {OUT} --force"
    return observations.symmetry_holds(place, line, "--symmetry keep")


@TOOL.check("batches")
def batches(place: Workplace) -> Cell:
    """Calls of the model for three structures together, and one after another."""
    line = "relax run -c lj three.extxyz --steps 3"
    place.run(f"{line} --batch-size 1", STAND_IN_CALLS="calls")
    alone = place.calls()
    done = place.run(f"{line} --batch-size 3", STAND_IN_CALLS="calls")
    together = place.calls() - alone
    return seen(done, together < alone, f"{together} calls of the model, one after another {alone}")
