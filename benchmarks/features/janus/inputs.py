"""What ``janus geomopt`` reads and which degrees of freedom it relaxes."""

from __future__ import annotations

from benchmarks.features import observations
from benchmarks.features.janus.tool import TOOL
from benchmarks.features.observations import OUT
from benchmarks.features.tool import Cell, seen
from benchmarks.features.workplace import JANUS, Workplace

CELL = f"{JANUS} --struct cu.extxyz --opt-cell-fully --fmax 0.05 --out {OUT}"


@TOOL.check("files")
def files(place: Workplace) -> Cell:
    """Two files."""
    done = place.run(f"{JANUS} --struct cu.extxyz --struct ni.extxyz --out {OUT}")
    formula = place.read(OUT).get_chemical_formula()
    return seen(done, place.count(OUT) > 1, f"{place.count(OUT)} structure relaxed, {formula}")


@TOOL.check("frames")
def frames(place: Workplace) -> Cell:
    """A file of three structures, as it is and asking for all."""
    done = place.run(f"{JANUS} --struct three.extxyz --out {OUT}")
    every = place.run(f"""{JANUS} --struct three.extxyz --read-kwargs "{{'index': ':'}}" --out all.extxyz""")
    words = f"{place.count(OUT)} structure relaxed, the last; with the index `:` {every.ending}"
    return seen(done, place.count(OUT) == 3 or place.count("all.extxyz") == 3, words)


@TOOL.check("folders")
def folders(place: Workplace) -> Cell:
    """A folder, and a pattern."""
    runs = [place.run(f"{JANUS} --struct {name} --out {OUT}") for name in ("'*/a.extxyz'", "folder")]
    return seen(runs[0], place.count(OUT) > 1, f"{runs[0].ending}; `--struct folder`: {runs[1].ending}")


@TOOL.check("stdin")
def stdin(place: Workplace) -> Cell:
    """Extended XYZ on standard input."""
    text = (place.folder / "cu.extxyz").read_text()
    line = f"""{JANUS} --read-kwargs "{{'format': 'extxyz'}}" --out {OUT} --struct"""
    runs = [place.run(f"{line} {name}", stdin=text) for name in ("-", "/dev/stdin")]
    return seen(runs[1], place.count(OUT) == 1, f"{runs[1].ending}; with `-` {runs[0].ending}")


@TOOL.check("named_calculator")
def named_calculator(place: Workplace) -> Cell:
    """The names that a wrong one is answered with."""
    done = place.run("janus geomopt --arch nonsense --struct cu.extxyz")
    known = all(name in done.text for name in ("mace_mp", "chgnet", "sevennet", "orb", "fairchem"))
    return seen(done, known and bool(done.code), "refused, with the names that are known")


@TOOL.check("own_calculator")
def own_calculator(place: Workplace) -> Cell:
    """A calculator of a module."""
    done = place.run("janus geomopt --arch stand_in:StandIn --struct cu.extxyz --no-tracker")
    return seen(done, done.code == 0, f"{done.ending}: not one of the names")


@TOOL.check("config")
def config(place: Workplace) -> Cell:
    """The number of steps, from a file."""
    (place.folder / "options.yml").write_text("steps: 1\n")
    done = place.run(f"{JANUS} --struct cu.extxyz --config options.yml")
    steps = [line.split()[1] for line in done.text.splitlines() if line.startswith("LBFGS:")]
    return seen(done, steps == ["0", "1"], "stopped after 1 step, as the file says")


@TOOL.check("completion")
def completion(place: Workplace) -> Cell:
    """What the shell is told when an option is to be completed."""
    words = {
        "_JANUS_COMPLETE": "complete_bash",
        "COMP_WORDS": "janus geomopt --opt-cell-f",
        "COMP_CWORD": "2",
    }
    done = place.run("janus", **words)
    return seen(done, "--opt-cell-fully" in done.text, "bash completes `--opt-cell-f` to `--opt-cell-fully`")


@TOOL.check("device")
def device(place: Workplace) -> Cell:
    """The option, and the values that it is checked for."""
    done = place.run(f"{JANUS} --struct cu.extxyz --device nonsense")
    return seen(done, "cuda" in done.text, "refused, with `cuda` and `cpu` among what is expected")


@TOOL.check("cell")
def cell(place: Workplace) -> Cell:
    """The volume changes."""
    return observations.cell_relaxes(place, CELL)


@TOOL.check("pressure")
def pressure(place: Workplace) -> Cell:
    """The volume is smaller under pressure."""
    return observations.pressure_counts(place, CELL, "--pressure 20")


@TOOL.check("mask")
def mask(place: Workplace) -> Cell:
    """The height stays."""
    words = "{'filter_kwargs': {'mask': [1, 1, 0, 0, 0, 1]}}"
    return observations.mask_holds(place, f'{CELL} --minimize-kwargs "{words}"')


@TOOL.check("constraints")
def constraints(place: Workplace) -> Cell:
    """A fixed atom stays."""
    return observations.atom_is_fixed(place, f"{JANUS} --struct fixed.extxyz --out {OUT}")


@TOOL.check("symmetry")
def symmetry(place: Workplace) -> Cell:
    """The space group stays."""
    line = f"{JANUS} --struct ordered.extxyz --opt-cell-fully --fmax 0.001 --steps 5 --out {OUT}"
    return observations.symmetry_holds(place, line, "--fix-symmetry")


@TOOL.check("batches")
def batches(place: Workplace) -> Cell:
    """A command takes one structure, so that no call can have several."""
    done = place.run(f"{JANUS} --struct three.extxyz --out {OUT}")
    return seen(done, place.count(OUT) > 1, f"{place.count(OUT)} of 3 structures relaxed")
