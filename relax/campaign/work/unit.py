"""One order filled in this process: its structures are relaxed, and what becomes of them is written."""

from __future__ import annotations

import contextlib
import faulthandler
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ase import Atoms

from relax.calculators.potentials import as_potential
from relax.campaign.store.folder import Folder
from relax.campaign.store.lease import is_held
from relax.campaign.store.lines import OpenFiles
from relax.campaign.store.results import ResultsWriter, line_of
from relax.campaign.store.structures import atoms_of
from relax.campaign.work.long_run import can_go_on, relax_with_checkpoints
from relax.campaign.work.order import Order, Report
from relax.core.process import Interrupts
from relax.engine.api import relax_many
from relax.engine.batch.monitor import Monitor
from relax.engine.entries import Relaxed
from relax.io.known import known_structures

__all__ = ["Worker"]

Json = dict[str, Any]

LOOK_EVERY = 2.0
"""Seconds between two looks at whether the driver still waits."""

WAIT_EVERY = 1.0
"""Seconds for which the wait for a call that never ends is not begun again: it starts a thread."""

WRITE_EVERY = 1.0
"""Seconds between two writes of structures that have ended."""


class Worker:
    """Fills the orders of one campaign: it loads the calculator once, and has a file of results.

    Parameters
    ----------
    folder
        The folder of the campaign.
    interrupts
        The signals that tell this process to stop.

    Raises
    ------
    UsageError
        The calculator is not available, or no result can be written.
    """

    def __init__(self, folder: Folder, interrupts: Interrupts) -> None:
        self.folder, self.interrupts = folder, interrupts
        self.potential = folder.settings.load()
        self.writer = ResultsWriter(folder, self.potential.device)
        self.warm = False
        self._prior, self._known = cache(as_potential), cache(known_structures)

    def fill(self, order: Order) -> Report:
        """Relax the structures of an order.

        Raises
        ------
        UsageError
            A line cannot be read or written.
        """
        began = time.perf_counter()
        self.writer.add([{"begin": order.unit} | order.head])
        with contextlib.closing(OpenFiles(self.folder.path)) as files:
            lines = [files.line(name, at) for _, name, at in order.places]
        # What a batched potential computes for a structure depends on the others in the last digits.
        together = self.potential.batched
        if not together:
            lines = [line for line in lines if line["id"] in order.missing]
        pending: list[Json] = []
        wrote = time.perf_counter()
        monitor = _Watch(order, self.interrupts, self.folder)
        relaxations = self._relaxations(order, lines, monitor)
        count = 0
        try:
            with monitor.guarded(), self.interrupts.held():
                for relaxed in relaxations:
                    if relaxed.result.status == "interrupted":
                        continue
                    line = lines[relaxed.index]
                    pending.append(
                        line_of(line["id"], order.round, line["digest"], relaxed.atoms, relaxed.result)
                    )
                    count += 1
                    if not together and time.perf_counter() - wrote > WRITE_EVERY:
                        self.writer.add(pending)
                        pending, wrote = [], time.perf_counter()
        except KeyboardInterrupt:
            self.writer.add([*([] if together else pending), {"back": order.unit} | order.head])
            return Report("back", structures=0 if together else count)
        if together and not order.counts:
            pending = []
        found = [line for line in pending if line["id"] in order.missing]
        self.writer.add([*found, {"end": order.unit} | order.head])
        return Report("ended", "", len(order.missing), time.perf_counter() - began)

    def _relaxations(self, order: Order, lines: list[Json], monitor: _Watch) -> Iterator[Relaxed]:
        """Yield the structures of an order as they end."""
        settings = self.folder.settings.changed(order.changes) if order.changes else self.folder.settings
        arguments = settings.arguments()
        if name := arguments.get("prior"):
            arguments["prior"] = self._prior(name)
        if files := arguments.get("known"):
            arguments["known"] = self._known(tuple(files))
        structures = [atoms_of(line) for line in lines]
        if len(order.places) == 1 and structures and can_go_on(structures[0], arguments):
            path = self.folder.checkpoints / f"{order.places[0][0]}-{order.round}.json"
            yield relax_with_checkpoints(
                structures[0], self.potential, arguments, path, monitor.interruptible
            )
            return
        if self.potential.batched and not self.warm:
            self._warm_up(structures, monitor, arguments)
        yield from relax_many(structures, self.potential, monitor=monitor, **arguments)

    def _warm_up(self, structures: list[Atoms], monitor: _Watch, arguments: Json) -> None:
        """Make the first force calls in vain: torch compiles in them, and the last digits are others then."""
        few = arguments | {"steps": 2, "draws": 1, "check": None, "escape": False}
        for atoms in structures:
            (ended,) = relax_many([atoms], self.potential, monitor=monitor, **few)
            self.warm = ended.result.force_calls > 0
            if self.warm:
                return


class _Watch(Monitor):
    """Ends an order where a signal or the driver says so, and the process where a force call never ends."""

    def __init__(self, order: Order, interrupts: Interrupts, folder: Folder) -> None:
        self.order, self.interrupts = order, interrupts
        self.lease = Path(folder.drivers / f"{order.lease}.json")
        self._looked = self._waits = time.monotonic()

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """End the process if within the block a force call takes too long."""
        self._wait(time.monotonic())
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        if (now := time.monotonic()) - self._waits > WAIT_EVERY:
            self._wait(now)
        with self.interrupts.allowed():
            if now - self._looked > LOOK_EVERY:
                self._looked = now
                if not is_held(self.lease, self.order.token):
                    raise KeyboardInterrupt
            yield

    def _wait(self, now: float) -> None:
        self._waits = now
        # In C, so that it comes in the midst of compiled code too.
        faulthandler.dump_traceback_later(self.order.call_limit + WAIT_EVERY, exit=True)
