"""What a run does beside its relaxations: the log, the trajectories, the bar, and heeding signals."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from relax.core.errors import UsageError
from relax.engine.batch.monitor import Monitor, Standing
from relax.io.outputs.log import Log
from relax.io.outputs.trajectories import CALLS, RADIUS, Trajectories

if TYPE_CHECKING:
    from relax.cli.inputs import Record
    from relax.cli.options import RunOptions
    from relax.core.process import Interrupts
    from relax.io.progress import Bar

__all__ = ["Following"]


class Following(Monitor):
    """Follows the structures of a run.

    Parameters
    ----------
    options
        The options of the run.
    interrupts
        The signals that may end it.
    bar
        The progress bar.
    active
        The structures that are being relaxed, by the order in which they began.

    Attributes
    ----------
    fault
        Why the log or a trajectory cannot be written.  It is raised where structures can be interrupted, so
        that none is lost.

    Raises
    ------
    UsageError
        The log cannot be written.
    """

    def __init__(
        self, options: RunOptions, interrupts: Interrupts, bar: Bar, active: Mapping[int, Record]
    ) -> None:
        self.interrupts, self.bar, self.active = interrupts, bar, active
        self.draws = options.draws
        self.log = Log(options.logfile, options.resume) if options.logfile else None
        self.trajectories = (
            Trajectories(options.trajectory, options.files, options.recursive) if options.trajectory else None
        )
        self.follows = bool(self.log or self.trajectories or bar.visible)
        self.fault: UsageError | None = None

    def of_several(self) -> None:
        """Raise UsageError where the outputs are for one structure alone."""
        if self.trajectories:
            self.trajectories.of_several()

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        if self.fault:
            raise self.fault
        with self.interrupts.allowed():
            yield

    def begin(self, number: int, record: Record) -> None:
        """Take note of a structure that is about to be relaxed; UsageError where its files cannot be."""
        if self.log:
            self.log.begin(number, record.source, record.formula)
        if self.trajectories:
            self.trajectories.begin(number, record.source, record.formula)

    def follow(self, standing: Standing) -> None:
        number = standing.index // self.draws
        record, at = self.active[number], standing
        with self._fault_kept():
            if self.log:
                self.log.step(
                    number, record.source, at.steps, at.force_calls, at.energy, at.fmax, at.smax
                )  # fmt: skip
            if self.trajectories:
                atoms = standing.atoms()
                atoms.info[CALLS] = at.force_calls
                if not math.isnan(at.radius):
                    atoms.info[RADIUS] = at.radius
                self.trajectories.add(number, atoms)
        if len(self.active) == 1 and self.bar.visible:
            stress = f"  stress {at.smax:.3g} GPa" if record.with_cell else ""
            calls = f"step {at.steps}  calls {at.force_calls}"
            self.bar.status(f"{record.formula}  {calls}  fmax {at.fmax:.3g} eV/A{stress}")

    def end(self, number: int, record: Record) -> None:
        """Take note of how a structure has ended."""
        with self._fault_kept():
            if self.trajectories:
                self.trajectories.end(number)
            if self.log:
                self.log.end(number, record.source, record.result.status, record.result.reason)

    def close(self) -> None:
        """Close the log."""
        if self.log:
            self.log.close()

    @contextlib.contextmanager
    def _fault_kept(self) -> Iterator[None]:
        try:
            yield
        except UsageError as error:
            self.fault = self.fault or error
