"""Saddle or minimum: the lowest curvature against whole Hessians, and what runs make of it."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms, FixedPlane
from ase.data import atomic_masses
from ase.filters import FrechetCellFilter
from ase.vibrations import Vibrations
from toys import CountedEMT, Toy

from relax.engine.minima.lowest_mode import TRIAL, Probe
from relax.engine.minima.minimum_check import MinimumCheck
from relax.engine.minima.motions import frequency, rigid
from relax.engine.projection import projected
from relax.geometry.cell import CellFreedom
from relax.optimizers.named import FIRERelax, InternalLBFGSRelax, LBFGSRelax, PairLBFGSRelax
from relax.preconditioner.base import Identity

WHOLE = MinimumCheck(calls=100, reach=1e-4, assumed=1e-9, saddle=-1e6)
"""A look that ends only where there is nothing left to look along."""


def planar():
    """Return four atoms in a plane, which would rather be a tetrahedron."""
    return Atoms("Cu4", 2.3 * np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]), calculator=CountedEMT())


def tetrahedron():
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1.0]])
    return Atoms("Cu4", 0.83 * corners, calculator=CountedEMT())


def body_centred():
    """Return a cubic cell that falls along the strain that makes it face-centred."""
    atoms = bulk("Ni", "bcc", a=2.8, cubic=True)
    atoms.calc = CountedEMT()
    return atoms


def face_centred():
    atoms = bulk("Cu", cubic=True)
    atoms.calc = CountedEMT()
    return atoms


def ethane():
    atoms = molecule("C2H6")
    atoms.calc = CountedEMT()
    return atoms


def held():
    atoms = tetrahedron()
    atoms.set_constraint(FixAtoms([0]))
    return atoms


def hessian(optimizer, step=1e-3):
    """Return the second derivatives (3R, 3R) where the optimizer stands, by central differences."""
    watch = optimizer.optimizable
    x = watch.get_x()
    columns = []
    for k in range(len(x)):
        ahead = step * np.eye(len(x))[k]
        there = []
        for sign in (1, -1):
            watch.set_x(x + sign * ahead)
            there.append(watch.get_gradient())
        columns.append((there[0] - there[1]) / (2 * step))
    watch.set_x(x)
    whole = np.array(columns)
    return 0.5 * (whole + whole.T)


def relaxed(atoms, optimizer=LBFGSRelax, fmax=1e-4, steps=300, **options):
    """Relax ``atoms``, and return the optimizer."""
    made = optimizer(atoms, logfile=None, **options)
    made.run(fmax=fmax, steps=steps)
    return made


# --------------------------------------------------------------------------------------------------
# The probe


def looked(check, h, free=lambda rows: rows, still=None, g=None):
    """Return a probe of a quadratic with the Hessian ``h``, which has seen all that it wanted."""
    rows = len(h) // 3
    still = np.zeros((1, rows, 3)) if still is None else still
    g = np.zeros((rows, 3)) if g is None else g
    probe = Probe(check, Identity(np.zeros((rows, 3))), free, still, g)
    while (look := probe.direction) is not None:
        reach = check.reach if probe.trial is None else check.push * TRIAL
        assert np.sqrt((look * look).sum(axis=1).max()) == pytest.approx(reach)
        bent = (h @ look.ravel()).reshape(-1, 3)
        probe.learn(bent, ((g + 0.5 * bent) * look).sum())
    return probe


def random_hessian(rows=4, seed=0):
    a = np.random.default_rng(seed).normal(size=(3 * rows, 3 * rows))
    return a + a.T


@pytest.mark.parametrize("seed", range(3))
def test_a_look_at_everything_finds_the_lowest(seed):
    h = random_hessian(seed=seed)
    probe = looked(WHOLE, h)
    values, vectors = np.linalg.eigh(h)
    assert probe.curvature == pytest.approx(values[0], abs=1e-9)
    assert abs(probe.mode.ravel() @ vectors[:, 0]) == pytest.approx(1)
    assert probe.calls <= len(h)


def test_what_may_not_move_is_left_out():
    h = random_hessian()

    def free(rows):
        return rows * np.array([[1.0], [0.0], [1.0], [1.0]])

    probe = looked(WHOLE, h, free)
    left = np.delete(np.delete(h, [3, 4, 5], 0), [3, 4, 5], 1)
    assert probe.curvature == pytest.approx(np.linalg.eigvalsh(left)[0], abs=1e-9)
    assert not probe.mode[1].any()


def test_a_look_ends_as_soon_as_a_saddle_is_known_or_the_calls_are_up():
    h = np.diag([-1.0, *np.linspace(1, 3, 11)])
    probe = looked(MinimumCheck(calls=12), h)
    assert probe.saddle
    assert probe.calls < 12
    assert -1 - 1e-9 <= probe.curvature < -0.05
    assert looked(MinimumCheck(calls=2, assumed=1e-9), np.abs(h)).calls == 2


def test_a_push_goes_down_as_far_as_is_said():
    h = np.diag([-1.0, *np.linspace(1, 3, 11)])
    for sign in (1, -1):
        g = np.zeros((4, 3))
        g[0, 0] = 0.01 * sign
        push = looked(MinimumCheck(push=0.3), h, g=g).push
        assert (push * g).sum() < 0
        assert np.sqrt((push * push).sum(axis=1).max()) == pytest.approx(0.3)


def test_a_curvature_that_the_energy_denies_is_no_saddle():
    h = np.diag([-1.0, *np.linspace(1, 3, 11)])
    probe = Probe(
        MinimumCheck(), Identity(np.zeros((4, 3))), lambda rows: rows, np.zeros((1, 4, 3)), np.zeros((4, 3))
    )
    sides = []
    while (look := probe.direction) is not None:
        if probe.trial is not None:
            sides.append(look)
        probe.learn((h @ look.ravel()).reshape(-1, 3), 0.5 * (look * look).sum())
    assert not probe.saddle
    assert sides[0] == pytest.approx(-sides[1])
    assert probe.curvature > MinimumCheck().saddle


def test_rigid_motions():
    positions = np.random.default_rng(0).normal(size=(5, 3))
    line = np.outer(np.arange(5.0), [1, 2, 3])
    for where, rows, turns, count in [
        (positions, 5, True, 6),
        (positions, 5, False, 3),
        (positions, 8, False, 6),
        (line, 5, True, 5),
        (positions[:1], 1, True, 3),
    ]:
        motions = rigid(where, rows, turns)
        assert motions.shape == (count, rows, 3)
        flat = motions.reshape(count, -1)
        assert flat @ flat.T == pytest.approx(np.eye(count), abs=1e-12)


# --------------------------------------------------------------------------------------------------
# Symmetry


def ordered(shape=(1, 1, 1)):
    """Return Cu3Au, stretched along some axes."""
    atoms = bulk("Cu", cubic=True, a=3.75)
    atoms.symbols[0] = "Au"
    atoms.set_cell(atoms.cell * np.array(shape)[:, None], scale_atoms=True)
    atoms.calc = CountedEMT()
    return atoms


@pytest.mark.parametrize(("shape", "order"), [((1, 1, 1), 48), ((1, 1, 1.02), 16), ((1, 1.03, 1.02), 8)])
@pytest.mark.parametrize("cell", [False, True])
def test_the_hessian_commutes_with_the_symmetry(shape, order, cell):
    optimizer = LBFGSRelax(ordered(shape), cell=cell, logfile=None)
    h, coordinates = hessian(optimizer), optimizer.engine.structure.coordinates
    symmetry = coordinates.symmetry(0, 1e-3)
    assert len(symmetry.turns) == order
    rows = np.random.default_rng(0).normal(size=(4 + 3 * cell, 3))
    of_images = np.array([h @ image.ravel() for image in symmetry(rows)])
    assert of_images == pytest.approx(
        symmetry((h @ rows.ravel()).reshape(-1, 3)).reshape(order, -1), abs=1e-4
    )


def test_symmetry_spares_calls():
    found = []
    for symprec in (0.0, 1e-3):
        check = MinimumCheck(calls=100, reach=1e-4, assumed=1e-9, symprec=symprec)
        found.append(relaxed(ordered(), cell=True, symmetry="free", check=check).result)
    assert found[1].curvature == pytest.approx(found[0].curvature, rel=1e-3)
    assert found[1].force_calls < found[0].force_calls / 2


@pytest.mark.parametrize("change", ["moments", "charges", "held", "axis", "molecule", "large"])
def test_where_symmetry_is_not_relied_on(change):
    atoms, options = ordered(), {}
    if change == "moments":
        atoms.set_initial_magnetic_moments([1, -1, 1, -1])
    elif change == "charges":
        atoms.set_initial_charges([1, 0, 0, 0])
    elif change == "held":
        atoms.set_constraint(FixAtoms([1]))
    elif change == "axis":
        options = {"cell": CellFreedom(mask=[0, 0, 1, 0, 0, 0])}
    elif change == "molecule":
        atoms.pbc = False
    else:
        atoms = atoms.repeat(4)
        atoms.calc = EMT()
    symmetry = LBFGSRelax(atoms, logfile=None, **options).engine.structure.coordinates.symmetry(0, 1e-3)
    if change == "axis":
        assert len(symmetry.turns) == 16  # those that keep the axis
    else:
        assert symmetry is None


# --------------------------------------------------------------------------------------------------
# Structures


@pytest.mark.parametrize(
    ("make", "cell", "zeros"),
    [
        (planar, False, 6),
        (tetrahedron, False, 6),
        (ethane, False, 6),
        (held, False, 6),  # 3 of the atom that is held, 3 of the turns about it
        (body_centred, True, 6),
        (face_centred, True, 6),
        (face_centred, False, 3),
    ],
)
def test_the_curvature_is_that_of_the_whole_hessian(make, cell, zeros):
    optimizer = relaxed(make(), cell=cell, check=WHOLE, fmax=1e-3)
    result = optimizer.result
    assert result.status == "converged"
    values = np.linalg.eigvalsh(hessian(optimizer))
    order = np.argsort(np.abs(values))
    assert np.abs(values[order[:zeros]]).max() < 0.01
    assert result.curvature == pytest.approx(values[order[zeros:]].min(), rel=0.01, abs=0.01)
    assert np.linalg.norm(result.mode) == pytest.approx(1)


@pytest.mark.parametrize("rule", [InternalLBFGSRelax, PairLBFGSRelax, LBFGSRelax, FIRERelax])
@pytest.mark.parametrize(
    ("make", "cell", "minimum"),
    [
        (planar, False, False),
        (tetrahedron, False, True),
        (body_centred, False, True),
        (body_centred, True, False),
        (face_centred, True, True),
    ],
)
def test_saddles_are_told_from_minima(rule, make, cell, minimum):
    result = relaxed(make(), rule, fmax=0.02, cell=cell, check="minimum").result
    assert result.status == ("converged" if minimum else "saddle")
    assert result.converged == minimum
    assert (result.curvature > 0) == minimum
    assert f"the lowest curvature is {result.curvature:.3g} eV/A^2" in result.reason
    assert result.escapes == 0


@pytest.mark.parametrize(("make", "cell"), [(planar, False), (body_centred, True)])
def test_a_saddle_is_left_for_a_minimum(make, cell):
    saddle = relaxed(make(), fmax=0.02, cell=cell, check="minimum").result
    optimizer = relaxed(make(), fmax=0.02, cell=cell, check="minimum", escape=True)
    result = optimizer.result
    assert result.status == "converged"
    assert result.escapes >= 1
    assert result.energy_last < saddle.energy_last - 0.05
    assert result.energy_first == saddle.energy_first
    assert result.steps > saddle.steps


def test_a_filter_of_a_cell_is_checked():
    result = relaxed(FrechetCellFilter(body_centred()), fmax=0.02, check="minimum").result
    assert result.status == "saddle"


def test_kept_symmetry_leaves_symmetric_modes():
    optimizer = relaxed(body_centred(), cell=True, symmetry="keep", check="minimum")
    result = optimizer.result
    assert result.status == "converged"
    assert result.curvature > 0
    coordinates = optimizer.engine.structure.coordinates
    assert result.mode == pytest.approx(projected(coordinates, result.mode), abs=1e-9)
    strain = result.mode[-3:]
    assert strain == pytest.approx(strain[0, 0] * np.eye(3), abs=1e-6)


def test_what_is_held_is_no_part_of_the_mode():
    result = relaxed(held(), fmax=0.02, check="minimum").result
    assert result.mode[0] == pytest.approx(0, abs=1e-12)


def test_where_nothing_can_move_nothing_is_asked():
    atoms = bulk("Cu")
    atoms.calc = CountedEMT()
    result = relaxed(atoms, check="minimum").result
    assert (result.status, result.force_calls) == ("converged", 1)
    assert np.isinf(result.curvature)


# A particle in the plane, beside one that is held


def particle(potential, x, y):
    """Return an atom at (``x``, ``y``) whose energy and slope are those of ``potential``."""

    def of_positions(positions):
        energy, slope = potential(*positions[1, :2])
        gradient = np.zeros((2, 3))
        gradient[1, :2] = slope
        return energy, gradient

    atoms = Atoms("Cu2", [[0, 0, 0], [x, y, 2.5]], cell=[9, 9, 9], pbc=True, calculator=Toy(of_positions))
    atoms.set_constraint([FixAtoms([0]), FixedPlane([1], [0, 0, 1])])
    return atoms


def double_well(x, y):
    return (x * x - 1) ** 2 + y * y, (4 * x * (x * x - 1), 2 * y)


def quartic(x, y):
    return x**4 + y * y, (4 * x**3, 2 * y)


def test_a_particle_on_a_ridge():
    atoms = particle(double_well, 0.0, 0.3)
    result = relaxed(atoms, check="minimum").result
    assert result.status == "saddle"
    assert result.curvature < -0.05
    assert atoms.positions[1] == pytest.approx([0, 0, 2.5], abs=1e-3)
    atoms = particle(double_well, 0.0, 0.3)
    result = relaxed(atoms, check="minimum", escape=True).result
    assert (result.status, result.escapes) == ("converged", 1)
    assert np.abs(atoms.positions[1]) == pytest.approx([1, 0, 2.5], abs=1e-3)
    assert result.curvature == pytest.approx(2, abs=0.05)


def test_what_is_flat_is_no_saddle():
    for check in ("minimum", "tight"):
        result = relaxed(particle(quartic, 0.0, 0.3), check=check).result
        assert result.status == "converged"
    assert result.curvature == pytest.approx(0, abs=0.01)


# --------------------------------------------------------------------------------------------------
# What a run counts and leaves


@pytest.mark.parametrize("escape", [False, True])
@pytest.mark.parametrize(("make", "cell"), [(planar, False), (body_centred, True), (face_centred, True)])
def test_calls_are_counted_and_the_calculator_knows_the_end(make, cell, escape):
    atoms = make()
    result = relaxed(atoms, fmax=0.02, cell=cell, check="minimum", escape=escape).result
    calls = atoms.calc.calls
    assert result.force_calls == calls
    told = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress() if cell else 0.0
    assert atoms.calc.calls == calls
    again = atoms.copy()
    again.calc = EMT()
    assert told[0] == pytest.approx(again.get_potential_energy(), abs=1e-10)
    assert told[1] == pytest.approx(again.get_forces(), abs=1e-10)
    assert told[2] == pytest.approx(again.get_stress() if cell else 0.0, abs=1e-10)
    assert result.energy_last == told[0]
    assert result.fmax == pytest.approx(np.linalg.norm(told[1], axis=1).max(), abs=1e-10)


def test_a_check_changes_nothing_but_the_calls():
    checked, plain = tetrahedron(), tetrahedron()
    result = relaxed(checked, fmax=0.02, check="minimum").result
    unchecked = relaxed(plain, fmax=0.02).result
    assert result.steps == unchecked.steps
    assert 1 <= result.force_calls - unchecked.force_calls <= MinimumCheck().calls
    assert checked.positions == pytest.approx(plain.positions, abs=1e-12)
    assert np.isnan(unchecked.curvature)
    assert unchecked.mode is None


def test_when_the_escapes_are_spent_it_is_a_saddle():
    check = MinimumCheck(push=1e-3, escapes=3)
    result = relaxed(planar(), fmax=0.02, check=check, escape=True).result
    assert (result.status, result.escapes) == ("saddle", 3)
    assert result.reason.endswith("after 3 escapes")


def test_when_the_steps_are_spent_no_saddle_is_left():
    result = relaxed(planar(), fmax=0.02, steps=0, check="minimum", escape=True).result
    assert (result.status, result.escapes, result.steps) == ("saddle", 0, 0)


def test_an_end_short_of_the_next_minimum_knows_no_curvature():
    result = relaxed(planar(), fmax=0.02, steps=3, check="minimum", escape=True).result
    assert (result.status, result.escapes) == ("max_steps", 1)
    assert np.isnan(result.curvature)
    assert result.mode is None


@pytest.mark.parametrize("on_bad", ["stop", "backtrack"])
@pytest.mark.parametrize(("deed", "status"), [("raise", "calculator_error"), ("spoil", "nonfinite")])
def test_what_goes_wrong_beside_the_place_ends_there(deed, status, on_bad):
    def done(results):
        if deed == "raise":
            raise RuntimeError("no good")
        results["forces"][1, 0] = np.nan

    atoms = particle(double_well, 1.0, 0.0)
    atoms.calc.at, atoms.calc.deed = 2, done
    result = relaxed(atoms, check="minimum", on_bad=on_bad).result
    assert (result.status, result.force_calls) == (status, 2)
    assert atoms.positions[1] == pytest.approx([1, 0, 2.5], abs=1e-12)
    assert np.isfinite(atoms.get_potential_energy())


def test_wrong_words():
    with pytest.raises(ValueError, match="check = 'maximum' is not allowed; give 'minimum'"):
        LBFGSRelax(planar(), check="maximum")
    with pytest.raises(ValueError, match="escape=True needs a check"):
        LBFGSRelax(planar(), escape=True)
    with pytest.raises(ValueError, match="MinimumCheck: calls"):
        MinimumCheck(calls=0)
    with pytest.raises(ValueError, match="MinimumCheck: saddle"):
        MinimumCheck(saddle=0.1)


# --------------------------------------------------------------------------------------------------
# Frequencies, and the tight level


def test_the_frequency_is_that_of_ase(tmp_path):
    atoms = relaxed(tetrahedron(), check=WHOLE).atoms
    result = relaxed(atoms, check=WHOLE).result
    vibrations = Vibrations(atoms, name=str(tmp_path / "vib"), delta=1e-3)
    vibrations.run()
    lowest = min(f.real for f in vibrations.get_frequencies()[6:])  # 1/cm; the first six are rigid motions
    assert result.frequency == pytest.approx(lowest * 0.0299792458, rel=2e-3)


def test_a_saddle_has_a_negative_frequency():
    result = relaxed(planar(), check="minimum").result
    mass = atomic_masses[29]
    # 1 eV/A^2 on 1 amu is 98.2269 / ps, or 15.6333 THz.
    assert result.frequency == pytest.approx(-15.6333 * np.sqrt(-result.curvature / mass), rel=1e-5)


def test_the_frequency_of_a_strain_is_not_known():
    result = relaxed(body_centred(), cell=True, check="minimum").result
    assert result.curvature < 0
    assert np.isnan(result.frequency)
    assert np.isnan(relaxed(tetrahedron()).result.frequency)


def test_the_masses_of_the_atoms_that_move_count():
    mode = np.array([[0.6, 0.0, 0.0], [0.0, 0.8, 0.0]])
    assert frequency(2.0, mode, np.array([1.0, 4.0])) == pytest.approx(15.6333 * np.sqrt(2 / 2.92), rel=1e-5)
    assert frequency(-2.0, mode, np.array([1.0, 4.0])) == -frequency(2.0, mode, np.array([1.0, 4.0]))


def test_the_tight_level_relaxes_further_and_looks_longer():
    ordinary = relaxed(tetrahedron(), fmax=0.05, check="minimum").result
    tight = relaxed(tetrahedron(), fmax=0.05, check="tight").result
    assert ordinary.converged
    assert tight.converged
    assert tight.fmax <= 1e-3
    assert tight.force_calls > ordinary.force_calls + 3
