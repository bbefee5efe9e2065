"""Vacuum that relaxes with the cell is told; crystals, layers and what is held are not."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, graphene, molecule, mx2
from ase.calculators.emt import EMT
from ase.io import write
from helpers import rotation

from relax import CellFreedom, FIRERelax, relax_many
from relax import relax as relax_one
from relax.geometry.vacuum import relaxing_vacuum, vacuum_gaps


def slab(vacuum: float = 8.0, pbc: bool = True) -> Atoms:
    atoms = fcc111("Cu", (1, 1, 3), vacuum=vacuum, periodic=pbc)
    atoms.info.clear()
    return atoms


def boxed(size: float = 12.0) -> Atoms:
    return Atoms(molecule("N2"), cell=[size] * 3, pbc=True)


def wire() -> Atoms:
    return Atoms("Cu", cell=[9.0, 11.0, 2.4], pbc=True)


def graphite(spacing: float) -> Atoms:
    atoms = graphene()
    atoms.cell[2] = [0, 0, spacing]
    atoms.pbc = True
    return atoms


def turned(atoms: Atoms) -> Atoms:
    """Return the structure in another frame, its atoms moved by no whole part of the cell."""
    turn = rotation(3)
    atoms.set_cell(atoms.cell[:] @ turn.T)
    atoms.positions = atoms.positions @ turn.T + [3.1, -7.7, 40.3]
    return atoms


@pytest.mark.parametrize("frame", [lambda atoms: atoms, turned], ids=["as it is", "turned"])
def test_the_gap_is_the_distance_of_the_outer_layers(frame):
    spacing = 3.61 / np.sqrt(3)
    assert vacuum_gaps(frame(slab(8.0)))[2] == pytest.approx(16.0)
    assert vacuum_gaps(frame(boxed(12.0))) == pytest.approx([12, 12, 12 - 1.130], abs=0.05)
    assert vacuum_gaps(frame(bulk("Cu", a=3.61))) == pytest.approx([spacing] * 3)  # of the planes (111)
    assert vacuum_gaps(frame(graphite(3.35)))[2] == pytest.approx(3.35)
    assert vacuum_gaps(slab(8.0, pbc=False))[2] == 0
    assert vacuum_gaps(molecule("N2")).tolist() == [0, 0, 0]


def test_the_gap_of_a_skewed_slab_is_along_its_normal():
    atoms = slab(8.0)
    atoms.cell[2] += 3 * atoms.cell[0]  # the same slab, with its images shifted by three cells
    assert vacuum_gaps(atoms)[2] == pytest.approx(16.0)


@pytest.mark.parametrize(
    ("atoms", "freedom", "where"),
    [
        (slab(), {}, "c"),
        (turned(slab()), {}, "c"),
        (slab(), {"hydrostatic": True}, "c"),
        (slab(), {"constant_volume": True}, "c"),
        (slab(), {"mask": "xy"}, ""),
        (slab(), {"mask": "xz"}, "c"),
        (slab(), {"mask": "110111"}, ""),  # shears of the vacuum leave its height as it is
        (slab(pbc=False), {}, ""),
        (boxed(), {}, "abc"),
        (boxed(), {"mask": "x"}, "a"),
        (wire(), {}, "ab"),
        (bulk("Cu"), {}, ""),
        (bulk("NaCl", "rocksalt", a=5.64), {}, ""),
        (graphite(3.35), {}, ""),
        (graphite(5.9), {}, ""),
        (graphite(6.1), {}, "c"),
        (Atoms(mx2(vacuum=1.5), pbc=True), {}, ""),
        (molecule("N2"), {}, ""),
        (Atoms("Cu", pbc=True), {}, ""),
        (Atoms(cell=[9, 9, 9], pbc=True), {}, ""),
        (Atoms("Cu", [[np.inf, 0, 0]], cell=[9, 9, 9], pbc=True), {}, ""),
    ],
)
def test_where_there_is_vacuum_that_relaxes(atoms, freedom, where):
    assert "".join(relaxing_vacuum(atoms, CellFreedom(**freedom))) == where


@pytest.mark.parametrize("draws", [1, 2])
def test_python_users_are_told_once_for_each_structure(draws, caplog):
    list(relax_many([slab(), bulk("Cu"), slab(), boxed()], EMT(), cell=True, steps=1, draws=draws))
    relax_one(slab(), EMT(), cell=True, steps=1, draws=draws)
    words = "16.0 A of vacuum along c, which relaxes with the cell; set atoms.pbc = (True, True, False), or"
    told = [record.message for record in caplog.records]
    assert [record.name for record in caplog.records] == ["relax"] * 4
    assert all(words in told[k] for k in (0, 1, 3))
    assert told[0].startswith("Cu3: ")
    assert "a molecule in a box, 12.0, 12.0 and 10.9 A of vacuum along a, b and c" in told[2]


def test_a_filter_or_a_fixed_cell_is_not_told(caplog):
    atoms = slab()
    atoms.calc = EMT()
    FIRERelax(atoms, logfile=None).run(steps=1)
    FIRERelax(atoms, logfile=None, cell="xy").run(steps=1)
    assert not caplog.records


@pytest.mark.parametrize("batch", [[], ["--batch-size", "2"]], ids=["one by one", "batch"])
def test_the_command_says_it_in_one_line_for_each(relax, batch):
    write("slab.extxyz", slab())
    write("boxed.extxyz", boxed())
    write("bulk.extxyz", bulk("Cu"))
    files = ("slab.extxyz", "boxed.extxyz", "bulk.extxyz")
    _, _, err = relax("run", "-c", "emt", "--cell", "--steps", 1, *files, *batch)
    advice = "which relaxes with the cell; add --pbc {}, or --cell-mask with the axes that may relax"
    box = "a molecule in a box, 12.0, 12.0 and 10.9 A of vacuum along a, b and c"
    assert err == [
        f"relax: slab.extxyz: 16.0 A of vacuum along c, {advice.format('TTF')}",
        f"relax: boxed.extxyz: {box}, {advice.format('FFF')}",
    ]
    for words in (["--cell", "--cell-mask", "xy"], ["--no-cell"]):
        assert relax("run", "-c", "emt", *words, "--steps", 1, "slab.extxyz", *batch)[2] == []
