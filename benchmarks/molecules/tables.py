"""The tables of the molecule benchmark."""

from __future__ import annotations

from functools import partial

from benchmarks.molecules.sets import SETS
from benchmarks.molecules.starts import excluded_text
from relax.analysis.comparison.statistics import OURS
from relax.analysis.comparison.tables import (
    TIMES,
    Cell,
    Page,
    Row,
    interval_text,
    number,
    rattle_text,
    shared_columns,
    statistics_page,
)


def columns(rows: list[Row]) -> dict[str, Cell]:
    """Return the columns of a table: title and cell."""
    return shared_columns(rows) | beside_columns(rows) | {"other bonds": number(0, "other_bonds")} | TIMES


def beside_columns(rows: list[Row]) -> dict[str, Cell]:
    """Return the columns that put rows beside those of ours that their table has."""
    found: dict[str, Cell] = {}
    for name in OURS:
        if any(name in row for row in rows):
            found[f"{name}'s calls, of its"] = partial(ratio, name)
            found[f"ends no higher: {name}'s / its"] = partial(ends, name)
    return found


def ratio(name: str, row: Row) -> str:
    """Return the calls of one of ours as a multiple of the row's, with an interval."""
    if name not in row:
        return ""
    return interval_text(row[name]["calls"])


def ends(name: str, row: Row) -> str:
    """Return on how many structures one of ours ended no higher than the row, and the other way round."""
    return " / ".join(str(count) for count in row[name]["no_higher"]) if name in row else ""


def subject(results: Row) -> str:
    """Return what is relaxed, without the number of structures."""
    return f"{SETS[results.get('set', 'g2')].title}, {results['method']}"


def title(results: Row, fmax: float) -> str:
    """Return the title of a table."""
    molecules = f"{len(results['structures'])} {subject(results)}"
    return f"{molecules}, {rattle_text(results['rattle'])}, fmax {fmax:g} eV/A"


def notes(results: Row) -> str:
    """Return what one must know to read the tables."""
    checks = results["checks"]
    text = (
        "Force calls, counted at the calculator, until no force is above fmax; a run that failed is "
        f"scored at the cap of {results['cap']}. ≤ 1 and ≤ 10 meV: part of the molecules that ended that "
        "near, per atom, to the lowest energy at which any optimizer of the table converged; points: by how "
        "much that part is above another's; excess: mean height above that energy. Other bonds: ends whose "
        f"bonds, atoms nearer than {checks['bond']:g} of their covalent radii, are not those of the molecule "
    )
    text += (
        "(a failure). " if checks["bonds_decide"] else "(no failure here: this is a potential of metals). "
    )
    text += (
        "ms a call: in the calculator / outside. In parentheses: 95 % bootstrap intervals over the molecules."
    )
    if results.get("stop"):
        text += " The calculator ends each run at the first force call within fmax, the same for all."
    if any(name in row for row in results["rows"] for name in OURS):
        text += (
            " Ends no higher: on how many structures ours ended within 1 meV of the other's end or below it, "
            "and on how many the other did of ours."
        )
    if results["excluded"]:
        name = results.get("set", "g2").replace("g2", "G2")
        text += f" Left out of the {name} set for everybody: {excluded_text(results['excluded'])}."
    return text


def page(results: Row) -> Page:
    """Return all tables."""
    return statistics_page(results, subject(results), notes(results), "fmax", columns, title)


def as_markdown(results: Row) -> str:
    """Return the whole page as Markdown."""
    return page(results).markdown()
