"""What a surface is at most: a model of it, and what it may miss."""

from __future__ import annotations

import numpy as np

from relax.core.rule import Surface
from relax.preconditioner.features import Features
from relax.rules.kriging.deviation import Deviation
from relax.rules.kriging.process import Process, Value

__all__ = ["UpperBound"]


class UpperBound:
    """An upper confidence bound of a surface, above what it is at one place.

    ::

        b(x) = share cheap(x) + m(x) + caution sd(x)

    sd is the deviation of how far the surface is above its tangent at the origin.  A soft direction in which
    there was no step promises little and is little known: the minimum of the model alone may be far along it,
    for nothing.  That of the bound is not.

    Parameters
    ----------
    features
        The features of the process.
    process
        What is known, perhaps beside a cheap surface.
    origin
        Where the deviation is zero (R, 3), A.
    caution
        How many standard deviations are added.
    surface
        The cheap surface, of which the process knows the share.

    Source: Cox and John, IEEE Int. Conf. Syst. Man Cybern. 2, 1241 (1992), for a bound of a process in place
    of its mean.
    """

    def __init__(
        self,
        features: Features,
        process: Process,
        origin: np.ndarray,
        caution: float,
        surface: Surface | None = None,
    ) -> None:
        self.features, self.process, self.caution, self.surface = features, process, caution, surface
        self.origin, self.deviation = origin, Deviation(process, features.at(origin[None]))

    def __call__(self, x: np.ndarray) -> Value:
        """Return the bound at the rows ``x`` (R, 3), A."""
        place = self.features.at(x[None])
        value, gradient = self.process(place)
        deviation = self.deviation(place, (x - self.origin).ravel())
        value += self.caution * deviation.value
        gradient = gradient + self.caution * deviation.gradient
        if self.surface is not None:
            energy, slope = self.surface(x)
            value += self.process.share * energy
            gradient = gradient + self.process.share * slope.ravel()
        return Value(value, gradient)
