"""The table of a landscape: how each run ended, and how much of it the plane shows."""

from __future__ import annotations

from relax.analysis.comparison.files.results_file import Json
from relax.analysis.comparison.tables import markdown


def table(row: Json) -> str:
    """Return the runs of a case as Markdown, and below them what the plane explains."""
    plane = row["plane"]
    lowest = min(run["energy"] for run in row["runs"])
    columns = ("optimizer", "force calls", "steps", "end above the lowest, eV", "its place on the plane, eV")
    columns += ("farthest from the plane, A",)
    lines = []
    for run, there in zip(row["runs"], plane["on_plane"], strict=True):
        note = "" if run["status"] == "converged" else f" ({run['status']})"
        above = "" if there is None else f"{there - lowest:.2f}"
        name = run["optimizer"]
        cells = [
            f"`{name}`",
            f"{run['calls']}{note}",
            str(run["steps"]),
            f"{run['energy'] - lowest:.2f}",
            above,
        ]
        lines.append([*cells, f"{max(plane['distances'][name]):.2f}"])
    first, second = (100 * share for share in plane["explained"])
    words = (
        f"{row['atoms']:,} atoms. The plane holds {first:.1f} % + {second:.1f} % of the variance of all "
        f"steps. Runs end at a largest force of {row['spec']['fmax']:g} eV/A."
    )
    return "\n".join([*markdown(columns, lines), "", words])
