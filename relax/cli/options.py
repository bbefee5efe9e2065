"""What a ``relax run`` is asked for, and what is wrong with it whatever the files hold."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relax.core.errors import UsageError

__all__ = [
    "Plan",
]


@dataclass
class Plan:
    """What a ``relax run`` is asked for, with the names and the units of the command line."""

    files: list[str]
    calculator: str = "chgnet"
    device: str = "cpu"
    dtype: str | None = None
    head: str | None = None
    rule: str = "pair-lbfgs"
    settings: dict[str, Any] = field(default_factory=dict)
    metric: bool = False
    cell: bool = False
    pressure: float = 0.0
    hydrostatic: bool = False
    constant_volume: bool = False
    symmetry: str = "free"
    symprec: float = 0.01
    rattle: float = 0.0
    seed: int = 0
    fmax: float = 0.05
    smax: float | None = None
    steps: int = 500
    timeout: float | None = None
    on_bad: str = "stop"
    check: str | None = None
    escape: bool = False
    output: str | None = None
    trajectory: str | None = None
    logfile: str | None = None
    batch: bool = False
    resume: bool = False
    budget: float | None = None

    @property
    def rule_text(self) -> str:
        """The rule and its settings, as on the command line."""
        return " ".join([self.rule, *(f"{k}={v}" for k, v in self.settings.items())])

    @property
    def options_text(self) -> str:
        """What else decides where a structure ends, as words: the calculator, and what is not by default."""
        named = (
            *("calculator", "head", "dtype", "cell", "pressure", "hydrostatic", "constant_volume"),
            *("symmetry", "symprec", "rattle", "seed", "fmax", "smax", "steps", "on_bad"),
            *("check", "escape", "metric"),
        )
        usual = {f.name: f.default for f in dataclasses.fields(self)}
        told = {name: getattr(self, name) for name in named}
        kept = {k: v for k, v in told.items() if v != usual[k] or k in ("calculator", "fmax")}
        return " ".join(f"{name}={value}" for name, value in kept.items())

    def of_optimizer(self, with_cell: bool) -> dict[str, Any]:
        """Return what the optimizer of a structure is told, ``with_cell`` or not."""
        from relax.geometry.cell import CellFreedom

        freedom = CellFreedom(
            pressure=self.pressure, hydrostatic=self.hydrostatic, constant_volume=self.constant_volume
        )
        return {
            "cell": freedom if with_cell else False,
            "symmetry": self.symmetry,
            "symprec": self.symprec,
            "rattle": self.rattle,
            "seed": self.seed,
            "on_bad": self.on_bad,
            "check": self.check,
            "escape": self.escape,
            "metric": self.metric,
            **self.settings,
        }

    def options(self) -> dict[str, Any]:
        """Return what was asked for beside the structures and what is written, for JSON."""
        files = ("files", "output", "trajectory", "logfile", "resume")
        return {k: v for k, v in dataclasses.asdict(self).items() if k not in files}

    def examine(self) -> None:
        """Raise UsageError for what is wrong whatever the files hold."""
        from relax.calculators.registry import check_name
        from relax.core.errors import CalculatorError

        self._check_numbers()
        self._check_words()
        self._check_batch()
        try:
            check_name(self.calculator, self.device, self.dtype, self.head)
        except CalculatorError as error:
            raise UsageError(str(error)) from None
        self._check_paths()

    def _check_numbers(self) -> None:
        positive = {"--fmax": self.fmax, "--smax": self.smax, "--symprec": self.symprec}
        for option, value in (positive | {"--timeout": self.timeout, "--budget": self.budget}).items():
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f"{option} is to be a number above 0, not {value:g}")
        for option, value in {"--steps": self.steps, "--rattle": self.rattle, "--seed": self.seed}.items():
            if not (math.isfinite(value) and value >= 0):
                raise UsageError(f"{option} is to be 0 or more, not {value}")
        if not math.isfinite(self.pressure):
            raise UsageError(f"--pressure is to be a finite number, not {self.pressure}")

    def _check_words(self) -> None:
        if self.symmetry not in ("keep", "free"):
            raise UsageError(f"--symmetry is to be keep or free, not {self.symmetry!r}")
        if self.on_bad not in ("stop", "backtrack"):
            raise UsageError(f"--on-bad is to be stop or backtrack, not {self.on_bad!r}")
        if self.check not in (None, "minimum"):
            raise UsageError(f"--check is to be minimum, not {self.check!r}")
        if self.escape and self.check is None:
            raise UsageError("--escape leaves the saddles that --check minimum finds, give that too")
        if self.metric and self._has_metric():
            raise UsageError(f"--metric is for rules without a metric, {self.rule} has its own")
        if self.rattle and self.symmetry == "keep":
            raise UsageError("--rattle breaks the symmetry that --symmetry keep is to keep, give one of them")
        of_cells = {
            "--pressure": bool(self.pressure),
            "--smax": self.smax is not None,
            "--hydrostatic": self.hydrostatic,
            "--constant-volume": self.constant_volume,
        }
        given = [option for option, there in of_cells.items() if there]
        if given and not self.cell:
            raise UsageError(f"{given[0]} is about cells that relax, give --cell too")
        if self.hydrostatic and self.constant_volume:
            raise UsageError("--hydrostatic and --constant-volume together hold the cell, give one of them")
        if self.pressure and self.constant_volume:
            raise UsageError("--pressure does nothing at --constant-volume, give one of them")

    def _has_metric(self) -> bool:
        from relax.rules import RULES

        return self.rule in RULES and RULES[self.rule]().stiffness is not None

    def _check_batch(self) -> None:
        if not self.batch:
            if self.resume or self.budget is not None:
                raise UsageError(
                    f"{'--resume' if self.resume else '--budget'} is about --batch, give that too"
                )
            return
        for option in ("--trajectory", "--logfile"):
            if option in dict(self.written()):
                raise UsageError(f"{option} follows a structure by itself, leave out either that or --batch")
        if self.resume and self.output is None:
            raise UsageError("--resume goes on with a file, name it with --output")
        if self.output is not None and Path(self.output).suffix not in (".extxyz", ".xyz"):
            raise UsageError(
                f"--output {self.output}: --batch writes extended XYZ only, give a name in .extxyz or .xyz"
            )

    def _check_paths(self) -> None:
        inputs = {os.path.realpath(file): file for file in self.files}
        taken: dict[str, str] = {}
        for option, path in self.written():
            real = os.path.realpath(path)
            if real in inputs:
                raise UsageError(f"{option} {path} would overwrite an input file")
            if real in taken:
                raise UsageError(f"{taken[real]} and {option} are the same file, {path}")
            taken[real] = option
            folder = Path(real).parent
            if not folder.is_dir():
                raise UsageError(f"{option} {path}: there is no folder {folder}")
            if not os.access(folder, os.W_OK):
                raise UsageError(f"{option} {path}: {folder} is closed for writing")
        if self.batch and not self.resume and self.output is not None and os.path.exists(self.output):
            raise UsageError(
                f"--output {self.output} exists already; give --resume to go on with it, or another name"
            )

    def written(self) -> Iterator[tuple[str, str]]:
        """Yield the options that name something to write, and what they name."""
        options = (("--output", self.output), ("--trajectory", self.trajectory), ("--logfile", self.logfile))
        yield from ((option, path) for option, path in options if path is not None)
