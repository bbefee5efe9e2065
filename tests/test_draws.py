"""Several draws of a structure, against runs of one start each; and what counts as the same structure."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.filters import FrechetCellFilter
from helpers import rotation
from test_probing import body_centred, square
from toys import CountedEMT, ball

from relax import relax as relax_one
from relax import relax_many
from relax.engine.minima.draws import AMPLITUDE
from relax.geometry.fingerprint import Fingerprint

# What counts as the same structure


def difference(a, b):
    return Fingerprint.of(a).difference(Fingerprint.of(b))


def shuffled(atoms, seed=3):
    """Return ``atoms`` in another order, turned and moved; a crystal with other lattice vectors."""
    rng = np.random.default_rng(seed)
    other = atoms[rng.permutation(len(atoms))]
    turn = rotation(seed)
    other.set_cell(other.cell.array @ turn)
    other.positions = other.positions @ turn + rng.normal(size=3)
    if other.pbc.all():
        other.set_cell(np.array([[1, 1, 0], [0, 1, 0], [0, 2, 1]]) @ other.cell.array)
    return other


@pytest.mark.parametrize(
    "atoms",
    [molecule("CH3CH2OH"), bulk("NaCl", "rocksalt", 5.6, cubic=True), bulk("Ti"), ball(13)],
    ids=["ethanol", "salt", "hcp", "cluster"],
)
def test_a_structure_is_the_same_in_another_frame_and_order(atoms):
    assert difference(atoms, shuffled(atoms)) < 1e-6


def test_a_structure_differs_by_no_more_than_its_atoms_move():
    atoms = bulk("NaCl", "rocksalt", 5.6, cubic=True)
    for size in (0.01, 0.1, 0.3):
        moved = atoms.copy()
        moved.positions += np.random.default_rng(1).uniform(-size, size, (8, 3)) / np.sqrt(3)
        assert 0.1 * size < difference(atoms, moved) <= 2 * size


def test_stackings_and_isomers_differ():
    face, close = bulk("Cu", "fcc", 3.6), bulk("Cu", "hcp", 3.6 / np.sqrt(2), covera=np.sqrt(8 / 3))
    assert difference(face.repeat((2, 1, 1)), close) > 0.2
    isomers = [molecule("trans-butane"), molecule("isobutane")]
    assert difference(*isomers) > 0.2
    assert difference(molecule("H2O"), molecule("NH3")) == np.inf


def test_one_atom_alone_and_more_than_are_matched():
    assert difference(Atoms("Ar"), Atoms("Ar", [[1, 2, 3]])) == 0
    many = bulk("Cu", cubic=True).repeat(5)
    assert difference(many, many.copy()) < 1e-9
    apart = many.copy()
    apart.positions[7] += 0.5
    assert difference(many, apart) > 0.1


# Draws

LOOSE = {"fmax": 0.02, "steps": 200}


def drawn(atoms, draws, calculator=None, **options):
    (relaxed,) = relax_many([atoms], calculator or EMT(), draws=draws, **LOOSE, **options)
    return relaxed


@pytest.mark.parametrize("cell", [False, True])
@pytest.mark.parametrize("rattle", [0.0, 0.25])
def test_draws_are_the_runs_of_their_seeds_until_they_meet(cell, rattle):
    atoms = bulk("Cu", cubic=True) if cell else ball(9)
    result = drawn(atoms, 4, cell=cell, rattle=rattle, seed=5).result
    for k, draw in enumerate(result.draws):
        amplitude = rattle or (AMPLITUDE if k else 0.0)
        assert draw.seed == (5 + k if amplitude else None)
        (alone,) = relax_many([atoms], EMT(), rattle=amplitude, seed=5 + k, cell=cell, **LOOSE)
        if draw.status == "duplicate":
            assert draw.force_calls <= alone.result.force_calls
            continue
        assert (draw.status, draw.force_calls) == (alone.result.status, alone.result.force_calls)
        assert draw.energy == pytest.approx(alone.result.energy_last, abs=1e-9)
        np.testing.assert_allclose(draw.atoms.positions, alone.atoms.positions, atol=1e-6)


def test_the_lowest_is_kept_and_all_calls_count():
    counted, atoms = CountedEMT(), ball(11)
    result = drawn(atoms, 6, counted, rattle=0.4).result
    ended = [draw.energy for draw in result.draws if draw.status == "converged"]
    assert len(ended) > 1, "the draws must find several minima, or this tests nothing"
    assert result.energy_last == min(ended) < max(ended) - 0.01
    assert result.force_calls == counted.calls == sum(draw.force_calls for draw in result.draws)


def test_draws_of_one_basin_stop_before_they_converge():
    options = {"fmax": 1e-4, "cell": True}
    (relaxed,) = relax_many([bulk("Al", cubic=True)], EMT(), draws=5, **options)
    result = relaxed.result
    assert [draw.status for draw in result.draws[1:]] == ["duplicate"] * 4
    for k, draw in enumerate(result.draws[1:], 1):
        (alone,) = relax_many([bulk("Al", cubic=True)], EMT(), rattle=AMPLITUDE, seed=k, **options)
        assert draw.force_calls < alone.result.force_calls
        assert draw.energy - result.energy_last < 4e-3
        assert "draw 0" in draw.reason


@pytest.mark.parametrize("escape", [False, True])
def test_saddles_are_no_minima_to_stop_at(escape):
    # A body-centred cell falls to the face-centred one, unless its symmetry holds it.
    relaxed = drawn(body_centred(), 4, cell=True, check="minimum", escape=escape)
    assert relaxed.result.converged
    (face,) = relax_many([bulk("Cu", cubic=True)], EMT(), cell=True, **LOOSE)
    per_atom = relaxed.result.energy_last / len(relaxed.atoms)
    assert per_atom == pytest.approx(face.result.energy_last / 4, abs=2e-3)
    first = relaxed.result.draws[0]
    assert first.escapes == escape
    assert escape or first.status == "saddle"


def test_each_structure_of_many_has_its_own_draws():
    atoms = [square(), bulk("Al", cubic=True), ball(7), body_centred("Ni", 2.8)]
    one = [drawn(a, 3, rattle=0.1).result for a in atoms]
    for budget in (None, 9):
        many = list(relax_many(atoms, EMT(), draws=3, rattle=0.1, budget=budget, **LOOSE))
        assert sorted(relaxed.index for relaxed in many) == [0, 1, 2, 3]
        for relaxed in many:
            known = one[relaxed.index]
            assert relaxed.atoms.get_chemical_formula() == atoms[relaxed.index].get_chemical_formula()
            assert len(relaxed.result.draws) == 3
            assert relaxed.result.energy_last == pytest.approx(known.energy_last, abs=4e-3)


def test_an_end_that_failed_is_not_the_lowest():
    # Two atoms on top of each other cannot begin; the rattled start can.
    result = drawn(Atoms("Cu2", [[0, 0, 0], [0, 0, 0]]), 2).result
    assert [draw.status for draw in result.draws] == ["collapsed", "converged"]
    assert result.converged
    # A run of no steps has not converged, however low it is.
    (relaxed,) = relax_many([bulk("Cu", cubic=True)], EMT(), draws=3, steps=0, fmax=1e-4)
    assert [draw.status for draw in relaxed.result.draws] == ["converged", "max_steps", "max_steps"]
    assert relaxed.result.converged


def test_a_single_structure_is_put_to_its_lowest_end():
    atoms = ball(9)
    atoms.calc = EMT()
    result = relax_one(atoms, draws=4, rattle=0.4, **LOOSE)
    assert len(result.draws) == 4
    assert atoms.get_potential_energy() == pytest.approx(result.energy_last, abs=1e-9)
    many = drawn(ball(9), 4, rattle=0.4).result
    assert many.force_calls == result.force_calls
    for mine, theirs in zip(result.draws, many.draws, strict=True):
        assert (mine.status, mine.energy) == (theirs.status, theirs.energy)


def test_positions_that_are_held_stay():
    from ase.constraints import FixAtoms

    atoms = ball(9)
    atoms.set_constraint(FixAtoms([0, 1]))
    before = atoms.positions[:2].copy()
    relax_one(atoms, EMT(), draws=3, **LOOSE)
    assert np.array_equal(atoms.positions[:2], before)


BAD = {
    "no draws": ({"draws": 0}, "draws = 0 is not allowed"),
    "half a draw": ({"draws": 1.5}, "draws = 1.5 is not allowed"),
    "symmetry": ({"draws": 2, "symmetry": "keep"}, "rattle breaks the symmetry"),
    "logfile": ({"draws": 2, "logfile": "-"}, "no logfile or trajectory of several draws"),
    "trajectory": ({"draws": 2, "trajectory": "a.traj"}, "no logfile or trajectory of several draws"),
    "refused": ({"draws": 2, "cell": True}, "not periodic"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_not_allowed_is_said(case):
    options, words = BAD[case]
    atoms = ball(5)
    before = atoms.positions.copy()
    with pytest.raises(ValueError, match=words):
        relax_one(atoms, EMT(), **options)
    assert np.array_equal(atoms.positions, before)


def test_draws_need_atoms_with_a_calculator():
    with pytest.raises(RuntimeError, match="no calculator"):
        relax_one(Atoms("Cu2", [[0, 0, 0], [0, 0, 2.5]]), draws=2)
    crystal = bulk("Cu", cubic=True)
    crystal.calc = EMT()
    with pytest.raises(ValueError, match="several draws need Atoms, not a FrechetCellFilter"):
        relax_one(FrechetCellFilter(crystal), draws=2)


# The command line


@pytest.mark.parametrize("batch", [[], ["--batch-size", "4"]])
def test_the_command_says_what_the_draws_found(relax, tmp_path, batch):
    ball(11).write(tmp_path / "ball.xyz")
    words = ["run", tmp_path / "ball.xyz", "-c", "emt", "--draws", 4, "--rattle", 0.4, "--fmax", 0.02, *batch]
    code, out, _ = relax(*words, "--json")
    assert code == 0
    result = json.loads(out)
    assert [draw["seed"] for draw in result["draws"]] == [0, 1, 2, 3]
    assert result["force_calls"] == sum(draw["force_calls"] for draw in result["draws"])
    _, table, _ = relax(*words)
    assert "ball.xyz: 4 draws; other minima:" in " ".join(table.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--draws", 0], "--draws must be greater than 0"),
        (["--draws", 2, "--symmetry", "keep"], "--draws breaks the symmetry"),
        (["--draws", 2, "--logfile", "log"], "--logfile does not work with --draws"),
        (["--draws", 2, "--trajectory", "t.traj"], "--trajectory does not work with --draws"),
    ],
)
def test_options_that_do_not_go_with_draws(relax, tmp_path, words, said):
    ball(5).write(tmp_path / "ball.xyz")
    code, _, err = relax("run", tmp_path / "ball.xyz", "-c", "emt", *words)
    assert code == 2
    assert said in " ".join(err)


def test_the_lowest_of_the_ends_of_lennard_jones_clusters():
    clusters = [ball(7, seed=k) for k in range(3)]
    for atoms in clusters:
        atoms.set_chemical_symbols(["Ar"] * len(atoms))
    potential = LennardJones(sigma=2.3, epsilon=0.2, rc=8.0)
    ends = list(relax_many(clusters, potential, draws=5, rattle=0.3, fmax=0.01))
    for end in ends:
        converged = [draw.energy for draw in end.result.draws if draw.status == "converged"]
        assert end.result.energy_last == min(converged)


def test_a_known_hessian_serves_all_draws():
    atoms, asked = bulk("Cu", cubic=True), []

    def known(start):
        asked.append(start.positions.copy())
        return 5.0 * np.eye(12)

    result = relax_one(atoms.copy(), EMT(), draws=3, hessian=known, **LOOSE)
    assert result.converged
    assert len(asked) == 3
    again = relax_one(atoms.copy(), EMT(), draws=3, hessian=5.0 * np.eye(12), **LOOSE)
    assert (again.force_calls, again.energy_last) == (result.force_calls, result.energy_last)
