"""The model Hessian beside measured ones."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from commands import call

from benchmarks.common.provenance import RESULTS
from benchmarks.molecules.runs import bonds_of
from benchmarks.molecules.sets import SETS
from benchmarks.stiffness import __main__ as stiffness
from benchmarks.stiffness.hessians import Measured, inner_motions, measured, ratios
from benchmarks.stiffness.molecules import molecules
from relax.preconditioner.internal_stiffness import InternalStiffness
from relax.preconditioner.model_hessian import ModelHessian
from relax.preconditioner.network import SpringNetwork

MODEL = InternalStiffness()


def own_hessian(atoms: Atoms, frame: np.ndarray) -> np.ndarray:
    network = SpringNetwork(atoms.numbers, atoms.positions, np.zeros((3, 3)), np.zeros(3, bool), MODEL)
    model = ModelHessian([network], MODEL)
    return frame.T @ np.array([model.apply(v.reshape(-1, 3)).ravel() for v in frame.T]).T


@pytest.mark.parametrize(("name", "outer"), [("H2O", 6), ("CO2", 5), ("CH3CH2OH", 6)])
def test_inner_motions_neither_move_nor_turn(name, outer):
    atoms = molecule(name)
    frame = inner_motions(atoms.positions)
    assert frame.shape[1] == 3 * len(atoms) - outer
    np.testing.assert_allclose(frame.T @ frame, np.eye(frame.shape[1]), atol=1e-12)
    for v in frame.T.reshape(-1, len(atoms), 3):
        np.testing.assert_allclose(v.sum(axis=0), 0.0, atol=1e-12)
        turned = np.cross(atoms.positions - atoms.positions.mean(axis=0), v).sum(axis=0)
        np.testing.assert_allclose(turned, 0.0, atol=1e-12)


def test_a_model_is_as_stiff_as_itself_at_any_scale():
    atoms = molecule("CH3CH2OH")
    frame = inner_motions(atoms.positions)
    own = own_hessian(atoms, frame)
    np.testing.assert_allclose(ratios(Measured(atoms, 40 * own, frame), MODEL), 1.0, rtol=1e-8)
    stiffest = np.linalg.eigh(own)[1][:, -1]
    stretched = own + np.linalg.norm(own @ stiffest) * np.outer(stiffest, stiffest)
    found = ratios(Measured(atoms, stretched, frame), MODEL)
    assert found[-1] / found[0] == pytest.approx(2.0)


def graph(atoms: Atoms) -> list[object]:
    """Return what is bonded to what, by elements, over two bonds."""
    bonds = bonds_of(atoms)
    near = [sorted(atoms.symbols[j] for j in np.flatnonzero(row)) for row in bonds]
    return sorted(
        (symbol, sorted((atoms.symbols[j], near[j]) for j in np.flatnonzero(row)))
        for symbol, row in zip(atoms.symbols, bonds, strict=True)
    )


def test_no_molecule_is_in_a_set_that_is_reported():
    pytest.importorskip("rdkit", reason='RDKit is an extra: pip install "relax[molecules]"')
    own = [graph(atoms) for atoms in molecules().values()]
    for name in ("baker", "birkholz", "drugs"):
        for reported, atoms in SETS[name].structures().items():
            assert graph(atoms) not in own, reported


@pytest.mark.slow
def test_the_hessian_of_water_and_what_the_command_writes(tmp_path, monkeypatch):
    pytest.importorskip("tblite", reason='xTB is an extra: pip install "relax[xtb]"')
    water = measured(molecule("H2O"), "gfn2")
    assert water is not None
    assert len(water.hessian) == 3
    masses = np.repeat(water.atoms.get_masses(), 3)
    whole = water.frame @ water.hessian @ water.frame.T / np.sqrt(np.outer(masses, masses))
    waves = 521.47 * np.sqrt(np.linalg.eigvalsh(whole)[-3:])  # 1/cm of sqrt(eV/(A^2 u))
    assert waves == pytest.approx([1595, 3657, 3756], rel=0.1)  # measured ones
    monkeypatch.setattr(stiffness, "molecules", lambda: {"H2O": molecule("H2O"), "CH4": molecule("CH4")})
    monkeypatch.setattr(stiffness, "EVALUATIONS", 20)
    result = call(stiffness.main, "--fit", "--json", tmp_path / "found.json")
    assert result.exit_code == 0
    written = json.loads((tmp_path / "found.json").read_text())
    known = json.loads((RESULTS / "stiffness.json").read_text())
    assert [row["model"] for row in written["rows"]] == [row["model"] for row in known["rows"]]
    assert written["fit"]["after"] <= written["fit"]["before"]
