"""How much a process may miss."""

from __future__ import annotations

import numpy as np

from relax.preconditioner.features import Places
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
        self.process, self._origin = process, origin
        self._seen = process.kernel.slopes(origin.u - process.places.u)

    def __call__(self, place: Places, moved: np.ndarray) -> Value:
        """Return the deviation at a place of the features, ``moved`` (n,), A, from the origin."""
        process, kernel = self.process, self.process.kernel
        (way,), (straight,), origin = place.u - self._origin.u, self._origin.times(moved[None]), self._seen
        off = way - straight
        _, (lost,), (along,) = kernel.slopes(way[None])
        variance = kernel.above_tangent(way) + (kernel.stiffest * off - 2 * lost * way) @ off
        seen = kernel.slopes(place.u - process.places.u)
        known = origin.lost * (seen.apart - off) - seen.lost * seen.apart
        known += kernel.spread(origin.along * kernel.along(origin.apart, straight)) * origin.apart
        half = process.half_of(known, off)
        variance -= half @ half
        if variance <= 0:
            return Value(0.0, np.zeros(moved.shape))
        line, beta = process.weights(half)
        by_u = lost * straight + kernel.spread(along * kernel.along(way, straight)) * way
        by_u -= process.curved(seen, beta)[1]
        turned = kernel.stiffest * off - lost * way - line
        at_origin = turned - process.curved(origin, beta)[1]
        gradient = place.back((by_u + turned)[None])[0] - self._origin.back(at_origin[None])[0]
        size, root = np.sqrt(mean_square(process.unexplained)), np.sqrt(variance)
        return Value(size * root, size / root * gradient)
