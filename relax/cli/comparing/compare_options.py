"""The options of ``relax compare``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from relax.cli.options.calculator import CalculatorOptions
from relax.cli.options.checks import check_calculator, check_format, check_outputs
from relax.cli.options.declaration import check_values, not_negative, one_of, option, positive, quiet_option
from relax.cli.options.inputs import InputOptions
from relax.core.errors import UsageError

__all__ = ["CompareOptions"]

RATTLES = (0.0, 0.05)
PICTURES = (".png", ".svg", ".pdf")


def lengths(flag: str, values: list[float]) -> None:
    """Allow finite lengths of 0 or more."""
    for value in values:
        not_negative(flag, value)


@dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    """What is compared, how a run starts and how it ends."""

    rules: str = option(
        "default,core,ase:FIRE,ase:BFGS",
        "Minimizers, with commas between and settings after a colon: default, the rules of relax, "
        "core:s_0=0.1, ase:FIRE, ase:BFGS, ase:LBFGS, ase:PreconLBFGS, ..., and for molecules sella, pyberny "
        "and geometric. The others are compared with the first.",
        *("--rules", "-r"),
        metavar="NAMES",
    )
    cell: bool = option(False, "Relax the cell too, along its periodic directions.", "--cell/--no-cell")
    rattle: list[float] | None = option(  # noqa: RUF009 - it returns a field
        None,
        "Displace the atoms at random before each run (standard deviation, A); may be repeated, a table "
        "each.  [default: 0 and 0.05]",
        metavar="LENGTH",
        check=lengths,
    )
    draws: int = option(
        1, "Number of starts of each structure with a --rattle above 0.", metavar="N", check=positive
    )
    seed: int = option(
        0, "Random seed of --rattle; further draws have the seeds after it.", metavar="N", check=not_negative
    )
    fmax: float = option(
        0.05,
        "Largest force on an atom, and with --cell row of the cell gradient, at which a run ends, eV/A.",
        metavar="FORCE",
        check=positive,
    )
    cap: int = option(
        500, "Maximum number of force calls of a run; a failure counts as many.", metavar="N", check=positive
    )
    stop: str = option(
        "calculator",
        "What ends a run: the calculator at the first force call within --fmax, the same for all, or each "
        "optimizer itself.",
        metavar="calculator|optimizer",
        check=one_of("calculator", "optimizer"),
    )


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """What is written, and how many processes there are."""

    jobs: int = option(
        1, "Number of processes, each with one thread.", *("--jobs", "-j"), metavar="N", check=positive
    )
    json: str | None = option(
        None,
        "Write the results to this file, and each run beside it as it ends; the same command continues.",
        metavar="FILE",
        role="files",
    )
    resume: bool = option(
        True, "Keep the runs that are in --json.", "--resume/--no-resume", needs="--json", role="files"
    )
    plot: str | None = option(
        None,
        "Draw performance profiles: which part of the structures each minimizer relaxes within a multiple "
        "of the fewest calls.",
        metavar="FILE.png",
        role="files",
    )
    table: str | None = option(
        None, "Write the tables as Markdown to this file.", metavar="FILE.md", role="files"
    )
    quiet: bool = quiet_option()


@dataclass(frozen=True, kw_only=True)
class CompareOptions(WriteOptions, MeasureOptions, CalculatorOptions, InputOptions):
    """The options of ``relax compare``, with the names and units of the command line."""

    def validate(self) -> None:
        """Raise UsageError for what is wrong with the options, whatever the input files contain."""
        check_values(self)
        check_calculator(self)
        check_format(self.format)
        check_outputs(self, self.output_files(), ("--json", "--plot", "--table"))
        if self.plot is not None and Path(self.plot).suffix not in PICTURES:
            raise UsageError(f"--plot {self.plot}: give a name in {', '.join(PICTURES)}")

    def output_files(self) -> Iterator[tuple[str, str]]:
        """Yield the flag and the path of each output that is asked for."""
        outputs = {"--json": self.json, "--plot": self.plot, "--table": self.table}
        yield from ((flag, path) for flag, path in outputs.items() if path is not None)

    @property
    def rattles(self) -> tuple[float, ...]:
        """The rattles that are asked for, each once, A."""
        return tuple(dict.fromkeys(self.rattle or RATTLES))
