"""The figure of the crystal benchmark: a performance profile for each table."""

from __future__ import annotations

from pathlib import Path

from benchmarks.crystals.tables import title
from relax.analysis.comparison import profiles
from relax.analysis.comparison.statistics import Row


def draw(results: Row, path: Path) -> None:
    """Write the figure to ``path``, as .png and as .svg whatever its suffix."""
    rows = results["rows"]
    rattles = dict.fromkeys(row["rattle"] for row in rows)
    panels = {title(results, rattle): [row for row in rows if row["rattle"] == rattle] for rattle in rattles}
    profiles.draw(panels, path, "the crystals")
