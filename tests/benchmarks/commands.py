"""What the tests of benchmarks share: how commands are called in this process, and a crystal."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
from ase import Atoms
from ase.build import bulk
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]


def call(main: Callable[..., Any], *words: object) -> Any:
    """Call a command with ``words``, and leave the handling of signals as it was."""
    app = typer.Typer()
    app.command()(main)
    before = signal.getsignal(signal.SIGTERM)
    try:
        return CliRunner().invoke(app, [str(word) for word in words])
    finally:
        signal.signal(signal.SIGTERM, before)


def alloy(rattle: float = 0.08) -> Atoms:
    """Return a rattled crystal of CuAu."""
    atoms = bulk("CuAu", "cesiumchloride", a=3.2)
    atoms.rattle(rattle, seed=1)
    return atoms
