"""Structures from the input files: read one at a time, named and checked.

Modules are imported where they are used: the command imports this one to show its help.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from relax.cli.terminal import warn
from relax.core.errors import InvalidStructure

if TYPE_CHECKING:
    from ase import Atoms

    from relax.cli.options import RunOptions
    from relax.cli.options.inputs import InputOptions
    from relax.core.result import Result

__all__ = ["Record", "checked_record", "count_inputs", "input_files", "named_structures"]


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
    digest
        What tells it from other structures, see :func:`relax.io.check.digest`.
    with_cell
        Whether its cell relaxes.
    place
        Its number among all structures of the run.
    result
        How it ended.
    """

    file: str
    frame: int
    source: str
    atoms: Atoms
    digest: str = ""
    with_cell: bool = False
    place: int = 0
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
            "relax_place": self.place,
            "relax_input": self.digest,
            "relax_rule": options.rule_text,
            "relax_options": options.options_text,
            "relax_status": result.status,
            "relax_reason": result.reason.replace("\\", "/"),  # ASE writes none that can be read
            "relax_force_calls": result.force_calls,
            "relax_fmax": result.fmax,
            "relax_smax": result.smax,
            "relax_energy_first": result.energy_first,
            "relax_volume_ratio": result.volume_ratio,
            "relax_spacegroup_first": result.spacegroup_first,
            "relax_spacegroup_last": result.spacegroup_last,
        }
        if options.prior:
            info |= {"relax_prior_calls": result.prior_calls}
        if options.check:
            info |= {"relax_curvature": result.curvature, "relax_frequency": result.frequency}
            info |= {"relax_escapes": result.escapes}
        return {k: v for k, v in info.items() if v != "" and not (isinstance(v, float) and math.isnan(v))}


def input_files(options: InputOptions) -> Iterator[str]:
    """Yield the files that the options name, those in folders and of patterns too; not what it writes.

    Where a name stands for no file, it is yielded itself, and :func:`named_structures` says what is wrong.
    """
    from relax.io.named_files import expanded

    return expanded(options.files, options.recursive, [path for _, path in options.output_files()])


def named_structures(file: str, file_format: str | None = None) -> Iterator[tuple[str, int, Atoms]]:
    """Yield the name, the frame and the atoms of each structure in a file.

    Parameters
    ----------
    file
        A file, ``FILE@SLICE`` as in ASE, or ``-`` for standard input.
    file_format
        ASE's name of the format; by default, what ASE recognises, and extended XYZ for standard input.

    Raises
    ------
    InvalidStructure
        As :func:`relax.io.read.read_structures`, after the structures before the fault.
    """
    from relax.io.named_files import missing, split_slice
    from relax.io.read import read_numbered

    if reason := missing(file):
        raise InvalidStructure(reason)
    path, index = split_slice(file)
    frames = read_numbered(file, file_format)
    first = [next(frames)]
    fault = None
    try:
        first += [found for _, found in zip(range(1), frames, strict=False)]
    except InvalidStructure as error:
        fault = error
    alone = len(first) == 1 and index is None
    for frame, atoms in chain(first, frames):
        yield path if alone else f"{path}#{frame}", frame, atoms
    if fault:
        raise fault


def checked_record(record: Record, options: RunOptions) -> Record:
    """Return a record, periodic as the options say and with whether its cell relaxes, if it can be relaxed.

    Raises
    ------
    InvalidStructure
        It cannot.
    """
    import numpy as np

    from relax.io.check import check_structure
    from relax.io.named_files import split_slice

    if options.periodic is not None:
        record.atoms.pbc = options.periodic
    check_structure(record.atoms)
    record.file, _ = split_slice(record.file)
    numbers = record.atoms.numbers
    if options.known and not any(np.array_equal(one.numbers, numbers) for one in options.known_structures):
        warn(f"{record.source}: no known calculation is of these atoms, in this order")
    record.with_cell = options.cell and _cell_relaxes(options, record.source, record.atoms)
    return record


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


def count_inputs(files: Iterable[str], file_format: str | None = None) -> int | None:
    """Return the number of structures in ``files``, or None where only reading them would tell."""
    from relax.io.named_files import STANDARD_INPUT, split_slice
    from relax.io.read import count_structures

    total = 0
    for file in files:
        path, index = split_slice(file)
        frames = None if file == STANDARD_INPUT else count_structures(path, file_format)
        if frames is None:
            return None
        total += frames if index is None else len(range(frames)[index])
    return total
