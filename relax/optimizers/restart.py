"""Files that a relaxation goes on from, to the last bit."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.io.jsonio import read_json, write_json
from ase.optimize.optimize import RestartError

from relax.core import state
from relax.core.rule import Rule
from relax.core.segments import Array
from relax.engine.evaluation import place_of, same_place

if TYPE_CHECKING:
    from relax.optimizers.single_run import SingleRun

__all__ = ["described", "dump", "load", "read", "save"]

WRONG = (ValueError, KeyError, TypeError, IndexError, AttributeError)
"""What a file raises that is read as what it is not."""


def leaves(tree: state.State) -> Iterator[Array]:
    """Yield the arrays of a state."""
    for node in tree.values():
        if isinstance(node, dict):
            yield from leaves(node)
        else:
            yield node


def paths(tree: state.State, above: str = "") -> Iterator[str]:
    """Yield where the arrays of a state are in it."""
    for name, node in tree.items():
        yield from paths(node, f"{above}{name}.") if isinstance(node, dict) else [above + name]


def nameless(value: Any) -> str:
    """Return ``value`` as text without addresses in memory."""
    return str(getattr(value, "__qualname__", None) or re.sub(r" at 0x[0-9a-f]+", "", repr(value)))


def described(rule: Rule) -> str:
    """Return ``rule`` as text that is the same from one process to the next."""

    def words(settings: dict[str, Any]) -> str:
        inner = {k: v for k, v in settings.items() if k != "rule"}
        parts = [f"{k}={words(v)}" if isinstance(v, dict) else f"{k}={nameless(v)}" for k, v in inner.items()]
        return f"({', '.join(parts)})"

    if isinstance(inner := getattr(rule, "rule", None), Rule):
        return f"{type(rule).__name__}[{described(inner)}]{words(rule.settings())}"
    return f"{type(rule).__name__}{words(rule.settings())}"


def save(path: Path, data: dict[str, Any]) -> None:
    """Write ``data`` to ``path``, whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "w") as file:
            write_json(file, data)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def no_restart_file(path: Path) -> RestartError:
    """Return the error that says that the file ``path`` cannot be used."""
    return RestartError(f"Could not decode {path}: it is no restart file of relax; delete it to start anew")


def decoded(path: Path) -> Any:
    """Return what the file ``path`` holds.

    Raises
    ------
    RestartError
        The file is no JSON.
    """
    try:
        return read_json(path, always_array=False)
    except WRONG as error:
        raise no_restart_file(path) from error


def load(path: Path, rule: Rule, rows: int) -> tuple[state.State, dict[str, Any]]:
    """Return the state of ``rule`` for a structure of ``rows`` rows, and all that the file holds.

    Raises
    ------
    RestartError
        The file is no restart file.
    ValueError
        It is of another rule, or of another structure.
    """
    try:
        data = decoded(path)
        written = data["rule"]
        read = state.from_plain(data["state"], like=np.zeros((rows, 3)))
        found = {leaf.shape[0] for leaf in leaves(read)}
    except WRONG as error:
        raise no_restart_file(path) from error
    if written != described(rule):
        raise ValueError(
            f"{path} was written by {written}, not by {described(rule)}; "
            "use the same settings, or delete the file to start anew"
        )
    if found != {rows}:
        raise ValueError(f"{path} is of a structure of {found} rows, this one has {rows}")
    if sorted(paths(read)) != sorted(paths(rule.init(np.zeros((rows, 3))))):
        raise ValueError(f"{path} was written by another version of relax; delete it to start anew")
    return read, data


def dump(path: Path, run: SingleRun) -> None:
    """Write to ``path`` what ``run`` needs to go on to the last bit, and without the last force call."""
    data = {
        "rule": described(run.rule),
        "cell": cell_words(run),
        "state": state.to_plain(run.state or run.rule.init(run.structure.coordinates.x)),
        "place": run.structure.to_plain(),
        "first": run.first,
    }
    if run.known and run.record is not None:
        data["computed"] = run.record
    save(path, data)


def read(path: Path, run: SingleRun) -> bool:
    """Let ``run`` go on from the file ``path``; return whether the atoms were put to where that has them.

    Those are that are, to the last bit, where they were when the run began: a script that is run again.

    Raises
    ------
    RestartError
        The file is no restart file.
    ValueError
        It is of another rule, of another structure, or of another freedom of the cell.
    """
    found, data = load(path, run.rule, run.structure.coordinates.seg.rows)
    if data.get("cell") != cell_words(run):
        raise ValueError(
            f"{path} was written with {data.get('cell')}, not with {cell_words(run)}; "
            "use the same settings, or delete the file to start anew"
        )
    run.state = found
    place, first = data.get("place", {}), run.first
    run.first = data.get("first", first)
    went = same_place(run.first, first) and "positions" in place
    if went:
        atoms = run.structure.images[0]
        atoms.set_cell(place["cell"], apply_constraint=False)
        atoms.set_positions(place["positions"], apply_constraint=False)
    run.structure.from_plain(place)
    run.earlier = data.get("computed")
    return went and not same_place(first, place_of(run.structure.images[0]))


def cell_words(run: SingleRun) -> str:
    """Return what the cell may do, in words."""
    return repr(run.structure.freedom) if run.structure.freedom else "cell=False"
