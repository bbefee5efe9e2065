"""The picture of a landscape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from relax.analysis.landscape.result import Landscape
from relax.analysis.landscape.scale import Scale
from relax.campaign.exports.target import new_target
from relax.core.errors import UsageError

__all__ = ["COLOURS", "PICTURES", "draw", "panel"]

PICTURES = (".png", ".svg", ".pdf")
"""Suffixes of pictures."""

COLOURS = ("#D55E00", "#000000", "#CC79A7", "#E69F00", "#009E73", "#8C510A", "#7B3294", "#56B4E9")
"""Colours of the paths, as far as possible those of Okabe and Ito, for the colour-blind."""

SURFACE = (
    "#081d58", "#172978", "#24489d", "#225da8", "#2073b2", "#1e8abd", "#2a9ec1", "#3eb3c4", "#65c3bf",
    "#8ed3ba", "#b4e2b6", "#d9f0b3", "#fbfdd0",
)  # fmt: skip
"""Colours of energies, from low to high: ColorBrewer's YlGnBu, at equal distances in CIELAB."""

MARKERS = "osD^vPX*"
"""Markers of the ends of the paths."""

DPI = 160
"""Resolution of a PNG."""

TIMELESS: dict[str, dict[str, Any]] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
"""What keeps the date out of a picture, by its suffix."""

BANDS = 40
"""Bands of colour."""

OVERLAP = "0.8"
"""Colour where atoms overlap or the calculator has no energy."""


def draw(
    landscape: Landscape,
    path: str | Path,
    *,
    per_atom: bool = False,
    highest: float | None = None,
    title: str = "",
) -> None:
    """Write a picture of a landscape to a file, which replaces another one.

    The colours and the contours are the energy above the lowest, on a logarithmic scale, and the lines are
    the paths as they are projected on the plane.

    Parameters
    ----------
    landscape
        What is drawn.
    path
        The file, with one of :data:`PICTURES` as its suffix.
    per_atom
        Whether energies are in eV/atom, not eV.
    highest
        Energy above the lowest where the colours end, in that unit; by default, what the paths pass.
    title
        A line above the picture.

    Raises
    ------
    UsageError
        The suffix is another one, or the file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    path = Path(path)
    if path.suffix not in PICTURES:
        raise UsageError(f"{path}: give a name in {', '.join(PICTURES)}")
    # The files must not depend on when or where they are made.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "relax", "font.size": 9}):
        layout = ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08)
        sides = np.ptp(landscape.y) / np.ptp(landscape.x)
        figure = Figure(figsize=(6.6, 1.5 + 4.6 * min(sides, 1.5)), layout=layout)
        axis = figure.subplots()
        handles = panel(axis, landscape, per_atom=per_atom, highest=highest, title=title)
        legend(figure, handles)
        with new_target(path, force=True) as part:
            figure.savefig(part, dpi=DPI, metadata=TIMELESS[path.suffix])


def panel(
    axis: Any,
    landscape: Landscape,
    *,
    per_atom: bool = False,
    highest: float | None = None,
    title: str = "",
    looks: Mapping[str, tuple[str, str]] | None = None,
) -> list[Any]:
    """Draw a landscape on the axes of a figure, and return what stands in the legend.

    Parameters
    ----------
    axis
        The axes.
    landscape, per_atom, highest
        As in :func:`draw`.
    title
        A line above the axes.
    looks
        The colour and the marker of each path by its name; by default, the first of :data:`COLOURS` and
        :data:`MARKERS`.
    """
    from matplotlib.patches import Patch

    unit, atoms = ("eV/atom", len(landscape.numbers)) if per_atom else ("eV", 1)
    above = landscape.above / atoms
    scale = Scale.of(above, beside(landscape, above), highest)
    image = surface(axis, landscape, above, scale)
    colour_bar(axis, image, scale, f"energy above the lowest, {unit}")
    looks = looks or {name: look(k) for k, name in enumerate(landscape.names)}
    handles = [
        line(axis, path, name, *looks[name])
        for name, path in zip(landscape.names, landscape.paths, strict=True)
    ]
    if not np.isfinite(above).all():
        handles.append(Patch(facecolor=OVERLAP, edgecolor="0.5", linewidth=0.5, label="atoms overlap"))
    axis.set_xlim(landscape.x[0], landscape.x[-1])
    axis.set_ylim(landscape.y[0], landscape.y[-1])
    axis.set_aspect("equal")
    for name, label, share in zip("xy", landscape.labels, landscape.explained, strict=True):
        words = f"{label}, Å" + (f"  ({100 * share:.1f} % of the variance)" if np.isfinite(share) else "")
        getattr(axis, f"set_{name}label")(words)
    words = f"frames are up to {landscape.farthest[0]:.3g} Å from the plane; {landscape.calculator}"
    axis.text(0, 1.012, words, transform=axis.transAxes, fontsize=7.5, color="0.4")
    if title:
        axis.set_title(title, fontsize=10, pad=16)
    return handles


def look(number: int) -> tuple[str, str]:
    """Return the colour and the marker of the path ``number``."""
    return COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]


def beside(landscape: Landscape, above: np.ndarray) -> np.ndarray:
    """Return the energies at the points of the grid that are nearest to the frames of the paths."""
    points = np.concatenate(landscape.paths)
    i = np.abs(landscape.y[:, None] - points[:, 1]).argmin(axis=0)
    j = np.abs(landscape.x[:, None] - points[:, 0]).argmin(axis=0)
    return np.asarray(above[i, j])


def surface(axis: Any, landscape: Landscape, above: np.ndarray, scale: Scale) -> Any:
    """Draw the colours and the contours of energies ``above`` the lowest, and return the colours."""
    from matplotlib.colors import LinearSegmentedColormap, LogNorm

    shown = np.where(np.isfinite(above), np.maximum(above, scale.low / 2), np.nan)
    finite = above[np.isfinite(above)]
    beyond = finite.min(initial=scale.high) < scale.low, finite.max(initial=0.0) > scale.high
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get(beyond, "neither")
    axis.set_facecolor(OVERLAP)
    x, y, levels = landscape.x, landscape.y, scale.levels
    image = axis.contourf(
        x, y, shown, levels=np.geomspace(scale.low, scale.high, BANDS + 1), extend=extend, zorder=1,
        norm=LogNorm(scale.low, scale.high), cmap=LinearSegmentedColormap.from_list("energy", SURFACE),
    )  # fmt: skip
    # Light lines are seen on the dark half of the colours, and dark ones on the other.
    light = levels < np.sqrt(scale.low * scale.high)
    lines = [(1.0, 1.0, 1.0, 0.6) if one else (0.03, 0.11, 0.35, 0.3) for one in light]
    if len(levels):
        axis.contour(x, y, shown, levels=levels, colors=lines, linewidths=0.6, zorder=2)
    return image


def colour_bar(axis: Any, image: Any, scale: Scale, words: str) -> None:
    """Put a bar of the colours beside the axes, with its ticks at contours."""
    bar = axis.figure.colorbar(image, cax=axis.inset_axes([1.03, 0, 0.04, 1]), label=words)
    levels = scale.levels
    bar.set_ticks(levels)
    bar.set_ticklabels([f"{level:g}" for level in levels])
    bar.ax.minorticks_off()


def line(axis: Any, path: np.ndarray, name: str, colour: str, marker: str) -> Any:
    """Draw a path, with an open circle at its start and a marker at its end; return it for the legend."""
    from matplotlib import patheffects
    from matplotlib.lines import Line2D

    halo = [patheffects.Stroke(linewidth=3.2, foreground="white"), patheffects.Normal()]
    axis.plot(*path.T, color=colour, linewidth=1.6, path_effects=halo, zorder=4, solid_joinstyle="round")
    if len(path) > 1:
        axis.plot(*path[0], "o", markersize=6, markerfacecolor="white", markeredgecolor="black", zorder=6)
    style: dict[str, Any] = {
        "marker": marker,
        "markersize": 8,
        "markerfacecolor": colour,
        "markeredgecolor": "black",
    }
    axis.plot(*path[-1], linestyle="none", zorder=7, **style)
    return Line2D([], [], color=colour, linewidth=1.8, label=name, **style)


def legend(figure: Any, handles: Sequence[Any]) -> None:
    """Put a legend below the axes."""
    from matplotlib.lines import Line2D

    start = Line2D(
        [],
        [],
        linestyle="none",
        marker="o",
        markersize=6,
        markerfacecolor="white",
        markeredgecolor="black",
        label="start",
    )
    named = [*handles, start]
    figure.legend(handles=named, loc="outside lower center", ncols=min(len(named), 4), frameon=False)
