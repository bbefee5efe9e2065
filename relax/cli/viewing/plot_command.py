"""The command ``relax plot``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from relax.cli.options.declaration import argument, option, quiet_option, takes_options
from relax.core.errors import UsageError

__all__ = ["plot"]


@dataclass(frozen=True, kw_only=True)
class PlotOptions:
    """The options of ``relax plot``."""

    files: list[str] = argument(  # noqa: RUF009 - it returns a field
        "Trajectories, each of one run.", metavar="FILE"
    )
    output: str = option(
        "curves.png", "The picture: .png, .svg or .pdf.", *("--output", "-o"), metavar="FILE.png"
    )
    force: bool = option(False, "Replace --output if it exists.", "--force")
    quiet: bool = quiet_option()


@takes_options(PlotOptions)
def plot(**values: Any) -> None:
    """Draw the energies and the longest forces of runs against force calls.

    Runs of the same atoms share the zero of the energy, the lowest of all of them.

    Exit code: 0, or 2 if something cannot be read or written.
    """
    import os

    from relax.analysis.report.figure import PICTURES, curves_of, draw
    from relax.analysis.report.reading.frames import frames, length
    from relax.io.progress import tracked

    options = PlotOptions(**values)
    if os.path.splitext(options.output)[1] not in PICTURES:
        raise UsageError(f"--output {options.output}: give a name in {', '.join(PICTURES)}")
    if os.path.lexists(options.output) and not options.force:
        raise UsageError(f"--output {options.output} exists; add --force to replace it, or give another name")
    runs = [curves_of(file, tracked(frames(file), length(file), unit="frames")) for file in options.files]
    draw(runs, options.output, options.force)
    if not options.quiet:
        print(f"{options.output}: {', '.join(f'{run.name} ({len(run.calls)} frames)' for run in runs)}")
