"""A Hessian that is known at the start: what is taken, and what it is good for."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.filters import FrechetCellFilter
from helpers import rotation
from toys import CountedEMT, Distances, Toy, copper, fmax_of

from relax import CoReRelax, FIRERelax, InternalLBFGSRelax, PairLBFGSRelax, relax, relax_many
from relax.analysis.comparison.minimizers.differences import hessian_by_differences
from relax.core.rule import Point
from relax.core.segments import Segments
from relax.engine.arrays import Start
from relax.engine.coordinates import BatchCoordinates
from relax.preconditioner.internal import curved
from relax.preconditioner.known_hessian import LAST, KnownHessian
from relax.rules import InternalLBFGS
from relax.rules.metric.trust_region import steps_within

WITH_METRIC = [InternalLBFGSRelax, PairLBFGSRelax, CoReRelax]


def springs(seed=0, spread=0.1, stiffness=20.0, n=4):
    """Return a Hessian (3n, 3n), eV/A^2, whose eigenvalues are about ``stiffness``."""
    random = np.random.default_rng(seed).normal(0, spread * stiffness / n, (3 * n, 3 * n))
    return stiffness * np.eye(3 * n) + random + random.T


def quadratic(hessian, displacement=0.05, seed=1):
    """Return distant atoms near the minimum of a quadratic energy, with a calculator that counts."""
    n = len(hessian) // 3
    rest = 12.0 * np.arange(3 * n).reshape(n, 3)

    def potential(x):
        g = hessian @ (x - rest).ravel()
        return float(0.5 * (x - rest).ravel() @ g), g.reshape(-1, 3)

    start = rest + np.random.default_rng(seed).normal(0, displacement, rest.shape)
    return Atoms(f"Ar{n}", start, calculator=Toy(potential))


def butane(seed=0, rattle=0.1):
    """Return rattled butane, with bonds, soft bends and softer torsions."""
    atoms = molecule("trans-butane")
    calculator = Distances(atoms)
    atoms.rattle(rattle, seed=seed)
    atoms.calc = calculator
    return atoms


def known(atoms):
    """Return the Hessian of ``atoms`` where they are."""
    return hessian_by_differences(atoms.calc)(atoms)


@pytest.mark.parametrize("optimizer", [InternalLBFGSRelax, PairLBFGSRelax])
def test_the_minimum_of_a_quadratic_is_one_newton_step_away(optimizer):
    hessian = springs()
    atoms = quadratic(hessian)
    opt = optimizer(atoms, hessian=hessian, logfile=None)
    assert opt.run(fmax=1e-6)
    assert atoms.calc.calls == 2


def test_a_newton_step_is_cut_to_the_radius():
    hessian = springs()
    atoms = quadratic(hessian, displacement=1.0)
    start = atoms.positions.copy()
    opt = PairLBFGSRelax(atoms, hessian=hessian, logfile=None)
    opt.run(fmax=1e-6, steps=1)
    assert fmax_of(atoms.positions - start) == pytest.approx(2 * 0.2, rel=1e-3)
    assert opt.run(fmax=1e-6)


def test_soft_directions_are_exact_where_forces_are_small():
    hessian = np.diag(np.repeat([50.0, 5.0, 1.0, 50.0], 3))
    atoms = quadratic(hessian, displacement=2e-3)
    PairLBFGSRelax(atoms, hessian=hessian, logfile=None).run(fmax=1e-6)
    assert atoms.calc.calls <= 3


def test_fewer_calls_are_needed():
    calls = []
    for given in (False, True):
        atoms = butane()
        more = {"hessian": known(atoms)} if given else {}
        opt = InternalLBFGSRelax(atoms, logfile=None, **more)
        assert opt.run(fmax=0.01)
        calls.append(opt.result.force_calls)
    assert calls[1] < calls[0]


def test_shapes_and_functions_mean_the_same():
    atoms, n = butane(), 14
    hessian, asked = known(atoms), []

    def function(given):
        asked.append(given)
        return hessian

    ends = []
    shapes = (hessian, hessian.reshape(n, 3, n, 3), hessian.reshape(3 * n, n, 3), hessian.tolist(), function)
    for given in shapes:
        atoms = butane()
        relax(atoms, fmax=0.01, hessian=given)
        ends.append(atoms.positions)
    assert all(np.array_equal(ends[0], end) for end in ends)
    (seen,) = asked
    assert np.array_equal(seen.positions, butane().positions)
    assert seen.calc is None


def test_a_function_sees_the_rattled_structure():
    seen = []

    def function(given):
        seen.append(given.positions)
        return np.eye(42)

    atoms = butane()
    InternalLBFGSRelax(atoms, hessian=function, rattle=0.05, logfile=None)
    assert np.array_equal(seen[0], atoms.positions)
    assert not np.array_equal(seen[0], butane().positions)


def test_an_indefinite_hessian_goes_downhill():
    def double_well(x):
        return float((0.25 * x**4 - 0.5 * x**2).sum()), x**3 - x

    start = np.array([[0.02, 0.1, -0.05], [9.0, 9.0, 9.0]])

    def shifted(x):
        energy, g = double_well(np.concatenate([x[:1], x[1:] - 8.0]))
        return energy, g

    atoms = Atoms("Ar2", start, calculator=Toy(shifted))
    hessian = known(atoms)
    assert np.linalg.eigvalsh(hessian)[0] < -0.9
    opt, energies = PairLBFGSRelax(atoms, hessian=hessian, logfile=None), []
    for _ in opt.irun(fmax=1e-4, steps=60):
        energies.append(atoms.get_potential_energy())
    assert opt.result.converged
    assert (np.diff(energies)[:3] < 0).all()
    assert np.allclose(np.abs(atoms.positions[0]), 1.0, atol=1e-3)


@pytest.mark.parametrize("optimizer", WITH_METRIC)
def test_fixed_atoms_stay(optimizer):
    atoms = butane()
    atoms.set_constraint(FixAtoms([0, 5]))
    start, hessian = atoms.positions.copy(), known(atoms)
    assert optimizer(atoms, hessian=hessian, logfile=None).run(fmax=0.01, steps=300)
    assert np.array_equal(atoms.positions[[0, 5]], start[[0, 5]])


def test_a_structure_is_relaxed_in_a_batch_as_alone():
    starts = [butane(0), butane(1), quadratic(springs()), butane(2)]
    calculator = Distances(molecule("trans-butane"))
    several = [starts[0], starts[1], starts[3]]
    hessians = [known(starts[0]), None, known(starts[3])]
    alone = []
    for atoms, hessian in zip(several, hessians, strict=True):
        one = atoms.copy()
        result = relax(one, calculator, fmax=0.01, hessian=hessian)
        alone.append((one.positions, result.force_calls))
    for done in relax_many(several, calculator, fmax=0.01, hessian=hessians):
        positions, calls = alone[done.index]
        assert done.result.force_calls == calls
        assert np.allclose(done.atoms.positions, positions, rtol=0, atol=1e-9)
    assert len(alone) == 3


def test_one_function_serves_a_batch():
    several = [butane(0), butane(1)]
    function = hessian_by_differences(several[0].calc)
    arrays = [function(atoms) for atoms in several]
    ends = [
        {done.index: done.atoms.positions for done in relax_many(several, several[0].calc, hessian=given)}
        for given in (function, arrays)
    ]
    assert all(np.array_equal(ends[0][i], ends[1][i]) for i in (0, 1))


@pytest.mark.parametrize("optimizer", [InternalLBFGSRelax, PairLBFGSRelax])
def test_a_cell_relaxes_too(optimizer):
    atoms = copper(stretch=1.05)
    opt = optimizer(atoms, hessian=hessian_by_differences(EMT()), cell=True, logfile=None)
    assert opt.run(fmax=0.01, smax=0.1, steps=100)
    other = copper(stretch=1.05)
    optimizer(other, cell=True, logfile=None).run(fmax=0.01, smax=0.1, steps=100)
    assert atoms.get_potential_energy() == pytest.approx(other.get_potential_energy(), abs=1e-3)


def test_a_new_reference_cell_leaves_the_hessian_behind():
    atoms = bulk("Cu", cubic=True, a=3.6)
    start = Start(0, atoms, hessian=KnownHessian(np.eye(12)))
    coordinates = BatchCoordinates([start])
    coordinates.rebase(np.array([True]))
    assert coordinates.starts[0].hessian is None


def test_a_hessian_that_misleads_is_left_behind():
    wrong = np.random.default_rng(0).normal(0, 100, (42, 42))
    atoms = butane()
    opt = InternalLBFGSRelax(atoms, hessian=wrong + wrong.T, logfile=None)
    assert opt.run(fmax=0.01, steps=200)
    assert opt.result.steps > LAST
    assert opt.engine.structure.coordinates.starts[0].hessian is None


def test_it_turns_with_the_structure():
    atoms, turn = butane(), rotation(3)
    hessian = known(atoms)
    x, g = atoms.positions, -atoms.get_forces()
    g = g - g.mean(axis=0)
    coordinates = BatchCoordinates([Start(0, atoms, hessian=KnownHessian(hessian))])
    metric = coordinates.metric(InternalLBFGS().stiffness, g=g)
    turned = metric.at(x @ turn.T)
    stretch = np.zeros_like(x)
    stretch[0] = x[0] - x[1]
    expected = metric.apply(stretch) @ turn.T
    off = np.linalg.norm(turned.apply(stretch @ turn.T) - expected)
    assert off < 0.01 * np.linalg.norm(expected)
    for rows in (stretch, x - x.mean(axis=0)):
        assert np.allclose(metric.solve(metric.apply(rows)), rows, atol=1e-6)
        assert np.allclose(metric.root(metric.root(metric.apply(rows))), rows, atol=1e-6)


def test_a_rotated_start_leads_to_the_rotated_end(monkeypatch):
    monkeypatch.setattr(curved, "ACCURACY", 1e-6)
    turn, hessian, ends = rotation(5), known(butane()).reshape(14, 3, 14, 3), []
    for matrix in (np.eye(3), turn):
        atoms = butane()
        atoms.positions = atoms.positions @ matrix.T
        turned = np.einsum("ab,ibjd,cd->iajc", matrix, hessian, matrix)
        InternalLBFGSRelax(atoms, hessian=turned, logfile=None).run(fmax=0.01, steps=4)
        ends.append(atoms.positions)
    assert np.allclose(ends[0] @ turn.T, ends[1], atol=1e-6)


def test_a_restart_goes_on_to_the_last_bit(tmp_path):
    hessian, whole = known(butane()), butane()
    InternalLBFGSRelax(whole, hessian=hessian, logfile=None).run(fmax=1e-8, steps=6)
    atoms, file = butane(), tmp_path / "run.json"
    InternalLBFGSRelax(atoms, restart=file, hessian=hessian, logfile=None).run(fmax=1e-8, steps=3)
    calculator, atoms = atoms.calc, atoms.copy()
    atoms.calc = calculator
    asked = []

    def function(given):
        asked.append(given.positions)
        return hessian

    InternalLBFGSRelax(atoms, restart=file, hessian=function, logfile=None).run(fmax=1e-8, steps=3)
    assert np.array_equal(atoms.positions, whole.positions)
    assert np.allclose(asked[0], butane().positions, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="written with hessian="):
        InternalLBFGSRelax(atoms, restart=file, logfile=None)
    InternalLBFGSRelax(butane(), restart=(other := tmp_path / "o.json"), logfile=None).run(steps=1)
    with pytest.raises(ValueError, match="written without hessian="):
        InternalLBFGSRelax(butane(), restart=other, hessian=hessian, logfile=None)


def spoiled(i, j, value):
    """Return an array for two atoms with one entry changed."""
    array = np.eye(6)
    array[i, j] = value
    return array


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.eye(5), r"hessian= has shape \(5, 5\), not \(6, 6\), \(2, 3, 2, 3\) or \(6, 2, 3\); give"),
        (np.eye(9), r"by the positions of all 2 atoms"),
        ("differences", "hessian= is no array of numbers but a str"),
        (spoiled(1, 2, np.nan), r"hessian= is not finite at \[1, 2\]; compute it anew"),
        (spoiled(3, 4, 0.4), r"hessian= is not symmetric: 0.4 at \[3, 4\], 0 at \[4, 3\]; compute it more"),
        (lambda atoms: np.eye(5), r"the array that hessian= returns has shape \(5, 5\)"),
        (lambda atoms: spoiled(0, 0, np.inf), r"the array that hessian= returns is not finite at \[0, 0\]"),
    ],
)
def test_bad_arrays_are_told_in_one_line(given, words):
    atoms = Atoms("Cu2", [[0, 0, 0], [0, 0, 2.2]], calculator=CountedEMT())
    with pytest.raises(ValueError, match=words) as raised:
        relax(atoms, hessian=given)
    assert "\n" not in str(raised.value)
    assert atoms.calc.calls == 0
    (done,) = relax_many([atoms], EMT(), hessian=given if callable(given) else [given])
    assert done.result.status == "refused"
    assert str(raised.value) in done.result.reason


def test_a_hessian_without_use_is_refused():
    atoms = copper()
    with pytest.raises(ValueError, match="rules that run in a metric; use internal-lbfgs"):
        FIRERelax(atoms, hessian=np.eye(12))
    with pytest.raises(ValueError, match="rules that run in a metric"):
        CoReRelax(atoms, metric=False, hessian=np.eye(12))
    with pytest.raises(ValueError, match="plain Atoms, not for filters"):
        InternalLBFGSRelax(FrechetCellFilter(atoms), hessian=np.eye(12))
    with pytest.raises(ValueError, match="rules that run in a metric"):
        relax_many([atoms], EMT(), "fire", hessian=[np.eye(12)])
    with pytest.raises(ValueError, match="has 2 arrays for 1 structures; give one for each"):
        relax_many([atoms], EMT(), hessian=[np.eye(12)] * 2)
    with pytest.raises(ValueError, match="a sequence with an array for each structure"):
        relax_many([atoms], EMT(), hessian=np.eye(12))


class Diagonal:
    """A metric of one stiffness for each row, to which ``shifted`` adds ones."""

    def __init__(self, stiffness):
        self.stiffness = stiffness

    def shifted(self, mu):
        return Diagonal(self.stiffness + mu)

    def apply(self, rows):
        return self.stiffness * rows

    def solve(self, rows):
        return rows / self.stiffness


def test_steps_within_a_radius_solve_the_shifted_equations():
    stiffness, g = np.array([[10.0], [0.1], [10.0], [10.0]]), np.ones((4, 3))
    seg = Segments([2, 2])
    point = Point(0 * g, g, np.zeros((4, 1)), seg)
    none = {"s": np.zeros((4, 0, 3)), "y": np.zeros((4, 0, 3)), "useful": np.zeros((4, 0), bool)}
    none["rho"] = np.zeros((4, 0))
    radius = np.full((4, 1), 0.5)
    z, promise = steps_within(point, Diagonal(stiffness), none, 0, radius)
    assert np.allclose(z[2:], 0.1)
    assert seg.longest(z)[0, 0] == pytest.approx(0.5, rel=2e-3)
    mu = (g / z - stiffness)[0, 0]
    assert np.allclose((stiffness[:2] + mu) * z[:2], 1.0)
    exact = seg.sum((0.5 * stiffness * z * z - g * z).sum(axis=1, keepdims=True))
    assert np.allclose(promise, exact)
