"""Vacuum in a cell: where a slab is periodic along it, it relaxes with the cell like a crystal."""

from __future__ import annotations

import logging

import numpy as np
from ase import Atoms

from relax.geometry.cell import CellFreedom, periodic_plane

__all__ = ["log_vacuum", "relaxing_vacuum", "vacuum_gaps", "vacuum_words"]

VACUUM = 6.0
"""Gap (A) between the centres of atoms above which it is a vacuum.  Layers and pores have smaller ones."""


def vacuum_gaps(atoms: Atoms) -> np.ndarray:
    """Return the widest gap between atoms (3,), A, along each vector of the cell.

    The atoms are projected on the normal of the plane of the two other vectors.  The gap is that between the
    centres of neighbours there, or of an atom and its image; it is 0 along a direction that is not periodic,
    and where the cell has no volume or a number is not finite.
    """
    cell = atoms.cell.array
    finite = np.isfinite(cell).all() and np.isfinite(atoms.positions).all()
    if not finite or len(atoms) == 0 or atoms.cell.volume < 1e-6:
        return np.zeros(3)
    inverse = np.linalg.inv(cell)
    scaled = np.sort(atoms.positions @ inverse % 1.0, axis=0)
    gaps = np.diff(scaled, axis=0, append=scaled[:1] + 1.0).max(axis=0) / np.linalg.norm(inverse, axis=0)
    return np.asarray(np.where(atoms.pbc, gaps, 0.0))


def relaxing_vacuum(atoms: Atoms, freedom: CellFreedom) -> dict[str, float]:
    """Return the vacuum, A, along the vectors ``"a"``, ``"b"`` and ``"c"`` where it relaxes with the cell.

    Parameters
    ----------
    atoms
        The structure.
    freedom
        What its cell may do.
    """
    gaps = vacuum_gaps(atoms)
    if not (gaps > VACUUM).any():
        return {}
    cell = atoms.cell.array
    normals = np.linalg.inv(cell).T
    free = freedom.projector(periodic_plane(cell, atoms.pbc))
    found = {}
    for name, gap, normal in zip(
        "abc", gaps, normals / np.linalg.norm(normals, axis=1)[:, None], strict=True
    ):
        if gap > VACUUM and np.abs(free @ np.kron(normal, normal)).max() > 1e-6:
            found[name] = float(gap)
    return found


def vacuum_words(atoms: Atoms, vacuum: dict[str, float]) -> tuple[str, tuple[bool, ...]]:
    """Return in words what :func:`relaxing_vacuum` found, and along which vectors the rest is periodic."""
    periodic = tuple(bool(p) and name not in vacuum for name, p in zip("abc", atoms.pbc, strict=True))
    lengths, names = (_joined(words) for words in ([f"{gap:.1f}" for gap in vacuum.values()], list(vacuum)))
    box = "" if any(periodic) else "a molecule in a box, "
    return f"{box}{lengths} A of vacuum along {names}, which relaxes with the cell", periodic


def log_vacuum(atoms: Atoms, freedom: CellFreedom | None) -> None:
    """Log a warning if vacuum in the cell of ``atoms`` relaxes.

    It is logged to the logger ``relax``, which writes to standard error unless it is told otherwise.  A
    warning of the module ``warnings`` would end a run wherever warnings are errors.

    Parameters
    ----------
    atoms
        The structure.
    freedom
        What its cell may do; None where it is held.
    """
    if freedom is not None and (vacuum := relaxing_vacuum(atoms, freedom)):
        words, periodic = vacuum_words(atoms, vacuum)
        advice = f"set atoms.pbc = {periodic}, or give cell= the axes along which it may relax"
        logging.getLogger("relax").warning("%s: %s; %s", atoms.get_chemical_formula(), words, advice)


def _joined(words: list[str]) -> str:
    return " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)
