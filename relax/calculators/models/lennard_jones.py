"""The Lennard-Jones potential for many structures at once."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from relax.calculators.base import Evaluation, Geometry
from relax.calculators.neighbor_lists import NeighborLists
from relax.calculators.splitting import volumes
from relax.core.errors import UnsupportedStructure
from relax.geometry.neighbors import squares

__all__ = ["LennardJones"]


class LennardJones:
    """The Lennard-Jones potential of ASE's calculator of this name, the same for all elements.

    The numbers of a structure are the same to the last bit in any batch.

    Parameters
    ----------
    sigma
        Distance at which the energy of a pair is zero, A.
    epsilon
        Depth of the minimum, eV.
    rc
        Cutoff, A.
    ro
        Start of the smooth cutoff, A.
    smooth
        Bring the energy smoothly to zero between ``ro`` and ``rc``.  Otherwise it is shifted by a constant,
        and the forces jump at ``rc``.
    """

    unit = "atoms"
    device = "cpu"
    batched = True

    def __init__(
        self,
        sigma: float = 1.0,
        epsilon: float = 1.0,
        rc: float = 10.0,
        ro: float = 6.6,
        smooth: bool = True,
    ) -> None:
        self.sigma, self.epsilon, self.rc, self.ro, self.smooth = sigma, epsilon, rc, ro, smooth
        self._lists = NeighborLists(rc, skin=0.1 * rc)

    def admit(self, key: int, atoms: Atoms) -> float:
        try:
            self._lists.add(key, atoms)
        except ValueError as error:
            raise UnsupportedStructure(str(error)) from error
        return len(atoms)

    def release(self, key: int) -> None:
        self._lists.drop(key)

    def evaluate(self, geometry: Geometry, stress: bool) -> Evaluation:
        found = self._lists(geometry)
        d, owner, count = found.vectors, found.owner[found.first], len(geometry.keys)
        # The energy of atoms at the same place is infinite, which needs no warning.
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            energy, slope = self._terms(squares(d))
            pulls = slope[:, None] * d
            energies = 0.5 * _summed(energy, owner, count)
            forces = np.column_stack([_summed(pull, found.first, len(found.owner)) for pull in pulls.T])
            stresses = np.full((count, 3, 3), np.nan)
            if stress:
                size = 2 * volumes(geometry)
                for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)):
                    virial = _summed(pulls[:, i] * d[:, j], owner, count)
                    stresses[:, i, j] = stresses[:, j, i] = virial / size
        lost = found.without
        energies[lost], forces[lost[found.owner]], stresses[lost] = np.nan, np.nan, np.nan
        return Evaluation(energies, forces, stresses, found.faults)

    def _terms(self, r2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return for squared distances (E,) the energies, and their derivatives over the distances."""
        a, b = self.rc**2, self.ro**2
        c2 = self.sigma**2 / r2
        c6 = c2 * c2 * c2
        c12 = c6 * c6
        energy = 4 * self.epsilon * (c12 - c6)
        slope = -24 * self.epsilon * (2 * c12 - c6) / r2
        if not self.smooth:
            edge = (self.sigma / self.rc) ** 6
            return energy - 4 * self.epsilon * (edge * edge - edge), slope
        inside = r2 < b
        fade = np.where(inside, 1.0, (a - r2) ** 2 * (a + 2 * r2 - 3 * b) / (a - b) ** 3)
        steep = np.where(inside, 0.0, 6 * (a - r2) * (b - r2) / (a - b) ** 3)
        return fade * energy, fade * slope + 2 * steep * energy


def _summed(terms: np.ndarray, which: np.ndarray, count: int) -> np.ndarray:
    """Return the sums (count,) of ``terms`` by their index ``which``, each added in order."""
    return np.bincount(which, terms, count).astype(float)
