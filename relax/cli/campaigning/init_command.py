"""The commands ``relax campaign init`` and ``relax campaign add``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from relax.cli.campaigning.campaign_options import CampaignOptions, FolderOption
from relax.cli.inputs import count_inputs, input_files, named_structures
from relax.cli.options.checks import check_format
from relax.cli.options.declaration import check_values, quiet_option, takes_options
from relax.cli.options.inputs import InputOptions
from relax.cli.terminal import BAD_INPUT, OK, warn
from relax.core.errors import InvalidStructure, UsageError

if TYPE_CHECKING:
    from relax.campaign.store.additions import Given
    from relax.io.progress import Bar

__all__ = ["add", "init"]


@dataclass(frozen=True, kw_only=True)
class AddOptions(InputOptions, FolderOption):
    """The options of ``relax campaign add``."""

    quiet: bool = quiet_option()


@takes_options(CampaignOptions, config="campaign")
def init(**values: Any) -> None:
    """Make a campaign: structures and settings.

    It is a folder with structures and with what is to be done with each. The options are those of relax
    run. Nothing is relaxed yet; relax campaign run does that. The structures are copied to the folder, so
    that the files may be moved afterwards.

    Exit code: 0, or 2 if something cannot be read; the campaign then has the other structures.
    """
    from relax.campaign.campaign import Campaign

    options = CampaignOptions(**values)
    options.validate()
    inputs = _Inputs(options)
    with inputs.shown() as structures:
        Campaign.create(options.folder, structures, **options.campaign_kwargs()).close()
    raise typer.Exit(inputs.report("has", options.folder))


@takes_options(AddOptions)
def add(**values: Any) -> None:
    """Add structures to a campaign.

    A driver that is at work takes them in.

    Exit code: 0, or 2 if something cannot be read; the other structures are added.
    """
    from relax.campaign.campaign import Campaign

    options = AddOptions(**values)
    check_values(options)
    check_format(options.format)
    inputs = _Inputs(options)
    with Campaign(options.folder) as campaign, inputs.shown() as structures:
        campaign.add(structures)
    raise typer.Exit(inputs.report("got", options.folder))


class _Inputs:
    """The structures that a command is given, as they are read; what cannot be read is reported."""

    def __init__(self, options: InputOptions) -> None:
        self.options, self.count, self.faults = options, 0, 0

    @contextlib.contextmanager
    def shown(self) -> Iterator[Iterator[Given]]:
        """Yield the structures, with a progress bar as they are taken.

        Raises
        ------
        UsageError
            There is none.
        """
        from relax.io.progress import progress

        with progress() as bar:
            if bar.visible:
                bar.status("counting structures")
                bar.start(count_inputs(input_files(self.options), self.options.format))
            bar.status("reading")
            yield self._read(bar)

    def report(self, verb: str, folder: str) -> int:
        """Say what has become of the structures, and return the exit code."""
        warn(f"{folder} {verb} {self.count} structures; relax campaign run {folder} relaxes them")
        return BAD_INPUT if self.faults else OK

    def _read(self, bar: Bar) -> Iterator[Given]:
        from relax.campaign.store.additions import Given

        for file in input_files(self.options):
            try:
                for source, frame, atoms in named_structures(file, self.options.format):
                    yield Given(atoms, source, file, frame)
                    self.count += 1
                    bar.advance()
            except InvalidStructure as error:
                warn(f"{file}: {error}")
                self.faults += 1
        if not self.count:
            raise UsageError("there is no structure in these files; no campaign was changed")
