"""Performance profiles of force calls: a panel for each set, and one for all together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.materials.statistics import pooled
from relax.analysis.comparison import profiles
from relax.analysis.comparison.statistics import Row


def draw(found: Sequence[Row], path: Path) -> None:
    """Write a figure of the results of some sets to ``path``, as .png and as .svg whatever its suffix."""
    panels = {results["set"]: results["rows"] for results in found}
    if len(found) > 1:
        panels["all sets"] = pooled([results["rows"] for results in found])
    profiles.draw(panels, path, "the structures")
