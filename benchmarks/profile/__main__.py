"""The figure over all sets: ``python -m benchmarks.profile``.

    python -m benchmarks.profile --plot docs/figures/all_sets_profile

No structure is relaxed: :mod:`benchmarks.profile.sets` reads the files of results of the benchmarks of
molecules, materials and crystals.  A set counts if ``default`` was run on it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.common.terminal import errors_in_one_line
from benchmarks.profile.figure import draw, panels
from benchmarks.profile.sets import RESULTS, all_sets

FIGURE = RESULTS.parent.parent / "docs" / "figures" / "all_sets_profile"


def main(
    results: Annotated[Path, typer.Option(help="Folder of the files of results.")] = RESULTS,
    plot: Annotated[Path, typer.Option(help="Write the figure to this .png and .svg.")] = FIGURE,
) -> None:
    """Draw how many structures each optimizer relaxes within a multiple of the fewest calls."""
    with errors_in_one_line("profile"):
        sets = all_sets(results)
        if not sets:
            raise ValueError("no set has a row of default")
        found = panels(sets)
        for panel in found:
            left_out = f"; not run on every set: {', '.join(panel.missing)}" if panel.missing else ""
            print(f"{panel.title}{left_out}", file=sys.stderr)
        draw(found, plot)


if __name__ == "__main__":
    typer.run(main)
