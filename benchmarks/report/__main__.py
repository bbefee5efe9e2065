"""Size of the pages of ``relax report``, and the time to write and open them.

Run ``python -m benchmarks.report``.  The results are made up, see :mod:`benchmarks.report.structures`: 5,000
of them, each of which the page has in full, and 100,000, of which it has a sample.  The command is timed
whole, in a process of its own.  The page is opened in headless Chromium without a graphics card: the table is
there first, and then the structures are drawn, which takes longer in software than on a graphics card.
"""

from __future__ import annotations

import json
import platform
import tempfile
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.common.provenance import RESULTS, command_line, processor
from benchmarks.common.terminal import errors_in_one_line, print_table
from benchmarks.cost.command import command
from benchmarks.report.browser import opened, started
from benchmarks.report.structures import SEED, written
from benchmarks.tools.vendor import FOLDER
from relax.analysis.comparison.files.provenance import versions
from relax.analysis.comparison.files.results_file import Json, write_record
from relax.analysis.report.page import LIBRARIES

JSON = RESULTS / "report.json"


def measured(count: int, times: int) -> Json:
    """Return what it takes to write the page of so many results, its size, and the time to open it."""
    with tempfile.TemporaryDirectory() as folder:
        results = written(Path(folder), count)
        page = Path(folder, "report.html")
        taken = command("report", results, "-o", page)
        driver = started()
        try:
            found = [opened(driver, page) for _ in range(times)]
            text = driver.execute_script("return document.getElementById('meta').textContent")
            told = json.loads(text)["total"]
            browser = str(driver.capabilities["browserVersion"])
        finally:
            driver.quit()
        return {
            "structures": count,
            "told": told,
            "results_bytes": results.stat().st_size,
            "page_bytes": page.stat().st_size,
            "write": taken,
            "opened": found,
            "chromium": browser,
        }


def main(
    structures: Annotated[list[int] | None, typer.Option(min=10, help="Structures; may be repeated.")] = None,
    times: Annotated[int, typer.Option(min=1, help="Times that each page is opened.")] = 5,
    json_path: Annotated[Path, typer.Option("--json", help="Write the figures to this file.")] = JSON,
) -> None:
    """Print sizes and times of pages."""
    with errors_in_one_line("report"):
        rows = [measured(count, times) for count in structures or (5000, 100_000)]
    libraries = {
        Path(name).name: (FOLDER.parent / name).stat().st_size for name in LIBRARIES
    }  # fmt: skip
    record = {
        "command": command_line("benchmarks.report"),
        "versions": versions("numpy", "ase", "relax"),
        "libraries": json.loads((FOLDER / "versions.json").read_text()),
        "python": platform.python_version(),
        "processor": processor(),
        "seed": SEED,
        "library_bytes": libraries,
        "rows": rows,
    }
    write_record(json_path, record)
    titles = (
        "structures",
        "page, MB",
        "of it libraries, MB",
        "write, s",
        "memory, MB",
        "table shown, s",
        "drawn, s",
    )
    print_table(
        Console(),
        "Pages of relax report",
        titles,
        [
            [
                f"{row['structures']:,}",
                f"{row['page_bytes'] / 1e6:.2f}",
                f"{sum(libraries.values()) / 1e6:.2f}",
                f"{row['write']['seconds']:.1f}",
                f"{row['write']['memory']:.0f}",
                *(f"{median(each[name] for each in row['opened']):.2f}" for name in ("shown", "drawn")),
            ]
            for row in rows
        ],
    )


if __name__ == "__main__":
    typer.run(main)
