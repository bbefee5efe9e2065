"""The ASE optimizers in the place of ASE's own, where a user would notice that they are not."""

from __future__ import annotations

from typing import Any

import ase.optimize
import numpy as np
import pytest
from ase import Atoms
from ase.optimize.optimize import RestartError
from toys import copper

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
