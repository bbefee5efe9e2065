"""The tables of the benchmark of the alloy."""

from __future__ import annotations

from relax.analysis.comparison.tables import Page, Row, Sheet, versions_text

Boxes = dict[tuple[int, int, int], list[Row]]
"""Rows by size, number of grains and seed."""
COLUMNS = (
    "optimizer", "status", "force calls", "above the lowest, eV", "meV/atom", "dislocation segments",
    "length, nm", "fcc, %", "hcp, %", "s", "outside the calculator, %",
)  # fmt: skip
WORDS = ("optimizer", "status")
"""Columns that are aligned to the left."""


def lowest(rows: list[Row]) -> float:
    """Return the lowest energy (eV) at which a run on this box converged, or any ended if none did."""
    ends = [row for row in rows if row["energy"] is not None]
    return min(
        (row["energy"] for row in [r for r in ends if r["status"] == "converged"] or ends), default=0.0
    )


def cells(row: Row, least: float) -> list[str]:
    """Return the cells of a row, empty where a value is None."""

    def shown(value: float | None, digits: int, factor: float = 1.0) -> str:
        return "" if value is None else f"{factor * value:.{digits}f}"

    above = None if row["energy"] is None else row["energy"] - least
    seconds = row["seconds_calculator"] + row["seconds_outside"]
    return [
        f"`{row['optimizer']}`",
        row["status"],
        str(row["calls"]),
        shown(above, 2),
        shown(above, 2, 1e3 / row["atoms"]),
        shown(row["segments"], 0),
        shown(row["length"], 1),
        shown(row["fcc"], 1, 100),
        shown(row["hcp"], 1, 100),
        shown(seconds, 0),
        shown(100 * row["seconds_outside"] / seconds if seconds else None, 0),
    ]


def boxes(results: Row) -> Boxes:
    """Return the rows of each box: its size, number of grains and seed."""
    found: Boxes = {}
    for row in results["rows"]:
        found.setdefault((row["size"], row["grains"], row["seed"]), []).append(row)
    return found


def page(results: Row) -> Page:
    """Return all tables."""
    sheets = []
    for (_, grains, seed), rows in boxes(results).items():
        least = lowest(rows)
        rows = sorted(rows, key=lambda row: (row["energy"] is None, row["energy"], row["optimizer"]))
        title = f"{rows[0]['atoms']:,} atoms, {grains} grains, seed {seed}"
        sheets.append(Sheet(title, COLUMNS, [cells(row, least) for row in rows], left=WORDS))
    return Page(
        "Polycrystals of a high-entropy alloy",
        notes(results),
        sheets,
        results["command"],
        f"{results['processor']}; {versions_text(results)}",
        failures(results),
    )


def notes(results: Row) -> str:
    """Return what one must know to read the tables."""
    return (
        "Polycrystals of CoNiCrFeMn, 2NN-MEAM by LAMMPS, the box held. A run ends at the first force call at "
        f"which no force is above {results['fmax']:g} eV/A, or after {results['cap']:,}. Seconds are of "
        "processor time, one thread."
    )


def failures(results: Row) -> list[str]:
    """Return a line for each run that failed, with the reason."""
    return [
        f"{row['optimizer']}, {row['atoms']:,} atoms, {row['grains']} grains, seed {row['seed']}: "
        f"{row['status']}, {row['reason']}"
        for row in results["rows"]
        if row["status"] != "converged"
    ]


def as_markdown(results: Row) -> str:
    """Return the whole page as Markdown."""
    return page(results).markdown()
