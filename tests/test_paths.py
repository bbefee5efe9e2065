"""The paths of single runs and of batches, held against those that were frozen."""

from __future__ import annotations

import json

import pytest
from paths import CASES, FILE, alike, batch, single

GOLDEN = json.loads(FILE.read_text())


def test_every_case_is_frozen():
    assert list(GOLDEN) == list(CASES)


@pytest.mark.parametrize("how", [single, batch])
@pytest.mark.parametrize("name", CASES)
def test_a_path_is_the_one_that_was_frozen(name, how):
    frozen, found, tolerance = GOLDEN[name], how(CASES[name]), CASES[name].tolerance
    assert {key: found[key] for key in frozen if not alike(found[key], frozen[key], tolerance)} == {}
