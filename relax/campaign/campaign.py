"""A campaign: many structures, what is done with each of them, and what has become of them."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from relax.campaign.engines.names import engine
from relax.campaign.merging import merge
from relax.campaign.outcome import Outcome
from relax.campaign.retries import retry
from relax.campaign.settings import Settings
from relax.campaign.store.additions import Given, add_structures
from relax.campaign.store.folder import Folder
from relax.campaign.store.index import Index, Totals
from relax.campaign.store.lease import EDITS, Lease
from relax.campaign.store.rounds import UNIT_COST
from relax.campaign.work.driver import Driver
from relax.campaign.work.limits import Limits, Seldom
from relax.core.errors import UsageError
from relax.core.process import Interrupts

if TYPE_CHECKING:
    from ase import Atoms

    from relax.campaign.duplicates.find import Member

__all__ = ["Campaign"]


class Campaign:
    """A campaign in a folder.  Any number of processes on any machines may look at it; one drives it.

    An example is in ``docs/how-to/campaigns.md``.

    Parameters
    ----------
    path
        The folder of a campaign that there is.

    Raises
    ------
    UsageError
        It is none, or it is damaged; the message says what helps.
    """

    def __init__(self, path: str | Path) -> None:
        self.folder = Folder.opened(Path(path))
        self.index = Index(self.folder)

    @classmethod
    def create(
        cls,
        path: str | Path,
        structures: Iterable[Atoms | Given],
        calculator: str,
        *,
        unit_cost: float = UNIT_COST,
        **settings: Any,
    ) -> Self:
        """Make a campaign; nothing is relaxed yet.

        Parameters
        ----------
        path
            A folder that is not there yet.
        structures
            The structures, which are taken one after the other and written to the folder.
        calculator
            The name of the calculator, see :mod:`relax.calculators.registry`.
        unit_cost
            Estimated cost of what is relaxed together, see :mod:`relax.campaign.store.rounds`: about the
            number of pairs of atoms within 5 A.  A GPU takes much more, and an expensive calculator as little
            as 1.
        **settings
            Arguments of :meth:`relax.campaign.settings.Settings.of`: those of
            :func:`relax.engine.api.relax_many`, and ``device``, ``dtype``, ``head``, ``calculator_settings``
            and ``pbc``.

        Raises
        ------
        UsageError
            A setting is not allowed, or the folder cannot be made.
        """
        if not (math.isfinite(unit_cost) and unit_cost > 0):
            raise UsageError(f"unit_cost must be a number above 0 (got {unit_cost!r})")
        with Folder.created(Path(path), Settings.of(calculator, **settings), unit_cost) as folder:
            add_structures(folder, structures, 0, 0, 0)
        return cls(path)

    def close(self) -> None:
        """Close the index."""
        self.index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(
        self,
        workers: int | None = None,
        executor: Executor | str | None = None,
        *,
        shard: tuple[int, int] = (0, 1),
        time_limit: float = math.inf,
        grace: float = 30.0,
        call_limit: float = 3600.0,
        threads: int = 1,
        told: Callable[[Totals], None] | None = None,
        interrupts: Interrupts | None = None,
    ) -> int | None:
        """Relax the structures that wait.

        Parameters
        ----------
        workers
            Number of processes; that of the engine if not given, and of the cores on this machine.
        executor
            What the work is handed to: any executor as in :mod:`concurrent.futures`, or the name of one, see
            :mod:`relax.campaign.engines.names`; processes of this machine if not given.
        shard
            Which part of the units is relaxed, from 0, and of how many: for machines that share nothing but
            the folder.
        time_limit
            Time after which it must have ended, s: what would not be done by then is not begun.
        grace
            Time that workers get to hand back what they do, s.
        call_limit
            Time after which a force call counts as one that never ends, s.
        threads
            Threads of each process.
        told
            Is called with the totals now and then.
        interrupts
            The signals that tell it to stop; those that end a program if not given.

        Returns
        -------
        int or None
            The number of the signal that has told it to stop; 0 where its time was up; None where it is done.

        Raises
        ------
        UsageError
            Another process drives the campaign, the engine does not work, or a worker cannot go on.
        """
        until = time.monotonic() + time_limit
        self.folder.check_model()
        interrupts = interrupts or Interrupts()
        in_main = threading.current_thread() is threading.main_thread()
        name = "whole" if shard == (0, 1) else f"{shard[0]}-of-{shard[1]}"
        limits = Limits(until, grace, call_limit, threads, shard)
        with (
            contextlib.ExitStack() as stack,
            Lease(self.folder.drivers, name) as lease,
            interrupts.handled() if in_main else contextlib.nullcontext(),
        ):
            found, count = stack.enter_context(engine(executor, workers, self.folder.logs))
            say = Seldom(lambda: told(self.status())) if told else None
            ended = Driver(self.index, lease, found, count, limits, interrupts, say).run()
        self.index.catch_up()
        return ended

    def status(self) -> Totals:
        """Return how many structures there are, and how they have ended."""
        self.index.catch_up()
        return self.index.totals()

    def results(self, statuses: Sequence[str] | None = None) -> Iterator[Outcome]:
        """Yield the structures in the order of the input, with their results; read as they are asked for.

        Parameters
        ----------
        statuses
            Only those with one of these, such as ``converged`` or ``waiting``.
        """
        self.index.catch_up()
        yield from self.index.outcomes(None if statuses is None else list(statuses))

    def add(self, structures: Iterable[Atoms | Given]) -> int:
        """Add structures, and return how many.  A driver that is at work takes them in.

        Raises
        ------
        UsageError
            They cannot be written.
        """
        with Lease(self.folder.drivers, EDITS):
            self.index.catch_up()
            newest, unit, first = self.index.newest_round()
            return add_structures(self.folder, structures, newest + 1, unit, first)

    def retry(self, statuses: Sequence[str], **changes: Any) -> int:
        """Have structures relaxed again that ended with one of ``statuses``; return how many.

        Parameters
        ----------
        statuses
            Such as ``exploded`` and ``timeout``.
        **changes
            Arguments of :func:`relax.engine.api.relax_many` for them, in place of those of the campaign.

        Raises
        ------
        UsageError
            A change is not allowed.
        """
        with Lease(self.folder.drivers, EDITS):
            return retry(self.folder, self.index, statuses, changes)

    def merge(self, other: Campaign) -> tuple[int, int]:
        """Add the structures of another campaign with the same settings, and the results that are missing.

        A structure that both have, by its name and its content, is taken once.

        Returns
        -------
        int, int
            Numbers of structures and of results that were added.

        Raises
        ------
        UsageError
            The other one has other settings, or is this one.
        """
        with Lease(self.folder.drivers, EDITS):
            self.index.catch_up()
            other.index.catch_up()
            return merge(self.folder, self.index, other.index)

    def export(self, path: str | Path, kind: str, **options: Any) -> int:
        """Write structures to a file of another program, and return how many, see :mod:`.exports.export`."""
        from relax.campaign.exports.export import export

        return export(self, path, kind, **options)

    def duplicates(self, **options: Any) -> Iterator[Member]:
        """Yield the structures with their groups of duplicates, see :mod:`.duplicates.find`."""
        from relax.campaign.duplicates.find import duplicates

        return duplicates(self, **options)
