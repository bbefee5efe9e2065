"""Checks of the options of ``relax run`` together, and of the files that they name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from relax.core.errors import UsageError

if TYPE_CHECKING:
    from relax.cli.options.calculator import CalculatorOptions
    from relax.cli.options.run_options import RunOptions

__all__ = ["check_calculator", "check_outputs", "check_together"]


def check_together(options: RunOptions) -> None:
    """Raise UsageError for options that do not work together, or not here."""
    _check_conflicts(options)
    if options.batch:
        _check_batch(options)
    check_calculator(options)
    _check_paths(options)


def check_calculator(options: CalculatorOptions) -> None:
    """Raise UsageError for a calculator that there is not, or options that it does not have."""
    from relax.calculators.registry import check_name
    from relax.core.errors import CalculatorError

    try:
        check_name(options.calculator, options.device, options.dtype, options.head)
    except CalculatorError as error:
        raise UsageError(str(error)) from None


def _check_conflicts(options: RunOptions) -> None:
    """Check options that exclude each other."""
    from relax.rules import RULES

    if options.metric and RULES[options.rule]().stiffness is not None:
        raise UsageError(f"--metric is not for {options.rule}, which is always preconditioned; leave it out")
    if options.rattle and options.symmetry == "keep":
        raise UsageError("--rattle breaks the symmetry that --symmetry keep preserves; give one of them")
    if options.draws > 1 and options.symmetry == "keep":
        raise UsageError("--draws breaks the symmetry that --symmetry keep preserves; give one of them")
    if options.draws > 1 and (options.logfile or options.trajectory):
        flag = "--logfile" if options.logfile else "--trajectory"
        raise UsageError(f"{flag} does not work with --draws; leave out one of them")
    if options.logfile == "-" and options.as_json:
        raise UsageError("--logfile - and --json both write to standard output; name a file for the log")
    if options.hydrostatic and options.constant_volume:
        raise UsageError("--hydrostatic and --constant-volume together fix the cell; give one of them")
    if options.pressure and options.constant_volume:
        raise UsageError("--pressure has no effect with --constant-volume; give one of them")


def _check_batch(options: RunOptions) -> None:
    """Check what is different with ``--batch``."""
    for flag, path in (("--trajectory", options.trajectory), ("--logfile", options.logfile)):
        if path is not None:
            raise UsageError(f"{flag} does not work with --batch; leave out one of them")
    if options.resume and options.output is None:
        raise UsageError("--resume needs --output: the file to continue")
    if options.output is None:
        return
    if Path(options.output).suffix not in (".extxyz", ".xyz"):
        raise UsageError(
            f"--output {options.output}: --batch writes extended XYZ only; give a name in .extxyz or .xyz"
        )


def check_outputs(files: Iterable[str], outputs: Iterable[tuple[str, str]]) -> None:
    """Raise UsageError for an output that cannot be written, or that is a file already named.

    Parameters
    ----------
    files
        The input files.
    outputs
        The flag and the path of each output.
    """
    inputs = {os.path.realpath(file) for file in files}
    flags: dict[str, str] = {}
    for flag, path in outputs:
        real = os.path.realpath(path)
        if real in inputs:
            raise UsageError(f"{flag} {path} would overwrite an input file; give another name")
        if real in flags:
            raise UsageError(f"{flags[real]} and {flag} are the same file, {path}; give two names")
        flags[real] = flag
        folder = Path(real).parent
        if not folder.is_dir():
            raise UsageError(f"{flag} {path}: there is no folder {folder}; create it first")
        if not os.access(folder, os.W_OK):
            raise UsageError(f"{flag} {path}: no permission to write in {folder}; give another folder")


def _check_paths(options: RunOptions) -> None:
    """Check that the outputs can be written and overwrite nothing."""
    check_outputs(options.files, options.output_files())
    if options.batch and not options.resume and options.output and os.path.exists(options.output):
        raise UsageError(
            f"--output {options.output} exists; add --resume to continue it, or give another name"
        )
