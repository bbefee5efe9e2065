"""Sums over the rows of each structure: long structures are summed as a whole, others row by row."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers import ARRAYS

from relax.core.segments import MANY, Segments

BATCHES = {"short": [3, 5], "long": [MANY + 1, 2 * MANY], "mixed": [4, MANY + 300, MANY, 1, MANY + 1]}
every_batch = pytest.mark.parametrize("lengths", BATCHES.values(), ids=list(BATCHES))


def some(rows, seed):
    return np.random.default_rng(seed).normal(size=(rows, 3))


def exact(a, b):
    return math.fsum((a * b).ravel().tolist())


@pytest.mark.parametrize("array", ARRAYS)
@every_batch
def test_inner_products_are_those_of_each_structure(lengths, array):
    seg, make = Segments(lengths), ARRAYS[array]
    a, b = some(seg.rows, 1), some(seg.rows, 2)
    found = np.asarray(seg.dot(make(a), make(b)))
    assert found.shape == (seg.rows, 1)
    for s in range(len(lengths)):
        mine = seg.slice(s)
        np.testing.assert_allclose(found[mine], exact(a[mine], b[mine]), rtol=0, atol=1e-10)


@every_batch
def test_inner_products_in_a_batch_are_those_alone_to_the_last_bit(lengths):
    seg = Segments(lengths)
    a, b = some(seg.rows, 3), some(seg.rows, 4)
    together, columns = seg.dot(a, b), seg.dot(np.asfortranarray(a), np.asfortranarray(b))
    for s, rows in enumerate(lengths):
        mine = seg.slice(s)
        alone = Segments([rows]).dot(a[mine], b[mine])
        np.testing.assert_array_equal(together[mine], alone)
        np.testing.assert_array_equal(columns[mine], alone)
