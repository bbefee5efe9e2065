"""What is written, and how many structures are relaxed at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from relax.cli.options.declaration import option, positive

__all__ = ["OutputOptions"]


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What is written, and how many structures are relaxed at once."""

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

    verbose: int = option(
        0,
        "Print messages on standard error, such as the size of batches; -vv prints more of them.",
        *("--verbose", "-v"),
        count=True,
        role="files",
    )

    def output_files(self) -> Iterator[tuple[str, str]]:
        """Yield the flag and the path of each output that is asked for, standard output left aside."""
        log = None if self.logfile == "-" else self.logfile
        outputs = {"--output": self.output, "--trajectory": self.trajectory, "--logfile": log}
        yield from ((flag, path) for flag, path in outputs.items() if path is not None)
