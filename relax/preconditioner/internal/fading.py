"""A smooth step."""

from __future__ import annotations

import numpy as np

__all__ = ["fading"]


def fading(x: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Return a smooth step from 1 at the first of ``limits`` to 0 at the second."""
    x = np.clip((x - limits[0]) / (limits[1] - limits[0]), 0.0, 1.0)
    return np.asarray(1 - x * x * (3 - 2 * x))
