"""Features of ``relax run``, ``janus geomopt``, ``ase run`` and torch-sim, each found by running it.

    python -m venv JANUS && JANUS/bin/pip install janus-core
    python -m benchmarks.features --janus JANUS/bin/python --json benchmarks/results/features.json
    python -m benchmarks.readme

Commands run in folders of their own, with structures of copper and ASE's EMT, which can be told to fail
(``stand_ins/stand_in.py``); ``janus`` gets it in the place of a machine-learned model.  torch-sim relaxes
argon with its own Lennard-Jones model.  A cell whose check cannot run, for want of a package, keeps what
the file has.
"""

from __future__ import annotations

import json
import platform
import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.common.provenance import RESULTS
from benchmarks.common.terminal import errors_in_one_line, progress
from benchmarks.features.rows import NOT_CHECKED, keys
from benchmarks.features.table import evidence
from benchmarks.features.tool import Tool
from benchmarks.features.tools import all_tools
from benchmarks.features.workplace import NotChecked, Workplace
from relax.analysis.comparison.files.results_file import Json, write_record

COMMAND = "python -m benchmarks.features --janus JANUS/bin/python"
VERSION = "from importlib.metadata import version; print(version('janus-core'))"


def main(
    janus: Annotated[
        Path | None,
        typer.Option(help="Python of an environment with janus-core; its cells are kept without."),
    ] = None,
    only: Annotated[str, typer.Option(help="Features with commas between; others are kept.")] = "",
    out: Annotated[Path, typer.Option("--json", help="File of results, which is brought up to date.")] = (
        RESULTS / "features.json"
    ),
) -> None:
    """Check what each tool can do, and print what was seen."""
    with errors_in_one_line("features"):
        wanted = only.split(",") if only else keys()
        if unknown := sorted({*wanted} - {*keys()}):
            raise ValueError(f"--only names no feature: {', '.join(unknown)}; there are {', '.join(keys())}")
        if janus is not None and not janus.exists():
            raise ValueError(f"there is no {janus} for --janus")
        tools = all_tools()
        old = kept(out)
        with progress("features", len(wanted) * len(tools)) as (_, advance):
            for feature in wanted:
                for tool in tools:
                    before = old.get(feature, {}).get(tool.title)
                    old.setdefault(feature, {})[tool.title] = cell(tool, feature, janus, before)
                    advance()
        results = record(tools, old)
        write_record(out, results)
        print("\n".join(evidence(results)))


def kept(path: Path) -> dict[str, dict[str, Json]]:
    """Return the cells of a file of results by feature and tool, none if there is no file."""
    if not path.exists():
        return {}
    return {row["feature"]: row["cells"] for row in json.loads(path.read_text())["rows"]}


def cell(tool: Tool, feature: str, janus: Path | None, before: Json | None) -> Json:
    """Return what a check finds; what the file had, or that nothing was checked, if it cannot run."""
    with tempfile.TemporaryDirectory() as folder:
        place = Workplace(Path(folder).resolve(), janus)
        place.prepare()
        try:
            found = tool.checks[feature](place)
        except NotChecked as error:
            return before or {"answer": NOT_CHECKED, "evidence": str(error), "version": None}
    words = found.evidence.replace(f"{folder}/", "")
    return {"answer": found.answer, "evidence": words, "version": installed(tool.package, janus)}


def installed(package: str, janus: Path | None) -> str:
    """Return the version of a package, that of janus-core in its own environment."""
    if package != "janus-core":
        return version(package)
    return subprocess.run(
        [str(janus), "-c", VERSION], capture_output=True, text=True, check=True
    ).stdout.strip()


def record(tools: list[Tool], cells: dict[str, dict[str, Json]]) -> Json:
    """Return what the file says."""
    return {
        "command": COMMAND,
        "python": platform.python_version(),
        "tools": {tool.title: tool.package for tool in tools},
        "rows": [{"feature": feature, "cells": cells[feature]} for feature in keys() if feature in cells],
    }


if __name__ == "__main__":
    typer.run(main)
