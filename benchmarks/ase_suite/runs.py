"""Run ASE's tests in a process of their own, in a temporary folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.common.provenance import ROOT

GROUPS = ("optimize", "constraints", "filter", "neb")
"""Packages of ``ase.test``."""

Outcomes = dict[str, dict[str, str]]
"""``outcome`` and, where there is something to say, ``why``, by test."""

DONE = (0, 1)
"""Exit codes of pytest after all tests were run: all passed, some failed."""


def run(name: str | None, *options: str) -> Outcomes:
    """Return what became of each test with the optimizer ``name`` in the place of ASE's.

    Parameters
    ----------
    name
        Name of one of our optimizers; None leaves ASE's in place.
    options
        More words for pytest.

    Raises
    ------
    ChildProcessError
        pytest did not come to an end.
    """
    with tempfile.TemporaryDirectory() as folder:
        file, settings = Path(folder, "outcomes.json"), Path(folder, "pytest.ini")
        settings.write_text("[pytest]\n")  # else those of a project around ASE's folder would be read
        words = [sys.executable, "-m", "pytest", "--pyargs", *(f"ase.test.{group}" for group in GROUPS)]
        words += ["-q", "--no-header", "-c", str(settings), "-p", "no:cacheprovider"]
        words += ["-p", "benchmarks.ase_suite.plugin", "--outcomes", str(file)]
        words += ["--stand-in", name] if name else []
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [*words, *options], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode not in DONE or not file.exists():
            raise ChildProcessError(
                f"pytest ended with {done.returncode}: {(done.stdout + done.stderr)[-500:]}"
            )
        outcomes: Outcomes = json.loads(file.read_text())
    return outcomes
