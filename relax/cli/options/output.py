"""What is written, and how much is computed at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from relax.cli.options.declaration import option, positive, quiet_option

__all__ = ["BatchOptions", "OutputOptions"]


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """How much is computed at once."""

    batch_size: int | None = option(
        None,
        "Relax at most so many structures at a time. If not given, as many as the calculator is fastest "
        "with: one, but for chgnet, mace and lj.",
        metavar="N",
        check=positive,
        role="run",
    )
    budget: float | None = option(
        None,
        "Atoms (mace: edges) per call of the calculator; chosen automatically if not given.",
        metavar="N",
        check=positive,
        role="run",
    )


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What is written."""

    output: str | None = option(
        None,
        "Write the relaxed structures to this file, such as relaxed.extxyz, each when it is finished. In a "
        "format that cannot grow, such as .cif, it is written at the end, and FILE.extxyz grows beside it.",
        *("--output", "-o"),
        metavar="FILE",
        role="files",
    )
    resume: bool = option(
        False,
        "Continue --output: skip the structures that are in it, but for those that were interrupted.",
        "--resume",
        needs="--output",
        role="files",
    )
    force: bool = option(False, "Replace --output if it exists.", "--force", needs="--output", role="files")
    trajectory: str | None = option(
        None,
        "Write all steps of each structure: a folder, a pattern such as 'paths/{name}.traj', with {name}, "
        "{place} and {formula}, or a .traj file for one structure.",
        metavar="PATH",
        role="files",
    )
    logfile: str | None = option(
        None,
        "Write one line per step to this file, to one for each structure by a pattern as for --trajectory, "
        "or to standard output, which is -.",
        metavar="FILE",
        role="files",
    )
    as_json: bool = option(
        False, "Print a line of JSON for each finished structure, instead of a table.", "--json", role="files"
    )
    verbose: int = option(
        0,
        "Print messages on standard error, such as the size of batches; -vv prints more of them.",
        *("--verbose", "-v"),
        count=True,
        role="files",
    )
    quiet: bool = quiet_option()

    def output_files(self) -> Iterator[tuple[str, str]]:
        """Yield the flag and the path of each file or folder that is written, as far as its name is known."""
        from relax.io.outputs.growing import results_path

        log = None if self.logfile == "-" else self.logfile
        if self.output is not None:
            yield from (
                ("--output", path) for path in dict.fromkeys([self.output, results_path(self.output)])
            )
        for flag, path in (("--trajectory", self.trajectory), ("--logfile", log)):
            if path is not None and "{" not in path:
                yield flag, path
