"""A cheap surface with a process on what it misses."""

from __future__ import annotations

import numpy as np

from relax.core.rule import Surface
from relax.rules.kriging.process import Process, Value

__all__ = ["Corrected"]

STRAIGHT = 1e-2
"""Smallest cosine of what the Hessian misses and the step from which it learns that."""


class Corrected:
    """The share of a cheap surface and a process on what that misses, as one surface.

    The Hessian of the cheap surface begins as that of the model, and learns from each step (symmetric rank
    one).

    Parameters
    ----------
    surface
        The cheap surface.
    process
        The process on the difference.

    Source: Nocedal and Wright, Numerical Optimization (2006), equation 6.24.
    """

    def __init__(self, surface: Surface, process: Process) -> None:
        self.surface, self.process = surface, process
        self.hessian = process.features.hessian.copy()
        self._last: tuple[np.ndarray, np.ndarray] | None = None

    def __call__(self, x: np.ndarray) -> Value:
        """Return the corrected surface at the rows ``x`` (R, 3), A."""
        energy, gradient = self.surface(x)
        if self._last is not None:
            s, y = (x - self._last[0]).ravel(), (gradient - self._last[1]).ravel()
            r = y - self.hessian @ s
            if abs(r @ s) > STRAIGHT * np.linalg.norm(r) * np.linalg.norm(s):
                self.hessian = self.hessian + np.outer(r, r) / (r @ s)
        self._last = x, gradient
        difference = self.process(x)
        share = self.process.share
        return Value(
            share * energy + difference.value,
            share * gradient.ravel() + difference.gradient,
            share * self.hessian + difference.hessian,
        )
