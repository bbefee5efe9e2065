"""Disturbed forces: what is added to them, and the file of results."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.emt import EMT
from commands import call

from benchmarks.disturbed import __main__ as disturbed
from benchmarks.disturbed.calculator import DISTURBANCES, Disturbance, Disturbed
from benchmarks.disturbed.tables import sheet
from benchmarks.readme import disturbed as in_docs


def forces(disturbance, seed=0, calls=1):
    """Return the forces of a calculator at its last call, and those that it disturbs."""
    atoms = molecule("CH3CH2OH")
    plain = EMT()
    atoms.calc = Disturbed(EMT(), disturbance, seed)
    for call_number in range(calls):
        atoms.rattle(0.01, seed=call_number)
        found = atoms.get_forces()
    assert atoms.calc.calls == calls
    return found, plain.get_forces(atoms)


def test_undisturbed_forces_are_those_of_the_calculator():
    found, plain = forces(Disturbance())
    np.testing.assert_array_equal(found, plain)


def test_a_curl_is_across_each_force_and_pushes_nothing():
    found, plain = forces(Disturbance(curl=0.3))
    added = found - plain
    assert np.abs((added * plain).sum(axis=1)).max() < 1e-12
    assert np.linalg.norm(added) > 0.05 * np.linalg.norm(plain)
    assert (np.linalg.norm(added, axis=1) <= 0.3 * np.linalg.norm(plain, axis=1) + 1e-12).all()
    assert np.abs(added.sum(axis=0)).max() < 1e-10


def test_noise_is_drawn_anew_at_every_call_and_repeats_with_the_seed():
    noise = Disturbance(noise=1e-2)
    first, again = ((found - plain) for found, plain in (forces(noise), forces(noise)))
    np.testing.assert_array_equal(first, again)
    later, other = ((found - plain) for found, plain in (forces(noise, calls=2), forces(noise, seed=1)))
    assert np.abs(later - first).max() > 1e-3
    assert np.abs(other - first).max() > 1e-3
    assert 0.3e-2 < first.std() < 3e-2


def test_rows_are_kept_and_shown(tmp_path, monkeypatch):
    made = []

    def row(kind, optimizer, disturbance, n, seed):
        made.append((kind, optimizer, disturbance))
        counts = {"mean": 12.0, "failed": 1, "contradicted": 0, "calls": [12]}
        return disturbed.identity(kind, optimizer, disturbance.noise, disturbance.curl) | counts

    monkeypatch.setattr(disturbed, "measured", row)
    out = tmp_path / "out.json"
    words = ["--set", "lj38", "--n", "1", "--optimizers", "default,fire", "--json", str(out)]
    assert call(disturbed.main, *words).exit_code == 0
    assert len(made) == 2 * len(DISTURBANCES)
    assert call(disturbed.main, *words).exit_code == 0
    assert len(made) == 2 * len(DISTURBANCES)
    results = json.loads(out.read_text())
    found = sheet(results, "lj38")
    assert [cells[0] for cells in found.rows] == ["`default`", "`fire`"]
    assert found.rows[0][1:] == ["12.0 (1)"] * len(DISTURBANCES)


@pytest.mark.parametrize(
    ("option", "word", "message"),
    [("--set", "lj", "there is no set 'lj'"), ("--optimizers", "foo", "no optimizer 'foo'")],
)
def test_bad_input_is_one_line(option, word, message):
    result = call(disturbed.main, option, word)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("kind", ["lj38", "crystals"])
def test_the_docs_have_a_column_for_each_disturbance(kind):
    lines = in_docs(kind).splitlines()
    assert all(line.count("|") == len(DISTURBANCES) + 2 for line in lines)
    assert len(lines) > 3
