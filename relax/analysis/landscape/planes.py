"""Planes among the rows of structures: through paths, through three structures, and along soft modes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from relax.core.errors import InvalidStructure

__all__ = ["Plane", "explained", "plane_through", "principal_plane"]

SAME = 1e-8
"""Extent below which rows are at one place, A."""

LINE = 1e-5
"""Extent across a line, over that along it, below which rows are on the line."""


@dataclass(frozen=True)
class Plane:
    """A plane of rows.

    Parameters
    ----------
    origin
        The rows (R, 3), A, at the coordinates 0, 0.
    axes
        Orthonormal directions (2, R, 3).
    labels
        What each axis is.
    """

    origin: np.ndarray
    axes: np.ndarray
    labels: tuple[str, str]

    def project(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the coordinates (F, 2) on the plane, and the distances (F,), A, from it, of rows."""
        apart = (rows - self.origin).reshape(len(rows), -1)
        axes = self.axes.reshape(2, -1)
        on_plane = apart @ axes.T
        return on_plane, np.linalg.norm(apart - on_plane @ axes, axis=1)

    def at(self, x: float, y: float) -> np.ndarray:
        """Return the rows (R, 3), A, at coordinates on the plane, A."""
        return np.asarray(self.origin + x * self.axes[0] + y * self.axes[1])


def principal_plane(paths: Sequence[np.ndarray], origin: np.ndarray | None = None) -> Plane:
    """Return the plane of the two largest principal components of all rows together.

    The first path goes to the right and up.

    Parameters
    ----------
    paths
        Rows (F, R, 3), A, of each path.
    origin
        A place (R, 3) that the plane is moved to; by default, the mean of all rows.

    Raises
    ------
    InvalidStructure
        The rows are at one place, or on a line.
    """
    rows = np.concatenate(list(paths))
    mean = rows.mean(axis=0)
    apart = (rows - mean).reshape(len(rows), -1)
    if len(rows) < 3:
        raise InvalidStructure(
            f"{len(rows)} structure{'s have' if len(rows) > 1 else ' has'} no two principal components; give "
            "the trajectory of a run, or choose the plane along soft modes"
        )
    # Of the two products the smaller one: its vectors give those of the other.
    wide = apart.shape[1] > len(apart)
    product = apart @ apart.T if wide else apart.T @ apart
    values, vectors = eigh(product, subset_by_index=[len(product) - 2, len(product) - 1])
    sizes = np.sqrt(np.maximum(values[::-1], 0))
    if not (sizes[0] > SAME and sizes[1] > LINE * sizes[0]):
        where = "on one line" if sizes[0] > SAME else "the same"
        raise InvalidStructure(f"the structures of the paths are {where}, and span no plane; add another run")
    axes = vectors.T[::-1] @ apart / sizes[:, None] if wide else vectors.T[::-1]
    axes, _ = np.linalg.qr(axes.T)
    turned = axes.T * _signs(axes.T, (paths[0][-1] - paths[0][0]).ravel())[:, None]
    at = mean if origin is None else origin
    return Plane(at, turned.reshape(2, *mean.shape), ("PC 1", "PC 2"))


def _signs(axes: np.ndarray, way: np.ndarray) -> np.ndarray:
    """Return the signs (2,) by which axes (2, 3R) point along ``way`` or, across it, have a certain sign."""
    largest = axes[np.arange(2), np.abs(axes).argmax(axis=1)]
    along = axes @ way
    return np.asarray(np.sign(np.where(np.abs(along) > 1e-9 * np.linalg.norm(way), along, largest)))


def plane_through(three: np.ndarray) -> Plane:
    """Return the plane through three places, such as a minimum, a saddle point and a minimum.

    The first axis goes from the first to the last, and the second is across it towards the one between.

    Parameters
    ----------
    three
        Rows (3, R, 3), A.

    Raises
    ------
    InvalidStructure
        They are on a line.
    """
    one, between, other = three.reshape(3, -1)
    along = other - one
    across = between - one
    if (length := np.linalg.norm(along)) > 0:
        along = along / length
        across = across - (across @ along) * along
    if not np.linalg.norm(across) > LINE * length > 0:
        raise InvalidStructure("the three structures are on one line, and span no plane; give others")
    axes = np.array([along, across / np.linalg.norm(across)]).reshape(2, *three.shape[1:])
    return Plane(three[0], axes, ("from the first to the third", "towards the second"))


def explained(plane: Plane, rows: np.ndarray) -> np.ndarray:
    """Return the share (2,) of the variance of rows (F, R, 3) along each axis; NaN if there is none."""
    apart = (rows - rows.mean(axis=0)).reshape(len(rows), -1)
    total = float((apart * apart).sum())
    along = apart @ plane.axes.reshape(2, -1).T
    return np.asarray((along * along).sum(axis=0) / total) if total > 0 else np.full(2, np.nan)
