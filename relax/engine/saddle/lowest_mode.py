"""Is it a minimum?  The lowest curvature at a point where the forces vanish, from a few force calls.

::

    probe = Probe(MinimumCheck(), metric, free, rigid(positions, rows, turns))
    while (look := probe.direction) is not None:
        probe.learn(gradient_at(x + look) - g)
    probe.curvature, probe.mode

Davidson's method: the lowest curvature within the space of the directions that were looked along; the next
one is what the metric makes of the residual.  A product of the Hessian with a direction is a difference of
gradients, one force call.

Source: Davidson, J. Comput. Phys. 17, 87 (1975); for saddle points, Heyden, Bell and Keil, J. Chem. Phys.
123, 224101 (2005), and Hermes et al., J. Chem. Theory Comput. 15, 6536 (2019).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from ase import units

from relax.core.parameters import check_parameters, param
from relax.core.settings import Criteria
from relax.preconditioner.base import Metric

__all__ = ["LEVELS", "MinimumCheck", "Probe", "frequency", "parse_minimum_check", "rigid", "tightened"]

THZ = math.sqrt(units._e / (1e-20 * units._amu)) * 1e-12
"""The square root of 1 eV/A^2 over 1 amu, in 10^12 / s."""

Project = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class MinimumCheck:
    """How it is made sure that a point where the forces vanish is a minimum."""

    calls: int = param(10, "[1, inf)", "", "most force calls of one look")
    reach: float = param(0.01, "(0, inf)", "A", "displacement at which gradients are compared")
    sure: float = param(0.05, "(0, inf)", "eV/A^2", "residual at which a positive curvature is known")
    saddle: float = param(-0.05, "(-inf, 0]", "eV/A^2", "curvature below which a point is a saddle")
    push: float = param(0.2, "(0, inf)", "A", "displacement along the mode by which a saddle is left")
    escapes: int = param(4, "[0, inf)", "", "most saddles that one run leaves")
    again: int = param(0, "[0, inf)", "", "other directions to look along before a minimum is believed")
    fmax: float = param(math.inf, "(0, inf]", "eV/A", "longest force at which is looked; tighter than fmax")
    seed: int = param(0, "[0, inf)", "", "of the directions that are looked along first")

    @classmethod
    def tight(cls) -> MinimumCheck:
        """Return the check that also finds curvatures of a hundredth of an eV/A^2, for more force calls."""
        return cls(calls=40, sure=0.02, saddle=-0.01, again=3, fmax=1e-3)

    def __post_init__(self) -> None:
        check_parameters(self)


class Probe:
    """The search for the lowest curvature of one structure of R rows.

    Parameters
    ----------
    check
        When to be content.
    metric
        How stiff the rows are.
    free
        The projection of rows (R, 3) on what may move at all.
    still
        Orthonormal rows (K, R, 3) along which the energy cannot change, see :func:`rigid`; those that may
        not move are left out.

    Attributes
    ----------
    direction
        The displacement (R, 3), A, to evaluate the gradient at next; None where no more is wanted.
    curvature
        The lowest found, eV/A^2; infinite before the first, and where nothing can move.
    mode
        Its direction (R, 3), of length one.
    calls
        Force calls made use of.
    """

    def __init__(self, check: MinimumCheck, metric: Metric, free: Project, still: np.ndarray) -> None:
        self.check, self.metric, self.free = check, metric, free
        self.shape = still.shape[1:]
        _, cosines, motions = np.linalg.svd(np.array([free(rows).ravel() for rows in still]), False)
        self.still = motions[np.abs(cosines - 1) < 1e-6]
        self.calls, self.scale = 0, 1.0
        self.curvature, self.mode = math.inf, np.zeros(self.shape)
        self.looked: list[np.ndarray] = []
        self.bent: list[np.ndarray] = []
        self.random, self.again = np.random.default_rng(check.seed), check.again
        self.direction = self._next(metric.root(self._allowed(self._anywhere())))

    @property
    def saddle(self) -> bool:
        """Whether the energy falls along the mode."""
        return self.curvature < self.check.saddle

    @property
    def words(self) -> str:
        """What has been found."""
        return f"the lowest curvature is {self.curvature:.3g} eV/A^2"

    def push(self, g: np.ndarray) -> np.ndarray:
        """Return the displacement (R, 3), A, that leaves a saddle where the gradient is ``g`` (R, 3)."""
        push = self.check.push * self.mode / np.sqrt((self.mode * self.mode).sum(axis=1).max())
        # The forces that are left may know which way is down.
        return np.asarray(-push if (push * g).sum() > 0 else push)

    def _anywhere(self) -> np.ndarray:
        """Return rows (R, 3) at random."""
        return self.random.normal(size=self.shape)

    def _allowed(self, rows: np.ndarray) -> np.ndarray:
        """Return the part of rows (R, 3) that may move and is no rigid motion."""
        rows = self.free(rows).ravel()
        return np.reshape(rows - self.still.T @ (self.still @ rows), self.shape)

    def _next(self, rows: np.ndarray) -> np.ndarray | None:
        """Return the displacement along the part of ``rows`` (R, 3) that is new, if there is any."""
        v = self._allowed(rows).ravel()
        before = np.linalg.norm(v)
        for _ in range(2):
            for u in self.looked:
                v = v - (u @ v) * u
        norm = float(np.linalg.norm(v))
        if not norm > 1e-6 * before:
            return None
        self.looked.append(v / norm)
        ahead = self.looked[-1].reshape(self.shape)
        self.scale = self.check.reach / float(np.sqrt((ahead * ahead).sum(axis=1).max()))
        return self.scale * ahead

    def learn(self, change: np.ndarray) -> None:
        """Take in by how much the gradient (R, 3), eV/A, has changed along ``direction``."""
        self.calls += 1
        self.bent.append(self._allowed(change).ravel() / self.scale)
        v, av = np.array(self.looked), np.array(self.bent)
        small = v @ av.T
        values, vectors = np.linalg.eigh(0.5 * (small + small.T))
        self.curvature, y = float(values[0]), vectors[:, 0]
        mode = y @ v
        self.mode = mode.reshape(self.shape)
        residual = y @ av - self.curvature * mode
        known = self.curvature > 0 and np.linalg.norm(residual) < self.check.sure
        if self.saddle or self.calls >= self.check.calls or (known and not self.again):
            self.direction = None
        elif known:
            # A soft mode may be hidden from the space of directions that were looked along.
            self.again -= 1
            self.direction = self._next(self.metric.solve(self._allowed(self._anywhere())))
        else:
            self.direction = self._next(self.metric.solve(residual.reshape(self.shape)))


def rigid(positions: np.ndarray, rows: int, turns: bool) -> np.ndarray:
    """Return orthonormal rows (K, R, 3) of the motions of a structure as a whole.

    Parameters
    ----------
    positions
        (N, 3) in A.
    rows
        R: those of atoms, and of a strain if there are more, in which turning is the part without symmetry.
    turns
        Whether turning the atoms is no change either, as of a molecule.
    """
    n = len(positions)
    turned = np.cross(np.eye(3)[:, None], np.eye(3))
    motions = np.zeros((9, rows, 3))
    motions[np.arange(3), :n, np.arange(3)] = 1.0
    if turns:
        motions[3:6, :n] = (positions - positions.mean(axis=0)) @ turned
    motions[6:, n:] = turned[:, : rows - n]
    flat = motions.reshape(len(motions), -1)
    _, sizes, right = np.linalg.svd(flat, full_matrices=False)
    return np.asarray(right[: len(sizes)][sizes > 1e-8 * sizes.max()]).reshape(-1, rows, 3)


def parse_minimum_check(check: str | MinimumCheck | None, escape: bool) -> MinimumCheck | None:
    """Return how minima are checked, from ``check=`` and ``escape=``; None where they are not.

    Raises
    ------
    ValueError
        ``check`` is another word, or ``escape`` is given without it.
    """
    if check is None and escape:
        raise ValueError("escape=True needs a check that finds saddles; give check='minimum'")
    if check is None or isinstance(check, MinimumCheck):
        return check
    if check not in LEVELS:
        raise ValueError(f"check = {check!r} is not allowed; give 'minimum', 'tight', a MinimumCheck or None")
    return LEVELS[check]()


LEVELS: dict[str, Callable[[], MinimumCheck]] = {"minimum": MinimumCheck, "tight": MinimumCheck.tight}
"""The checks that have a name."""


def tightened(criteria: Criteria, check: MinimumCheck | None) -> Criteria:
    """Return the criteria with the longest force at which ``check`` looks."""
    return criteria if check is None else replace(criteria, fmax=min(criteria.fmax, check.fmax))


def frequency(curvature: float, mode: np.ndarray | None, masses: np.ndarray) -> float:
    """Return the frequency (THz) of a vibration along a mode, negative where the energy falls along it.

    That is sqrt(k / m) / 2 pi with the mean mass m of the moving atoms, each weighted by the square of its
    displacement.  NaN where it is not known, and where the mode is mostly a strain.

    Parameters
    ----------
    curvature, mode
        Curvature, eV/A^2, and direction (R, 3) of length one, atoms first.
    masses
        Masses of the N atoms, amu.
    """
    if mode is None or not math.isfinite(curvature):
        return math.nan
    shares = (mode[: len(masses)] ** 2).sum(axis=1)
    if not shares.sum() > 0.5:
        return math.nan
    mass = float(shares @ masses / shares.sum())
    return math.copysign(math.sqrt(abs(curvature) / mass) * THZ / (2 * math.pi), curvature)
