"""What ``janus geomopt`` reports, and what else ``janus`` does."""

from __future__ import annotations

import re
from functools import partial

from ase.io import read

from benchmarks.features.janus.tool import TOOL
from benchmarks.features.observations import OUT, objects
from benchmarks.features.tool import Cell, no_name, noted, seen
from benchmarks.features.workplace import JANUS, Workplace

COPPER = f"{JANUS} --struct cu.extxyz --out {OUT}"


@TOOL.check("json")
def json_lines(place: Workplace) -> Cell:
    """What programs can read: the summary."""
    done = place.run(f"{COPPER} --summary summary.yml")
    text = (place.folder / "summary.yml").read_text()
    energy = "energy" in text
    lines = len(objects(done.text))
    words = f"{lines} lines of JSON; a YAML summary of options and times, energy in it: {energy}"
    return seen(done, "yes" if objects(done.text) or energy else "partly", words)


@TOOL.check("trajectory")
def trajectory(place: Workplace) -> Cell:
    """All steps."""
    done = place.run(f"{COPPER} --write-traj")
    number = len(read(place.folder / "janus_results" / "cu-traj.extxyz", ":"))
    return seen(done, number > 1, f"{number} frames")


@TOOL.check("log")
def log(place: Workplace) -> Cell:
    """What the log says; steps are printed."""
    done = place.run(f"{COPPER} --log geomopt.log")
    number = len((place.folder / "geomopt.log").read_text().splitlines())
    steps = done.text.count("LBFGS:")
    return seen(done, number > 1 and steps > 1, f"{number} lines in the log, {steps} steps printed")


@TOOL.check("formats")
def formats(place: Workplace) -> Cell:
    """Formats of ASE."""
    names = ("out.extxyz", "out.cif", "out.xsf", "out.json")
    runs = [place.run(f"{JANUS} --struct cu.extxyz --out {name}") for name in names]
    wrong = [f"{name} {run.ending}" for name, run in zip(names, runs, strict=True) if run.code]
    return seen(runs[1], not wrong, ", ".join(wrong) or f"likewise {', '.join(names)}")


@TOOL.check("calls")
def calls(place: Workplace) -> Cell:
    """Whether a number of calls is printed, logged or in the summary."""
    done = place.run(f"{COPPER} --log geomopt.log --summary summary.yml", STAND_IN_CALLS="calls")
    text = done.text + "".join((place.folder / name).read_text() for name in ("geomopt.log", "summary.yml"))
    said = bool(re.search(r"calls|evaluations", text))
    return seen(done, said, f"{place.calls()} calls, of steps only a line each")


@TOOL.check("progress")
def progress(place: Workplace) -> Cell:
    """What a terminal shows."""
    shown = place.on_terminal(COPPER, STAND_IN_SLOW="0.1")
    left = bool(re.search(r"\bleft\b|\beta\b|remaining", shown, re.IGNORECASE))
    return noted(f"`{COPPER}` on a terminal", left, "a line for each step, no time left")


@TOOL.check("minimizers")
def minimizers(place: Workplace) -> Cell:
    """Another optimizer than the default."""
    done = place.run(f"{COPPER} --optimizer FIRE")
    return seen(done, "FIRE:" in done.text and done.code == 0, f"steps of FIRE, {done.ending}")


@TOOL.check("compare")
def compare(place: Workplace) -> Cell:
    """No command for it."""
    done = place.run("janus --help")
    return no_name(
        "compar|bench", re.findall(r"^│ ([a-z]\w+) ", done.text, re.MULTILINE), "commands of `janus`"
    )


def works(line: str, pattern: str, place: Workplace) -> Cell:
    """Another command of janus works, and writes a file of such a name."""
    done = place.run(f"{line} --arch grace --no-tracker")
    folder = place.folder / "janus_results"
    found = sorted(path.name for path in folder.glob(pattern)) if folder.is_dir() else []
    return seen(done, done.code == 0 and bool(found), f"{done.ending}, wrote {', '.join(found) or 'nothing'}")


OTHERS = {
    "dynamics": ("janus md --ensemble nve --struct cu.extxyz --steps 3 --stats-every 1", "*stats*"),
    "phonons": ("janus phonons --struct ordered.extxyz --supercell '1 1 1'", "*phonopy*"),
    "eos": ("janus eos --struct ordered.extxyz", "*eos*fit*"),
    "elasticity": ("janus elasticity --struct ordered.extxyz", "*elastic*"),
    "neb": (
        "janus neb --init-struct cu.extxyz --final-struct folder/b.extxyz --n-images 3 --steps 2",
        "*neb*",
    ),
}
for feature, (line, files) in OTHERS.items():
    TOOL.check(feature)(partial(works, line, files))


@TOOL.check("training")
def training(place: Workplace) -> Cell:
    """The command and its option; no training is started."""
    done = place.run("janus train --help")
    return seen(done, done.code == 0 and "--mlip-config" in done.text, "the command is there; it was not run")


@TOOL.check("viewer")
def viewer(place: Workplace) -> Cell:
    """No command for it."""
    done = place.run("janus --help")
    return no_name("gui|view", re.findall(r"^│ ([a-z]\w+) ", done.text, re.MULTILINE), "commands of `janus`")


@TOOL.check("carbon")
def carbon(place: Workplace) -> Cell:
    """The emissions in the summary."""
    done = place.run(f"{COPPER} --summary summary.yml".replace(" --no-tracker", ""))
    known = "emissions:" in (place.folder / "summary.yml").read_text()
    return seen(done, known, f"the summary has the emissions: {known}")
