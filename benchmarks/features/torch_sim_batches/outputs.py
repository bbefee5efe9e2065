"""What torch-sim reports, and what else it does."""

from __future__ import annotations

import io
from contextlib import redirect_stderr
from functools import partial
from importlib.metadata import distribution

import numpy as np

from benchmarks.features.tool import Cell, module_names, no_command, no_name, noted
from benchmarks.features.torch_sim_batches.tool import TOOL, argon, longest_force
from benchmarks.features.workplace import Workplace

CALL = "`torch_sim.optimize`"


@TOOL.check("stdin", "config", "completion", "exit_code", "json")
def command(place: Workplace) -> Cell:
    """There is no command."""
    argon()
    scripts = [
        entry.name for entry in distribution(TOOL.package).entry_points if entry.group == "console_scripts"
    ]
    return no_command(scripts, TOOL.package)


@TOOL.check("trajectory")
def trajectory(place: Workplace) -> Cell:
    """All steps."""
    ours = argon()
    import torch_sim as ts

    reporter = ts.TrajectoryReporter([place.folder / "steps.h5"], state_frequency=1)
    ours.relaxation(ours.crystals()[:1], ours.model(), trajectory_reporter=reporter)
    with ts.TorchSimTrajectory(place.folder / "steps.h5", mode="r") as steps:
        number = len(steps)
    return noted(f"{CALL} with `TrajectoryReporter`", number > 1, f"{number} frames")


@TOOL.check("log")
def log(place: Workplace) -> Cell:
    """Energies of the steps, among what a trajectory can have."""
    ours = argon()
    import torch_sim as ts

    energies = {1: {"energy": lambda state: state.energy}}
    path = place.folder / "steps.h5"
    reporter = ts.TrajectoryReporter([path], state_frequency=50, prop_calculators=energies)
    ours.relaxation(ours.crystals()[:1], ours.model(), trajectory_reporter=reporter)
    with ts.TorchSimTrajectory(path, mode="r") as steps:
        number = len(steps.get_array("energy"))
    return noted(
        "`TrajectoryReporter(prop_calculators=...)`", number > 1, f"{number} energies in an HDF5 file"
    )


@TOOL.check("formats")
def formats(place: Workplace) -> Cell:
    """Structures of ASE, which writes them."""
    ours = argon()
    state = ours.relaxation(ours.crystals(), ours.model())
    names = ("out.cif", "out.xsf", "out.xyz", "out.json")
    for name in names:
        state.to_atoms()[0].write(place.folder / name)
    written = all(len(place.read(name)) == 32 for name in names)
    return noted("`state.to_atoms()`, then ASE", written, ", ".join(names))


@TOOL.check("calls")
def calls(place: Workplace) -> Cell:
    """Whether the state has it."""
    ours = argon()
    state = ours.relaxation(ours.crystals(), ours.model())
    return no_name("call|n_steps|evaluations", vars(state), "entries of the state")


@TOOL.check("progress")
def progress(place: Workplace) -> Cell:
    """What the bar says."""
    ours = argon()
    shown = io.StringIO()
    with redirect_stderr(shown):
        ours.relaxation(ours.crystals(), ours.model(), autobatcher=batcher(), pbar={"disable": False})
    return noted(
        f"{CALL} with `pbar`", "3/3" in shown.getvalue() and "<" in shown.getvalue(), "a bar of tqdm"
    )


def batcher() -> object:
    """Return an autobatcher with room for two crystals."""
    import torch_sim as ts

    return ts.InFlightAutoBatcher(model=argon().model(), max_memory_scaler=70, memory_scales_with="n_atoms")


@TOOL.check("minimizers")
def minimizers(place: Workplace) -> Cell:
    """Gradient descent in the place of FIRE."""
    ours = argon()
    import torch_sim as ts

    state = ours.relaxation(
        ours.crystals(), ours.model(), optimizer=ts.optimizers.gradient_descent, max_steps=2000
    )
    return noted("`gradient_descent` and `fire`", longest_force(state) < 0.01, "both converge")


@TOOL.check("dynamics")
def dynamics(place: Workplace) -> Cell:
    """Ten steps of three structures together."""
    ours = argon()
    import torch_sim as ts

    state = ts.integrate(
        ours.crystals(), ours.model(), integrator=ts.nve, n_steps=10, temperature=10, timestep=0.001
    )
    moved = bool(np.isfinite(state.positions.numpy()).all())
    return noted("`torch_sim.integrate`", moved, f"10 steps of {state.n_systems} structures together")


@TOOL.check("elasticity")
def elasticity(place: Workplace) -> Cell:
    """The tensor of a crystal."""
    ours = argon()
    import torch_sim as ts

    atoms = ours.crystals()[0]
    model = ours.model()
    state = ts.optimize([atoms], model, optimizer=ts.optimizers.frechet_cell_fire, max_steps=300)
    tensor = ts.elastic.calculate_elastic_tensor(
        model, state=state, bravais_type=ts.elastic.BravaisType.CUBIC
    ).numpy()
    return noted("`torch_sim.elastic`", bool(tensor[0, 0] > tensor[0, 1] > 0), "C11 > C12 > 0 of argon")


def lacks(pattern: str, place: Workplace) -> Cell:
    """No module and no function has such a name."""
    argon()
    import torch_sim as ts

    return no_name(pattern, [*module_names(ts), *dir(ts)], "modules and names of torch-sim")


LACKING = {
    "compare": "compar|bench",
    "phonons": "phonon",
    "eos": r"\beos|equation",
    "neb": r"\bneb|band",
    "training": r"\btrain|finetun",
    "viewer": r"\bgui|view|plot",
    "carbon": "carbon|emission",
}
for feature, pattern in LACKING.items():
    TOOL.check(feature)(partial(lacks, pattern))
