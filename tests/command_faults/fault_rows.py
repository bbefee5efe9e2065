"""A row of the table of faults, and what holds for every row."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.build import bulk
from ase.io import write

from relax.io.extxyz import comment_fields, split_frames

OUTPUT = "out.extxyz"

Command = Callable[..., tuple[int, str, list[str]]]


def metal(element: str, seed: int = 1) -> Atoms:
    """Return four rattled atoms in a cubic cell: some three force calls of EMT."""
    atoms = bulk(element, cubic=True)
    atoms.rattle(0.05, seed=seed)
    return atoms


def nothing() -> None:
    """Set nothing up."""


@dataclass(frozen=True)
class Row:
    """A fault.  Beside it there are two good structures, before and after it.

    Parameters
    ----------
    name
        What is wrong.
    code
        The exit code.
    says
        A telling part of each line on standard error.
    setup
        Makes what is wrong, in the current folder.
    bad
        The structures that are named between the good ones.
    words
        Other words of the command.
    statuses
        The status in the output of the structures that are not good, by their names.
    repair
        Mends what is wrong.  The run that resumes then finds nothing wrong.
    """

    name: str
    code: int
    says: tuple[str, ...] = ()
    setup: Callable[[], Any] = nothing
    bad: tuple[str, ...] = ("bad.extxyz",)
    words: tuple[str, ...] = ()
    statuses: dict[str, str] = field(default_factory=dict)
    repair: Callable[[], Any] | None = None


def write_good() -> None:
    """Write the two good structures."""
    write("one.extxyz", metal("Cu", 1))
    write("two.extxyz", metal("Cu", 2))


def frames(path: str = OUTPUT) -> list[list[str]]:
    """Return the lines of each frame of an output."""
    with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        return list(split_frames(file))


def statuses(path: str = OUTPUT) -> dict[str, str]:
    """Return the status of each structure in an output by its name; no name is there twice."""
    found = [comment_fields(lines) for lines in frames(path)]
    names = [fields["source"] for fields in found]
    assert len(set(names)) == len(names), f"doubled: {names}"
    return {fields["source"]: fields["relax_status"] for fields in found}


def assert_said(errors: list[str], says: tuple[str, ...]) -> None:
    """Each line on standard error says what it should, and there is no other."""
    assert len(errors) == len(says), "\n".join(errors)
    for line, part in zip(errors, says, strict=True):
        assert line.startswith("relax: "), line
        assert re.search(part, line), f"{part!r} is not in {line!r}"


def check(row: Row, relax: Command) -> None:
    """Run the command of a row, look at all that it leaves, and resume it."""
    write_good()
    row.setup()
    before = {path.name for path in Path().iterdir()} - {"__pycache__"}
    command = ["run", "one.extxyz", *row.bad, "two.extxyz", "-c", "emt", "-o", OUTPUT, *row.words]
    code, _, errors = relax(*command)
    assert_said(errors, row.says)
    assert code == row.code
    good = {"one.extxyz": "converged", "two.extxyz": "converged"}
    assert statuses() == good | row.statuses
    assert {path.name for path in Path().iterdir()} - {"__pycache__"} == before | {OUTPUT}
    shown, table, errors = relax("show", OUTPUT)
    assert (shown, errors) == (0, [])
    assert all(name in table for name in good | row.statuses)

    first = Path(OUTPUT).read_bytes()
    if row.repair:
        row.repair()
    code, _, errors = relax(*command, "--resume")
    if row.repair is None:
        assert_said(errors, row.says)
        assert code == row.code
        assert Path(OUTPUT).read_bytes() == first
        return
    assert (code, errors) == (0, [])
    assert Path(OUTPUT).read_bytes().startswith(first)
    mended = statuses()
    assert set(mended.values()) == {"converged"}
    assert set(mended) > set(good)
