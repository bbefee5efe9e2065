"""Enumeration of the members of groups, and of pairs of them."""

from __future__ import annotations

import numpy as np

__all__ = ["groups", "ranges"]


def groups(owner: np.ndarray, rows: int, which: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ``which`` sorted by ``owner``, and where the group of each row begins and how many it has."""
    owners = owner[which]
    counts = np.bincount(owners, minlength=rows)
    return which[np.argsort(owners, kind="stable")], np.cumsum(counts) - counts, counts


def ranges(starts: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers start, start + 1, ... of all ranges, one after the other, and whose they are."""
    whose = np.repeat(np.arange(len(counts)), counts)
    return np.arange(len(whose)) + np.repeat(starts - (np.cumsum(counts) - counts), counts), whose
