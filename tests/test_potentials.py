"""Potentials say of each structure what a calculator says of it alone, whatever is beside it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.calculator import Calculator, PropertyNotImplementedError
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones as AseLennardJones
from ase.constraints import FixAtoms
from ase.filters import UnitCellFilter
from helpers import geometry
from toys import Bonds

from relax.calculators import Potential, PotentialCalculator, as_potential
from relax.calculators.memory import keep_memory
from relax.calculators.models.lennard_jones import LennardJones
from relax.calculators.models.one_by_one import SequentialCalculator
from relax.core.errors import CalculatorError, OutOfMemory, UnsupportedStructure

MODEL = Path(__file__).parent.parent / "data" / "mace-mini.model"


def alloys(n, seed=0, a=3.6):
    """Return strained and rattled crystals of copper and nickel, of 4 and 8 atoms."""
    rng, made = np.random.default_rng(seed), []
    for k in range(n):
        atoms = bulk("Cu", cubic=True, a=a).repeat((1 + k % 2, 1, 1))
        atoms.numbers[rng.random(len(atoms)) < 0.5] = 28
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.03 * rng.normal(size=(3, 3))), scale_atoms=True)
        atoms.rattle(0.1, seed=seed + k)
        made.append(atoms)
    return made


def zoo():
    """Return crystals, slabs with and without a vacuum, and clusters with and without a cell."""
    slabs = [fcc111("Cu", (2, 1, 3), vacuum=5.0), fcc111("Ni", (2, 1, 3))]
    boxed = alloys(2, seed=9)[1]
    boxed.pbc = False
    bare = boxed.copy()
    bare.cell = None
    for atoms in slabs:
        atoms.rattle(0.1, seed=3)
    return [*alloys(3), *slabs, boxed, bare]


def admitted(potential, structures, keys=None):
    """Return where the atoms of the structures are, once the potential knows these."""
    told = geometry(structures, keys)
    for key, atoms in zip(told.keys, structures, strict=True):
        assert potential.admit(key, atoms) >= len(atoms)
    return told


def split(answer, structures):
    """Return forces for each structure."""
    return np.split(answer.forces, np.cumsum([len(atoms) for atoms in structures])[:-1])


def assert_agrees(potential, calculator, structures, tolerance):
    """Assert that a batch has the numbers of the calculator, with and without stress."""
    told = admitted(potential, structures)
    whole, bare = potential.evaluate(told, True), potential.evaluate(told, False)
    assert whole.faults == bare.faults == {}
    # Without a request there is a stress only where it comes with the forces.
    free = np.isfinite(bare.stresses).all(axis=(1, 2))
    np.testing.assert_allclose(bare.stresses[free], whole.stresses[free], atol=tolerance)
    assert not (free.any() and potential.batched)
    for answer in (whole, bare):
        for k, (atoms, forces) in enumerate(zip(structures, split(answer, structures), strict=True)):
            alone = atoms.copy()
            alone.calc = calculator
            np.testing.assert_allclose(answer.energies[k], alone.get_potential_energy(), atol=tolerance)
            np.testing.assert_allclose(forces, alone.get_forces(), atol=tolerance)
            if answer is bare:
                continue
            try:
                stress = alone.get_stress(voigt=False)
            except PropertyNotImplementedError:
                stress = np.full((3, 3), np.nan)
            np.testing.assert_allclose(answer.stresses[k], stress, atol=tolerance)


def assert_gradients(potential, atoms, h=1e-4):
    """Assert that forces and stress are what the energy changes by."""
    told = admitted(potential, [atoms])
    answer = potential.evaluate(told, True)

    def energy(positions, cell):
        return potential.evaluate(told._replace(positions=positions, cells=cell[None]), False).energies[0]

    for i, k in ((0, 0), (1, 2)):
        step = np.zeros((len(atoms), 3))
        step[i, k] = h
        rise = energy(told.positions + step, told.cells[0]) - energy(told.positions - step, told.cells[0])
        assert answer.forces[i, k] == pytest.approx(-rise / (2 * h), abs=1e-6)
    for i, k in ((0, 0), (0, 1)):
        strain = np.zeros((3, 3))
        strain[i, k] = strain[k, i] = h if i == k else h / 2
        up, down = np.eye(3) + strain, np.eye(3) - strain
        rise = energy(told.positions @ up, told.cells[0] @ up) - energy(
            told.positions @ down, told.cells[0] @ down
        )
        assert answer.stresses[0, i, k] == pytest.approx(rise / (2 * h * atoms.get_volume()), abs=1e-7)


def assert_nan_stays_alone(potential, structures):
    """Assert that a structure that is nowhere has NaN for numbers, and changes no other's."""
    told = admitted(potential, structures)
    before = split(potential.evaluate(told, True), structures)
    told.positions[0, 1] = np.nan
    told.cells[-1, 0, 0] = np.inf
    answer = potential.evaluate(told, True)
    assert answer.faults == {}
    finite = np.array([False, *[True] * (len(structures) - 2), False])
    np.testing.assert_array_equal(np.isfinite(answer.energies), finite)
    for forces, here, fine in zip(before, split(answer, structures), finite, strict=True):
        if fine:
            np.testing.assert_allclose(here, forces, atol=1e-5)
        else:
            assert np.isnan(here).all()
    told.positions[:] = np.nan
    assert np.isnan(potential.evaluate(told, True).energies).all()


@pytest.mark.parametrize(
    "parameters",
    [{}, {"sigma": 2.3, "epsilon": 0.2}, {"sigma": 2.0, "rc": 7.0, "ro": 4.0, "smooth": True}],
    ids=["plain", "shifted", "smooth"],
)
def test_lennard_jones_is_that_of_ase(parameters):
    calculator = AseLennardJones(**parameters)
    assert_agrees(as_potential(calculator), calculator, [*alloys(3), *zoo()[3:]], 1e-10)
    assert_agrees(as_potential(calculator), calculator, [molecule("H2"), Atoms("Ar")], 1e-10)


def test_lennard_jones_in_a_batch_and_alone_to_the_last_bit():
    structures, rng = [*zoo(), *alloys(6, seed=4)], np.random.default_rng(0)
    walks = [atoms.positions + 0.2 * rng.normal(size=(len(atoms), 3)) for atoms in structures]
    alone = []
    for key, (atoms, walked) in enumerate(zip(structures, walks, strict=True)):
        potential = LennardJones(sigma=2.0)
        told = admitted(potential, [atoms], [key])
        potential.evaluate(told, True)
        alone.append(potential.evaluate(told._replace(positions=walked), True))
    together = LennardJones(sigma=2.0)
    admitted(together, structures)
    for order in (range(len(structures)), rng.permutation(len(structures)).tolist()):
        chosen = [structures[k] for k in order]
        told = geometry(chosen, order)
        answer = together.evaluate(told._replace(positions=np.concatenate([walks[k] for k in order])), True)
        for place, (k, forces) in enumerate(zip(order, split(answer, chosen), strict=True)):
            assert answer.energies[place] == alone[k].energies[0]
            np.testing.assert_array_equal(forces, alone[k].forces)
            np.testing.assert_array_equal(answer.stresses[place], alone[k].stresses[0])


def test_lennard_jones_is_the_gradient_of_its_energy():
    assert_gradients(LennardJones(sigma=2.2, epsilon=0.3), alloys(1)[0])


def test_what_became_of_a_structure_is_not_another_s():
    assert_nan_stays_alone(LennardJones(sigma=2.2), alloys(4))
    potential, structures = LennardJones(sigma=2.2), alloys(3)
    told = admitted(potential, structures)
    before = potential.evaluate(told, False)
    told.cells[1] *= 1e-4
    told.positions[0] = told.positions[1]
    answer = potential.evaluate(told, False)
    assert list(answer.faults) == [1]
    assert "collapsed" in answer.faults[1]
    assert not np.isfinite(answer.energies[:2]).any()
    assert answer.energies[2] == before.energies[2]
    with pytest.raises(UnsupportedStructure, match="collapsed"):
        potential.admit(99, Atoms("Cu", cell=np.eye(3) * 1e-3, pbc=True))


def test_structures_are_released():
    potential, structures = LennardJones(), alloys(2)
    told = admitted(potential, structures)
    potential.release(0)
    with pytest.raises(KeyError):
        potential.evaluate(told, False)
    assert len(potential.evaluate(geometry(structures[1:], [1]), False).energies) == 1


def test_one_by_one_is_the_calculator():
    structures = [*alloys(3), fcc111("Cu", (2, 1, 3), vacuum=5.0), molecule("C6H6")]
    potential = as_potential("emt")
    assert isinstance(potential, SequentialCalculator)
    assert not potential.batched
    assert_agrees(potential, EMT(), structures, 1e-12)
    assert_nan_stays_alone(as_potential("emt"), alloys(3))
    with pytest.raises(UnsupportedStructure, match="EMT does not know the element of atom 0, Fe"):
        potential.admit(99, bulk("Fe"))


class Odd(Calculator):
    """What it says of a structure is decided by its first element."""

    implemented_properties = ("energy", "forces")

    def __init__(self):
        super().__init__()
        self.seen = []

    def calculate(self, atoms=None, properties=None, system_changes=None):
        super().calculate(atoms, properties, system_changes)
        self.seen.append(atoms.copy())
        match atoms[0].symbol:
            case "Fe":
                raise RuntimeError("no iron\nplease")
            case "Au":
                self.results = {"energy": 1.0, "forces": np.zeros((1, 3))}
            case "Ag":
                self.results = {"energy": "low", "forces": np.zeros((len(atoms), 3))}
            case "Pt":
                raise KeyboardInterrupt
            case "Ni":
                self.results = {"energy": np.nan, "forces": np.full((len(atoms), 3), np.nan)}
            case _:
                self.results = {"energy": 1.0, "forces": np.ones((len(atoms), 3))}


def test_an_exception_is_a_fault_of_one_structure():
    calculator = Odd()
    structures = [bulk(name, cubic=True) for name in ("Cu", "Fe", "Au", "Ag", "Ni", "Cu")]
    potential = as_potential(calculator)
    told = admitted(potential, structures)
    answer = potential.evaluate(told, False)
    assert answer.faults[1] == "RuntimeError: no iron please"
    assert "of shape (1, 3) for the forces, not float of shape (4, 3)" in answer.faults[2]
    assert "low" in answer.faults[3]
    assert list(answer.faults) == [1, 2, 3]
    np.testing.assert_array_equal(answer.energies[[0, 5]], 1.0)
    assert np.isnan(answer.energies[1:5]).all()
    assert len(calculator.seen) == len(structures)
    assert "PropertyNotImplementedError" in potential.evaluate(told, True).faults[0]
    admitted(potential, [bulk("Pt")], [7])
    with pytest.raises(KeyboardInterrupt):
        potential.evaluate(geometry([bulk("Pt")], [7]), False)


def test_a_calculator_sees_the_structure_that_was_given():
    calculator, atoms = Odd(), bulk("Cu", cubic=True)
    atoms.info["charge"] = 2
    atoms.set_initial_magnetic_moments([1.0, 2.0, 3.0, 4.0])
    atoms.set_constraint(FixAtoms([0]))
    potential = as_potential(calculator)
    told = admitted(potential, [atoms])
    answer = potential.evaluate(told, False)
    potential.evaluate(told, False)
    assert len(calculator.seen) == 2, "an equal structure is calculated again"
    assert calculator.seen[0].info == atoms.info
    np.testing.assert_array_equal(
        calculator.seen[0].get_initial_magnetic_moments(), atoms.get_initial_magnetic_moments()
    )
    np.testing.assert_array_equal(answer.forces, 1.0)


def test_mace_is_the_calculator(mini):
    import torch

    before = torch.get_default_dtype()
    potential = as_potential(mini)
    assert potential.batched
    assert potential.unit == "edges"
    assert_agrees(potential, mini, zoo(), 1e-12)
    assert torch.get_default_dtype() == before
    assert all(spent > 0 for spent in potential.seconds.values())
    single = Atoms("Cu")
    assert potential.admit(99, single) == 1
    # Alone, it is a batch without a pair.
    alone = potential.evaluate(geometry([single], [99]), True)
    np.testing.assert_array_equal(alone.forces, 0.0)
    single.calc = mini
    assert alone.energies[0] == pytest.approx(single.get_potential_energy())


def test_mace_counts_its_edges(mini):
    potential, atoms = as_potential(mini), alloys(1)[0]
    wide = atoms.get_all_distances(mic=True)
    assert potential.admit(0, atoms) > np.count_nonzero(wide) + len(atoms)


def test_mace_in_float32(mini):
    potential = as_potential(f"mace:{MODEL}", dtype="float32")
    structures = alloys(3)
    single = potential.evaluate(admitted(potential, structures), True)
    double = as_potential(mini)
    exact = double.evaluate(admitted(double, structures), True)
    assert single.energies.dtype == single.forces.dtype == single.stresses.dtype == np.float64
    np.testing.assert_allclose(single.energies, exact.energies, atol=1e-4)
    np.testing.assert_allclose(single.forces, exact.forces, atol=1e-4)
    np.testing.assert_allclose(single.stresses, exact.stresses, atol=1e-5)


def test_mace_is_the_gradient_of_its_energy(mini):
    assert_gradients(as_potential(mini), alloys(1)[0])


def test_mace_along_a_walk(mini):
    structures, rng = alloys(3), np.random.default_rng(1)
    potential = as_potential(mini)
    told = admitted(potential, structures)
    for _ in range(4):
        told = told._replace(positions=told.positions + 0.15 * rng.normal(size=told.positions.shape))
        kept, fresh = potential.evaluate(told, True), as_potential(mini)
        for atoms, x in zip(structures, np.split(told.positions, np.cumsum(told.lengths)[:-1]), strict=True):
            atoms.positions[:] = x
        anew = fresh.evaluate(admitted(fresh, structures), True)
        np.testing.assert_allclose(kept.energies, anew.energies, atol=1e-12)
        np.testing.assert_allclose(kept.forces, anew.forces, atol=1e-12)
        np.testing.assert_allclose(kept.stresses, anew.stresses, atol=1e-12)


def test_mace_keeps_a_fault_to_its_structure(mini):
    assert_nan_stays_alone(as_potential(mini), alloys(4))
    potential, structures = as_potential(mini), alloys(3)
    told = admitted(potential, structures)
    before = potential.evaluate(told, True)
    told.cells[0] *= 1e-4
    told.positions[told.lengths[0]] = told.positions[told.lengths[0] + 1]
    answer = potential.evaluate(told, True)
    assert list(answer.faults) == [0]
    np.testing.assert_allclose(answer.energies[2], before.energies[2], atol=1e-12)
    np.testing.assert_allclose(answer.stresses[2], before.stresses[2], atol=1e-12)
    single = as_potential(f"mace:{MODEL}", dtype="float32")
    told = admitted(single, structures)
    told.positions[0] = 1e40
    answer = single.evaluate(told, True)
    np.testing.assert_allclose(answer.stresses[2], before.stresses[2], atol=1e-5)


def test_mace_refuses_what_it_does_not_know(mini):
    potential = as_potential(mini)
    with pytest.raises(UnsupportedStructure, match="does not know the element of atom 0, O"):
        potential.admit(0, molecule("O2"))
    with pytest.raises(UnsupportedStructure, match="no atom has a neighbour"):
        potential.admit(0, Atoms("Cu2", [[0, 0, 0], [9, 0, 0]]))


def test_mace_says_when_memory_runs_out(mini, monkeypatch):
    import torch

    potential = as_potential(mini)
    told = admitted(potential, alloys(2))

    def failing(error):
        def model(*args, **kwargs):
            raise error

        return model

    for error in (
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError(),
    ):
        monkeypatch.setattr(potential, "_fast", failing(error))
        with pytest.raises(OutOfMemory, match="memory"):
            potential.evaluate(told, True)
    monkeypatch.setattr(potential, "_fast", failing(RuntimeError("shapes differ")))
    assert potential.evaluate(told, True).faults == dict.fromkeys((0, 1), "RuntimeError: shapes differ")
    monkeypatch.undo()
    assert np.isfinite(potential.evaluate(told, True).energies).all()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"models": [0, 1]}, "committee of 2"),
        ({"model_type": "PolarMACE"}, "beyond its cutoff"),
        ({"models": [SimpleNamespace(original_name="EnergyDipolesMACE")]}, "EnergyDipolesMACE"),
        ({"models": [SimpleNamespace(original_name="MACE", joint_embedding=1)]}, "charge and the spin"),
        ({"use_compile": True}, "compiled"),
        ({"energy_units_to_eV": 27.2}, "units"),
    ],
)
def test_mace_models_that_are_not_batched(mini, change, why):
    from relax.calculators.models.mace import MACE

    names = ("models", "model_type", "use_compile", "energy_units_to_eV", "length_units_to_A")
    known = {name: getattr(mini, name) for name in names}
    other = type("MACECalculator", (SimpleNamespace,), {"get_forces": 0, "get_potential_energy": 0})
    calculator = other(**known | change)
    with pytest.raises(CalculatorError, match=why):
        MACE(calculator)
    assert isinstance(as_potential(calculator), SequentialCalculator)


def test_chgnet_is_the_calculator(chgnet):
    potential = as_potential(chgnet)
    assert potential.batched
    structures = [bulk("NaCl", "rocksalt", a=5.6), bulk("MgO", "rocksalt", a=4.2), bulk("Si")]
    for atoms in structures:
        atoms.rattle(0.05, seed=1)
    assert_agrees(potential, chgnet, structures, 1e-5)
    assert_nan_stays_alone(as_potential(chgnet), structures)
    with pytest.raises(UnsupportedStructure, match="cell in all three directions"):
        potential.admit(99, molecule("H2O"))
    told = geometry(structures)
    before = potential.evaluate(told, True)
    told.cells[1] *= 5
    told.positions[2:4] *= 5
    answer = potential.evaluate(told, True)
    assert list(answer.faults) == [1]
    assert "isolated" in answer.faults[1]
    np.testing.assert_allclose(answer.energies[[0, 2]], before.energies[[0, 2]], atol=1e-5)


@pytest.fixture
def morse():
    """Return a model of torch-sim that refuses structures with an atom of iron."""
    torch_sim = pytest.importorskip("torch_sim")
    torch = pytest.importorskip("torch")
    interface = pytest.importorskip("torch_sim.models.interface")

    class Model(interface.ModelInterface):
        def __init__(self, stress=True):
            super().__init__()
            self._device, self._dtype = torch.device("cpu"), torch.float64
            self._compute_forces, self._compute_stress = True, stress
            self.calls = 0

        def forward(self, state):
            assert isinstance(state, torch_sim.SimState)
            self.calls += 1
            told = {"energy": [], "forces": [], "stress": []}
            for atoms in state.to_atoms():
                if "Fe" in atoms.symbols:
                    raise ValueError("no iron")
                atoms.calc = Bonds()
                told["energy"].append(atoms.get_potential_energy())
                told["forces"].extend(atoms.get_forces())
                told["stress"].append(atoms.get_stress(voigt=False) if state.pbc else np.zeros((3, 3)))
            if not self.compute_stress:
                del told["stress"]
            return {name: torch.tensor(np.array(value)) for name, value in told.items()}

    return Model


def test_torch_sim_models(morse):
    model = morse()
    potential = as_potential(model)
    structures = alloys(3)
    assert_agrees(potential, Bonds(), structures, 1e-12)
    assert model.calls == 2
    assert_nan_stays_alone(as_potential(model), structures)
    with pytest.raises(UnsupportedStructure, match="one or two directions"):
        potential.admit(99, fcc111("Cu", (1, 1, 3), vacuum=5.0))
    stressless = as_potential(morse(stress=False))
    assert np.isnan(stressless.evaluate(admitted(stressless, structures), True).stresses).all()


def test_torch_sim_batches_are_periodic_or_not(morse):
    model = morse()
    potential, structures = as_potential(model), alloys(3)
    structures[1].pbc = False
    answer = potential.evaluate(admitted(potential, structures), True)
    assert model.calls == 2
    assert np.isnan(answer.stresses[:, 0, 0]).tolist() == [False, True, False]
    for k, (atoms, forces) in enumerate(zip(structures, split(answer, structures), strict=True)):
        atoms.calc = Bonds()
        assert answer.energies[k] == pytest.approx(atoms.get_potential_energy())
        np.testing.assert_allclose(forces, atoms.get_forces(), atol=1e-12)


def test_a_model_that_fails_is_asked_of_each_alone(morse):
    potential, structures = as_potential(morse()), alloys(3)
    structures[1].numbers[0] = 26
    answer = potential.evaluate(admitted(potential, structures), True)
    assert answer.faults == {1: "ValueError: no iron"}
    assert np.isfinite(answer.energies).tolist() == [True, False, True]


def test_what_is_a_potential(mini, morse):
    for thing in (mini, morse(), EMT(), "lj", "emt", AseLennardJones()):
        potential = as_potential(thing)
        assert isinstance(potential, Potential)
        assert potential.device == "cpu"
        assert as_potential(potential) is potential
    lj = as_potential("lj")
    assert isinstance(lj, LennardJones)
    assert (lj.sigma, lj.epsilon, lj.rc, lj.ro, lj.smooth) == (1.0, 1.0, 10.0, 6.6, True)
    with pytest.raises(CalculatorError, match="unknown calculator"):
        as_potential("ljj")
    for thing in (None, 3, np.zeros(3), bulk("Cu"), UnitCellFilter(bulk("Cu"))):
        with pytest.raises(TypeError, match="cannot make a potential from") as caught:
            as_potential(thing)
        assert "\n" not in str(caught.value)
    with pytest.raises(TypeError, match="EMT is a class"):
        as_potential(EMT)


class Recorded:
    """A potential that records its calls."""

    def __init__(self, potential):
        self.potential, self.calls = potential, []
        self.unit, self.device, self.batched = potential.unit, potential.device, potential.batched

    def admit(self, key, atoms):
        self.calls.append("admit")
        return self.potential.admit(key, atoms)

    def release(self, key):
        self.calls.append("release")
        self.potential.release(key)

    def evaluate(self, geometry, stress):
        self.calls.append("stress" if stress else "forces")
        return self.potential.evaluate(geometry, stress)


@pytest.fixture
def recorded():
    """Return a potential that records its calls, and its ASE calculator."""
    potential = Recorded(LennardJones(sigma=2.2))
    return potential.calls, PotentialCalculator(potential)


def test_a_potential_as_a_calculator_gives_the_same_numbers(mini):
    potential, calculator = as_potential(mini), PotentialCalculator(as_potential(mini))
    structures = [*alloys(2), fcc111("Cu", (2, 1, 3), vacuum=5.0)]
    evaluation = potential.evaluate(admitted(potential, structures), True)
    for k, (atoms, forces) in enumerate(zip(structures, split(evaluation, structures), strict=True)):
        atoms.calc = calculator
        np.testing.assert_allclose(atoms.get_stress(voigt=False), evaluation.stresses[k], atol=1e-12)
        np.testing.assert_allclose(atoms.get_forces(), forces, atol=1e-12)
        assert atoms.get_potential_energy() == pytest.approx(evaluation.energies[k], abs=1e-12)
        assert atoms.get_potential_energy(force_consistent=True) == atoms.get_potential_energy()


def test_a_potential_as_a_calculator_is_evaluated_once_per_geometry(recorded):
    calls, calculator = recorded
    atoms = alloys(1)[0]
    atoms.calc = calculator
    atoms.get_forces()
    atoms.get_potential_energy()
    assert calls == ["admit", "forces"]
    atoms.get_stress()
    assert calls == ["admit", "forces", "stress"]
    for _ in range(2):
        atoms.positions[0, 0] += 0.01
        atoms.set_cell(atoms.cell.array * 1.01)
        atoms.get_forces()
        atoms.get_stress()
        atoms.get_potential_energy()
    assert calls == ["admit", "forces", *["stress"] * 3]
    calculator.reset()
    atoms.get_forces()
    assert calls[5:] == ["stress"], "a reset keeps the structure, and with it the neighbour list"


def test_a_potential_as_a_calculator_changes_its_structure(recorded):
    calls, calculator = recorded
    atoms = alloys(1)[0]
    changes = []
    for change in (
        lambda: None,
        lambda: atoms.numbers.put(0, 28 + 29 - atoms.numbers[0]),
        lambda: atoms.set_pbc([True, True, False]),
        lambda: atoms.append("Cu"),
    ):
        change()
        calls.clear()
        atoms.calc = calculator
        atoms.get_forces()
        changes.append(tuple(calls))
        atoms.calc = AseLennardJones(sigma=2.2, rc=10.0, ro=6.6, smooth=True)
        np.testing.assert_allclose(calculator.results["forces"], atoms.get_forces(), atol=1e-9)
    assert changes == [("admit", "forces"), *[("release", "admit", "forces")] * 3]


def test_a_potential_as_a_calculator_raises_what_is_wrong(recorded):
    calls, calculator = recorded
    with pytest.raises(UnsupportedStructure, match="collapsed"):
        calculator.get_forces(Atoms("Cu", cell=np.eye(3) * 1e-3, pbc=True))
    atoms = alloys(1)[0]
    atoms.calc = calculator
    sound = atoms.get_potential_energy()
    assert calls == ["admit", "admit", "forces"]
    squeezed = atoms.copy()
    squeezed.set_cell(atoms.cell.array * 1e-4)
    with pytest.raises(RuntimeError, match="collapsed"):
        calculator.get_forces(squeezed)
    assert atoms.get_potential_energy() == sound
    cluster = Atoms("Cu2", [[0, 0, 0], [0, 0, 2.5]], calculator=calculator)
    with pytest.raises(PropertyNotImplementedError, match="stress"):
        cluster.get_stress()
    assert np.isfinite(cluster.get_forces()).all()
    assert atoms.get_potential_energy() == sound
    atoms.positions[0] = np.nan
    assert np.isnan(atoms.get_stress()).all()
    assert np.isnan(atoms.get_potential_energy())


def test_freed_memory_is_kept_or_not():
    assert keep_memory() in (True, False)
    assert keep_memory() is keep_memory()
