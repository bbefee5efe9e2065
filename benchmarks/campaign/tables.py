"""Tables of the record of a large campaign: what was measured, and what follows for other numbers."""

from __future__ import annotations

from statistics import median

from relax.analysis.comparison.files.results_file import Json
from relax.analysis.comparison.tables import markdown
from relax.campaign.store.additions import IN_FILE

PLANNED = (10_000, 1_000_000, 100_000_000)
"""Numbers of structures that are planned for."""

TITLES = ("", "time, s", "of the processor, s", "memory, MB")


def timed(found: Json) -> list[list[str]]:
    """Return what the commands took, a row each."""
    rows = {
        f"`init` of {found['structures']:,} structures": found["init"],
        "first `status`, which makes the index": found["first_status"],
        f"`status` after {found['made_up']['structures']:,} new results": found["taken_in"],
        "`status` that makes the index of all results": found["rebuilt"],
        "`status`": {name: median(row[name] for row in found["status"]) for name in found["status"][0]},
        f"`run` of {found['run']['structures']:,} structures, {found['run']['workers']} workers": found[
            "run"
        ],
        f"`export` of all, {_size(found['export']['bytes'])} of extended XYZ": found["export"],
    }
    return [
        [what, f"{row['seconds']:.1f}", f"{row['cpu']:.1f}", f"{row['memory']:.0f}"]
        for what, row in rows.items()
    ]


def scale(found: Json) -> str:
    """Return the table of what the commands took, and what is said of the driver."""
    lines = markdown(TITLES, timed(found), ("",))
    turns, run = found["compared"], found["run"]
    alone, mine, beside = (
        1e3 * median(row[name] for row in turns) for name in ("alone", "campaign", "bookkeeping")
    )
    return "\n".join([
        *lines, "",
        f"- Beside the relaxation: {beside:.2f} ms of the processor for a structure ({mine:.2f} ms in a "
        f"campaign, {alone:.2f} ms by `relax_many`; {sum(row['structures'] for row in turns):,} structures).",
        f"- The driver alone: {1e3 * _driver(found):.2f} ms for a structure.",
        f"- Memory of the driver: {run['memory']:.0f} MB at most; {run['tenths'][1]:.0f} MB in the second "
        f"tenth of its time, {run['tenths'][-1]:.0f} MB in the last one.",
    ])  # fmt: skip


def plan(found: Json) -> str:
    """Return what campaigns of other numbers of structures take, from what was measured."""
    number = found["structures"]
    folders, cpu = (
        found["folders"],
        {name: found[name]["cpu"] / number for name in ("init", "rebuilt", "export")},
    )
    rows = {
        "files in `inputs/`": lambda n: f"{-(-n // IN_FILE):,}",
        "units": lambda n: f"{max(1, round(n * found['units'] / number)):,}",
        "`inputs/`": lambda n: _size(n * folders["inputs"]["bytes"] / number),
        "`results/`": lambda n: _size(n * folders["results"]["bytes"] / number),
        "`rounds/`": lambda n: _size(n * folders["rounds"]["bytes"] / number),
        "index": lambda n: _size(n * found["index"] / number),
        "`init`": lambda n: _time(n * cpu["init"]),
        "index made anew": lambda n: _time(n * cpu["rebuilt"]),
        "`export`": lambda n: _time(n * cpu["export"]),
        "the driver, in all": lambda n: _time(n * _driver(found)),
    }
    titles = ("", *(f"{n:,} structures" for n in PLANNED))
    return "\n".join(markdown(titles, [[name, *map(say, PLANNED)] for name, say in rows.items()], ("",)))


def _driver(found: Json) -> float:
    """Return the time that the driver takes for a structure beside that of its start, s."""
    return float((found["run"]["driver"] - found["start"]["driver"]) / found["run"]["structures"])


def _size(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.2g} min" if seconds < 5400 else f"{seconds / 3600:.2g} h"


def faults(found: Json) -> str:
    """Return the table of the campaigns that were killed."""
    titles = (
        "campaign", "structures", "kills", "drivers", "processes", "each once", "same bytes", "ends",
    )  # fmt: skip
    rows = [
        [
            row["subject"], f"{row['structures']:,}",
            f"{row['kills']}: " + ", ".join(f"{n} {kind}" for kind, n in sorted(row["killed"].items())),
            str(row["drivers"]), str(row["processes"]), _yes(row["each_once"]), _yes(row["identical"]),
            _ends(row),
        ]
        for row in found["rows"]
    ]  # fmt: skip
    lines = markdown(titles, rows, ("campaign", "kills", "ends"))
    for row in found["rows"]:
        twice, disk = row["two_drivers"], row["full_disk"]
        words = f"not tried, {disk['skipped']}" if "skipped" in disk else f"`{disk['said'][0]}`"
        lines += [
            "",
            f"{row['subject']}: of two drivers at once {twice['at_work']} was at work and {twice['refused']} "
            f"refused; with a full disk {words}.",
        ]
    return "\n".join(lines)


def engines(found: Json) -> str:
    """Return the table of the same campaign on each engine."""
    rows = [
        [row["engine"], f"{row['seconds']:.0f}", _ends(row), _yes(row["identical"])]
        if "skipped" not in row
        else [row["engine"], "", f"skipped: {row['skipped']}", ""]
        for row in found["rows"]
    ]
    return "\n".join(markdown(("engine", "s", "ends", "same bytes"), rows, ("engine", "ends")))


def workers(found: Json) -> str:
    """Return the table of one process and of two."""
    rows = [
        [str(row["workers"]), ", ".join(f"{rate:.1f}" for rate in row["rates"]), f"{row['ratio']:.2f}"]
        for row in found["rows"]
    ]
    lines = markdown(("processes", "structures/s, each turn", "of one process"), rows)
    if machine := found.get("machine"):
        lines += ["", f"Two processes of `relax_many` that know nothing of each other: {machine:.2f} of one."]
    return "\n".join(lines)


def _ends(row: Json) -> str:
    return ", ".join(f"{number:,} {status}" for status, number in row["statuses"].items())


def _yes(value: bool) -> str:
    return "yes" if value else "NO"
