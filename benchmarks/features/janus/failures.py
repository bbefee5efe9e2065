"""What ``janus geomopt`` does when something goes wrong, and where it ends."""

from __future__ import annotations

from benchmarks.features import observations
from benchmarks.features.janus.tool import TOOL
from benchmarks.features.observations import OUT
from benchmarks.features.tool import Cell, no_name, noted, options, seen
from benchmarks.features.workplace import JANUS, Workplace

COPPER, NICKEL, IRON = (f"{JANUS} --struct {name}.extxyz --out {OUT}" for name in ("cu", "ni", "fe"))
SQUARE = f"{JANUS} --struct square.extxyz --fmax 0.01 --out {OUT}"


@TOOL.check("kill")
def kill(place: Workplace) -> Cell:
    """Two commands, the second killed."""
    return observations.survives_kill(place, COPPER, f"{JANUS} --struct ni.extxyz --out ni_out.extxyz")


@TOOL.check("resume")
def resume(place: Workplace) -> Cell:
    """The same command twice."""
    return observations.starts_again(place, COPPER)


@TOOL.check("restart")
def restart(place: Workplace) -> Cell:
    """The optimizer, continued from ASE's restart file."""
    words = "--minimize-kwargs \"{'opt_kwargs': {'restart': 'half.json'}}\""
    place.run(f"{JANUS} --struct cu.extxyz --fmax 0.01 --out whole.extxyz", STAND_IN_CALLS="calls")
    whole = place.calls()
    place.run(f"{JANUS} --struct cu.extxyz --steps 3 --fmax 0.01 --out {OUT} {words}")
    done = place.run(f"{JANUS} --struct {OUT} --fmax 0.01 --out rest.extxyz {words}", STAND_IN_CALLS="calls")
    rest = place.calls() - whole
    known = (place.folder / "half.json").exists() and rest + 3 <= whole
    return seen(done, known, f"3 steps, stopped, {rest} more calls; {whole} calls without a stop")


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
    """One step is not enough."""
    done = place.run(f"{COPPER} --steps 1 --log geomopt.log")
    said = "has not converged" in done.text + (place.folder / "geomopt.log").read_text()
    info = [key for key in place.read(OUT).info if key in ("status", "converged", "reason")]
    words = f"a warning is printed or logged: {said}; entries of the structure about it: {len(info)}"
    return seen(done, "yes" if info else "partly" if said else "no", words)


@TOOL.check("nan")
def nan(place: Workplace) -> Cell:
    """A force that is not a number."""
    done = place.run(f"{COPPER} --steps 100", STAND_IN_FAULT="nan")
    steps = sum(line.split()[-1] == "nan" for line in done.text.splitlines() if line.startswith("LBFGS:"))
    return seen(done, steps <= 1, f"{steps} steps whose longest force is nan, {done.ending}")


@TOOL.check("exploded")
def exploded(place: Workplace) -> Cell:
    """Atoms that are driven apart."""
    line = f"{JANUS} --struct cluster.extxyz --fmax 0.01 --steps 200 --out {OUT}"
    return observations.flies_apart(place, line, OUT)


@TOOL.check("hang")
def hang(place: Workplace) -> Cell:
    """A call that does not return, and options about time."""
    no_name("time", options(place, "janus geomopt"), "options of `janus geomopt`")
    return observations.waits(place, COPPER)


@TOOL.check("exit_code")
def exit_code(place: Workplace) -> Cell:
    """A good structure, one that does not converge, and one that EMT does not know."""
    good, unconverged, unknown = (place.run(line) for line in (COPPER, f"{COPPER} --steps 1", IRON))
    answer = "partly" if unknown.code and not unconverged.code else bool(unknown.code)
    codes = f"{good.code} converged, {unconverged.code} not converged, {unknown.code} unknown element"
    return seen(unconverged, answer, f"codes {codes}")


@TOOL.check("minimum", "escape")
def minimum(place: Workplace) -> Cell:
    """A flat square of copper atoms."""
    stays, words = observations.stays_at_the_saddle(place, SQUARE)
    no_name("saddle|minimum|check|escape|curvature", options(place, "janus geomopt"), "options")
    return noted("a flat square of copper", not stays, words)


@TOOL.check("draws")
def draws(place: Workplace) -> Cell:
    """No option for several starts."""
    return no_name("draw|rattle|seed|start", options(place, "janus geomopt"), "options of `janus geomopt`")
