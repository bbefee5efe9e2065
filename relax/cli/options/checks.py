"""Checks of the options of ``relax run`` together, and of the files that they name."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from relax.core.errors import UsageError

if TYPE_CHECKING:
    from relax.cli.options.calculator import CalculatorOptions
    from relax.cli.options.inputs import InputOptions
    from relax.cli.options.run_options import RelaxationOptions, RunOptions

__all__ = [
    "check_calculator",
    "check_format",
    "check_output",
    "check_outputs",
    "check_relaxation",
    "check_unwritten",
    "known_statuses",
    "read_statuses",
]


def check_relaxation(options: RelaxationOptions) -> None:
    """Raise UsageError for options of a relaxation that do not work together, or not here."""
    _check_conflicts(options)
    check_calculator(options)
    check_format(options.format)
    options.known_structures  # noqa: B018 - reading them checks them


def check_output(options: RunOptions) -> None:
    """Raise UsageError for an output that cannot be written, or not with the other options."""
    if options.draws > 1 and (options.logfile or options.trajectory):
        flag = "--logfile" if options.logfile else "--trajectory"
        raise UsageError(f"{flag} does not work with --draws; leave out one of them")
    if options.logfile == "-" and options.as_json:
        raise UsageError("--logfile - and --json both write to standard output; name a file for the log")
    _check_patterns(options)
    _check_paths(options)


def check_calculator(options: CalculatorOptions) -> None:
    """Raise UsageError for a calculator that there is not, or options that it does not have."""
    from relax.calculators.registry import check_name
    from relax.core.errors import CalculatorError

    try:
        check_name(options.calculator, options.device, options.dtype, options.head)
        if prior := getattr(options, "prior", None):
            check_name(prior)
    except CalculatorError as error:
        raise UsageError(str(error)) from None


def known_statuses() -> tuple[str, ...]:
    """Return the statuses that there are, for messages and for a shell that completes them."""
    from relax.core.result import STATUSES

    return STATUSES


def read_statuses(text: str, *others: str) -> list[str]:
    """Return the statuses in a text with commas between them; ``others`` are allowed too.

    Raises
    ------
    UsageError
        One of them is none.
    """
    found = [word.strip() for word in text.split(",") if word.strip()]
    known = known_statuses()
    for status in found:
        if status not in (*known, *others):
            raise UsageError(f"--status: there is no status {status!r} (there are: {' '.join(known)})")
    return found


def check_format(name: str | None) -> None:
    """Raise UsageError if ASE reads no format called ``name``."""
    if name is None:
        return
    from ase.io.formats import ioformats

    known = [each for each, described in ioformats.items() if described.can_read]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "ase info --formats lists them"
        raise UsageError(f"--format: ASE has no format {name!r}; {hint}")


def _check_conflicts(options: RelaxationOptions) -> None:
    """Check options that exclude each other."""
    from relax.engine.batch.of_ase.names import is_ase
    from relax.rules import RULES

    for flag, given in (("--prior", options.prior), ("--known", options.known)):
        if given and options.followed != "kriging":
            raise UsageError(f"{flag} is for the rule kriging, not for {options.rule}; leave out one of them")
    if is_ase(options.rule):
        _check_ase(options)
    elif options.metric and RULES[options.rule]().stiffness is not None:
        raise UsageError(f"--metric is not for {options.rule}, which is always preconditioned; leave it out")
    if options.rattle and options.symmetry == "keep":
        raise UsageError("--rattle breaks the symmetry that --symmetry keep preserves; give one of them")
    if options.draws > 1 and options.symmetry == "keep":
        raise UsageError("--draws breaks the symmetry that --symmetry keep preserves; give one of them")
    if options.hydrostatic and options.constant_volume:
        raise UsageError("--hydrostatic and --constant-volume together fix the cell; give one of them")
    if options.hydrostatic and options.cell_mask:
        raise UsageError("--hydrostatic scales the whole cell and takes no --cell-mask; give one of them")
    if options.cell_mask and options.constant_volume:
        _check_constant_volume(options)
    if options.pressure and options.constant_volume:
        raise UsageError("--pressure has no effect with --constant-volume; give one of them")


def _check_ase(options: RelaxationOptions) -> None:
    """Raise UsageError for an option that only the rules of relax follow."""
    for flag, given in (("--metric", options.metric is not None), ("--on-bad", options.on_bad != "stop")):
        if given:
            raise UsageError(f"{flag} is for the rules of relax, not for {options.rule}; leave it out")


def _check_constant_volume(options: RelaxationOptions) -> None:
    """Raise UsageError if --cell-mask leaves no strain that keeps the volume."""
    try:
        options.freedom()
    except ValueError:
        raise UsageError(
            f"--cell-mask {options.cell_mask} and --constant-volume together fix the cell; give one of them"
        ) from None


def _check_patterns(options: RunOptions) -> None:
    """Check the names of files that each structure has."""
    from relax.io.outputs.patterns import check_pattern, is_pattern

    for flag, target in (("--trajectory", options.trajectory), ("--logfile", options.logfile)):
        if target and is_pattern(target):
            check_pattern(flag, target)


def check_outputs(
    options: InputOptions, outputs: Iterable[tuple[str, str]], goes_on: Collection[str] = ()
) -> None:
    """Raise UsageError for an output that cannot be written, or that is a file already named.

    Parameters
    ----------
    options
        The inputs.
    outputs
        The flag and the path of each output.
    goes_on
        Flags of outputs that may be there already, also in a folder of inputs, where they are none.
    """
    from relax.io.named_files import is_among, split_slice

    read = [*options.files, *(getattr(options, "known", None) or [])]
    inputs = {os.path.realpath(split_slice(file)[0]) for file in read}
    flags: dict[str, str] = {}
    for flag, path in outputs:
        real = os.path.realpath(path)
        if flag == "--trajectory" and os.path.isdir(path):  # the files in it are looked at one by one
            continue
        if real in inputs or (flag not in goes_on and is_among(path, options.files, options.recursive)):
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
    goes_on = ("--output",) if options.resume or options.force else ()
    check_outputs(options, options.output_files(), goes_on)
    if options.resume and options.force:
        raise UsageError("--resume continues --output and --force replaces it; give one of them")


def check_unwritten(options: RunOptions) -> None:
    """Raise UsageError if the output is there already, and it is not asked to continue or to replace it."""
    if options.resume or options.force:
        return
    for flag, path in options.output_files():
        # A run that was killed before it had a result leaves an empty file, which is no loss.
        empty = os.path.isfile(path) and os.path.getsize(path) == 0
        if flag == "--output" and os.path.lexists(path) and not empty:
            raise UsageError(
                f"--output {path} exists; add --resume to continue it or --force to replace it, "
                "or give another name"
            )
