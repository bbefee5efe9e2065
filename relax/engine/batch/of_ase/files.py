"""The log and the trajectory of one structure, as ASE's optimizers write them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import IO, Any

from ase.io.trajectory import Trajectory
from ase.parallel import world
from ase.utils import IOContext

from relax.engine.batch.monitor import Monitor, Standing

__all__ = ["AseFiles"]


class AseFiles(Monitor, IOContext):
    """Writes a line and a frame after each step.

    Parameters
    ----------
    name
        What the lines begin with.
    logfile
        File, open or by name, for the lines; ``"-"`` is standard output, None none.
    trajectory
        Trajectory for the frames, open or by name; None for none.
    """

    follows = True

    def __init__(self, name: str, logfile: IO[str] | str | Path | None, trajectory: Any) -> None:
        self.name = name
        self.log = self.openfile(logfile, world, "a")  # type: ignore[no-untyped-call]
        self.trajectory = trajectory
        if isinstance(trajectory, str | Path):
            self.trajectory = self.closelater(Trajectory(trajectory, "w"))  # type: ignore[no-untyped-call]

    def follow(self, standing: Standing) -> None:
        if standing.steps == 0:
            self.log.write(f"{'':{len(self.name)}}   Step     Time          Energy          fmax\n")
        clock = time.strftime("%H:%M:%S")
        numbers = f"{standing.energy:15.6f} {standing.fmax:15.6f}"
        self.log.write(f"{self.name}:  {standing.steps:5d} {clock} {numbers}\n")
        self.log.flush()
        if self.trajectory is not None:
            self.trajectory.write(standing.atoms())
