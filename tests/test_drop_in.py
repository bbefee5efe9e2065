"""The ASE optimizers in the place of ASE's own, where a user would notice that they are not."""

from __future__ import annotations

from typing import Any

import ase.optimize
import numpy as np
import pytest
from ase import Atoms
from ase.constraints import ExternalForce, FixBondLength
from ase.optimize.optimize import RestartError
from toys import CountedEMT, copper

from relax.optimizers.named import FIRERelax, InternalLBFGSRelax, PairLBFGSRelax

OURS = pytest.mark.parametrize("optimizer", [PairLBFGSRelax, InternalLBFGSRelax])


def test_a_gradient_for_converged_is_deprecated_as_in_ase():
    atoms = copper()
    both: list[Any] = [optimizer(atoms, logfile=None) for optimizer in (ase.optimize.BFGS, FIRERelax)]
    for opt in both:
        opt.fmax = 0.05
        for force in (0.04, 0.06):
            gradient = np.full(3 * len(atoms), force / np.sqrt(3))
            with pytest.warns(FutureWarning, match="gradient"):
                assert opt.converged(gradient=gradient) == (force < 0.05)
            assert opt.gradient_converged(gradient) == (force < 0.05)


def test_a_restart_file_that_is_none_is_told_as_in_ase(tmp_path):
    path = tmp_path / "state"
    path.write_text("hello world\n")
    for optimizer in (ase.optimize.BFGS, PairLBFGSRelax):
        with pytest.raises(RestartError, match="Could not decode") as raised:
            optimizer(Atoms(), restart=path, logfile=None)
        assert "\n" not in str(raised.value)


def pulled() -> tuple[Atoms, FixBondLength]:
    """Return a chain of gold whose ends are pulled apart, and the constraint that holds them."""
    atoms = Atoms("Au3", [(0, 0, 0), (2.5, 0.3, 0), (5.0, 0, 0)], calculator=CountedEMT())
    held = FixBondLength(0, 2)
    atoms.set_constraint([ExternalForce(0, 2, 0.2), held])
    return atoms, held


@OURS
def test_a_constraint_tells_what_force_it_took(optimizer):
    forces = []
    for made in (ase.optimize.BFGS, optimizer):
        atoms, held = pulled()
        assert made(atoms, logfile=None).run(fmax=1e-4)
        forces.append(held.constraint_forces)
    assert np.linalg.norm(forces[0][0]) > 0.1
    np.testing.assert_allclose(*forces, atol=1e-3)


def test_a_constraint_that_is_changed_between_runs_is_followed():
    lengths = []
    for optimizer in (ase.optimize.BFGS, PairLBFGSRelax):
        atoms = Atoms("Au2", [(0, 0, 0), (2.5, 0, 0)], calculator=CountedEMT())
        pull = ExternalForce(0, 1, 0.0)
        atoms.set_constraint(pull)
        opt = optimizer(atoms, logfile=None)
        for pull.external_force in (0.1, 0.4):
            assert opt.run(fmax=1e-4)
            lengths.append(atoms.get_distance(0, 1))
    assert lengths[1] > lengths[0] + 0.005
    assert lengths[2:] == pytest.approx(lengths[:2], abs=1e-4)
