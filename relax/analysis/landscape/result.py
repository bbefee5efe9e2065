"""A landscape: energies on a plane, and the paths as they are seen on it."""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from ase import Atoms

from relax.analysis.landscape.alignment import Alignment
from relax.analysis.landscape.planes import Plane
from relax.campaign.exports.target import new_target
from relax.core.errors import InvalidStructure

__all__ = ["Landscape"]

FORMAT = 1
"""Version of the files."""


@dataclass(frozen=True, eq=False)
class Landscape:
    """Energies on a grid of a plane through structures of N atoms, and K paths that are projected on it.

    Parameters
    ----------
    x, y
        Coordinates of the grid, (n,) and (m,), A.
    energies
        Energies (m, n), eV; infinite where atoms overlap or the calculator has none.
    names
        What the paths are called.
    paths
        Coordinates (F, 2), A, of the frames of each path.
    distances
        Distances (F,), A, of the frames of each path from the plane.
    ends
        Energies (K, 2), eV, of the first and the last frame of each path where they are, not on the plane.
    on_plane
        Energies (K,), eV, where the last frame of each path is projected to.
    explained
        Share (2,) of the variance of all frames that is along x and y; NaN where all are the same.
    labels
        What x and y are.
    calculator
        What computed the energies, in words.
    numbers, positions, cell, pbc
        The reference: atomic numbers (N,), positions (N, 3) and cell (3, 3), A, and which directions are
        periodic (3,).
    length
        Length of a strain of one among the rows, A; NaN where there are no rows of a strain.
    origin, axes
        The plane: rows (R, 3), A, and two orthonormal directions (2, R, 3); see
        :mod:`relax.analysis.landscape.alignment`.
    """

    x: np.ndarray
    y: np.ndarray
    energies: np.ndarray
    names: tuple[str, ...]
    paths: tuple[np.ndarray, ...]
    distances: tuple[np.ndarray, ...]
    ends: np.ndarray
    on_plane: np.ndarray
    explained: np.ndarray
    labels: tuple[str, str]
    calculator: str
    numbers: np.ndarray
    positions: np.ndarray
    cell: np.ndarray
    pbc: np.ndarray
    length: float
    origin: np.ndarray
    axes: np.ndarray

    @property
    def lowest(self) -> float:
        """The lowest energy on the plane and of the ends of the paths, eV."""
        return float(min(each.min() for each in (self.energies, self.ends, self.on_plane)))

    @property
    def above(self) -> np.ndarray:
        """The energies (m, n) above the lowest, eV."""
        return np.asarray(self.energies - self.lowest)

    @property
    def farthest(self) -> tuple[float, str, int]:
        """The largest distance of a frame from the plane, A, and the path and the number of that frame."""
        path = max(range(len(self.names)), key=lambda k: float(self.distances[k].max()))
        frame = int(self.distances[path].argmax())
        return float(self.distances[path][frame]), self.names[path], frame

    def lines(self) -> list[str]:
        """Return in words how much of the paths the plane shows."""
        distance, name, frame = self.farthest
        rms = distance / math.sqrt(len(self.numbers))
        far = (
            f"largest distance from the plane: {distance:.3g} A ({rms:.3g} A per atom), {name}, frame {frame}"
        )
        if np.isnan(self.explained).any():
            return [far]
        first, second = 100 * self.explained
        frames = sum(map(len, self.paths))
        shares = f"{first:.1f} % + {second:.1f} % = {first + second:.1f} %"
        return [f"variance of the {frames} frames on the plane: {shares}", far]

    def structure(self, x: float, y: float) -> Atoms:
        """Return the structure at coordinates on the plane, A."""
        reference = Atoms(self.numbers, self.positions, cell=self.cell, pbc=self.pbc)
        alignment = Alignment(reference, None if math.isnan(self.length) else self.length)
        return alignment.structure(Plane(self.origin, self.axes, self.labels).at(x, y))

    def draw(self, path: str | Path, **options: Any) -> None:
        """Write a picture, as :func:`relax.analysis.landscape.drawing.draw`."""
        from relax.analysis.landscape.drawing import draw

        draw(self, path, **options)

    def save(self, path: str | Path) -> None:
        """Write all to a file in numpy's format npz, whatever its suffix; it replaces another one.

        Raises
        ------
        UsageError
            The file cannot be written.
        """
        arrays: dict[str, Any] = {"relax_landscape": np.array(FORMAT)}
        for name, value in ((each.name, getattr(self, each.name)) for each in fields(self)):
            if name in ("paths", "distances"):
                arrays[name] = np.concatenate(value)
                arrays["frames"] = np.array([len(each) for each in value])
            else:
                arrays[name] = np.array(value)
        with new_target(Path(path), force=True) as part, open(part, "wb") as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return the landscape of a file.

        Raises
        ------
        InvalidStructure
            There is no such file, or it holds no landscape.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                if int(arrays["relax_landscape"]) != FORMAT:
                    raise InvalidStructure(f"{path} is of another version of relax")
                values = {each.name: arrays[each.name] for each in fields(cls)}
                cuts = np.cumsum(arrays["frames"])[:-1]
        except FileNotFoundError:
            raise InvalidStructure(f"{path}: there is no such file") from None
        except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
            if isinstance(error, InvalidStructure):
                raise
            raise InvalidStructure(f"{path} holds no landscape") from None
        for name in ("paths", "distances"):
            values[name] = tuple(np.split(values[name], cuts))
        for name in ("names", "labels"):
            values[name] = tuple(map(str, values[name]))
        return cls(**values | {"calculator": str(values["calculator"]), "length": float(values["length"])})
