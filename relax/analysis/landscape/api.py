"""The landscape of paths by one call."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase import Atoms

from relax.analysis.landscape.alignment import Alignment, aligned
from relax.analysis.landscape.grid import energies, grid_axes, overlap_limit
from relax.analysis.landscape.modes import soft_plane
from relax.analysis.landscape.planes import Plane, explained, plane_through, principal_plane
from relax.analysis.landscape.result import Landscape
from relax.calculators.base import Potential
from relax.calculators.potentials import as_potential
from relax.core.errors import CalculatorError

__all__ = ["CENTRES", "PLANES", "landscape"]

PLANES = ("pca", "modes")
"""Planes by name: of the two largest principal components of the paths, and of the two softest modes."""

CENTRES = ("mean", "end")
"""Where the plane of the principal components lies: through the mean of all, or the end of the first path."""

REACH = {"pca": 0.0, "modes": 0.5, "three": 0.0}
"""Least half of a side of the grid, A, for each plane."""

Paths = Mapping[str, Sequence[Atoms]] | Sequence[Sequence[Atoms]] | Sequence[Atoms]


def landscape(
    paths: Paths,
    calculator: Any,
    *,
    plane: str | Sequence[Atoms] = "pca",
    centre: str = "mean",
    points: int = 41,
    margin: float = 0.2,
    reach: float | None = None,
    budget: float | None = None,
    progress: bool = False,
    device: str = "cpu",
    words: str = "",
) -> Landscape:
    """Return the energy on a plane through the structures of one or several paths, and the paths on it.

    ::

        found = relax.landscape({"FIRE": Trajectory("fire.traj"), "core": Trajectory("core.traj")}, EMT())
        found.draw("landscape.png")
        found.save("landscape.npz")

    Parameters
    ----------
    paths
        The structures of one path, or of several, by name or in a list.  All are of the same atoms in the
        same order.
    calculator
        An ASE calculator, the name of one, or any other potential, as in :func:`relax.relax_many`.
    plane
        ``"pca"``: the two largest principal components of all structures together; ``"modes"``: the two
        softest modes at the end of the first path; or three structures that the plane goes through, such as a
        minimum, a saddle point and a minimum, which are then one more path.
    centre
        Where the plane of the principal components lies: ``"mean"``, through the mean of all, which is
        nearest to them; or ``"end"``, through the last structure of the first path, whose energy on the plane
        is then its own.
    points
        Number of points along each side of the grid.
    margin
        Room around the paths, over their extent on the plane.
    reach
        Least half of a side of the grid, A; by default 0.5 for soft modes and none for the others.
    budget
        Atoms or edges per call of the calculator, as in :func:`relax.relax_many`.
    progress
        Show a progress bar on standard error, where that is a terminal.
    device
        Device of a calculator that is given by name.
    words
        What the picture calls the calculator; by default, its name.

    Raises
    ------
    InvalidStructure
        The structures are not of the same atoms in the same order, or span no plane.
    CalculatorError
        There is no calculator of this name, or it has no energy for the end of a path.
    UnsupportedStructure
        There are no two soft modes, or no forces.
    ValueError
        A number or a word is not allowed.
    TypeError
        ``calculator`` is none.
    """
    _check(plane, centre, points, margin, reach)
    named = _named(paths)
    kind = plane if isinstance(plane, str) else "three"
    if not isinstance(plane, str):
        named = named | {"through": list(plane)}
    alignment, rows = aligned(named)
    potential = as_potential(calculator, device)
    whole = np.concatenate(rows)
    chosen = _plane(kind, centre, alignment, rows, potential)
    near = REACH[kind] if reach is None else reach
    x, y = grid_axes(chosen, whole, points, margin, near)
    ends = [frames[i] for frames in named.values() for i in (0, -1)]
    at_ends = _ends(ends, list(named), potential, budget)
    projected = [chosen.project(each) for each in rows]
    places = [on_plane[-1] for on_plane, _ in projected] + [(a, b) for b in y for a in x]
    structures = (alignment.structure(chosen.at(*place)) for place in places)
    made = energies(structures, potential, budget, overlap_limit(ends))
    if progress:
        from relax.io.progress import tracked

        made = tracked(made, len(places), unit="points")
    found = np.array([energy for energy, _ in made])
    reference = alignment.reference
    return Landscape(
        x=x,
        y=y,
        energies=found[len(rows) :].reshape(len(y), len(x)),
        names=tuple(named),
        paths=tuple(on_plane for on_plane, _ in projected),
        distances=tuple(distance for _, distance in projected),
        ends=at_ends,
        on_plane=found[: len(rows)],
        explained=explained(chosen, whole),
        labels=chosen.labels,
        calculator=words or _words(calculator),
        numbers=reference.numbers,
        positions=reference.positions,
        cell=reference.cell.array,
        pbc=reference.pbc,
        length=math.nan if alignment.length is None else alignment.length,
        origin=chosen.origin,
        axes=chosen.axes,
    )


def _check(plane: Any, centre: str, points: int, margin: float, reach: float | None) -> None:
    """Raise ValueError for a word or a number that is not allowed."""
    if isinstance(plane, str) and plane not in PLANES:
        raise ValueError(f"plane must be 'pca', 'modes' or three structures (got {plane!r})")
    if not isinstance(plane, str) and len(plane) != 3:
        raise ValueError(f"a plane goes through three structures (got {len(plane)})")
    if centre not in CENTRES:
        raise ValueError(f"centre must be 'end' or 'mean' (got {centre!r})")
    if points < 2:
        raise ValueError(f"points must be 2 or more (got {points})")
    if not margin >= 0 or math.isinf(margin):
        raise ValueError(f"margin must be 0 or more (got {margin:g})")
    if reach is not None and not (reach >= 0 and math.isfinite(reach)):
        raise ValueError(f"reach must be 0 A or more (got {reach:g})")


def _named(paths: Paths) -> dict[str, Sequence[Atoms]]:
    """Return the paths by their names."""
    if isinstance(paths, Mapping):
        return dict(paths)
    if len(paths) and isinstance(paths[0], Atoms):
        return {"path": paths}  # type: ignore[dict-item]
    return {f"path {k}": frames for k, frames in enumerate(paths)}  # type: ignore[misc]


def _plane(
    kind: str, centre: str, alignment: Alignment, rows: Sequence[np.ndarray], potential: Potential
) -> Plane:
    """Return the plane that is asked for."""
    if kind == "three":
        return plane_through(rows[-1])
    end = rows[0][-1]
    if kind == "modes":
        return soft_plane(alignment.reference, end, potential)
    return principal_plane(rows, end if centre == "end" else None)


def _ends(
    ends: Sequence[Atoms], names: Sequence[str], potential: Potential, budget: float | None
) -> np.ndarray:
    """Return the energies (K, 2), eV, of the first and the last frame of each path."""
    found = list(energies(ends, potential, budget))
    for k, (_, why) in enumerate(found):
        if why:
            which = "last" if k % 2 else "first"
            raise CalculatorError(
                f"{names[k // 2]}: the calculator has no energy for its {which} frame: {why}"
            )
    return np.array([energy for energy, _ in found]).reshape(-1, 2)


def _words(calculator: Any) -> str:
    return calculator if isinstance(calculator, str) else type(calculator).__name__
