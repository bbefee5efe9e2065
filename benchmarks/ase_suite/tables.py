"""Tables of outcomes for the terminal."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

from rich.console import Console

from benchmarks.ase_suite.runs import GROUPS, Outcomes
from benchmarks.common.terminal import print_plain, print_table

COLUMNS = ("passed", "failed", "no optimizer", "skipped", "excluded")


def counts(outcomes: Outcomes) -> list[list[str]]:
    """Return the cells of the table: for each package of tests, and for all, how many ended how."""
    found = Counter((test.partition("/")[0], end["outcome"]) for test, end in outcomes.items())
    rows = [[group, *(str(found[group, column]) for column in COLUMNS)] for group in GROUPS]
    totals = [sum(found[group, column] for group in GROUPS) for column in COLUMNS]
    return [*rows, ["all", *map(str, totals)]]


def verdict(outcomes: Outcomes) -> str:
    """Return in a line how many tests passed, of those that made an optimizer."""
    ends = [end["outcome"] for end in outcomes.values()]
    passed, failed = ends.count("passed"), ends.count("failed")
    return f"passed {passed} of {passed + failed} that make sense for a drop-in"


def with_reasons(outcomes: Outcomes, outcome: str) -> list[list[str]]:
    """Return test and reason of those that ended so; neighbours with one reason are one row."""
    ended = [(test, end["why"]) for test, end in outcomes.items() if end["outcome"] == outcome]
    rows = []
    for why, same in groupby(ended, lambda pair: pair[1]):
        first, *others = (test for test, _ in same)
        rows.append([f"{first} and {len(others)} more" if others else first, why])
    return rows


def print_outcomes(console: Console, name: str, outcomes: Outcomes) -> None:
    """Print what became of ASE's tests with the optimizer ``name``."""
    print_table(
        console,
        f"ASE's tests with {name} in the place of ASE's",
        ("tests", *COLUMNS),
        counts(outcomes),
        ("tests",),
    )
    for outcome, title in (
        ("failed", "Failed"),
        ("skipped", "Skipped by ASE"),
        ("excluded", "Excluded"),
    ):
        if rows := with_reasons(outcomes, outcome):
            print_table(console, title, ("test", "why"), rows, ("test", "why"))
    print_plain(console, ["no optimizer: passed, but the test makes none", f"{name}: {verdict(outcomes)}"])
