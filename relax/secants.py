"""What steps and the changes of the gradient they brought say of the curvature."""

from __future__ import annotations

from collections.abc import Callable

from relax.rule import Point
from relax.segments import Array, array_namespace
from relax.state import State

__all__ = ["remembered", "two_loops"]


def two_loops(point: Point, pairs: State, known: int, first: Callable[[Array], Array]) -> Array:
    """Return the inverse Hessian that ``known`` pairs stand for, times the gradient (R, 3).

    ``pairs`` has ``s``, ``y`` (R, memory, 3), the newest in front, and ``rho`` (R, memory), 0 for one that
    does not count; ``first`` multiplies rows by the inverse Hessian of before any pair was known.
    """
    xp, dot = array_namespace(point.g), point.seg.dot
    # A pair's rows side by side: each is read twice, and strided reads cost more than one copy.
    s, y = (xp.asarray(xp.permute_dims(pairs[k][:, :known, :], (1, 0, 2)), copy=True) for k in "sy")
    rho = [pairs["rho"][:, i : i + 1] for i in range(known)]
    q, a = point.g, []
    for i in range(known):
        a.append(rho[i] * dot(s[i, ...], q))
        q = q - a[i] * y[i, ...]
    z = first(q)
    for i in reversed(range(known)):
        z = z + s[i, ...] * (a[i] - rho[i] * dot(y[i, ...], z))
    return z


def remembered(state: State, s: Array, y: Array, rho: Array) -> State:
    """Return the pairs of ``state`` with one more, in place of the oldest."""
    xp = array_namespace(s)
    return {
        "s": xp.concat([s[:, None, :], state["s"][:, :-1, :]], axis=1),
        "y": xp.concat([y[:, None, :], state["y"][:, :-1, :]], axis=1),
        "rho": xp.concat([rho, state["rho"][:, :-1]], axis=1),
    }
