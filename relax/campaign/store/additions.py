"""Structures and rounds as they get into the folder of a campaign."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relax.campaign.store.folder import Folder
from relax.campaign.store.lines import text_of
from relax.campaign.store.rounds import Round, Unit, units_of, write_round
from relax.core.errors import InvalidStructure, UsageError

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["Given", "add_round", "add_structures"]

IN_FILE = 100_000
"""Structures in a file of inputs."""

TOGETHER = 64
"""Atoms of structures that go together from one step to the next.

The code of a step then stays in the cache of the processor, which halves the time of small structures.
"""

FEW = 16
"""Atoms of a structure up to which its formula is remembered: it takes long beside the rest."""


@dataclass(frozen=True)
class Given:
    """A structure that is given to a campaign.

    Parameters
    ----------
    atoms
        The structure.
    source
        Its name.
    file, frame
        The file that it comes from, and its place there from 0; empty and 0 if it comes from none.
    """

    atoms: Atoms
    source: str
    file: str = ""
    frame: int = 0


def add_structures(folder: Folder, given: Iterable[Atoms | Given], number: int, unit: int, first: int) -> int:
    """Write structures to new files, and a round with them; return how many there are.

    A structure that cannot be relaxed is written with the reason.

    Parameters
    ----------
    folder
        The folder of the campaign.
    given
        The structures, which are taken one after the other.
    number, unit, first
        Numbers of the round, of its first unit and of its first structure.

    Raises
    ------
    UsageError
        A file cannot be written.
    """
    costs, valid = array("f"), array("q")
    inputs: list[str] = []
    count = 0
    try:
        for path in folder.inputs.glob(f"{number:06d}-*.jsonl"):
            path.unlink()  # of an addition that was killed
        records = _records(folder, given, first)
        while some := next(records, None):
            inputs.append(f"{number:06d}-{len(inputs):06d}.jsonl")
            with open(folder.inputs / inputs[-1], "x") as file:
                for record in chain([some], islice(records, IN_FILE - 1)):
                    file.write(text_of([record]))
                    count += 1
                    if "invalid" not in record:
                        costs.append(record["cost"])
                        valid.append(record["id"])
                file.flush()
                os.fsync(file.fileno())
        kind = "add" if number else "init"
        units = units_of(zip(valid, costs, strict=True), sum(costs), number, unit, folder.unit_cost)
        add_round(folder, Round(number, kind, tuple(inputs)), units)
    except OSError as error:
        raise UsageError(f"{error.filename or folder.inputs}: {error.strerror}") from error
    return count


def add_round(folder: Folder, begun: Round, units: Iterable[Unit]) -> None:
    """Write a round, which counts from then on: whole, or not at all.

    Raises
    ------
    UsageError
        There is one of this number, or it cannot be written.
    """
    path = folder.rounds / f"{begun.number:06d}.jsonl"
    part = folder.rounds / f".{begun.number:06d}.{os.getpid()}.part"
    try:
        try:
            write_round(part, begun, units)
            _flush(part)
            os.link(part, path)
        finally:
            part.unlink(missing_ok=True)
    except FileExistsError:
        raise UsageError(
            f"{path} is there already: another command has changed the campaign; try again"
        ) from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error


def _records(folder: Folder, given: Iterable[Atoms | Given], first: int) -> Iterator[dict[str, Any]]:
    from relax.campaign.store.structures import record_of
    from relax.io.check import digest

    for some in _together(given, first):
        structures = [_periodic(each.atoms, folder.settings.pbc) for _, each in some]
        formulas, digests = list(map(_formula, structures)), list(map(digest, structures))
        checks, contents = list(map(_checked, structures)), list(map(record_of, structures))
        for (id_, each), formula, start, check, content in zip(
            some, formulas, digests, checks, contents, strict=True
        ):
            head = {"id": id_, "source": each.source, "file": each.file, "frame": each.frame}
            yield {**head, "formula": formula, "digest": start, **check, **content}


def _together(given: Iterable[Atoms | Given], first: int) -> Iterator[list[tuple[int, Given]]]:
    some: list[tuple[int, Given]] = []
    size = 0
    for id_, thing in enumerate(given, first):
        some.append((id_, _named(id_, thing)))
        size += 1 + len(some[-1][1].atoms)
        # Whoever gives no more than atoms may change them before giving them again.
        if size > TOGETHER or not isinstance(thing, Given):
            yield some
            some, size = [], 0
    if some:
        yield some


def _periodic(atoms: Atoms, pbc: Sequence[bool] | None) -> Atoms:
    if pbc is not None:
        atoms = atoms.copy()
        atoms.pbc = pbc
    return atoms


def _checked(atoms: Atoms) -> dict[str, Any]:
    from relax.campaign.store.structures import cost_of
    from relax.io.check import check_structure

    try:
        check_structure(atoms)
    except InvalidStructure as error:
        return {"invalid": str(error), "cost": 0.0}
    return {"cost": cost_of(atoms)}


def _formula(atoms: Atoms) -> str:
    if len(atoms) > FEW:
        return str(atoms.get_chemical_formula("metal"))
    return _formula_of(tuple(atoms.numbers.tolist()))


@lru_cache(maxsize=1024)
def _formula_of(numbers: tuple[int, ...]) -> str:
    from ase import Atoms

    return str(Atoms(numbers).get_chemical_formula("metal"))


def _named(id_: int, thing: Atoms | Given) -> Given:
    if isinstance(thing, Given):
        return thing
    from ase import Atoms

    if not isinstance(thing, Atoms):
        raise UsageError(f"structure {id_} is a {type(thing).__name__}, expected ase.Atoms")
    return Given(thing, str(thing.info.get("source", id_)))


def _flush(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
