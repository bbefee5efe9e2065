"""Where the results of a run come from: one structure after another, or many together.

Modules are imported where they are used: the command imports this one to show its help.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from relax.cli.inputs import Record
from relax.cli.options import RunOptions
from relax.core.errors import InvalidStructure, UsageError

if TYPE_CHECKING:
    from relax.core.result import Result
    from relax.io.log import Log
    from relax.io.progress import Bar

__all__ = ["Outcome", "relax_one_by_one", "relax_together"]

Outcome: TypeAlias = "tuple[Record, Result | InvalidStructure]"
"""A structure with its result, or with the reason why it cannot be relaxed."""


def relax_together(
    options: RunOptions, records: Iterator[Record], active: Mapping[int, Record], potential: Any
) -> Iterator[Outcome]:
    """Relax structures in a batch, and yield each when it is finished.

    Parameters
    ----------
    options
        The options of the run.
    records
        The structures, which are read when there is room for them.
    active
        Those that were taken from ``records``, by their place.
    potential
        What computes energies, forces and stresses.
    """
    from relax.engine.api import relax_many

    keywords = options.optimizer_kwargs(options.cell)
    freedom = keywords.pop("cell")
    for relaxed in relax_many(
        (record.atoms for record in records), potential, options.rule,
        fmax=options.fmax, steps=options.steps, smax=options.smax,
        timeout=options.timeout, budget=options.budget, draws=options.draws,
        cell=lambda atoms: freedom if atoms.pbc.any() else False,
        **keywords,
    ):  # fmt: skip
        record, result = active[relaxed.index], relaxed.result
        record.atoms = relaxed.atoms
        yield record, InvalidStructure(result.reason) if result.status == "refused" else result


def relax_one_by_one(
    options: RunOptions,
    records: Iterator[tuple[Record, Path | None]],
    calculator: Any,
    log: Log | None,
    bar: Bar,
) -> Iterator[Outcome]:
    """Relax structures one after another with the ASE optimizer of the rule, and yield each.

    A structure that is interrupted is yielded too, before the interruption goes on; a trajectory or a log
    that cannot be written is one.

    Parameters
    ----------
    options
        The options of the run.
    records
        The structures, each with its trajectory file.
    calculator
        The ASE calculator.
    log
        The log file; it is closed at the end.
    bar
        The progress bar.

    Raises
    ------
    UsageError
        A trajectory or the log cannot be written.
    """
    from relax.io.trajectories import trajectory_file

    with log or contextlib.nullcontext():
        for record, path in records:
            result: Result | InvalidStructure
            interruption: BaseException | None = None
            with trajectory_file(path) as part:
                try:
                    _check_calculator(calculator, record)
                    if options.draws > 1:
                        bar.status(record.formula)
                        ((_, result),) = relax_together(options, iter([record]), {0: record}, calculator)
                    else:
                        optimizer = _optimizer(options, record, log, part)
                        _show_steps(optimizer, record, bar)
                        result, interruption = _run(options, record, optimizer)
                except InvalidStructure as error:
                    result = error
            yield record, result
            if interruption:
                raise interruption


def _check_calculator(calculator: Any, record: Record) -> None:
    """Give a structure the calculator; raise InvalidStructure if that does not support it."""
    from relax.calculators.registry import unsupported

    if reason := unsupported(calculator, record.atoms):
        raise InvalidStructure(reason)
    # The calculator may hold the results of an equal structure, and no call would be counted.
    if hasattr(calculator, "reset"):
        calculator.reset()
    record.atoms.calc = calculator


def _run(options: RunOptions, record: Record, optimizer: Any) -> tuple[Result, BaseException | None]:
    """Run an optimizer; return how that ended, and what interrupted it, if anything did.

    The record gets what was computed where its structure ended, which may not be what the calculator has.
    """
    from ase.calculators.singlepoint import SinglePointCalculator

    interruption: BaseException | None = None
    try:
        smax = options.smax if record.with_cell else None
        optimizer.run(options.fmax, options.steps, smax=smax, timeout=options.timeout)
        optimizer.close()
    except OSError as error:  # those of the calculator are in the result
        interruption = _unwritable(options, error)
    except BaseException as error:
        interruption = error
    with contextlib.suppress(OSError):
        optimizer.close()
    result: Result = optimizer.result
    record.atoms.calc = SinglePointCalculator(record.atoms, **optimizer.engine.computed())
    return result, interruption


def _optimizer(options: RunOptions, record: Record, log: Log | None, trajectory: Path | None) -> Any:
    """Return the optimizer of a structure.

    Raises
    ------
    InvalidStructure
        It lacks the cell or the symmetry that the options need.
    UsageError
        The trajectory or the log cannot be written.
    """
    from relax.optimizers import OPTIMIZERS

    if log:
        log.write(f"# {record.source}\n")
    files: dict[str, Any] = {"logfile": log, "trajectory": trajectory and str(trajectory)}
    try:
        return OPTIMIZERS[options.rule](record.atoms, **files, **options.optimizer_kwargs(record.with_cell))
    except ValueError as error:
        raise InvalidStructure(" ".join(str(error).split())) from error
    except OSError as error:
        raise _unwritable(options, error) from error


def _unwritable(options: RunOptions, error: OSError) -> UsageError:
    """Return that the trajectory cannot be written; the log says so itself."""
    return UsageError(f"--trajectory {options.trajectory}: {error.strerror or error}")


def _show_steps(optimizer: Any, record: Record, bar: Bar) -> None:
    """Show the steps of a structure beside the progress bar, from now on."""

    def show() -> None:
        state = optimizer.optimizable.standing
        stress = f"  stress {state.smax:.3g} GPa" if record.with_cell else ""
        calls = f"step {optimizer.nsteps}  calls {state.force_calls}"
        bar.status(f"{record.formula}  {calls}  fmax {state.fmax:.3g} eV/A{stress}")

    bar.status(record.formula)
    optimizer.attach(show)
