"""The options of ``relax landscape``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from relax.cli.options.calculator import CalculatorOptions, calculator_names
from relax.cli.options.checks import check_calculator, check_format, check_outputs
from relax.cli.options.declaration import check_values, not_negative, one_of, option, positive, quiet_option
from relax.cli.options.inputs import InputOptions
from relax.core.errors import UsageError

__all__ = ["LandscapeOptions"]

PICTURES = (".png", ".svg", ".pdf")
DATA = ".npz"


def several(flag: str, value: int) -> None:
    """Allow numbers of 2 or more."""
    if value < 2:
        raise UsageError(f"{flag} must be 2 or more (got {value})")


@dataclass(frozen=True, kw_only=True)
class PlaneOptions:
    """Which plane it is, and how far it is seen."""

    plane: str = option(
        "pca",
        "Plane: pca, the two largest principal components of all frames, or modes, the two softest modes at "
        "the end of the first file.",
        metavar="pca|modes",
        check=one_of("pca", "modes"),
    )
    through: list[str] | None = option(  # noqa: RUF009 - it returns a field
        None,
        "Instead, the plane through three structures, such as a minimum, a saddle point and a minimum; may "
        "be repeated, and FILE@INDEX is one frame.",
        metavar="FILE",
    )
    centre: str = option(
        "mean",
        "Where the plane of pca lies: mean, through the mean of all frames, which is nearest to them, or "
        "end, through the last frame of the first file, whose energy on the plane is then its own.",
        metavar="mean|end",
        check=one_of("mean", "end"),
    )
    points: int = option(41, "Points along each side of the grid.", metavar="N", check=several)
    margin: float = option(
        0.2, "Room around the paths, over their extent.", metavar="SHARE", check=not_negative
    )
    reach: float | None = option(
        None,
        "Least half of a side of the grid, A.  [default: 0.5 for modes]",
        metavar="LENGTH",
        check=not_negative,
    )


@dataclass(frozen=True, kw_only=True)
class PictureOptions:
    """What is drawn, and where to."""

    output: str = option("", "The picture: .png, .svg or .pdf.", *("--output", "-o"), metavar="FILE")
    force: bool = option(False, "Replace --output and --data if they exist.", "--force")
    data: str | None = option(
        None, "Write all numbers to this file too; given as FILE, it is drawn again.", metavar="FILE.npz"
    )
    label: list[str] | None = option(  # noqa: RUF009 - it returns a field
        None, "What the picture calls a file, in their order; may be repeated.", metavar="NAME"
    )
    title: str = option("", "A line above the picture.", metavar="TEXT")
    per_atom: bool = option(False, "Energies in eV/atom.", "--per-atom")
    highest: float | None = option(
        None,
        "Energy above the lowest where the colours end, eV or eV/atom; what the paths pass if not given.",
        metavar="ENERGY",
        check=positive,
    )
    quiet: bool = quiet_option()


@dataclass(frozen=True, kw_only=True)
class LandscapeOptions(PictureOptions, PlaneOptions, CalculatorOptions, InputOptions):
    """The options of ``relax landscape``."""

    calculator: str = option(
        "",
        "Calculator of the energies, as in relax run: that of the runs. None is needed to draw again.",
        *("--calculator", "-c"),
        metavar="NAME",
        words=calculator_names,
    )

    def validate(self) -> None:
        """Raise UsageError for what is wrong with the options, whatever the input files contain."""
        check_values(self)
        check_format(self.format)
        if not self.output:
            raise UsageError("no picture is named; add --output, such as -o landscape.png")
        if Path(self.output).suffix not in PICTURES:
            raise UsageError(f"--output {self.output}: give a name in {', '.join(PICTURES)}")
        if self.data is not None and Path(self.data).suffix != DATA:
            raise UsageError(f"--data {self.data}: give a name in {DATA}")
        if self.again:
            return self._check_outputs()
        if not self.calculator:
            raise UsageError("no calculator is given; add that of the runs, such as --calculator emt")
        if self.through and self.plane != "pca":
            raise UsageError("--through and --plane both choose the plane; give one of them")
        check_calculator(self)
        return self._check_outputs()

    def _check_outputs(self) -> None:
        check_outputs(self, self.output_files(), ("--output", "--data"))
        for flag, path in self.output_files():
            if os.path.isdir(path):
                raise UsageError(f"{flag} {path} is a folder; give the name of a file")
            if os.path.lexists(path) and not self.force:
                raise UsageError(f"{flag} {path} exists; add --force to replace it, or give another name")

    @property
    def again(self) -> bool:
        """Whether numbers that were saved are drawn."""
        return len(self.files) == 1 and self.files[0].endswith(DATA)

    def output_files(self) -> Iterator[tuple[str, str]]:
        """Yield the flag and the path of each output that is asked for."""
        outputs = {"--output": self.output or None, "--data": self.data}
        yield from ((flag, path) for flag, path in outputs.items() if path is not None)
