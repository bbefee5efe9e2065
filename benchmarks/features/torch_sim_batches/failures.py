"""What torch-sim does when something goes wrong, and where it ends."""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.features.observations import APART
from benchmarks.features.tool import Cell, argument_names, module_names, no_name, noted
from benchmarks.features.torch_sim_batches.tool import TOOL, argon
from benchmarks.features.workplace import LIMIT, STAND_INS, NotChecked, Workplace

CALL = "`torch_sim.optimize`"


def killed(place: Workplace) -> list[Path]:
    """Kill a process while it relaxes the second of three structures; return its trajectories."""
    argon()
    process = subprocess.Popen([sys.executable, str(STAND_INS / "torch_sim_run.py")], cwd=place.folder)
    end = time.monotonic() + LIMIT
    while time.monotonic() < end and process.poll() is None and not (place.folder / "finished").exists():
        time.sleep(0.05)
    time.sleep(0.5)  # some steps of the second
    process.kill()
    process.wait()
    return sorted(place.folder.glob("*.h5"))


@TOOL.check("kill")
def kill(place: Workplace) -> Cell:
    """What the trajectory of the finished structure has."""
    files = killed(place)
    from torch_sim.trajectory import TorchSimTrajectory

    try:
        with TorchSimTrajectory(files[0], mode="r") as trajectory:
            atoms = trajectory.get_atoms(-1)
    except Exception as error:  # whatever HDF5 finds in a file that was not closed
        words = f"its trajectory cannot be read: {type(error).__name__}"
        return noted(f"{CALL} with trajectories, `kill -9`", False, words)
    words = f"the last of the steps of the first structure can be read, {len(atoms)} atoms"
    return noted(f"{CALL} with trajectories, `kill -9`", True, words)


@TOOL.check("resume", "restart")
def resume(place: Workplace) -> Cell:
    """No argument for it."""
    argon()
    import torch_sim as ts

    names = argument_names(ts.optimize, ts.InFlightAutoBatcher)
    return no_name("resum|restart|skip|checkpoint", names, "arguments of `optimize` and its autobatcher")


@TOOL.check("overwrite")
def overwrite(place: Workplace) -> Cell:
    """A trajectory that exists."""
    ours = argon()
    import torch_sim as ts

    path = place.folder / "steps.h5"
    sizes = []
    for steps in (60, 5):
        reporter = ts.TrajectoryReporter([path], state_frequency=1)
        ours.relaxation(
            ours.crystals()[:1], ours.model(), trajectory_reporter=reporter, max_steps=steps, fmax=1e-6
        )
        with ts.TorchSimTrajectory(path, mode="r") as trajectory:
            sizes.append(len(trajectory))
    words = f"a trajectory of {sizes[0]} frames has {sizes[1]} after another run"
    return noted("`TrajectoryReporter`", sizes[1] >= sizes[0], words)


SECOND = "import sys, torch_sim; torch_sim.TorchSimTrajectory(sys.argv[1], mode='w')"


@TOOL.check("lock")
def lock(place: Workplace) -> Cell:
    """Two processes, one trajectory."""
    argon()
    import torch_sim as ts

    path = place.folder / "steps.h5"
    with ts.TorchSimTrajectory(path, mode="w"):
        command = [sys.executable, "-c", SECOND, str(path)]
        second = subprocess.run(command, capture_output=True, text=True, cwd=place.folder)
    last = second.stderr.strip().splitlines()[-1][:70] if second.stderr.strip() else ""
    words = f"a second process: exit code {second.returncode} {last}".strip().replace(str(place.folder), "")
    return noted("a trajectory that is open", bool(second.returncode), words)


class Broken:
    """Mixed into a model: one force of the second structure is not a number."""

    def forward(self, state: Any) -> Any:
        """Evaluate, and spoil."""
        found = super().forward(state)  # type: ignore[misc]
        found["forces"][40 % len(found["forces"]), 0] = np.nan
        return found


class Refusing:
    """Mixed into a model: it raises an error for a structure that is not argon."""

    def forward(self, state: Any) -> Any:
        """Raise, or evaluate."""
        if bool((state.atomic_numbers == 26).any()):
            raise ValueError("no iron")
        return super().forward(state)  # type: ignore[misc]


@TOOL.check("others")
def others(place: Workplace) -> Cell:
    """Iron among argon, for a model that raises an error for it."""
    ours = argon()
    structures = ours.crystals()
    structures[1].numbers[0] = 26
    try:
        state = ours.relaxation(structures, ours.model(Refusing))
    except ValueError:
        return noted(CALL, False, "the error that a model raises for one of three structures ends the call")
    return noted(CALL, state.n_systems == 3, "the others are relaxed")


@TOOL.check("status")
def status(place: Workplace) -> Cell:
    """What the state says after too few steps."""
    ours = argon()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        state = ours.relaxation(ours.crystals(), ours.model(), max_steps=5)
    known = [name for name in vars(state) if name in ("status", "converged", "reason")]
    warned = any("max steps" in str(each.message) for each in told)
    words = f"a warning that the steps are used up: {warned}; entries of the state about it: {len(known)}"
    return noted(f"{CALL} with 5 steps", "yes" if known else "partly" if warned else "no", words)


@TOOL.check("nan")
def nan(place: Workplace) -> Cell:
    """A force that is not a number."""
    ours = argon()
    state = ours.relaxation(ours.crystals(), ours.model(Broken), max_steps=20)
    lost = int(np.isnan(state.positions.numpy()).any(axis=1).sum())
    return noted(CALL, lost == 0, f"returned without an error, places of {lost} atoms are nan")


class Explosive:
    """Mixed into a model: forces drive atoms from the origin, 1 eV/A."""

    def forward(self, state: Any) -> Any:
        """Evaluate, and replace energy and forces."""
        found = super().forward(state)  # type: ignore[misc]
        places = state.positions + 1.0
        found["forces"] = places / places.norm(dim=1, keepdim=True)
        found["energy"] = -places.norm(dim=1).sum().reshape(1)
        return found


@TOOL.check("exploded")
def exploded(place: Workplace) -> Cell:
    """Atoms that are driven apart."""
    ours = argon()
    try:
        state = ours.relaxation(ours.crystals()[:1], ours.model(Explosive), max_steps=1000)
    except (ValueError, RuntimeError) as error:
        return noted(CALL, True, f"{type(error).__name__}: {error}")
    size = float(np.ptp(state.positions.numpy(), axis=0).max())
    if size < APART:
        raise NotChecked(f"atoms are {size:.0f} A apart only")
    return noted(CALL, False, f"1000 steps, returned without an error, atoms are {size:.0f} A apart")


@TOOL.check("hang")
def hang(place: Workplace) -> Cell:
    """No argument for it."""
    argon()
    import torch_sim as ts

    return no_name("time|limit", argument_names(ts.optimize), "arguments of `torch_sim.optimize`")


@TOOL.check("minimum", "escape", "draws")
def minimum(place: Workplace) -> Cell:
    """No argument and no module for it."""
    argon()
    import torch_sim as ts

    names = [*argument_names(ts.optimize), *module_names(ts)]
    return no_name(
        "saddle|curvature|hessian|draw|rattle|hop", names, "arguments of `optimize`, modules of torch-sim"
    )
