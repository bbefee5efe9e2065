"""Which strains of a cell may change: masks and axes, periodicity, in Python and on the command line."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.io import read, write
from ase.optimize import BFGS
from toys import copper

from relax import CellFreedom, CoReRelax, FIRERelax, InternalLBFGSRelax, LBFGSRelax, Result, relax_many
from relax import relax as relax_one
from relax.geometry.cell import GPA

VOIGT = ("xx", "yy", "zz", "yz", "xz", "xy")
PLANES = {
    "x": "100000",
    "y": "010000",
    "z": "001000",
    "xy": "110001",
    "yx": "110001",
    "xz": "101010",
    "yz": "011100",
    "xyz": "111111",
}
BATCH = pytest.mark.parametrize("batch", [False, True], ids=["single", "batch"])


def alloy() -> Atoms:
    """Two metals in a cell that is off its minimum in all six components."""
    atoms = bulk("Cu", cubic=True, a=3.75)
    atoms.symbols[0] = "Au"
    strain = np.array([[0.02, 0.03, -0.02], [0.03, -0.03, 0.01], [-0.02, 0.01, 0.01]])
    atoms.set_cell(atoms.cell[:] @ (np.eye(3) + strain), scale_atoms=True)
    atoms.rattle(0.05, seed=4)
    return atoms


def slab(pbc: tuple[bool, bool, bool] = (True, True, False)) -> Atoms:
    atoms = fcc111("Cu", (1, 1, 3), a=3.75, vacuum=6)
    atoms.info.clear()
    atoms.pbc = pbc
    return atoms


def relaxed(atoms: Atoms, batch: bool, **options: object) -> tuple[Atoms, Result]:
    """Relax a copy of ``atoms`` on its own or in a batch; that it cannot be is a ValueError."""
    atoms = atoms.copy()
    options = {"fmax": 1e-3, "smax": 1e-3, "steps": 300} | options
    if not batch:
        result = relax_one(atoms, EMT(), **options)
        return atoms, result
    done, other = sorted(relax_many([atoms, copper()], EMT(), **options), key=lambda one: one.index)
    if done.result.status == "refused":
        raise ValueError(done.result.reason)
    assert other.result.status != "calculator_error"
    return done.atoms, done.result


def strain(before: Atoms, after: Atoms) -> dict[str, float]:
    """Return the components of F - 1, symmetrised, by their names."""
    deformed = np.linalg.solve(before.cell[:], after.cell[:]).T - np.eye(3)
    deformed = 0.5 * (deformed + deformed.T)
    return {name: deformed["xyz".index(name[0]), "xyz".index(name[1])] for name in VOIGT}


@BATCH
@pytest.mark.parametrize("cell", ["x", "xy", "yz", "111000", "110001"])
def test_what_is_masked_stays_and_the_rest_relaxes(cell, batch):
    start = alloy()
    end, result = relaxed(start, batch, cell=cell)
    assert result.converged, result.reason
    moved, stress = strain(start, end), dict(zip(VOIGT, end.get_stress() / GPA, strict=True))
    for name, free in zip(VOIGT, PLANES.get(cell, cell), strict=True):
        if free == "0":
            assert abs(moved[name]) < 1e-15, name
        else:
            assert abs(moved[name]) > 1e-3, name
            assert abs(stress[name]) <= 1e-3, name
    assert max(map(abs, stress.values())) > 0.1  # and what is held has its stress


@pytest.mark.parametrize("mask", ["111000", "110001", "101010", "100000"])
def test_the_energy_is_that_of_a_filter_with_this_mask(mask):
    theirs, flags = alloy(), [digit == "1" for digit in mask]
    theirs.calc = EMT()
    assert BFGS(FrechetCellFilter(theirs, mask=flags), logfile=None).run(fmax=1e-4, steps=500)
    ours, _ = relaxed(alloy(), False, cell=mask, fmax=1e-4, smax=1e-4)
    assert ours.get_potential_energy() == pytest.approx(theirs.get_potential_energy(), abs=1e-6)
    free, _ = relaxed(alloy(), False, cell=True)
    assert free.get_potential_energy() < ours.get_potential_energy() - 1e-3


@pytest.mark.parametrize(("axes", "digits"), PLANES.items())
def test_axes_are_the_components_between_them(axes, digits):
    six = [digit == "1" for digit in digits]
    for mask in (axes, digits):
        np.testing.assert_array_equal(CellFreedom(mask=mask).components, CellFreedom(mask=six).components)


@pytest.mark.parametrize("optimizer", [CoReRelax, FIRERelax, LBFGSRelax, InternalLBFGSRelax])
def test_optimizers_take_axes(optimizer):
    atoms = alloy()
    start = atoms.copy()
    atoms.calc = EMT()
    optimizer(atoms, logfile=None, cell="xy").run(fmax=0.01, steps=20)
    assert np.abs(atoms.cell[:, 2] - start.cell[:, 2]).max() < 1e-14
    assert np.abs(atoms.cell[:] - start.cell[:]).max() > 0.01


@BATCH
def test_pressure_counts_for_what_is_free(batch):
    end, result = relaxed(alloy(), batch, cell="xy", pressure=5.0)
    assert result.converged
    stress = dict(zip(VOIGT, end.get_stress() / GPA, strict=True))
    assert [stress[name] for name in ("xx", "yy", "xy")] == pytest.approx([-5, -5, 0], abs=2e-3)


@BATCH
def test_a_mask_and_constant_volume_both_hold(batch):
    end, result = relaxed(alloy(), batch, cell=CellFreedom(mask="xy", constant_volume=True))
    assert result.converged
    assert end.get_volume() == pytest.approx(alloy().get_volume(), rel=1e-10)
    assert np.abs(end.cell[:, 2] - alloy().cell[:, 2]).max() < 1e-14


@BATCH
def test_a_mask_and_a_space_group_both_hold(batch):
    start = bulk("Cu", "bct", a=2.7, c=3.4)
    end, result = relaxed(start, batch, cell="z", symmetry="keep")
    assert result.converged
    assert result.spacegroup_last == result.spacegroup_first == "I4/mmm (139)"
    moved = strain(start, end)
    assert abs(moved.pop("zz")) > 1e-3
    assert max(map(abs, moved.values())) < 1e-15


def test_a_function_may_give_axes():
    done = list(relax_many([slab(), alloy()], EMT(), cell=lambda atoms: atoms.pbc.all() and "z"))
    (held, free) = (one.atoms for one in sorted(done, key=lambda one: one.index))
    assert np.array_equal(held.cell[:], slab().cell[:])
    assert np.abs(free.cell[:, :2] - alloy().cell[:, :2]).max() < 1e-14
    assert np.abs(free.cell[:, 2] - alloy().cell[:, 2]).max() > 1e-3


# What is refused


@BATCH
@pytest.mark.parametrize(
    ("atoms", "cell", "options", "words"),
    [
        (slab, "z", {}, "the mask 'z' of the cell names z, along which the structure is not periodic"),
        (slab, "xz", {}, "names z, along which"),
        (slab, "xyz", {}, "names z, along which"),
        (slab, "001110", {}, "'001110' of the cell leaves no strain to relax along the periodic directions"),
        (
            lambda: bulk("Cu", cubic=True),
            "z",
            {"symmetry": "keep"},
            r"'z' of the cell leaves no strain to relax in Fm-3m \(225\)",
        ),
    ],
)
def test_masks_that_do_not_fit_the_structure(atoms, cell, options, words, batch):
    with pytest.raises(ValueError, match=words):
        relaxed(atoms(), batch, cell=cell, **options)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"mask": "ab"}, "mask 'ab' is not allowed; give axes such as xy, or six digits"),
        ({"mask": "xx"}, "is not allowed"),
        ({"mask": ""}, "is not allowed"),
        ({"mask": "11100"}, "is not allowed"),
        ({"mask": "111002"}, "is not allowed"),
        ({"mask": "000000"}, "is not allowed"),
        ({"mask": "x", "constant_volume": True}, "leaves no strain of constant volume"),
        ({"mask": "xy", "hydrostatic": True}, "takes no mask"),
    ],
    ids=str,
)
def test_masks_that_are_none(settings, words):
    with pytest.raises(ValueError, match=words):
        CellFreedom(**settings)


@pytest.mark.parametrize("cell", ["", "yes", "xx", "11100", "XY"])
def test_words_that_are_no_axes(cell):
    with pytest.raises(TypeError, match="is not allowed; give True, False or a CellFreedom, or axes"):
        relax_one(copper(), EMT(), cell=cell)


# On the command line


@pytest.mark.parametrize("batch", [[], ["--batch-size", "2"]], ids=["one by one", "batch"])
def test_the_mask_of_the_command(relax, batch):
    write("alloy.extxyz", alloy())
    words = ("run", "-c", "emt", "--cell", "--cell-mask", "xy", "alloy.extxyz", "--fmax", 0.01, *batch)
    code, _, err = relax(*words, "-o", "out.extxyz")
    assert (code, err) == (0, [])
    end, ours = read("out.extxyz"), relaxed(alloy(), False, cell="xy", fmax=0.01, smax=None)[0]
    np.testing.assert_allclose(end.cell[:], ours.cell[:], rtol=0, atol=1e-6)
    assert end.info["relax_options"] == "calculator=emt cell=True cell_mask=xy fmax=0.01"


@pytest.mark.parametrize("batch", [[], ["--batch-size", "2"]], ids=["one by one", "batch"])
@pytest.mark.parametrize("word", ["TTF", "ttf", "110"])
def test_periodicity_of_the_command(relax, word, batch):
    write("slab.extxyz", slab((True, True, True)))
    words = ("run", "-c", "emt", "--cell", "--pbc", word, "slab.extxyz", "--fmax", 0.01, *batch)
    code, _, err = relax(*words, "-o", "out.extxyz")
    assert (code, err) == (
        0,
        ["relax: slab.extxyz: periodic only along a and b, so the rest of its cell is kept"],
    )
    end = read("out.extxyz")
    assert end.pbc.tolist() == [True, True, False]
    assert np.allclose(end.cell[2], slab().cell[2], atol=1e-7)
    assert end.cell.lengths()[0] < 0.99 * slab().cell.lengths()[0]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--pbc", "TT"], "--pbc must be three letters T or F, such as TTF for a slab (got 'TT')"),
        (["--pbc", "xyz"], "--pbc must be three letters T or F"),
        (["--cell-mask", "xy"], "--cell-mask needs --cell; add it"),
        (["--cell", "--cell-mask", "ab"], "--cell-mask must be axes such as xy, or six digits"),
        (["--cell", "--cell-mask", "000000"], "--cell-mask must be axes such as xy, or six digits"),
        (["--cell", "--cell-mask", "xy", "--hydrostatic"], "takes no --cell-mask; give one of them"),
        (["--cell", "--cell-mask", "x", "--constant-volume"], "together fix the cell"),
        (["--cell", "--cell-mask", "z", "--pbc", "TTF"], "leaves no strain to relax along the periodic"),
    ],
)
def test_masks_that_the_command_refuses(relax, words, says):
    write("alloy.extxyz", alloy())
    code, out, err = relax("run", "-c", "emt", "alloy.extxyz", *words)
    assert (code, out) == (2, "")
    assert says in err[-1]
    assert len(err) == 1 + ("--pbc" in words and "--cell" in words)
