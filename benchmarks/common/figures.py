"""Figures that are the same whenever and wherever they are made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["drawing"]


@contextmanager
def drawing(path: Path) -> Iterator[Any]:
    """Give pyplot, and write what is drawn with it to ``path``, as .png and as .svg whatever its suffix."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    # The files must not depend on when or where they are made.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "relax", "font.size": 10}):
        yield plt
        figure = plt.gcf()
        figure.savefig(path.with_suffix(".png"), dpi=160)
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
        plt.close(figure)
