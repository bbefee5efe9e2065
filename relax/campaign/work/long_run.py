"""The run of one large structure, which goes on where it was when its process is ended."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ase import Atoms

from relax.calculators.as_calculator import PotentialCalculator
from relax.calculators.base import Evaluation, Geometry, Potential
from relax.campaign.store.structures import atoms_of, record_of
from relax.core.errors import UsageError
from relax.core.result import Result
from relax.engine.batch.of_ase.names import is_ase
from relax.engine.entries import Relaxed
from relax.geometry.sanity import change
from relax.geometry.symmetry import SYMPREC, space_group
from relax.optimizers.named import OPTIMIZERS
from relax.optimizers.restart import dump
from relax.rules import DEFAULT_RULE, rule_beside

__all__ = ["LARGE", "can_go_on", "relax_with_checkpoints"]

Json = dict[str, Any]

LARGE = 200
"""Number of atoms from which a structure that is a unit of its own has checkpoints."""

EVERY = 30.0
"""Seconds between two checkpoints: less than what a new process takes to begin is not worth one."""

CRITERIA = ("fmax", "steps", "smax", "energy_change", "displacement", "timeout")
OF_BATCHES = ("budget", "batch_size", "draws")

DEFAULT_STEPS = 500


def can_go_on(atoms: Atoms, arguments: Json) -> bool:
    """Return whether a structure that is alone has checkpoints.

    Parameters
    ----------
    atoms
        The structure.
    arguments
        Those of :func:`relax.engine.api.relax_many`.
    """
    rule = arguments.get("rule", DEFAULT_RULE)
    return len(atoms) >= LARGE and not is_ase(rule) and arguments.get("draws", 1) == 1


def relax_with_checkpoints(
    given: Atoms,
    potential: Potential,
    arguments: Json,
    path: Path,
    interruptible: Callable[[], AbstractContextManager[None]],
) -> Relaxed:
    """Relax one structure, from its last checkpoint if there is one.

    The force call that a new process repeats is not counted, so that the numbers are those of one run.

    Parameters
    ----------
    given
        The structure.
    potential
        What computes.
    arguments
        Those of :func:`relax.engine.api.relax_many`.
    path
        The file of the checkpoint.
    interruptible
        The context of a force call.

    Raises
    ------
    KeyboardInterrupt
        From a force call: the process is to stop.
    UsageError
        The checkpoint cannot be written.
    """
    options = dict(arguments)
    beside = options.get("prior"), options.get("known")
    rule = str(rule_beside(options.pop("rule", DEFAULT_RULE), *beside))
    criteria = {name: options.pop(name) for name in CRITERIA if name in options}
    for name in OF_BATCHES:
        options.pop(name, None)
    options["cell"] = options["cell"](given) if callable(options["cell"]) else options["cell"]
    before = _read(path)
    atoms = given.copy() if before is None else atoms_of(before["structure"])
    atoms.calc = calculator = PotentialCalculator(_Interruptible(potential, interruptible))
    try:
        optimizer = _optimizer(rule, atoms, options, before, path)
        done = before or {"steps": 0, "calls": 0, "seconds": 0.0, "energy_first": None}
        criteria["steps"] = max(criteria.get("steps", DEFAULT_STEPS) - done["steps"], 0)
        written = time.monotonic()
        with contextlib.closing(optimizer.irun(**criteria)) as run:
            for _ in run:
                if time.monotonic() - written > EVERY:
                    _write(path, atoms, optimizer, _sums(done, optimizer.result, repeated=1))
                    written = time.monotonic()
        result = optimizer.result
    finally:
        calculator.release()
    path.unlink(missing_ok=True)
    if before is not None:
        sums = _sums(done, result)
        ratio, shortest = change(given, atoms)
        result = dataclasses.replace(
            result, steps=sums["steps"], force_calls=sums["calls"], wall_time=sums["seconds"],
            energy_first=sums["energy_first"], volume_ratio=ratio, shortest=shortest,
            spacegroup_first=space_group(given, options.get("symprec", SYMPREC)),
        )  # fmt: skip
    return Relaxed(0, atoms, result)


class _Interruptible:
    """A potential whose calls can be interrupted."""

    def __init__(self, potential: Potential, context: Callable[[], AbstractContextManager[None]]) -> None:
        self.potential, self.context = potential, context
        self.unit, self.device, self.batched = potential.unit, potential.device, potential.batched

    def admit(self, key: int, atoms: Atoms) -> float:
        return self.potential.admit(key, atoms)

    def release(self, key: int) -> None:
        self.potential.release(key)

    def evaluate(self, geometry: Geometry, stress: bool) -> Evaluation:
        with self.context():
            return self.potential.evaluate(geometry, stress)


def _optimizer(rule: str, atoms: Atoms, options: Json, before: Json | None, path: Path) -> Any:
    """Return the optimizer, as it was at the checkpoint if there is one."""
    if before is None:
        return OPTIMIZERS[rule](atoms, logfile=None, **options)
    restart = path.with_suffix(".rule")
    restart.write_text(before["rule"])
    try:
        optimizer = OPTIMIZERS[rule](atoms, logfile=None, restart=restart, **options)
    finally:
        restart.unlink()
    optimizer.restart = None  # it would write the file at every step
    return optimizer


def _sums(done: Json, result: Result, repeated: int = 0) -> Json:
    """Return what the run has taken, with what it had at its checkpoint."""
    first = done["energy_first"]
    return {
        "steps": done["steps"] + result.steps,
        "calls": done["calls"] + result.force_calls - repeated,
        "seconds": done["seconds"] + result.wall_time,
        "energy_first": result.energy_first if first is None else first,
    }


def _read(path: Path) -> Json | None:
    """Return the checkpoint in a file; None where there is none that is whole."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_text())
        if isinstance(found, dict):
            return found
    return None


def _write(path: Path, atoms: Atoms, optimizer: Any, sums: Json) -> None:
    """Write a checkpoint, whole or not at all."""
    restart, part = path.with_suffix(".rule"), path.with_suffix(".part")
    try:
        dump(restart, optimizer.engine)
        content = {"structure": record_of(atoms), "rule": restart.read_text(), **sums}
        part.write_text(json.dumps(content))
        os.replace(part, path)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    finally:
        restart.unlink(missing_ok=True)
        part.unlink(missing_ok=True)
