"""What cannot start, or has nothing to do, ends alike in the library and on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atom, Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms, FixCartesian, FixedLine, FixedPlane
from ase.filters import FrechetCellFilter, StrainFilter
from ase.io import read, write
from toys import Bonds, CountedEMT, copper

from relax import CoReRelax, LBFGSRelax, Result, relax_many
from relax import relax as relax_one
from relax.geometry.cell import GPA


def optimized(
    atoms: Atoms, calculator: Any, criteria: dict[str, Any] | None = None, **options: Any
) -> Result:
    atoms.calc = calculator
    opt = LBFGSRelax(atoms, logfile=None, **options)
    opt.run(**criteria or {})
    return opt.result


def in_a_batch(atoms: Atoms, calculator: Any, **options: Any) -> Result:
    (done,) = relax_many([atoms], calculator, **options)
    return done.result


FRONTS = {"relax": relax_one, "relax_many": in_a_batch, "optimizer": optimized}
EACH = pytest.mark.parametrize("front", FRONTS.values(), ids=FRONTS)
BATCH = pytest.mark.parametrize("batch", [[], ["--batch-size", "2"]], ids=["one by one", "batch"])


# All atoms fixed

FIXED: dict[str, Callable[[], list[Any]]] = {
    "atoms": lambda: [FixAtoms(range(4))],
    "by halves": lambda: [FixAtoms([0, 1]), FixCartesian([2, 3])],
    "a line across a plane": lambda: [FixedPlane(range(4), (1, 2, 2)), FixedLine(range(4), (1, 2, 2))],
}
NOTHING = "nothing is free to move: all atoms are fixed"


def fixed(how: str = "atoms") -> Atoms:
    atoms = bulk("Cu", cubic=True, a=3.7)
    atoms.rattle(0.05, seed=1)
    atoms.set_constraint(FIXED[how]())
    return atoms


@EACH
@pytest.mark.parametrize("check", [None, "minimum"])
@pytest.mark.parametrize("how", FIXED)
def test_where_nothing_is_free_to_move(how, check, front):
    atoms, calculator = fixed(how), CountedEMT()
    result = front(atoms, calculator, check=check)
    assert (result.status, result.reason) == ("converged", NOTHING)
    assert result.force_calls == calculator.calls == 1
    assert result.steps == 0
    alone = fixed(how)
    alone.calc = EMT()
    assert result.energy_last == pytest.approx(alone.get_potential_energy(), abs=1e-9)
    assert np.array_equal(atoms.positions, fixed(how).positions)


@BATCH
def test_where_nothing_is_free_to_move_on_the_command_line(relax, batch):
    write("fixed.traj", fixed())
    code, _, err = relax("run", "-c", "emt", "fixed.traj", *batch, "-o", "out.extxyz")
    assert (code, err) == (0, [])
    info = read("out.extxyz").info
    assert (info["relax_status"], info["relax_reason"], info["relax_force_calls"]) == (
        "converged",
        NOTHING,
        1,
    )


@EACH
def test_a_cell_of_fixed_atoms_relaxes(front):
    atoms = fixed()
    result = front(atoms, EMT(), cell=True)
    assert result.converged
    assert result.force_calls > 1
    assert result.volume_ratio < 0.95
    assert NOTHING not in result.reason


@EACH
@pytest.mark.parametrize("constraint", [FixAtoms([0, 1, 2]), FixedPlane(range(4), (0, 0, 1))], ids=str)
def test_where_something_is_free_the_forces_decide(constraint, front):
    atoms = copper(rattle=0.0)
    atoms.set_constraint(constraint)
    result = front(atoms, EMT())
    assert (result.converged, result.reason) == (True, "no force above 0.05 eV/A")


# A criterion for the stress, and no cell


@pytest.mark.parametrize(
    "ask",
    [
        lambda: relax_one(copper(), EMT(), smax=1.0),
        lambda: relax_one(copper(), EMT(), smax=1.0, draws=2),
        lambda: relax_many([copper()], EMT(), smax=1.0),
        lambda: relax_many([copper()], EMT(), smax=1.0, cell=np.False_),
        lambda: optimized(copper(), EMT(), {"smax": 1.0}),
    ],
)
def test_smax_needs_a_cell(ask):
    with pytest.raises(
        ValueError, match=r"smax = 1.0 GPa needs a cell that relaxes; give cell=True, or no smax"
    ):
        ask()


def test_smax_counts_where_a_function_says_that_the_cell_relaxes():
    structures = [copper(stretch=1.02), copper(stretch=1.02)]
    cells = iter([True, False])
    done = relax_many(structures, EMT(), smax=0.01, cell=lambda atoms: next(cells))
    free, held = sorted(done, key=lambda one: one.index)
    assert free.result.converged
    assert free.result.smax <= 0.01
    assert held.result.converged
    assert held.result.smax > 1.0


@BATCH
def test_smax_of_the_command_counts_for_the_cells_that_relax(relax, batch):
    write("crystal.traj", copper())
    write("pair.traj", Atoms("Cu2", [[0, 0, 0], [0, 0, 2.4]]))
    words = ("run", "-c", "emt", "--cell", "--smax", 0.05, "crystal.traj", "pair.traj")
    code, _, err = relax(*words, *batch)
    assert (code, err) == (0, ["relax: pair.traj: not periodic, so its cell is kept"])


def test_a_strain_filter_has_a_cell():
    atoms = copper(stretch=1.03, rattle=0.0)
    atoms.set_cell(atoms.cell[:] * [1.0, 1.0, 1.03], scale_atoms=True)
    atoms.calc = EMT()
    opt = LBFGSRelax(StrainFilter(atoms, mask=[1, 1, 0, 0, 0, 0]), logfile=None)
    assert opt.run(fmax=1.0, smax=0.02, steps=100)
    stress = atoms.get_stress() / GPA
    assert np.abs(stress[:2]).max() <= 0.02
    assert opt.result.smax == pytest.approx(np.abs(stress[:2]).max())
    assert abs(stress[2]) > 1.0


# The stress of a cell that is held


class Reluctant(CountedEMT):
    """EMT that computes the stress only where it is asked for."""

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), *more: Any) -> None:
        super().calculate(atoms, properties, *more)
        if "stress" not in properties:
            self.results.pop("stress", None)


@EACH
def test_the_stress_of_a_held_cell(front):
    start = copper(stretch=1.02, rattle=0.05)
    assert np.isnan(front(start.copy(), Reluctant()).smax)
    atoms, calculator = start.copy(), Reluctant()
    result = front(atoms, calculator, stress=True)
    assert result.converged
    assert result.force_calls == calculator.calls
    if front is in_a_batch:
        (done,) = relax_many([start], Reluctant(), stress=True)
        atoms = done.atoms
        assert np.abs(atoms.get_stress()).max() / GPA == pytest.approx(result.smax)
    there = atoms.copy()
    there.calc = EMT()
    assert result.smax == pytest.approx(np.abs(there.get_stress()).max() / GPA, rel=1e-6)
    assert np.array_equal(atoms.cell[:], start.cell[:])


@EACH
@pytest.mark.parametrize(
    "atoms", [molecule("N2"), molecule("N2", vacuum=4), Atoms("Cu", cell=[2.5, 2.5, 0], pbc=[1, 1, 0])]
)
def test_what_has_no_stress_needs_none(atoms, front):
    result = front(atoms.copy(), EMT(), stress=True)
    assert result.converged
    assert np.isnan(result.smax)


@EACH
def test_the_path_does_not_depend_on_the_stress(front):
    results = [front(copper(stretch=1.02, rattle=0.05), Reluctant(), stress=asked) for asked in (False, True)]
    assert results[0].energy_last == results[1].energy_last
    assert results[0].force_calls == results[1].force_calls


def test_the_stress_is_of_plain_atoms():
    atoms = copper()
    atoms.calc = EMT()
    with pytest.raises(ValueError, match="stress= is for plain Atoms, not for a FrechetCellFilter"):
        CoReRelax(FrechetCellFilter(atoms), logfile=None, stress=True)


@BATCH
def test_the_stress_of_the_command(relax, batch):
    Path("reluctant.py").write_text("from test_starts import Reluctant")
    slab = fcc111("Cu", (1, 1, 3), a=3.7, vacuum=6)
    slab.info.clear()
    write("slab.traj", slab)
    words = ("run", "-c", "reluctant:Reluctant", "slab.traj", *batch, "--json")
    code, out, _ = relax(*words, "-o", "without.extxyz")
    assert code == 0
    assert json.loads(out)["smax"] is None
    code, out, _ = relax(*words, "--stress", "-o", "out.extxyz")
    assert code == 0
    told, done = json.loads(out), read("out.extxyz")
    assert told["smax"] > 1.0
    assert told["smax"] == pytest.approx(np.abs(done.get_stress()).max() / GPA, rel=1e-6)
    assert done.info["relax_smax"] == pytest.approx(told["smax"], rel=1e-6)
    assert done.info["relax_options"] == "calculator=reluctant:Reluctant stress=True fmax=0.05"


# What is no structure, no criterion and no force


@pytest.mark.parametrize(
    "given", [[copper(), copper()], None, "POSCAR", Atom("Cu")], ids=["list", "None", "file", "Atom"]
)
@pytest.mark.parametrize("front", [relax_one, in_a_batch, LBFGSRelax])
def test_what_is_no_structure(given, front):
    with pytest.raises(TypeError, match=r"expected ase\.Atoms"):
        front(given, None if front is LBFGSRelax else EMT())


def test_one_structure_is_not_many():
    with pytest.raises(TypeError, match=r"structure 0 is a Atom, expected ase\.Atoms; give a list of Atoms"):
        list(relax_many(copper(), EMT()))


def test_none_among_many_does_not_end_the_run():
    with pytest.raises(TypeError, match=r"structure 1 is a NoneType, expected ase\.Atoms"):
        list(relax_many([copper(), None, copper()], EMT()))


@pytest.mark.parametrize("fmax", [None, "0.05", True, np.zeros(3)], ids=repr)
@pytest.mark.parametrize("front", [relax_one, in_a_batch, lambda a, c, fmax: optimized(a, c, {"fmax": fmax})])
def test_what_is_no_criterion(fmax, front):
    with pytest.raises(TypeError, match=r"fmax = .* is not allowed; give a number of 0 or more"):
        front(copper(), EMT(), fmax=fmax)


class Transposed(Bonds):
    """Forces of shape (3, N)."""

    def calculate(self, *args: Any, **kwargs: Any) -> None:
        super().calculate(*args, **kwargs)
        self.results["forces"] = self.results["forces"].T


@EACH
def test_forces_of_a_wrong_shape(front):
    result = front(copper(), Transposed())
    assert result.status == "calculator_error"
    assert "gives float64 of shape (3, 4) for the forces, not float of shape (4, 3)" in result.reason


@EACH
def test_an_element_that_the_calculator_does_not_know(front):
    words = "EMT does not know the element of atom 0, U"
    if front is relax_one:
        with pytest.raises(ValueError, match=words):
            front(bulk("U", "fcc", a=4.0), EMT())
        return
    result = front(bulk("U", "fcc", a=4.0), EMT())
    assert result.status == {in_a_batch: "refused", optimized: "calculator_error"}[front]
    assert result.reason.startswith(words)


def test_a_molecule_without_a_cell_is_none_for_chgnet(chgnet):
    words = "CHGNet needs a cell in all three directions; give the structure one, with room around it"
    with pytest.raises(ValueError, match=words):
        relax_one(molecule("H2O"), chgnet)
    assert in_a_batch(molecule("H2O"), chgnet).reason == words
    assert optimized(molecule("H2O"), chgnet).reason == words


@EACH
def test_no_atoms(front):
    if front is in_a_batch:
        assert front(Atoms(), EMT()).reason == "there are no atoms to relax"
        return
    with pytest.raises(ValueError, match="there are no atoms to relax"):
        front(Atoms(), EMT())
