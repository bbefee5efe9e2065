"""What the library reports by ``logging``, and how the command shows it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import write

from relax import relax_many
from relax.calculators.base import Potential
from relax.calculators.batch_size import SWEEPS, Budget
from relax.cli.terminal import messages_shown

ROOT = Path(__file__).parents[1]


@pytest.fixture
def planar(relax) -> str:
    """Return the name of a file with a saddle."""
    write("planar.extxyz", Atoms("Cu4", 2.3 * np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])))
    return "planar.extxyz"


def test_messages_are_shown_as_asked(relax, planar):
    words = ("run", "-c", "emt", "--check", "minimum", "--escape", planar, "--json")
    silent = relax(*words)
    assert (silent[0], len(silent[2])) == (0, 1)
    assert silent[2][0].startswith("relax: 1 of 1 converged; ")
    _, out, some = relax(*words, "-v")
    _, _, more = relax(*words, "-vv")
    result, quiet = (json.loads(text) for text in (out, silent[1]))
    del result["wall_time"], quiet["wall_time"]
    assert result == quiet
    assert all(line.startswith("relax: ") for line in some)
    assert sum(line.startswith("relax: emt was loaded in ") for line in some) == 1
    assert sum("leaves a saddle point: the lowest curvature is -" in line for line in some) == 1
    assert len(some) == 3  # the summary, too
    assert any("the rule forgets" in line for line in more)
    assert not any("the rule forgets" in line for line in some)
    assert logging.getLogger("relax").level == logging.NOTSET


def test_the_library_is_silent_and_can_be_heard(caplog):
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05)
    ended = subprocess.run(
        [
            sys.executable, "-c",
            "import logging, relax; logging.getLogger('relax.x').warning('heard')\n"
            "assert [type(h).__name__ for h in logging.getLogger('relax').handlers] == ['NullHandler']",
        ],
        capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")

    class Fickle(EMT):
        calls = 0

        def calculate(self, *args):
            super().calculate(*args)
            self.calls += 1
            if self.calls == 3:
                self.results["forces"] *= np.nan

    with caplog.at_level(logging.INFO, "relax"):
        (done,) = relax_many([atoms], Fickle(), on_bad="backtrack")
    assert done.result.converged
    assert any("goes back, and on with half steps: nonfinite: " in text for text in caplog.messages)


def test_the_size_of_batches_is_reported(caplog):
    class Model:
        unit, device, batched = "atoms", "cpu", True

    model: Potential = Model()  # type: ignore[assignment]
    budget = Budget(model)
    with caplog.at_level(logging.INFO, "relax"):
        for _ in range(SWEEPS):
            for chunk in budget.chunks(np.full(64, 4.0)):
                budget.learn(len(chunk), 4.0 * len(chunk), 0.001 * max(len(chunk), 16))
        budget.shrink(budget.limit)
    assert caplog.messages[0] == f"calls of up to {2 * budget.limit:.0f} atoms are the fastest"
    assert caplog.messages[1] == f"out of memory; from now on, calls of up to {budget.limit:.0f} atoms"


def test_a_message_is_one_line_and_shown_once(capsys):
    logger = logging.getLogger("relax.somewhere")
    with messages_shown(1):
        logger.info("two\nlines")
        logger.debug("a detail")
    logger.warning("after the run")
    assert capsys.readouterr() == ("", "relax: two lines\n")
