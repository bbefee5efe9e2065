"""What ``relax run`` reports, and what is beyond it."""

from __future__ import annotations

from functools import partial

from ase.io import read

from benchmarks.features.observations import objects
from benchmarks.features.relax_run.tool import TOOL
from benchmarks.features.tool import Cell, no_name, noted, options, seen
from benchmarks.features.workplace import RELAX, Workplace

BEYOND = {
    "dynamics": "dynamic|^md$",
    "phonons": "phonon",
    "eos": "eos|state",
    "elasticity": "elastic",
    "neb": "neb|band",
    "training": "train",
    "viewer": "gui|view",
    "carbon": "carbon|emission|track",
}
"""What the name of a command or option for it would have."""


@TOOL.check("json")
def json_lines(place: Workplace) -> Cell:
    """A line for each structure."""
    done = place.run(f"{RELAX} three.extxyz --json")
    return seen(done, len(objects(done.text)) == 3, f"{len(objects(done.text))} lines of JSON")


@TOOL.check("trajectory")
def trajectory(place: Workplace) -> Cell:
    """All steps."""
    done = place.run(f"{RELAX} cu.extxyz --trajectory steps.traj")
    number = len(read(place.folder / "steps.traj", ":"))
    return seen(done, number > 1, f"{number} frames")


@TOOL.check("log")
def log(place: Workplace) -> Cell:
    """A line for each step."""
    done = place.run(f"{RELAX} cu.extxyz --logfile steps.log")
    number = len((place.folder / "steps.log").read_text().splitlines())
    return seen(done, number > 1, f"{number} lines")


@TOOL.check("formats")
def formats(place: Workplace) -> Cell:
    """Formats of ASE."""
    names = ("out.cif", "out.xsf", "out.xyz", "out.json")
    runs = [place.run(f"{RELAX} cu.extxyz -o {name}") for name in names]
    written = [name for name in names if (place.folder / name).exists() and len(place.read(name)) == 4]
    return seen(runs[0], len(written) == len(names), f"likewise {', '.join(written)}")


@TOOL.check("calls")
def calls(place: Workplace) -> Cell:
    """The number reported, and that counted by the calculator."""
    done = place.run(f"{RELAX} cu.extxyz --json", STAND_IN_CALLS="calls")
    (found,) = objects(done.text)
    words = f"{found['force_calls']} reported, {place.calls()} counted by the calculator"
    return seen(done, found["force_calls"] == place.calls(), words)


@TOOL.check("progress")
def progress(place: Workplace) -> Cell:
    """What a terminal shows."""
    line = f"{RELAX} three.extxyz"
    shown = place.on_terminal(line, STAND_IN_SLOW="0.1")
    return noted(
        f"`{line}` on a terminal", "left" in shown and "2/3" in shown, "a bar, 2/3, with the time left"
    )


@TOOL.check("minimizers")
def minimizers(place: Workplace) -> Cell:
    """Another rule than the default."""
    done = place.run(f"{RELAX} cu.extxyz --rule fire --json")
    (found,) = objects(done.text)
    return seen(done, found["rule"] == "fire" and done.code == 0, f"converged with the rule {found['rule']}")


@TOOL.check("compare")
def compare(place: Workplace) -> Cell:
    """Two minimizers on one structure."""
    line = "relax compare -c stand_in:StandIn cu.extxyz --rules default,ase:BFGS --rattle 0"
    done = place.run(f"{line} --table table.md")
    both = all(name in (place.folder / "table.md").read_text() for name in ("default", "ase:BFGS"))
    return seen(done, done.code == 0 and both, "a table of force calls of both")


def beyond(pattern: str, place: Workplace) -> Cell:
    """No command and no option has such a name."""
    commands = [
        line.split()[0] for line in place.run("relax --help").text.partition("Commands:")[2].split("\n  ")[1:]
    ]
    known = [name for command in commands for name in options(place, f"relax {command}") if name != "--table"]
    return no_name(pattern, [*commands, *known], "commands and options of `relax`")


for feature, pattern in BEYOND.items():
    TOOL.check(feature)(partial(beyond, pattern))
