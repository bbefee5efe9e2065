"""The command ``relax landscape``.

Modules are imported where they are used, so that the help is shown at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from relax.cli.inputs import input_files, named_structures
from relax.cli.options.declaration import takes_options
from relax.cli.terminal import print_table, warn
from relax.cli.viewing.landscape_options import LandscapeOptions
from relax.core.errors import CalculatorError, InvalidStructure, UnsupportedStructure, UsageError
from relax.core.process import Interrupts

if TYPE_CHECKING:
    from ase import Atoms
    from rich.console import RenderableType

    from relax.analysis.landscape.result import Landscape

__all__ = ["landscape"]


@takes_options(LandscapeOptions)
def landscape(**values: Any) -> None:
    """Draw the energy on a plane through the paths of one or several runs.

    Each file is the path of a run, such as a trajectory, and all are of the same atoms in the same order. The
    frames are aligned, and the plane is that of their two largest principal components, or another one. The
    energy on it is computed on a grid, and the paths are drawn as they are projected on it. The energy at a
    projected frame is not that of the frame: the table says how far the frames are from the plane.

    A file that --data has written is drawn again, without a calculator.

    Exit code: 0, 2 for wrong options, structures or files, 128 and its number after a signal.
    """
    from relax.core.process import ONE_THREAD

    os.environ.update(ONE_THREAD)  # before numpy is loaded, which reads it then
    options = LandscapeOptions(**values)
    options.validate()
    interrupts = Interrupts()
    with _errors_in_one_line(), interrupts.handled():
        try:
            found = _loaded(options) if options.again else _made(options)
        except KeyboardInterrupt as stop:
            warn("stopped before the grid was complete; nothing is written")
            raise typer.Exit(128 + (stop.args[0] if stop.args else signal.SIGINT)) from None
        _write(found, options)
    print_table(lambda width: _table(found))


def _loaded(options: LandscapeOptions) -> Landscape:
    """Return the landscape of a file."""
    from dataclasses import replace

    from relax.analysis.landscape.result import Landscape

    found = Landscape.load(options.files[0])
    return replace(found, names=tuple(_names(options, list(found.names))))


def _made(options: LandscapeOptions) -> Landscape:
    """Return the landscape of the files."""
    from relax.analysis.landscape.api import landscape
    from relax.calculators.potentials import as_potential

    files = list(input_files(options))
    paths = [_frames(file, options.format) for file in files]
    names = _names(options, _short(files))
    three = [atoms for file in options.through or () for atoms in _frames(file, options.format)]
    if options.through and len(three) != 3:
        raise UsageError(f"--through: a plane goes through three structures (got {len(three)})")
    kwargs = options.calculator_kwargs()
    return landscape(
        dict(zip(names, paths, strict=True)),
        as_potential(kwargs.pop("name"), **kwargs),
        plane=three or options.plane,
        centre=options.centre,
        points=options.points,
        margin=options.margin,
        reach=options.reach,
        progress=True,
        words=options.calculator,
    )


def _frames(file: str, file_format: str | None) -> list[Atoms]:
    """Return the structures of a file.  Raises UsageError where one cannot be read."""
    try:
        return [atoms for _, _, atoms in named_structures(file, file_format)]
    except InvalidStructure as error:
        raise UsageError(f"{file}: {error}") from None


def _short(files: list[str]) -> list[str]:
    """Return the names of files without folders and suffixes, where these still tell them apart."""
    stems = [Path(file).stem for file in files]
    return stems if len(set(stems)) == len(stems) else files


def _names(options: LandscapeOptions, names: list[str]) -> list[str]:
    """Return what the paths are called.  Raises UsageError for names that do not fit them."""
    labels = options.label or names
    if len(labels) != len(names):
        raise UsageError(f"--label: there are {len(names)} paths, and {len(labels)} names")
    if len(set(labels)) < len(labels):
        raise UsageError("two paths have the same name; name each file once, or give each a --label")
    return labels


def _write(found: Landscape, options: LandscapeOptions) -> None:
    """Write the files that are asked for; the numbers first, which take long to compute."""
    if options.data is not None:
        found.save(options.data)
    found.draw(options.output, per_atom=options.per_atom, highest=options.highest, title=options.title)


def _table(found: Landscape) -> RenderableType:
    """Return the table of the paths, and what is explained."""
    import numpy as np
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("path", overflow="fold")
    for title in ("frames", "energy at start, eV", "at end, eV", "end on plane, eV", "farthest from it, A"):
        table.add_column(title, justify="right")
    ends = np.column_stack([found.ends, found.on_plane])
    for name, apart, own in zip(found.names, found.distances, ends, strict=True):
        energies = (f"{energy:.4f}" for energy in own)
        table.add_row(Text(name), str(len(apart)), *energies, f"{apart.max():.3g}")
    return Group(table, *(Text(line) for line in found.lines()))


@contextlib.contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """Turn what is wrong with structures, files or the calculator into UsageError."""
    try:
        yield
    except (CalculatorError, InvalidStructure, UnsupportedStructure, ValueError) as error:
        raise UsageError(" ".join(str(error).split())) from error
    except OSError as error:
        raise UsageError(f"{error.filename or 'output'}: {error.strerror or error}") from error
