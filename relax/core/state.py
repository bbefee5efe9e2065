"""The state of a rule: arrays with the rows on axis 0, in dictionaries that may be nested.

Every leaf has one entry for each row.  Removing structures from a batch, adding some and restarting some
are therefore operations on axis 0, the same for every rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import array_api_compat
import numpy as np

from relax.core.segments import Array

State = dict[str, Any]

__all__ = ["State", "concat", "copy", "found", "from_plain", "map_leaves", "take", "to_plain", "where"]


def map_leaves(fn: Callable[..., Any], *states: State) -> State:
    """Apply ``fn`` to the corresponding leaves of states with the same keys."""
    return {
        key: map_leaves(fn, *leaves) if isinstance(leaves[0], Mapping) else fn(*leaves)
        for key in states[0]
        for leaves in [[s[key] for s in states]]
    }


def found(state: Mapping[str, Any], name: str) -> Array | None:
    """Return the leaf of this name, in ``state`` or in a state within it; None where there is none."""
    if name in state:
        leaf: Array = state[name]
        return leaf
    inner = (found(child, name) for child in state.values() if isinstance(child, Mapping))
    return next((leaf for leaf in inner if leaf is not None), None)


def take(state: State, rows: Array) -> State:
    """Return the state of the rows that the mask ``rows`` (R,) selects."""
    return map_leaves(lambda leaf: leaf[rows], state)


def concat(states: Sequence[State]) -> State:
    """Return the state of the rows of all ``states``, in order."""
    return map_leaves(
        lambda *leaves: array_api_compat.array_namespace(*leaves).concat(leaves, axis=0), *states
    )


def where(condition: Array, yes: State, no: State) -> State:
    """Return ``yes`` on the rows where ``condition`` (R, 1) is true, and ``no`` on the others."""
    xp = array_api_compat.array_namespace(condition)

    def pick(a: Array, b: Array) -> Array:
        return xp.where(xp.reshape(condition, (-1,) + (1,) * (a.ndim - 1)), a, b)

    return map_leaves(pick, yes, no)


def copy(state: State) -> State:
    """Return a state that shares no memory with ``state``."""
    return map_leaves(lambda leaf: array_api_compat.array_namespace(leaf).asarray(leaf, copy=True), state)


def to_plain(state: State) -> dict[str, Any]:
    """Return ``state`` as numbers, lists and dictionaries that JSON stores without loss."""

    def leaf(a: Array) -> dict[str, Any]:
        a = np.asarray(array_api_compat.to_device(a, "cpu"))
        return {"shape": list(a.shape), "values": a.ravel().tolist()}

    return map_leaves(leaf, state)


def from_plain(plain: Mapping[str, Any], like: Array) -> State:
    """Return the state that :func:`to_plain` wrote, with the namespace, dtype and device of ``like``."""
    xp = array_api_compat.array_namespace(like)

    def build(node: Mapping[str, Any]) -> Any:
        if set(node) == {"shape", "values"}:
            flat = xp.asarray(node["values"], dtype=like.dtype, device=array_api_compat.device(like))
            return xp.reshape(flat, tuple(node["shape"]))
        return {key: build(child) for key, child in node.items()}

    state: State = build(plain)
    return state
