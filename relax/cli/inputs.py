"""Structures from the input files: read one at a time, named and checked.

Modules are imported where they are used: the command imports this one to show its help.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from relax.cli.terminal import warn
from relax.core.errors import InvalidStructure

if TYPE_CHECKING:
    from ase import Atoms

    from relax.cli.options import RunOptions
    from relax.core.result import Result

__all__ = ["InvalidInput", "Record", "checked_record", "count_inputs", "named_structures"]


@dataclass
class Record:
    """A structure in a run, from its file to its result.

    Parameters
    ----------
    file, frame
        The file, and the number of the structure in it.
    source
        The name of the structure: the file, with the frame if there are several.
    atoms
        The structure; later the relaxed one.
    with_cell
        Whether its cell relaxes.
    place
        Its number among the structures that are relaxed.
    result
        How it ended.
    """

    file: str
    frame: int
    source: str
    atoms: Atoms
    with_cell: bool = False
    place: int = field(default=0, init=False)
    result: Result = field(init=False, repr=False)

    @property
    def formula(self) -> str:
        """The chemical formula."""
        return str(self.atoms.get_chemical_formula("metal"))

    def output_info(self, options: RunOptions) -> dict[str, Any]:
        """Return what the output file says about the structure, without numbers that are not known."""
        result = self.result
        info = {
            "source": self.source,
            "relax_rule": options.rule_text,
            "relax_options": options.options_text,
            "relax_status": result.status,
            "relax_reason": result.reason.replace("\\", "/"),  # ASE writes none that can be read
            "relax_force_calls": result.force_calls,
            "relax_fmax": result.fmax,
            "relax_smax": result.smax,
            "relax_volume_ratio": result.volume_ratio,
            "relax_spacegroup_first": result.spacegroup_first,
            "relax_spacegroup_last": result.spacegroup_last,
        }
        if options.check:
            info |= {"relax_curvature": result.curvature, "relax_frequency": result.frequency}
            info |= {"relax_escapes": result.escapes}
        return {k: v for k, v in info.items() if v != "" and not (isinstance(v, float) and math.isnan(v))}


@dataclass(frozen=True)
class InvalidInput:
    """A file, or a structure in it, that cannot be relaxed, and why."""

    file: str
    frame: int | None
    reason: str


def named_structures(file: str) -> Iterator[tuple[str, int, Atoms]]:
    """Yield the name, the frame and the atoms of each structure in a file.

    Raises
    ------
    InvalidStructure
        As :func:`relax.io.read.read_structures`, after the structures before the fault.
    """
    from relax.io.read import read_structures

    frames = read_structures(file)
    first = [next(frames)]
    fault = None
    try:
        first += [atoms for _, atoms in zip(range(1), frames, strict=False)]
    except InvalidStructure as error:
        fault = error
    for frame, atoms in enumerate(chain(first, frames)):
        yield f"{file}#{frame}" if len(first) > 1 else file, frame, atoms
    if fault:
        raise fault


def checked_record(options: RunOptions, file: str, frame: int, source: str, atoms: Atoms) -> Record:
    """Return the record of a structure that can be relaxed, periodic as the options say.

    Raises
    ------
    InvalidStructure
        It cannot.
    """
    from relax.io.check import check_structure

    if options.periodic is not None:
        atoms.pbc = options.periodic
    check_structure(atoms)
    return Record(file, frame, source, atoms, options.cell and _cell_relaxes(options, source, atoms))


def _cell_relaxes(options: RunOptions, source: str, atoms: Atoms) -> bool:
    """Return whether ``--cell`` applies to ``atoms``; warn if not to all of it, or to vacuum."""
    from relax.geometry.vacuum import relaxing_vacuum, vacuum_words

    if not atoms.pbc.any():
        warn(f"{source}: not periodic, so its cell is kept")
        return False
    if not atoms.pbc.all() and options.pressure:
        raise InvalidStructure("--pressure needs a structure that is periodic in three directions")
    if vacuum := relaxing_vacuum(atoms, options.freedom()):
        words, periodic = vacuum_words(atoms, vacuum)
        letters = "".join("FT"[along] for along in periodic)
        warn(f"{source}: {words}; add --pbc {letters}, or --cell-mask with the axes that may relax")
    elif not atoms.pbc.all():
        axes = " and ".join(axis for axis, along in zip("abc", atoms.pbc, strict=True) if along)
        warn(f"{source}: periodic only along {axes}, so the rest of its cell is kept")
    return True


def count_inputs(files: list[str]) -> int | None:
    """Return the number of structures in ``files``, or None where only reading them would tell."""
    from relax.io.read import count_structures

    total = 0
    for file in files:
        frames = count_structures(file)
        if frames is None:
            return None
        total += frames
    return total
