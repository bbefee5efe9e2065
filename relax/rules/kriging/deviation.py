"""How much a process may miss."""

from __future__ import annotations

import numpy as np

from relax.preconditioner.base import Places
from relax.rules.kriging.likelihood import mean_square
from relax.rules.kriging.process import Process, Value

__all__ = ["Deviation"]


class Deviation:
    """The standard deviation of how far a surface is above its tangent at one place.

    It is that of a process with its most probable amplitude, after all gradients that are known.

    Parameters
    ----------
    process
        What is known.
    origin
        Where the tangent is: the features there.

    Source: Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), equation 2.26.
    """

    def __init__(self, process: Process, origin: Places) -> None:
        self.process, ((self._u,), (self._j,)) = process, origin
        self._seen = process.kernel.slopes(self._u - process.u)

    def __call__(self, place: Places, moved: np.ndarray) -> Value:
        """Return the deviation at a place of the features, ``moved`` (n,), A, from the origin."""
        process, kernel = self.process, self.process.kernel
        (u,), (j,) = place
        way, straight, origin = u - self._u, self._j @ moved, self._seen
        off, turned = way - straight, j - self._j
        _, (lost,), (along,) = kernel.slopes(way[None])
        variance = kernel.above_tangent(way) + (kernel.stiffest * off - 2 * lost * way) @ off
        seen = kernel.slopes(u - process.u)
        known = origin.lost * (seen.apart - off) - seen.lost * seen.apart
        known += (origin.along * kernel.along(origin.apart, straight)) @ kernel.groups * origin.apart
        half = process.half_of(known, off)
        variance -= half @ half
        if variance <= 0:
            return Value(0.0, np.zeros(j.shape[1]))
        line, beta = process.weights(half)
        by_u = lost * straight + (along * kernel.along(way, straight)) @ kernel.groups * way
        gradient = (by_u - process.curved(seen, beta)[1]) @ j
        gradient += (kernel.stiffest * off - lost * way - line) @ turned
        gradient += process.curved(origin, beta)[1] @ self._j
        size, root = np.sqrt(mean_square(process.unexplained)), np.sqrt(variance)
        return Value(size * root, size / root * gradient)
