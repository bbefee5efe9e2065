"""What stands on the page below each question: advice, and the tables that it is computed from."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.choosing import kinds
from benchmarks.choosing.advice import Advice, best_of_most, ends_low, resists
from benchmarks.choosing.columns import Column
from benchmarks.choosing.names import ESCAPE, RULES, is_variant
from benchmarks.choosing.tables import grid, shown
from benchmarks.disturbed.calculator import DISTURBANCES
from benchmarks.materials.sets import SETS as MATERIALS
from benchmarks.profile import sets
from relax.analysis.comparison.files.results_file import Json
from relax.analysis.comparison.tables import markdown

STARTS = {"as they are": 0.0, "rattled": 0.05}
"""How far the starts of crystals are displaced, A."""
SMALL = "small molecules, rattled"
DISTURBED = {"lj38": "LJ38 clusters", "crystals": "Small crystals, rattled"}


@dataclass(frozen=True)
class Answer:
    """The answer to a question: whom to take, and the lines of the page."""

    advice: Sequence[Advice]
    tables: Sequence[str]

    @property
    def take(self) -> str:
        """The optimizers to take, the first for starts as they are where there are several."""
        return ", or ".join(dict.fromkeys(each.take for each in self.advice))

    def lines(self) -> list[str]:
        """Return the lines of the page."""
        return [line for each in self.advice for line in (each.why, "")] + list(self.tables)


def minimum(folder: Path) -> Answer:
    """Return where small crystals end, also with a search for lower minima, and at what price."""
    pairs = {
        words: (kinds.ends(words, one, ": near the lowest, %"), kinds.calls(words, one, ": calls"))
        for words, rattle in STARTS.items()
        for one in sets.crystals(folder, rattle)
    }
    columns = [column for pair in pairs.values() for column in pair]
    measured = {name for column in columns for name in column.cells if is_variant(name)}

    def heights(name: str) -> list[float]:
        return [column.cells[name].mean if name in column.cells else np.inf for column in columns]

    by_height = sorted(measured, key=lambda name: (heights(name), name))
    ours = list(dict.fromkeys([*by_height, *RULES, ESCAPE]))
    names = shown(columns, ours)
    return Answer([ends_low(words, *pair, names) for words, pair in pairs.items()], grid(columns, ours))


def ends(folder: Path) -> Answer:
    """Return where the other kinds of structures end, of those for which optimizers differ."""
    lj38 = read(folder, "lj38")
    clusters = [kinds.cluster_energies(lj38)] if lj38 else []
    shares = [kinds.ends(words, one) for words, one in all_sets(folder)]
    variants = [name for column in shares for name in column.cells if is_variant(name)]
    ours = list(dict.fromkeys([*RULES, ESCAPE, *variants]))
    names = shown([*clusters, *shares], ours)
    equal = [column for column in shares if not any(column.cells[n].mean for n in names if n in column.cells)]
    differ = [*clusters, *(column for column in shares if column not in equal)]
    words = "; ".join(column.kind for column in equal) or "none"
    advice = best_of_most(differ, shown(differ, ours), "ends lower")
    same = f"Kinds for which all of these end near the lowest, on every structure: {words}."
    return Answer([advice], [*grid(differ, ours), "", same])


def calls(folder: Path) -> Answer:
    """Return the force calls for each kind of structure."""
    lj38, metals, alloy = (read(folder, name) for name in ("lj38", "metals", "alloy"))
    first = [kinds.clusters(lj38)] if lj38 else []
    for words, rattle in STARTS.items():
        first += [kinds.calls(f"small crystals, {words}", one) for one in sets.crystals(folder, rattle)]
    first += kinds.metals(metals) if metals else []
    first += [kinds.polycrystals(alloy)] if alloy else []
    families: dict[str, list[Column]] = {"materials": [], "molecules": []}
    for words, one in all_sets(folder):
        families[one.family].append(kinds.calls(words, one))
    tables = [table for table in (first, *families.values()) if table]
    columns = [column for table in tables for column in table]
    advice = best_of_most(columns, shown(columns, RULES), "needs fewer calls")
    return Answer([advice], [line for table in tables for line in (*grid(table, RULES), "")][:-1])


def disturbed(folder: Path) -> Answer:
    """Return the force calls with disturbed forces."""
    results = json.loads((folder / "disturbed.json").read_text())
    tables = {
        words: [kinds.disturbed(results, system, how) for how in DISTURBANCES]
        for system, words in DISTURBED.items()
    }
    columns = [column for table in tables.values() for column in table]
    lines = [line for words, table in tables.items() for line in (f"{words}:", "", *grid(table, RULES), "")]
    return Answer([resists(list(tables.values()), shown(columns, RULES))], lines[:-1])


def all_sets(folder: Path) -> list[tuple[str, sets.Set]]:
    """Return the sets of materials and of molecules that there are results of, and what each is called."""
    found = [one for name in MATERIALS for one in sets.materials(folder, name)]
    found += [one for name in sets.MOLECULE_SETS for one in sets.molecules(folder, name)]
    return [(one.words, one) for one in found] + [(SMALL, one) for one in sets.molecules(folder, "g2")]


def read(folder: Path, name: str) -> Json | None:
    """Return the results in a file, None where there is none."""
    path = folder / f"{name}.json"
    found: Json | None = json.loads(path.read_text()) if path.exists() else None
    return found


ANSWERS: dict[str, Callable[[Path], Answer]] = {
    "minimum": minimum,
    "calls": calls,
    "disturbed": disturbed,
    "ends": ends,
}
"""What makes the parts of the page from a folder of results."""
QUESTIONS = {
    "minimum": "[the lowest minimum](#the-lowest-minimum)",
    "calls": "[the fewest force calls](#the-fewest-calls)",
    "disturbed": "[a rule that resists noise](#noisy-forces)",
}


def summary(folder: Path) -> list[str]:
    """Return whom to take for each question."""
    rows = [[words, ANSWERS[name](folder).take] for name, words in QUESTIONS.items()]
    columns = ("you want", "take")
    return markdown(columns, rows, columns)
