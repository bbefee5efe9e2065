"""The options of ``relax run``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from relax.cli.options.checks import check_together
from relax.cli.options.declaration import (
    argument,
    check_values,
    declarations,
    finite,
    not_negative,
    one_of,
    option,
    positive,
)
from relax.cli.options.rule_settings import RULE_NAMES, read_settings

__all__ = ["RunOptions"]


@dataclass(frozen=True)
class RunOptions:
    """The options of ``relax run``, with the names and units of the command line."""

    files: list[str] = argument(  # noqa: RUF009 - it returns a field
        "Structure files in any format that ASE reads.", metavar="FILE"
    )
    calculator: str = option(
        "chgnet",
        "Calculator of energies and forces: chgnet, emt, lj, mace:NAME_OR_PATH or module:callable.",
        *("--calculator", "-c"),
        metavar="NAME",
    )
    device: str = option("cpu", "Device of chgnet and mace models.", metavar="cpu|cuda", role="run")
    head: str | None = option(None, "Head of a mace model that has several.", metavar="NAME")
    dtype: str | None = option(
        None, "Precision of mace models; float64 if not given.", metavar="float64|float32"
    )
    rule: str = option(
        RULE_NAMES[0],
        f"Update rule of the optimizer: {' '.join(RULE_NAMES)}.",
        *("--rule", "-r"),
        metavar="RULE",
        role="run",
    )
    set_words: list[str] | None = option(  # noqa: RUF009 - it returns a field
        None,
        "Set a parameter of the rule; may be repeated. 'relax rules' lists the parameters.",
        *("--set", "-s"),
        metavar="NAME=VALUE",
        role="files",
    )
    metric: bool | None = option(
        None,
        "Precondition the rule with a model Hessian, as core is anyway; the default rule has its own.",
        "--metric/--no-metric",
    )
    cell: bool = option(False, "Relax the cell too, along its periodic directions.", "--cell/--no-cell")
    pressure: float = option(
        0.0, "With --cell: external pressure, GPa.", metavar="PRESSURE", check=finite, needs="--cell"
    )
    hydrostatic: bool = option(
        False, "With --cell: change the size of the cell, not its shape.", "--hydrostatic", needs="--cell"
    )
    constant_volume: bool = option(
        False,
        "With --cell: change the shape of the cell, not its volume.",
        "--constant-volume",
        needs="--cell",
    )
    symmetry: str = option(
        "free",
        "Keep the initial space group, or do not constrain the symmetry.",
        metavar="keep|free",
        check=one_of("keep", "free"),
    )
    symprec: float = option(
        0.01, "Distance tolerance for finding the space group, A.", metavar="LENGTH", check=positive
    )
    rattle: float = option(
        0.0,
        "Displace the atoms at random before the run (standard deviation, A), and with --cell strain "
        "the cell. Helps to leave saddle points.",
        metavar="LENGTH",
        check=not_negative,
    )
    seed: int = option(
        0, "Random seed of --rattle, the same for each structure.", metavar="N", check=not_negative
    )
    draws: int = option(
        1,
        "Relax so many starts of each structure, the first as it is and others rattled, and keep the "
        "lowest end; those that come close to a minimum that is known stop early.",
        metavar="N",
        check=positive,
    )
    fmax: float = option(
        0.05, "Largest force on an atom at convergence, eV/A.", metavar="FORCE", check=positive
    )
    smax: float | None = option(
        None,
        "With --cell: largest component of the residual stress at convergence, GPa; "
        "derived from --fmax if not given.",
        metavar="STRESS",
        check=positive,
        needs="--cell",
    )
    steps: int = option(500, "Maximum number of steps per structure.", metavar="N", check=not_negative)
    timeout: float | None = option(
        None,
        "Maximum time per structure, s; with --batch, its share of the running time.",
        metavar="SECONDS",
        check=positive,
        role="run",
    )
    on_bad: str = option(
        "stop",
        "If a run goes wrong: stop at the last good structure, or go back to it and continue "
        "with shorter steps.",
        metavar="stop|backtrack",
        check=one_of("stop", "backtrack"),
    )
    check: str | None = option(
        None,
        "Check that a converged structure is a minimum, with a few more force calls; "
        "if it is not, its status is saddle; 'tight' relaxes to 1e-3 eV/A and looks longer.",
        metavar="minimum|tight",
        check=one_of("minimum", "tight"),
    )
    escape: bool = option(
        False,
        "With --check minimum: move away from saddle points and continue.",
        "--escape",
        needs="--check minimum",
    )
    output: str | None = option(
        None,
        "Write the relaxed structures to this file, such as relaxed.extxyz.",
        *("--output", "-o"),
        metavar="FILE",
        role="files",
    )
    trajectory: str | None = option(
        None,
        "Write all steps of each structure: a folder, or a .traj file for one structure.",
        metavar="PATH",
        role="files",
    )
    logfile: str | None = option(
        None, "Write one line per step to this file; - is standard output.", metavar="FILE", role="files"
    )
    as_json: bool = option(
        False,
        "Print JSON instead of a table; with --batch, one line per finished structure.",
        "--json",
        role="files",
    )
    batch: bool = option(
        False,
        "Relax many structures at once, and write each to --output when it is finished.",
        "--batch",
        role="run",
    )
    resume: bool = option(
        False,
        "With --batch: continue --output, and skip the structures that are in it.",
        "--resume",
        needs="--batch",
        role="files",
    )
    budget: float | None = option(
        None,
        "With --batch: atoms (mace: edges) per call of the calculator; chosen automatically if not given.",
        metavar="N",
        check=positive,
        needs="--batch",
        role="run",
    )

    def validate(self) -> None:
        """Raise UsageError for what is wrong with the options, whatever the input files contain."""
        self.settings  # noqa: B018 - reading them checks them
        check_values(self)
        check_together(self)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The parameters of the rule that are set."""
        return read_settings(self.rule, self.set_words or [])

    @property
    def rule_text(self) -> str:
        """The rule and its settings, for the output file."""
        return " ".join([self.rule, *(f"{k}={v}" for k, v in self.settings.items())])

    @property
    def options_text(self) -> str:
        """The options that decide the result, for the output file: those that are not the default."""
        always = ("calculator", "fmax")
        given = [
            (f.name, getattr(self, f.name), f.default)
            for f, declared in declarations(self)
            if declared.role == "result"
        ]
        return " ".join(
            f"{name}={value}" for name, value, default in given if name in always or value != default
        )

    def json_options(self) -> dict[str, Any]:
        """Return the options for JSON: all but the files."""
        names = [each.name for each, declared in declarations(self) if declared.role != "files"]
        return {name: getattr(self, name) for name in names} | {"settings": self.settings}

    def optimizer_kwargs(self, with_cell: bool) -> dict[str, Any]:
        """Return the keyword arguments of the optimizer of a structure, whose cell relaxes or not."""
        from relax.geometry.cell import CellFreedom

        freedom = CellFreedom(
            pressure=self.pressure, hydrostatic=self.hydrostatic, constant_volume=self.constant_volume
        )
        names = ("symmetry", "symprec", "rattle", "seed", "on_bad", "check", "escape", "metric")
        given = {name: getattr(self, name) for name in names}
        return {"cell": freedom if with_cell else False, **given, **self.settings}

    def output_files(self) -> Iterator[tuple[str, str]]:
        """Yield the flag and the path of each output that is asked for, standard output left aside."""
        log = None if self.logfile == "-" else self.logfile
        outputs = {"--output": self.output, "--trajectory": self.trajectory, "--logfile": log}
        yield from ((flag, path) for flag, path in outputs.items() if path is not None)
