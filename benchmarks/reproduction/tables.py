"""The tables of claims."""

from __future__ import annotations

from pathlib import Path

from benchmarks.reproduction.alloy import ALLOY
from benchmarks.reproduction.claims import Claim, published
from benchmarks.reproduction.core import CORE
from benchmarks.reproduction.landscapes import LANDSCAPES
from benchmarks.reproduction.verdicts import JUDGES, VERDICTS, Results
from relax.analysis.comparison.tables import markdown

COLUMNS = ("the paper says", "it prints", "here", "verdict")
ALL_JUDGES = JUDGES | CORE | ALLOY | LANDSCAPES
"""The verdict of each claim, by its name."""

PARTS = ("lj38", "crystals", "alloy", "landscapes", "core")


def table(folder: Path, part: str) -> list[str]:
    """Return the lines of a table: a row for each claim of a part of the file of claims.

    Parameters
    ----------
    folder
        Of the files of results.
    part
        One of ``PARTS``.

    Raises
    ------
    ValueError
        A claim has no verdict.
    """
    results, rows = Results(folder), []
    for claim in published()[part]:
        found = ALL_JUDGES[claim["claim"]](results, claim)
        words = [word for word in VERDICTS if found.verdict.startswith(word)]
        if not words:
            raise ValueError(f"{claim['claim']} has no verdict, but {found.verdict!r}")
        word = max(words, key=len)
        says = f"{claim['says']} ({claim['where']})"
        rows.append([says, printed(claim), found.here or "-", f"**{word}**{found.verdict[len(word) :]}"])
    return markdown(COLUMNS, rows, COLUMNS)


def printed(claim: Claim) -> str:
    """Return the figures of a claim."""
    if "printed" not in claim:
        return "a picture" if "Fig" in claim["where"] else "words"
    return ", ".join(f"{name} {value:g}" for name, value in claim["printed"].items())
