"""Kriging: its steps, and cheap calculators as priors."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms

from relax import relax, relax_many
from relax.calculators.potentials import as_potential
from relax.core.rule import Point
from relax.core.segments import Segments
from relax.engine.arrays import prepare
from relax.engine.batch.cheap_surface import CheapSurface
from relax.geometry.cell import cell_freedom
from relax.optimizers.named import OPTIMIZERS
from relax.rules import Kriging


class Off(Calculator):
    """EMT that is wrong by a factor and a spring to the origin, and fails after some calls."""

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, factor=1.2, spring=0.05, calls=10**9, bad=None):
        super().__init__()
        self.emt, self.factor, self.spring, self.left, self.bad = EMT(), factor, spring, calls, bad

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
        super().calculate(atoms, properties, system_changes)
        self.left -= 1
        if self.left < 0 and self.bad is None:
            raise RuntimeError("no more")
        copy = self.atoms.copy()
        copy.calc = self.emt
        away = copy.positions - copy.positions.mean(axis=0)
        energy = self.factor * copy.get_potential_energy() + 0.5 * self.spring * (away**2).sum()
        forces = self.factor * copy.get_forces(apply_constraint=False) - self.spring * away
        if self.left < 0:
            forces = np.full_like(forces, self.bad)
        self.results = {"energy": energy, "forces": forces}
        if copy.pbc.all():
            self.results["stress"] = self.factor * copy.get_stress(apply_constraint=False)


def cluster() -> Atoms:
    atoms = bulk("Cu", cubic=True) * (2, 1, 1)
    atoms.set_pbc(False)
    atoms.rattle(0.1, seed=3)
    return atoms


def crystal() -> Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.symbols[0] = "Au"
    atoms.rattle(0.05, seed=1)
    return atoms


def sheared() -> Atoms:
    """Return a crystal whose way to the minimum is, after two stages, no symmetric strain."""
    atoms = crystal()
    atoms.set_cell(
        atoms.cell.array @ [[1.0, 0.0, 0.0], [0.12, 0.95, 0.0], [-0.08, 0.1, 1.06]], scale_atoms=True
    )
    return atoms


@pytest.mark.parametrize(
    ("build", "cell"), [(cluster, False), (crystal, False), (crystal, True), (sheared, True)]
)
def test_a_prior_saves_calls_and_ends_in_the_same_minimum(build, cell):
    direct, ours, batched = build(), build(), build()
    alone = relax(direct, EMT(), fmax=0.01, cell=cell)
    result = relax(ours, EMT(), prior=Off(spring=0.0), fmax=0.01, cell=cell)
    (done,) = relax_many([batched], EMT(), prior=Off(spring=0.0), fmax=0.01, cell=cell)
    assert result.converged
    assert done.result.converged
    assert result.force_calls < alone.force_calls
    assert result.prior_calls > 0
    assert done.result.prior_calls > 0
    assert ours.get_potential_energy() == pytest.approx(direct.get_potential_energy(), abs=2e-3)
    assert done.result.force_calls == result.force_calls
    np.testing.assert_allclose(done.atoms.positions, ours.positions, atol=1e-9)


def test_strains_after_a_prior_are_symmetric():
    """They are on top of the cell in which the run begins, as they are where it has no prior."""
    optimizer = OPTIMIZERS["kriging"](sheared(), prior=Off(spring=0.02), cell=True, logfile=None)
    optimizer.atoms.calc = EMT()
    assert optimizer.run(fmax=0.01)
    (strain,) = optimizer.engine.structure.coordinates.place.strain
    assert np.abs(strain).max() > 1e-6
    np.testing.assert_allclose(strain, strain.T, atol=1e-9)


@pytest.mark.parametrize(("build", "cell"), [(cluster, False), (crystal, False), (crystal, True)])
def test_a_tight_fmax_takes_no_more_calls_than_by_the_default_rule(build, cell):
    """Near a minimum a process is of no use if its noise is that of the forces at a rough start."""
    default, ours = (
        relax(build(), EMT(), rule=rule, fmax=1e-6, cell=cell) for rule in ("internal-lbfgs", "kriging")
    )
    assert default.converged
    assert ours.converged
    assert ours.force_calls <= default.force_calls


BAD = {
    "a spring too many": lambda: Off(1.0, 1.0),
    "tenfold": lambda: Off(10.0, 0.0),
    "raises at once": lambda: Off(calls=0),
    "raises after a while": lambda: Off(1.3, 0.3, calls=15),
    "NaN after a while": lambda: Off(1.3, 0.3, calls=15, bad=np.nan),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_prior_changes_no_minimum(name, caplog):
    direct, ours = cluster(), cluster()
    relax(direct, EMT(), fmax=0.01)
    result = relax(ours, EMT(), prior=BAD[name](), fmax=0.01, steps=200)
    assert result.converged, result
    assert np.linalg.norm(ours.get_forces(), axis=1).max() < 0.01
    if "while" in name or "once" in name:
        assert "the prior" in caplog.text


def test_bonds_that_only_the_prior_breaks_do_not_break(caplog):
    start = Atoms("N2", [(0, 0, 0), (0, 0, 1.2)])
    ours, seen = start.copy(), []

    class Seen(EMT):
        def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
            seen.append(atoms.positions.copy())
            super().calculate(atoms, properties, system_changes)

    result = relax(ours, Seen(), prior=LennardJones(sigma=2.5, epsilon=1.0, rc=20.0), fmax=0.01)
    assert result.converged
    assert "the prior changes the bond of atoms 0 and 1" in caplog.text
    np.testing.assert_array_equal(seen[0], start.positions)
    assert ours.get_distance(0, 1) < 1.3


def test_a_rough_cheap_surface_is_not_followed_for_long():
    calls, first = [], []

    class Rough(EMT):
        def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
            super().calculate(atoms, properties, system_changes)
            self.results["forces"] = self.results["forces"] + 2e-3 * np.cos(1e7 * atoms.positions)
            calls.append(1)

    class Dear(EMT):
        def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
            first.append(len(calls))
            super().calculate(atoms, properties, system_changes)

    assert relax(cluster(), Dear(), prior=Rough(), fmax=0.01).force_calls <= 2
    assert 50 < first[0] < 100


def test_a_place_that_is_asked_for_again_takes_no_call_of_the_prior():
    start = prepare(0, crystal(), cell_freedom(True, 0.0), Kriging(), False, 0.1)
    surface = CheapSurface.of(as_potential(EMT()), start, 0)
    x = surface.coordinates.x
    there, again, moved = surface(x), surface(x.copy()), surface(x + 0.01)
    assert surface.calls == 2
    assert again[0] == there[0] != moved[0]
    np.testing.assert_array_equal(again[1], there[1])
    wider = surface.seen_from(1.01 * start.atoms.cell.array)
    assert wider(x + 0.01)[0] != moved[0]
    assert surface.calls == 3


def test_constraints_and_pressure_hold_beside_a_prior():
    slab = bulk("Cu", cubic=True) * (1, 1, 2)
    slab.rattle(0.08, seed=2)
    slab.set_constraint(FixAtoms([0, 1]))
    before = slab.positions[:2].copy()
    assert relax(slab, EMT(), prior=Off(spring=0.0), fmax=0.01).converged
    np.testing.assert_array_equal(slab.positions[:2], before)
    ours, direct = crystal(), crystal()
    relax(ours, EMT(), prior=Off(spring=0.0), fmax=0.005, cell=True, pressure=5.0)
    relax(direct, EMT(), fmax=0.005, cell=True, pressure=5.0)
    assert ours.cell.volume == pytest.approx(direct.cell.volume, rel=1e-3)


def test_a_run_that_is_restarted_goes_on_without_the_way_to_the_cheap_minimum(tmp_path):
    whole, parts, file = cluster(), cluster(), tmp_path / "rule.json"
    whole.calc, parts.calc = EMT(), EMT()
    made = OPTIMIZERS["kriging"](whole, prior=Off(1.1, 0.3), logfile=None)
    made.run(0.003)
    first = OPTIMIZERS["kriging"](parts, restart=file, prior=Off(1.1, 0.3), logfile=None)
    first.run(0.003, steps=2)
    second = OPTIMIZERS["kriging"](parts, restart=file, prior=Off(1.1, 0.3), logfile=None)
    second.run(0.003)
    np.testing.assert_allclose(parts.positions, whole.positions, atol=1e-3)
    assert first.result.force_calls + second.result.force_calls == made.result.force_calls


def test_what_has_no_use_for_a_prior_says_so():
    with pytest.raises(ValueError, match="prior= is for the rule kriging, not for FIRE"):
        relax(cluster(), EMT(), rule="fire", prior=Off())
    with pytest.raises(ValueError, match="prior= is for the rule kriging, not for FIRE"):
        list(relax_many([cluster()], EMT(), "fire", prior=Off()))


def test_large_structures_and_known_hessians_take_the_steps_of_the_default_rule(caplog):
    atoms = bulk("Cu", cubic=True) * (3, 3, 4)
    atoms.rattle(0.05, seed=1)
    assert len(atoms) > Kriging.LARGEST
    ends = []
    for rule in ("kriging", "internal-lbfgs"):
        copy = atoms.copy()
        settings = {"radius": 0.2, "largest": 0.4, "worst": -0.5, "poor": -0.25, "fine": 0.9, "shrink": 0.3}
        extra = settings | {"memory": 10} if rule == "kriging" else {}
        relax(copy, EMT(), rule=rule, fmax=0.02, steps=5, **extra)
        ends.append(copy.positions)
    np.testing.assert_array_equal(*ends)
    (warning,) = caplog.messages
    assert "144 rows are too many for the model of kriging, which takes 120" in warning


def reach_of(rule: Kriging, steps: int, length: float, **of_surface: float) -> list[float]:
    """Return the factors of the trust radii of two structures, the first beside a cheap surface.

    The last step of their last atoms is ``length``, A.
    """
    x, shape = np.zeros((4, 3)), (4, 1)
    point = Point(x, x, x[:, :1], Segments([2, 2]), None, surfaces=(lambda y: (0.0, y), None))
    state = rule.init(x) | {
        "t": np.full(shape, float(steps)),
        "dx": np.array([[0, 0, 0], [0, length, 0]] * 2),
    }
    state |= {name: np.full(shape, value) for name, value in of_surface.items()}
    factors = np.broadcast_to(rule._reach(state, point), shape).reshape(2, 2)
    np.testing.assert_array_equal(factors[:, 0], factors[:, 1])
    return factors[:, 0].tolist()


def test_trust_radii_are_longer_beside_a_cheap_surface_after_long_steps():
    rule = Kriging(largest=0.5)
    assert reach_of(rule, 0, 0.0) == [2.0, 1.0]
    assert reach_of(rule, 1, 0.3) == [pytest.approx(0.6 / 0.5), 1.0]
    assert reach_of(rule, 5, 0.9) == [2.0, 1.0]
    assert reach_of(rule, 5, 0.2) == [1.0, 1.0]


@pytest.mark.parametrize("steps", [0, 1])
def test_trust_radii_are_as_without_beside_a_cheap_surface_that_does_not_count(steps):
    rule = Kriging()
    assert reach_of(rule, steps, 0.9, doubts=Kriging.DOUBTS - 1) == [2.0, 1.0]
    assert reach_of(rule, steps, 0.9, doubts=Kriging.DOUBTS) == [1.0, 1.0]
    assert reach_of(rule, steps, 0.9, lost=1.0) == [1.0, 1.0]


def test_large_structures_have_the_trust_radii_of_the_default_rule_beside_a_cheap_surface():
    rule, x = Kriging(), np.zeros((Kriging.LARGEST + 1, 3))
    point = Point(x, x, x[:, :1], Segments([len(x)]), None, surfaces=(lambda y: (0.0, y),))
    assert np.unique(rule._reach(rule.init(x), point)).tolist() == [1.0]


def test_a_cheap_surface_is_left_out_after_two_doubts_and_counts_again():
    rule, after = Kriging(), {"doubts": np.zeros((4, 1))}
    shares = (0.4, 0.9, 0.4, 0.3, 0.7, 0.85, 0.4, 0.6)
    left_out = [rule._doubted(after, slice(1, 4), share) for share in shares]
    assert left_out == [False, False, False, True, True, False, False, False]
    assert after["doubts"][0, 0] == 0.0  # another structure


def end_of(monkeypatch, cheap, caution, alone):
    monkeypatch.setattr(Kriging, "ALONE", alone)
    atoms = cluster()
    relax(atoms, EMT(), rule="kriging", prior=cheap, fmax=1e-3, steps=5, caution=caution)
    return atoms.positions


def test_a_part_of_caution_counts_without_a_cheap_surface(monkeypatch):
    some, same, more = (end_of(monkeypatch, None, *two) for two in ((4.0, 0.5), (2.0, 1.0), (4.0, 1.0)))
    np.testing.assert_array_equal(some, same)
    assert np.abs(more - some).max() > 1e-4


@pytest.mark.parametrize("misleads", [False, True])
def test_all_of_it_counts_beside_one_even_if_that_is_left_out(misleads, monkeypatch):
    cheap = {"factor": 0.1, "spring": 3.0} if misleads else {"factor": 0.8, "spring": 0.5}
    some, same, less = (
        end_of(monkeypatch, Off(**cheap), *two) for two in ((4.0, 1.0), (4.0, 0.5), (1.0, 1.0))
    )
    np.testing.assert_array_equal(some, same)
    assert np.abs(less - some).max() > 1e-6
