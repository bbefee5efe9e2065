"""The commands ``relax campaign export``, ``duplicates`` and ``sbatch``."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relax.campaign.exports.kinds import KINDS
from relax.cli.campaigning.campaign_options import FolderOption
from relax.cli.campaigning.run_command import seconds
from relax.cli.options.checks import read_statuses
from relax.cli.options.declaration import check_values, one_of, option, positive, takes_options
from relax.cli.terminal import print_json, print_table, warn
from relax.core.errors import UsageError

if TYPE_CHECKING:
    from relax.campaign.duplicates.find import Member

__all__ = ["duplicates", "export", "sbatch"]

ENDINGS = {
    ".extxyz": "extxyz",
    ".xyz": "extxyz",
    ".db": "ase.db",
    ".parquet": "parquet",
    ".jsonl": "pymatgen-json",
}


@dataclass(frozen=True, kw_only=True)
class ExportOptions(FolderOption):
    """The options of ``relax campaign export``."""

    to: str | None = option(
        None,
        "Format: extxyz, ase.db, parquet, pymatgen-json, or matbench, a folder for Matbench Discovery; "
        "that of the name of --output if not given.",
        metavar="FORMAT",
        words=lambda: KINDS,
        check=one_of(*KINDS),
    )
    output: str = option("", "The file, or for matbench the folder.", *("--output", "-o"), metavar="PATH")
    force: bool = option(False, "Replace --output if it exists.", "--force")
    status: str | None = option(
        None, "Only structures that ended with one of these statuses.", metavar="STATUS,..."
    )
    waiting: bool = option(
        False, "Write structures that wait for a result too, as they were given.", "--waiting"
    )
    duplicates: str | None = option(
        None,
        "Say of each structure in which group of duplicates it is, before or after the relaxation, and "
        "whether it is the lowest of them.",
        metavar="before|after",
        check=one_of("before", "after"),
    )
    model: str | None = option(None, "For matbench: the key of the model.", metavar="KEY")
    references: str | None = option(
        None,
        "For matbench: a JSON file with the energies of the elements, eV/atom, by symbol.",
        metavar="FILE",
    )
    corrections: str | None = option(
        None,
        "For matbench: a CSV file with corrections of the energies, eV/atom, by material_id.",
        metavar="FILE",
    )
    date: str | None = option(None, "For matbench: a day for the names of the files.", metavar="YYYY-MM-DD")

    @property
    def kind(self) -> str:
        """The format."""
        if not self.output:
            raise UsageError("no file is given; add --output")
        if self.to is not None:
            return self.to
        for ending, kind in ENDINGS.items():
            if self.output.endswith(ending):
                return kind
        raise UsageError(f"--output {self.output}: which format is that? add --to ({', '.join(KINDS)})")

    def kind_kwargs(self) -> dict[str, Any]:
        """Return the options of the format that are given."""
        named = {name: getattr(self, name) for name in ("model", "references", "corrections", "date")}
        return {name: value for name, value in named.items() if value is not None}


@takes_options(ExportOptions)
def export(**values: Any) -> None:
    """Write the structures to a file.

    They are in the order of the input. The file depends on the structures and their results alone: a
    campaign that was killed a hundred times gives the same bytes as one that was not.
    """
    from relax.campaign.campaign import Campaign

    options = ExportOptions(**values)
    check_values(options)
    kind = options.kind
    with Campaign(options.folder) as campaign, _warnings_told():
        number = campaign.export(
            options.output,
            kind,
            force=options.force,
            statuses=None if options.status is None else read_statuses(options.status, "waiting"),
            waiting=options.waiting,
            duplicates=options.duplicates or "",
            **options.kind_kwargs(),
        )
    warn(f"{options.output} has {number} structures")


@dataclass(frozen=True, kw_only=True)
class DuplicatesOptions(FolderOption):
    """The options of ``relax campaign duplicates``."""

    start: bool = option(False, "Compare the structures as they were given, not as they ended.", "--start")
    matcher: bool = option(
        False, "Compare those of a group atom by atom too, with pymatgen's StructureMatcher.", "--matcher"
    )
    symprec: float = option(
        0.01, "Distance tolerance for finding the space group, A.", metavar="LENGTH", check=positive
    )
    as_json: bool = option(False, "Print a line of JSON for each structure.", "--json")


@takes_options(DuplicatesOptions)
def duplicates(**values: Any) -> None:
    """Show which structures are the same crystal.

    And the lowest in energy of each group.

    Crystals are the same if they have the same composition, space group and Wyckoff positions.
    """
    from relax.campaign.campaign import Campaign

    options = DuplicatesOptions(**values)
    check_values(options)
    with Campaign(options.folder) as campaign:
        found = campaign.duplicates(start=options.start, matcher=options.matcher, symprec=options.symprec)
        if options.as_json:
            for member in found:
                print_json(dataclasses.asdict(member))
            return
        _show_groups(found)


def _show_groups(members: Iterator[Member]) -> None:
    """Print the groups of more than one structure, the largest first."""
    groups: dict[int, list[Member]] = {}
    total = 0
    for member in members:
        total += 1
        if member.size > 1:
            groups.setdefault(member.group, []).append(member)
    ordered = sorted(groups.values(), key=lambda group: (-len(group), group[0].id))
    repeated = sum(len(group) - 1 for group in ordered)
    print_table(lambda _: _groups_table(ordered[:SHOWN]))
    if len(ordered) > SHOWN:
        warn(f"and {len(ordered) - SHOWN} smaller groups; --json prints all")
    warn(f"{total} crystals, {total - repeated} of them different")


SHOWN = 50
"""Groups in the table."""

MEMBERS = 8
"""Structures that are named of each."""


def _groups_table(groups: list[list[Member]]) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("structures", justify="right")
    table.add_column("lowest", justify="right")
    table.add_column("numbers in the campaign")
    for group in groups:
        lowest = next((str(member.id) for member in group if member.lowest), "-")
        names = ", ".join(str(member.id) for member in group[:MEMBERS])
        table.add_row(str(len(group)), lowest, names + (", ..." if len(group) > MEMBERS else ""))
    return table


@dataclass(frozen=True, kw_only=True)
class SbatchOptions(FolderOption):
    """The options of ``relax campaign sbatch``."""

    jobs: int = option(4, "Jobs of the array; each does a part of the campaign.", metavar="N", check=positive)
    cores: int = option(8, "Cores of each job.", metavar="N", check=positive)
    time: str = option("4h", "Time of each job.", metavar="TIME")
    allocation: bool = option(
        False, "One job of several nodes, in which executorlib starts the processes.", "--allocation"
    )


@takes_options(SbatchOptions)
def sbatch(**values: Any) -> None:
    """Print a job script for SLURM.

    It is to be edited and submitted: relax campaign sbatch DIR > job.sh.
    """
    from pathlib import Path

    from relax.campaign.slurm import job_script
    from relax.campaign.store.folder import Folder

    options = SbatchOptions(**values)
    check_values(options)
    minutes = int(seconds("--time", options.time) // 60)
    print(
        job_script(
            Folder.opened(Path(options.folder)),
            jobs=options.jobs,
            cores=options.cores,
            minutes=minutes,
            allocation=options.allocation,
        ),
        end="",
    )


@contextlib.contextmanager
def _warnings_told() -> Iterator[None]:
    """Print warnings of the block as lines of the command."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for each in caught:
        if issubclass(each.category, UserWarning):
            warn(str(each.message))
