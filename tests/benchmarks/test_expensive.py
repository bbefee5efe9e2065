"""The benchmark of expensive calculators: priors that mislead, methods and tables."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.fd import calculate_numerical_forces

from benchmarks.common.provenance import RESULTS
from benchmarks.expensive.bad import BAD, Morse, failing, noisy, tenfold
from benchmarks.expensive.methods import begun, peers_of
from benchmarks.expensive.tables import as_markdown
from relax.comparison.statistics import capped_calls


def test_forces_of_morse_pairs_are_the_slope_of_their_energy():
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.1, seed=1)
    atoms.calc = Morse()
    np.testing.assert_allclose(atoms.get_forces(), calculate_numerical_forces(atoms, 1e-4), atol=1e-5)
    np.testing.assert_allclose(atoms.get_forces().sum(axis=0), 0.0, atol=1e-10)


def test_what_misleads_is_what_it_says():
    given = {"energy": 2.0, "forces": np.ones((2, 3))}
    assert tenfold(given, 1)["energy"] == 20.0
    np.testing.assert_array_equal(tenfold(given, 1)["forces"], 10.0)
    first, second = (noisy(given, call)["forces"] for call in (1, 2))
    assert 0.01 < np.abs(first - second).max() < 1.0
    assert failing(given, 30) is given
    with pytest.raises(RuntimeError):
        failing(given, 31)
    assert len(BAD) == 5


def test_only_what_is_relaxed_first_begins_elsewhere():
    pytest.importorskip("tblite")
    water = molecule("H2O")
    for method in ("direct:default", "prior:gfn1"):
        np.testing.assert_array_equal(begun(method, water, 0.01).positions, water.positions)
    assert np.abs(begun("pre:default", water, 0.01).positions - water.positions).max() > 1e-3
    assert peers_of(["direct:default", "pre:default", "pre:sella", "prior:gfn1"]) == ["default", "sella"]


@pytest.mark.parametrize("part", ["gfn"])
def test_the_table_is_that_of_the_file(part):
    results = json.loads((RESULTS / f"expensive_{part}.json").read_text())
    assert as_markdown(results) == (RESULTS / f"expensive_{part}.md").read_text()
    for row in results["rows"]:
        assert row["mean"] == pytest.approx(capped_calls(row, results["cap"]).mean(), abs=1e-3)
