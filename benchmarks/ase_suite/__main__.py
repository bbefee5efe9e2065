"""ASE's own tests with an optimizer of relax in the place of ASE's: how many pass.

    python -m benchmarks.ase_suite --optimizer pair-lbfgs --json OUT

The tests of ``ase.test.optimize``, ``constraints``, ``filter`` and ``neb`` come with ASE.  They are run as
they are, but ASE's classes are replaced before the tests are imported
(:mod:`benchmarks.ase_suite.stand_ins`).  Tests that ask for ``asap3`` get ASE's EMT where it is not
installed.  :mod:`benchmarks.ase_suite.exclusions` says which tests are left out, and why.  A test that makes
no optimizer is run but not counted.  An optimizer of ASE in the place of all others, such as ``ase:LBFGS``,
shows what the tests demand of ASE's own.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.ase_suite.runs import Outcomes, run
from benchmarks.ase_suite.stand_ins import named_class
from benchmarks.ase_suite.tables import print_outcomes
from benchmarks.common.provenance import command_line
from benchmarks.common.terminal import errors_in_one_line, wide_console
from relax.analysis.comparison.files.provenance import versions
from relax.analysis.comparison.files.results_file import Json, write_record
from relax.analysis.comparison.minimizers.names import split_names


def main(
    optimizer: Annotated[
        str, typer.Option(help="Name of an optimizer of relax or of ASE, or names with commas between.")
    ] = "pair-lbfgs",
    out: Annotated[Path | None, typer.Option("--json", help="Write the outcomes to this file.")] = None,
) -> None:
    """Run ASE's tests with another optimizer in the place of ASE's, and count those that pass."""
    with errors_in_one_line("ase_suite"):
        names = split_names([optimizer])
        if not names:
            raise ValueError("--optimizer names none")
        for name in names:
            named_class(name)  # raises what is wrong with it before the first run
        if out is not None and not out.absolute().parent.is_dir():
            raise ValueError(f"there is no folder {out.parent} for --json")
        found = {}
        for name in names:
            found[name] = run(name)
            print_outcomes(wide_console(160), name, found[name])
            if out is not None:
                write_record(out, record(found))


def record(found: dict[str, Outcomes]) -> Json:
    """Return what the file says: the outcome of each test for each optimizer."""
    first = next(iter(found.values()))
    return {
        "command": command_line("benchmarks.ase_suite"),
        "versions": versions("ase", "numpy", "scipy", "pytest", "relax"),
        "python": platform.python_version(),
        "excluded": {test: end["why"] for test, end in first.items() if end["outcome"] == "excluded"},
        "rows": [row(name, outcomes) for name, outcomes in found.items()],
    }


def row(name: str, outcomes: Outcomes) -> Json:
    """Return the row of an optimizer, without the tests that are excluded."""
    ran = {test: end for test, end in outcomes.items() if end["outcome"] != "excluded"}
    ends = [end["outcome"] for end in ran.values()]
    return {
        "optimizer": name,
        "passed": ends.count("passed"),
        "failed": ends.count("failed"),
        "tests": {test: end["outcome"] for test, end in ran.items()},
        "why": {test: end["why"] for test, end in ran.items() if "why" in end},
    }


if __name__ == "__main__":
    typer.run(main)
