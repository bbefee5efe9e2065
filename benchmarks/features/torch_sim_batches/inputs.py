"""What torch-sim takes and which degrees of freedom it relaxes."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms

from benchmarks.features.tool import Cell, argument_names, module_names, no_name, noted
from benchmarks.features.torch_sim_batches.tool import TOOL, argon, longest_force
from benchmarks.features.workplace import Workplace

CALL = "`torch_sim.optimize`"


@TOOL.check("files", "folders")
def files(place: Workplace) -> Cell:
    """A path in the place of a structure."""
    ours = argon()
    try:
        ours.relaxation(str(place.folder / "cu.extxyz"), ours.model())
    except (ValueError, TypeError) as error:
        return noted(
            f"{CALL} of a path", False, f"{type(error).__name__}: {' '.join(str(error).split())[:60]}"
        )
    return noted(f"{CALL} of a path", True, "it is read")


@TOOL.check("frames")
def frames(place: Workplace) -> Cell:
    """A list of three structures."""
    ours = argon()
    state = ours.relaxation(ours.crystals(), ours.model())
    done = state.n_systems == 3 and longest_force(state) < 0.01
    return noted(f"{CALL} of a list", done, f"{state.n_systems} structures relaxed")


@TOOL.check("named_calculator")
def named_calculator(place: Workplace) -> Cell:
    """No function that makes a model by a name."""
    argon()
    import torch_sim as ts

    names = [name for name in dir(ts) + dir(ts.models) if not name.startswith("_")]
    return no_name("load|by_name|registry|from_name", names, "names in `torch_sim` and `torch_sim.models`")


@TOOL.check("own_calculator")
def own_calculator(place: Workplace) -> Cell:
    """A model class of one's own, and an ASE calculator."""
    ours = argon()
    seen: list[int] = []

    class Counted:
        def forward(self, state: Any) -> Any:
            seen.append(state.n_systems)
            return super().forward(state)  # type: ignore[misc]

    ours.relaxation(ours.crystals(), ours.model(Counted))
    try:
        ours.relaxation(ours.crystals(), LennardJones())
    except (AttributeError, TypeError) as error:
        words = f"a model class had {len(seen)} calls; an ASE calculator: {type(error).__name__}"
        return noted(CALL, "partly" if seen else "no", words)
    return noted(CALL, bool(seen), "a model class and an ASE calculator work")


@TOOL.check("device")
def device(place: Workplace) -> Cell:
    """The argument of models."""
    argon()
    from torch_sim.models.lennard_jones import LennardJonesModel

    return noted("`LennardJonesModel`", "device" in argument_names(LennardJonesModel), "an argument `device`")


def volume(**options: Any) -> float:
    """Return the volume of a crystal after FIRE with its cell, A^3."""
    ours = argon()
    import torch_sim as ts

    state = ours.relaxation(
        ours.crystals()[:1], ours.model(), optimizer=ts.optimizers.frechet_cell_fire, max_steps=300, **options
    )
    return float(np.linalg.det(state.cell[0].numpy()))


@TOOL.check("cell")
def cell(place: Workplace) -> Cell:
    """The volume changes."""
    ratio = volume() / argon().crystals()[0].get_volume()
    return noted(
        "`frechet_cell_fire`", abs(ratio - 1) > 0.01, f"the volume changed by a factor of {ratio:.3f}"
    )


@TOOL.check("pressure")
def pressure(place: Workplace) -> Cell:
    """The volume is smaller under pressure."""
    free, pressed = volume(), volume(scalar_pressure=0.01)
    words = f"volume {pressed:.0f} A^3 at 0.01 eV/A^3, without {free:.0f} A^3"
    return noted("`frechet_cell_fire(scalar_pressure=...)`", pressed < 0.95 * free, words)


def cell_arguments() -> list[str]:
    """Return the arguments of the optimizers of cells."""
    argon()
    from torch_sim.optimizers import frechet_cell_fire, unit_cell_fire, unit_cell_gradient_descent

    return argument_names(frechet_cell_fire, unit_cell_fire, unit_cell_gradient_descent)


@TOOL.check("mask")
def mask(place: Workplace) -> Cell:
    """No argument for it."""
    return no_name("mask|axes|fix", cell_arguments(), "arguments of optimizers of cells")


@TOOL.check("constraints")
def constraints(place: Workplace) -> Cell:
    """A fixed atom."""
    ours = argon()
    atoms = ours.crystals()[0]
    atoms.set_constraint(FixAtoms([0]))
    state = ours.relaxation([atoms], ours.model())
    moved = np.linalg.norm(state.positions.numpy() - atoms.positions, axis=1)
    words = f"an atom fixed by `FixAtoms` moved by {moved[0]:.3f} A"
    return noted(CALL, bool(moved[0] < 1e-8 < moved.max()), words)


@TOOL.check("symmetry")
def symmetry(place: Workplace) -> Cell:
    """No argument for it."""
    import torch_sim as ts

    names = [*cell_arguments(), *argument_names(ts.optimize), *module_names(ts)]
    return no_name("symm", names, "arguments of optimizers and modules of torch-sim")


@TOOL.check("batches")
def batches(place: Workplace) -> Cell:
    """Structures per call of the model, with the autobatcher."""
    ours = argon()
    import torch_sim as ts

    sizes: list[int] = []

    class Counted:
        def forward(self, state: Any) -> Any:
            sizes.append(state.n_systems)
            return super().forward(state)  # type: ignore[misc]

    model = ours.model(Counted)
    room = ts.InFlightAutoBatcher(model=model, max_memory_scaler=70, memory_scales_with="n_atoms")
    state = ours.relaxation(ours.crystals(), model, autobatcher=room)
    words = f"{state.n_systems} structures, up to {max(sizes)} per call with room for 70 atoms"
    return noted(f"{CALL} with `InFlightAutoBatcher`", max(sizes) == 2, words)
