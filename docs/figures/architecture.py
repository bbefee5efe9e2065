"""Draw docs/figures/architecture.png and .svg: ``python docs/figures/architecture.py``."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch

COLORS = {
    "cli": "#e8e8e8", "optimizers": "#f6dfc3", "engine": "#dbe9f6", "calculators": "#dcefd9",
    "rules": "#f7d9de", "preconditioner": "#ead9f0", "geometry": "#fdf3c8", "io": "#d8eeee",
    "core": "#efefef", "campaign": "#e3ecc8", "analysis": "#e4e1f4",
}  # fmt: skip
WHITE, EDGE = "#ffffff", "#444444"


def box(axes, x, y, width, height, title, lines=(), color=WHITE, size=10.5, mono=True):
    """Draw a box with a title in bold and lines of text below it."""
    shape = "round,pad=0,rounding_size=0.08"
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=shape, fc=color, ec=EDGE, lw=1))
    step = 0.27
    top = y + height / 2 + step * len(lines) / 2
    family = "monospace" if mono else "sans-serif"
    middle = {"ha": "center", "va": "center"}
    axes.text(x + width / 2, top, title, size=size, weight="bold", family=family, **middle)
    for n, line in enumerate(lines, 1):
        axes.text(x + width / 2, top - n * step, line, size=8.6, color="#222222", **middle)


def arrow(axes, start, end, style="-|>", bend="arc3", color=EDGE):
    """Draw an arrow from one place to another."""
    look = {
        "arrowstyle": style,
        "connectionstyle": bend,
        "color": color,
        "lw": 1.4,
        "shrinkA": 0,
        "shrinkB": 0,
    }
    axes.annotate("", end, start, arrowprops=look)


def draw() -> plt.Figure:
    """Return the figure: fronts above, the loop of the engine, and what it uses below."""
    figure, axes = plt.subplots(figsize=(12.6, 8.2))
    axes.set(xlim=(0, 14), ylim=(0, 9.1))
    axes.axis("off")

    fronts = (
        ("relax run FILE", ("reads options and files,", "prints tables"), "cli", "cli/"),
        ("relax campaign DIR", ("many workers, and", "resumed after a fault"), "campaign", "campaign/"),
        ("relax.relax(atoms)", ("one structure, one call",), "optimizers", "optimizers/api.py"),
        ("XRelax(atoms).run()", ("an ASE optimizer",), "optimizers", "optimizers/base.py"),
        ("relax_many(atoms)", ("many structures",), "engine", "engine/api.py"),
        ("relax compare FILE", ("minimizers compared,", "landscapes, reports"), "analysis", "analysis/"),
    )
    for n, (title, lines, room, where) in enumerate(fronts):
        x = 0.2 + 2.3 * n
        box(axes, x, 7.75, 2.1, 1.2, title, (*lines, where), COLORS[room], size=8.6)
        arrow(axes, (x + 1.05, 7.75), (x + 1.05, 6.95))

    box(axes, 0.2, 3.35, 13.6, 3.6, "", (), COLORS["engine"])
    axes.text(
        0.4, 6.68, "engine/relaxation.py: Relaxation", size=11, weight="bold", family="monospace", va="center"
    )
    axes.text(5.4, 6.68, "one loop for one structure or many, each with its own rows", size=9.5, va="center")
    steps = (
        ("1 coordinates", ("where to evaluate", "coordinates.py")),
        ("2 evaluate", ("one force call,", "counted and timed", "evaluation.py")),
        ("3 observe()", ("numbers, sanity, uphill", "last good structure", "history.py")),
        ("4 finish()", ("stop criteria", "minimum check, escape", "termination.py, minima/")),
        ("5 advance()", ("one rule step,", "limited and projected", "coordinates.py")),
    )
    width, gap, left = 2.28, 0.4, 0.5
    middles = []
    for n, (title, lines) in enumerate(steps):
        x = left + n * (width + gap)
        middles.append(x + width / 2)
        box(axes, x, 4.75, width, 1.4, title, lines)
        if n:
            arrow(axes, (x - gap, 5.45), (x, 5.45))
    axes.plot([middles[4], middles[4], middles[0]], [6.15, 6.4, 6.4], color=EDGE, lw=1.4)
    arrow(axes, (middles[0], 6.4), (middles[0], 6.15))
    box(axes, middles[3] - width / 2, 3.55, width, 0.75, "6 put_back()", ("finished structures",))
    arrow(axes, (middles[3], 4.75), (middles[3], 4.3))

    rooms = (
        ("io", ("read, check and write", "structures; progress")),
        ("calculators", ("Potential: energies,", "forces, stresses; models/")),
        ("geometry", ("cell, symmetry, sanity,", "constraints, neighbours")),
        ("preconditioner", ("the model Hessian H", "curved steps, transport")),
        ("rules", ("update(state, point)", "returns the step dx")),
    )
    for middle, (room, lines) in zip(middles, rooms, strict=True):
        box(axes, middle - 1.22, 1.55, 2.44, 1.15, room, lines, COLORS[room])
    arrow(axes, (middles[0], 3.35), (middles[0], 2.7), "<|-|>")
    for middle in (middles[1], middles[2], middles[4] + 0.2):
        arrow(axes, (middle, 4.75), (middle, 2.7), "<|-|>")
    arrow(axes, (middles[4] - 0.5, 4.75), (middles[3] + 0.8, 2.7), "<|-|>")

    about = ("arrays of rows, Rule and Point, settings, Result, errors",)
    box(axes, 0.2, 0.35, 13.6, 0.8, "core", about, COLORS["core"])
    rooms_in_order = (
        "core, geometry, io, preconditioner, rules, calculators, engine, optimizers, campaign, analysis, cli"
    )
    axes.text(7, 0.12, f"Imports point one way: {rooms_in_order}.", size=9, ha="center", va="center")
    return figure


if __name__ == "__main__":
    matplotlib.rcParams["svg.hashsalt"] = "relax"
    drawn = draw()
    for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        target = Path(__file__).with_suffix(f".{kind}")
        drawn.savefig(target, dpi=130, bbox_inches="tight", pad_inches=0.08, metadata=metadata)
