"""A kernel of Matern: how what two places have in common falls with their distance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from relax.preconditioner.internal.derivatives import block_diagonal

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Matern", "Slopes"]


class Slopes(NamedTuple):
    """What slopes at K pairs of places have in common, by the differences of their features.

    The covariance of two slopes by the same feature is ``stiffest - lost``, and that of any two of a group is
    less by ``along`` times the differences of both features.
    """

    apart: np.ndarray  # (K, F) the differences
    lost: np.ndarray  # (K, F)
    along: np.ndarray  # (K, G)


class Matern(NamedTuple):
    """The covariance of a function at two places: a sum of kernels, one for each group of features.

    ::

        cov(f, f') = the sum of variance k(|v - v'|) over all groups v of the features u
        k(r) = (1 + t + t^2/3) exp(-t),    t = sqrt(5) r / length

    Places of a run are near each other.  What is small for small r is computed as such, by the incomplete
    gamma function P(n, t) = 1 - exp(-t) (1 + t + ... + t^(n-1)/(n-1)!), and not as a difference of large
    numbers.

    Parameters
    ----------
    groups
        Which of the F features are in each of the G groups, 1 or 0, sparse (G, F).
    members
        The transpose of that.
    variances
        The variance of each group (G,).
    length
        Length of the kernel, sqrt(eV).

    Source: Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), equation 4.17.
    """

    groups: csr_array
    members: csr_array
    variances: np.ndarray
    length: float

    @classmethod
    def of(cls, numbers: Sequence[np.ndarray], variances: np.ndarray, length: float) -> Matern:
        """Return the kernel for groups whose numbers are given once or more for each feature (F,)."""
        from scipy.sparse import csr_array

        group, feature = np.concatenate(numbers), np.tile(np.arange(len(numbers[0])), len(numbers))
        shape = len(variances), len(numbers[0])
        groups = csr_array((np.ones(len(group)), (group, feature)), shape=shape)
        return cls(groups, groups.T.tocsr(), variances, length)

    def each(self, u: np.ndarray) -> Any:
        """Return the features (K, F) of each group at K places, sparse (K G, K F) with a block for each."""
        columns, starts = self.groups.indices, self.groups.indptr
        return block_diagonal(u[:, columns], columns, starts, self.groups.shape[1])

    @property
    def stiffest(self) -> float:
        """Variance of the slope by a feature, 1/eV, if the variances of its groups are 1 together."""
        return 5 / (3 * self.length**2)

    def along(self, apart: np.ndarray, way: np.ndarray) -> np.ndarray:
        """Return the scalar products of (K, F) and (K, F) in each group (K, G); of one place without K."""
        return np.asarray((self.groups @ (apart * way).T).T)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Return the sums of values of groups (K, G) for each feature (K, F); of one place without K."""
        return np.asarray((self.members @ values.T).T)

    def slopes(self, apart: np.ndarray) -> Slopes:
        """Return what slopes have in common at places whose features differ by (K, F)."""
        from scipy.special import gammainc

        t = self._t(apart)
        lost = self.spread(self.stiffest * self.variances * gammainc(2, t))
        return Slopes(apart, lost, 5 / self.length**2 * self.stiffest * self.variances * np.exp(-t))

    def above_tangent(self, way: np.ndarray) -> float:
        """Return the variance of how far a function is above its tangent, ``way`` (F,) from where that is."""
        from scipy.special import gammainc

        t = self._t(way)
        return float(self.variances @ (2 * gammainc(4, t) + t * t / 3 * gammainc(2, t)))

    def _t(self, apart: np.ndarray) -> np.ndarray:
        return np.asarray(np.sqrt(5 * self.along(apart, apart)) / self.length)
