"""A small MACE potential of our own: ``python -m benchmarks.train_mace_mini labels``, ``train``, ``errors``.

``labels`` asks CHGNet 0.3.0 for energies, forces and stresses of crystals made as WBM's were, of twelve
metals: unrelaxed, on their way to the minimum, at it, and rattled, strained and compressed; and of the
pure metals.  ``train`` runs MACE's own trainer on them and writes ``data/mace-mini.model``.  ``errors``
compares the model with CHGNet on crystals it has never seen, and relaxes them.

The crystals of the test are ``wbm_like(100, seed=1, largest=12, elements=ELEMENTS)``.  No crystal with the
composition of one of them, reduced to lowest terms, is trained on or used to choose among models, whatever
its prototype.

Whatever is there already is kept: a run that was cut off goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from ase import Atoms
from ase.build import bulk
from ase.data import covalent_radii
from ase.filters import FrechetCellFilter
from ase.io import read, write
from ase.optimize import FIRE
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.wbm_like import wbm_like
from relax import LBFGSRelax, __version__
from relax.calculators.registry import load

ELEMENTS = ("Mg", "Al", "Ti", "Fe", "Co", "Ni", "Cu", "Zn", "Pd", "Ag", "Pt", "Au")
LARGEST = 12
TEST_SEED, TEST_CRYSTALS = 1, 100
TRAIN_SEED, TRAIN_CRYSTALS = 2, 500
"""The crystals to draw; those of the test's compositions are left out of them."""

FMAX = 0.05
TRAIN_STEPS, ALONG = 25, 5
"""Steps of a training crystal's relaxation, and how many of its frames are kept."""
STRONGEST = 15.0
"""Largest force (eV/A) of a frame to train on."""
VALID_EVERY = 20
"""Every how manyeth crystal is not trained on but chooses among the epochs."""

TEST_STEPS = 500
VOLUMES = (0.4, 2.5)
"""Final over initial volume between which a relaxation counts as sane."""
TOUCHING = 0.6
"""Least distance that counts as sane, over the sum of the covalent radii."""

SETTINGS: dict[str, str | int | float] = {
    "model": "MACE",
    "hidden_irreps": "32x0e",
    "MLP_irreps": "16x0e",
    "r_max": 4.5,
    "num_radial_basis": 8,
    "max_ell": 2,
    "correlation": 2,
    "num_interactions": 2,
    # CHGNet has no energies of isolated atoms.
    "E0s": "average",
    "loss": "universal",
    "huber_delta": 0.02,
    "energy_weight": 20,
    "forces_weight": 5,
    # Stress is in eV/A^3, and a number of it a hundred times smaller than one of the forces.
    "stress_weight": 500,
    "batch_size": 16,
    "valid_batch_size": 32,
    "lr": 0.01,
    "max_num_epochs": 10,
    "scheduler": "ExponentialLR",
    "ema_decay": 0.99,
    "default_dtype": "float32",
    "seed": 0,
}
"""Arguments of MACE's trainer."""
SWITCHES = ("pair_repulsion", "ema", "amsgrad")
"""Arguments of MACE's trainer that take no value."""
LAST_LR = 0.196
"""The learning rate of the last epoch over that of the first."""

app = typer.Typer(add_completion=False, help=(__doc__ or "").split("\n")[0])
Folder = Annotated[Path, typer.Option(help="where labels and checkpoints are kept")]
FOLDER = Path("build/mace-mini")
MODEL = Path("data/mace-mini.model")


def reduced(atoms: Atoms) -> str:
    """Return the composition in lowest terms."""
    return str(atoms.symbols.formula.reduce()[0].format("hill"))


def unseen_crystals() -> list[Atoms]:
    """Return the crystals that only ``errors`` sees."""
    return wbm_like(TEST_CRYSTALS, TEST_SEED, LARGEST, elements=ELEMENTS)


def training_crystals() -> list[Atoms]:
    """Return crystals of other compositions than those of the test."""
    held_out = {reduced(atoms) for atoms in unseen_crystals()}
    drawn = wbm_like(TRAIN_CRYSTALS, TRAIN_SEED, LARGEST, elements=ELEMENTS)
    return [atoms for atoms in drawn if reduced(atoms) not in held_out]


def distorted(
    atoms: Atoms, rng: np.random.Generator, volume: tuple[float, float], shear: float, rattle: float
) -> Atoms:
    """Return a copy with its volume times one drawn from ``volume``, strained and rattled (A)."""
    copy = atoms.copy()
    strain = rng.uniform(-shear, shear, (3, 3))
    deformation = np.eye(3) + (strain + strain.T) / 2
    deformation *= np.cbrt(rng.uniform(*volume) / np.linalg.det(deformation))
    copy.set_cell(copy.cell @ deformation, scale_atoms=True)
    copy.positions += rng.normal(0, rattle, copy.positions.shape)
    return copy


def labelled(atoms: Atoms, calculator: Any, kind: str) -> Atoms:
    """Return a copy with energy (eV), forces (eV/A) and stress (eV/A^3) under the names MACE looks for."""
    atoms.calc = calculator
    copy = atoms.copy()
    copy.calc = None
    copy.info = {
        "kind": kind,
        "REF_energy": float(atoms.get_potential_energy()),
        "REF_stress": atoms.get_stress(voigt=False),
    }
    copy.arrays["REF_forces"] = np.array(atoms.get_forces(), float)
    return copy


def relaxation(start: Atoms, calculator: Any, steps: int) -> list[Atoms]:
    """Return the frames of a relaxation with the cell free, labelled; the last has converged or was cut."""
    atoms, frames = start.copy(), []
    atoms.calc = calculator
    opt = LBFGSRelax(FrechetCellFilter(atoms), logfile=None)
    opt.attach(lambda: frames.append(labelled(atoms, calculator, "relaxation")))
    opt.run(FMAX, steps)
    frames[0].info["kind"] = "start"
    frames[-1].info["kind"] = "relaxed" if opt.result.converged else "relaxation"
    return frames


def frames_of_training(start: Atoms, index: int, calculator: Any) -> list[Atoms]:
    """Return the frames to train on that come from one crystal."""
    rng = np.random.default_rng([TRAIN_SEED, index])
    path = relaxation(start, calculator, TRAIN_STEPS)
    frames = [path[i] for i in np.unique(np.linspace(0, len(path) - 1, ALONG).astype(int))]
    copies = [("distorted", base, (0.75, 1.3), 0.08) for base in (start, path[-1], path[-1])]
    if index % 3 == 0:
        # Relaxations seldom see the repulsive wall, and a model that has not seen it may have none.
        copies.append(("compressed", path[-1], (0.45, 0.7), 0.05))
    for kind, base, volume, shear in copies:
        copy = distorted(base, rng, volume, shear, rng.uniform(0.02, 0.15))
        frames.append(labelled(copy, calculator, kind))
    return frames


def frames_of_element(symbol: str, index: int, calculator: Any) -> list[Atoms]:
    """Return a pure metal in three structures at several volumes, ideal and rattled."""
    rng = np.random.default_rng([TRAIN_SEED, index, 1])
    metal = bulk(symbol)
    volume = metal.get_volume() / len(metal)
    frames = []
    ideals = (
        bulk(symbol, "fcc", a=np.cbrt(4 * volume), cubic=True),
        bulk(symbol, "bcc", a=np.cbrt(2 * volume), cubic=True),
        bulk(symbol, "hcp", a=np.cbrt(2**0.5 * volume), covera=(8 / 3) ** 0.5),
    )
    for ideal in ideals:
        for scale in (0.55, 0.7, 0.8, 0.87, 0.94, 1.0, 1.07, 1.15, 1.3):
            frames.append(labelled(distorted(ideal, rng, (scale, scale), 0, 0), calculator, "pure"))
        for _ in range(2):
            frames.append(labelled(distorted(ideal, rng, (0.75, 1.3), 0.08, 0.1), calculator, "pure"))
    return frames


def frames_of_test(start: Atoms, index: int, calculator: Any) -> list[Atoms]:
    """Return the start, the relaxed structure and a rattled and strained copy of it."""
    rng = np.random.default_rng([TEST_SEED, index])
    path = relaxation(start, calculator, TEST_STEPS)
    copy = distorted(path[-1], rng, (0.85, 1.15), 0.05, 0.1)
    return [path[0], path[-1], labelled(copy, calculator, "rattled")]


def jobs(calculator: Any) -> Iterator[tuple[str, Callable[[], list[Atoms]]]]:
    """Yield a name for each lot of frames and what makes it."""
    for i, atoms in enumerate(unseen_crystals()):
        yield f"test-{i:04d}", lambda a=atoms, i=i: frames_of_test(a, i, calculator)  # type: ignore[misc]
    for i, symbol in enumerate(ELEMENTS):
        yield f"pure-{i:04d}", lambda s=symbol, i=i: frames_of_element(s, i, calculator)  # type: ignore[misc]
    for i, atoms in enumerate(training_crystals()):
        yield f"train-{i:04d}", lambda a=atoms, i=i: frames_of_training(a, i, calculator)  # type: ignore[misc]


def lots(folder: Path, kind: str) -> list[list[Atoms]]:
    """Return the labelled frames of ``kind``, a list for each crystal."""
    return [read(path, ":") for path in sorted((folder / "labels").glob(f"{kind}-*.extxyz"))]


@app.command()
def labels(folder: Folder = FOLDER) -> None:
    """Label all crystals with CHGNet."""
    calculator = load("chgnet")
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    for name, make in track(list(jobs(calculator)), "labels", console=Console(stderr=True)):
        path = folder / "labels" / f"{name}.extxyz"
        if not path.exists():
            # Under another name until it is whole: a run may be cut off at any time.
            unfinished = path.with_suffix(".part")
            write(unfinished, make(), format="extxyz")
            unfinished.rename(path)


def split(folder: Path) -> dict[str, list[Atoms]]:
    """Return the frames to train on and those to choose among the epochs by, split by crystal."""
    crystals = lots(folder, "train")
    chosen = {
        "train": lots(folder, "pure") + [lot for i, lot in enumerate(crystals) if i % VALID_EVERY],
        "valid": crystals[::VALID_EVERY],
    }
    return {
        name: [f for lot in group for f in lot if np.abs(f.arrays["REF_forces"]).max() < STRONGEST]
        for name, group in chosen.items()
    }


@app.command()
def train(folder: Folder = FOLDER, model: Annotated[Path, typer.Option()] = MODEL) -> None:
    """Train the potential with MACE's own trainer."""
    frames = split(folder)
    for name, group in frames.items():
        write(folder / f"{name}.extxyz", group)
    gamma = LAST_LR ** (1 / int(SETTINGS["max_num_epochs"]))
    arguments = SETTINGS | {"lr_scheduler_gamma": round(gamma, 6)}
    given = [f"--{name}={value}" for name, value in arguments.items()] + [f"--{name}" for name in SWITCHES]
    files = [f"--train_file={folder / 'train.extxyz'}", f"--valid_file={folder / 'valid.extxyz'}"]
    files += [f"--work_dir={folder}", "--name=mace-mini", "--device=cpu", "--compute_stress=True"]
    files += ["--error_table=PerAtomMAEstressvirials", "--plot=False", "--restart_latest"]
    subprocess.run([sys.executable, "-m", "mace.cli.run_train", *given, *files], check=True)

    import mace  # noqa: F401  (before torch unpickles e3nn, which fails without what this sets up)
    import torch

    trained = torch.load(folder / "mace-mini.model", map_location="cpu", weights_only=False)
    torch.save(trained.double(), model)
    record = {
        "model": hashlib.sha256(model.read_bytes()).hexdigest(),
        "frames": {name: len(group) for name, group in frames.items()},
        "settings": arguments | dict.fromkeys(SWITCHES, True),
    }
    (folder / "trained.json").write_text(json.dumps(record, indent=1) + "\n")


def mean_errors(frames: list[Atoms], calculator: Any) -> dict[str, float]:
    """Return mean absolute errors: energy (meV/atom), forces (meV/A), stress (GPa)."""
    energies, forces, stresses = [], [], []
    for frame in frames:
        atoms = frame.copy()
        atoms.calc = calculator
        energies.append(abs(atoms.get_potential_energy() - frame.info["REF_energy"]) / len(atoms))
        forces.append(np.abs(atoms.get_forces() - frame.arrays["REF_forces"]).ravel())
        stresses.append(np.abs(atoms.get_stress(voigt=False) - frame.info["REF_stress"]).ravel())
    return {
        "frames": len(frames),
        "energy_meV_per_atom": 1e3 * float(np.mean(energies)),
        "forces_meV_per_A": 1e3 * float(np.mean(np.concatenate(forces))),
        "stress_GPa": 160.21766 * float(np.mean(np.concatenate(stresses))),
    }


def closest(atoms: Atoms) -> float:
    """Return the shortest distance over the sum of the covalent radii."""
    # Twice the cell, so that an atom meets its own images.
    doubled = atoms.repeat(2)
    distances = doubled.get_all_distances(mic=True)
    radii = covalent_radii[doubled.numbers]
    apart = np.triu_indices(len(doubled), 1)
    return float((distances / (radii[:, None] + radii))[apart].min())


def relaxations(test: list[list[Atoms]], calculator: Any, reference: Any) -> list[dict[str, Any]]:
    """Relax the starts with FIRE and a free cell, and hold the ends against those of ``reference``.

    Energies of both ends are those of ``reference``, so that a negative one says that the potential found
    a lower minimum.
    """
    rows = []
    for start, relaxed, _ in track(test, "relaxations", console=Console(stderr=True)):
        atoms = Atoms(start.symbols, start.positions, cell=start.cell, pbc=True, calculator=calculator)
        opt = FIRE(FrechetCellFilter(atoms), logfile=None)
        converged, ratio = False, 1.0
        for met in opt.irun(fmax=FMAX, steps=TEST_STEPS):
            converged, ratio = met, atoms.get_volume() / start.get_volume()
            # A cell that collapses has ever more neighbours, and the run would take for ever.
            if not VOLUMES[0] < ratio < VOLUMES[1]:
                break
        near = closest(atoms)
        row = {
            "crystal": start.get_chemical_formula(),
            "converged": bool(converged),
            "sane": bool(VOLUMES[0] < ratio < VOLUMES[1] and near > TOUCHING),
            "steps": opt.nsteps,
            "volume_ratio": ratio,
            "shortest_over_radii": near,
        }
        if row["converged"] and row["sane"]:
            atoms.calc = reference
            above = atoms.get_potential_energy() - relaxed.info["REF_energy"]
            row["volume_over_reference"] = atoms.get_volume() / relaxed.get_volume()
            row["energy_above_reference_meV_per_atom"] = 1e3 * float(above) / len(atoms)
        rows.append(row)
    return rows


@app.command()
def errors(
    folder: Folder = FOLDER,
    model: Annotated[Path, typer.Option(help="the model that `train` wrote")] = MODEL,
    json_path: Annotated[Path | None, typer.Option("--json", help="write the figures here")] = None,
) -> None:
    """Compare the potential with CHGNet on crystals of compositions it has not seen."""
    trained = json.loads((folder / "trained.json").read_text())
    if trained["model"] != hashlib.sha256(model.read_bytes()).hexdigest():
        raise typer.BadParameter(f"{model} is not the model that was trained in {folder}")
    calculator, chgnet = load(f"mace:{model}"), load("chgnet")
    test = lots(folder, "test")
    rows = {
        name: mean_errors([lot[i] for lot in test], calculator)
        for i, name in enumerate(("start", "relaxed", "rattled"))
    }
    table = Table(title="mace-mini against CHGNet 0.3.0: mean absolute errors, unseen compositions")
    for column in ("frames", "number", "energy, meV/atom", "forces, meV/A", "stress, GPa"):
        table.add_column(column, justify="left" if column == "frames" else "right")
    for name, row in rows.items():
        table.add_row(name, str(row["frames"]), *(f"{value:.2f}" for value in list(row.values())[1:]))
    Console().print(table)

    crystals = relaxations(test, calculator, chgnet)
    good = [row for row in crystals if row["converged"] and row["sane"]]
    above = np.array([row["energy_above_reference_meV_per_atom"] for row in good])
    volume = np.array([row["volume_over_reference"] for row in good])
    summary = {
        "crystals": len(crystals),
        "converged_and_sane": len(good),
        "mean_steps": float(np.mean([row["steps"] for row in good])),
        "median_energy_above_meV_per_atom": float(np.median(above)),
        "mean_energy_above_meV_per_atom": float(np.mean(above)),
        "median_volume_error_percent": 100 * float(np.median(np.abs(volume - 1))),
    }
    table = Table(title=f"FIRE, cell free, fmax {FMAX} eV/A, at most {TEST_STEPS} steps")
    table.add_column("relaxations of the test's starts")
    table.add_column("", justify="right")
    for name, value in summary.items():
        table.add_row(name.replace("_", " "), f"{value:.2f}" if isinstance(value, float) else str(value))
    Console().print(table)
    if json_path is not None:
        record = {
            "command": f"python -m benchmarks.train_mace_mini {' '.join(sys.argv[1:])}",
            "versions": {p: version(p) for p in ("numpy", "ase", "chgnet", "mace-torch", "torch", "pymatgen")}
            | {"relax": __version__},
            "elements": ELEMENTS,
            "seeds": {"train": TRAIN_SEED, "test": TEST_SEED, "trainer": SETTINGS["seed"]},
            "largest": LARGEST,
            "trained": trained,
            "bytes": model.stat().st_size,
            "errors": rows,
            "relaxations": summary,
            "crystals": crystals,
        }
        json_path.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    app()
