"""A small MACE potential: ``python -m benchmarks.tools.mace_mini labels``, ``train``, ``errors``.

``labels`` computes energies, forces and stresses of crystals of twelve metals with CHGNet 0.3.0, see
:mod:`benchmarks.tools.mace_mini.labels`.  ``train`` runs MACE's own trainer on them and writes
``data/mace-mini.model``.  ``errors`` compares the model with CHGNet for crystals of other compositions than
those it was trained on, and relaxes them.

Files that are there already are kept: a command that was stopped continues where it was.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.common.provenance import command_line
from benchmarks.common.terminal import print_table
from benchmarks.tools.mace_mini.crystals import ELEMENTS, LARGEST, TEST_SEED, TRAIN_SEED
from benchmarks.tools.mace_mini.errors import mean_errors, relaxations, summary
from benchmarks.tools.mace_mini.labels import FMAX, TEST_STEPS, frames_of_kind, write_labels
from benchmarks.tools.mace_mini.train import SETTINGS, train_model
from relax.analysis.comparison.files.provenance import versions
from relax.analysis.comparison.files.results_file import write_record
from relax.calculators.registry import load

app = typer.Typer(add_completion=False, help=(__doc__ or "").split("\n")[0])
Folder = Annotated[Path, typer.Option(help="Where labels and checkpoints are kept.")]
FOLDER = Path("build/mace-mini")
MODEL = Path("data/mace-mini.model")


@app.command()
def labels(folder: Folder = FOLDER) -> None:
    """Label all crystals with CHGNet."""
    write_labels(folder)


@app.command()
def train(folder: Folder = FOLDER, model: Annotated[Path, typer.Option()] = MODEL) -> None:
    """Train the potential with MACE's own trainer."""
    train_model(folder, model)


@app.command()
def errors(
    folder: Folder = FOLDER,
    model: Annotated[Path, typer.Option(help="The model that `train` wrote.")] = MODEL,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
) -> None:
    """Compare the potential with CHGNet for crystals of compositions it was not trained on."""
    trained = json.loads((folder / "trained.json").read_text())
    if trained["model"] != hashlib.sha256(model.read_bytes()).hexdigest():
        raise typer.BadParameter(f"{model} is not the model that was trained in {folder}")
    calculator, chgnet = load(f"mace:{model}"), load("chgnet")
    test = frames_of_kind(folder, "test")
    rows = {
        name: mean_errors([frames[i] for frames in test], calculator)
        for i, name in enumerate(("start", "relaxed", "rattled"))
    }
    crystals = relaxations(test, calculator, chgnet)
    figures = summary(crystals)
    show(rows, figures)
    if json_path is not None:
        packages = ("numpy", "ase", "chgnet", "mace-torch", "torch", "pymatgen", "relax")
        record = {
            "command": command_line("benchmarks.tools.mace_mini"),
            "versions": versions(*packages),
            "elements": ELEMENTS,
            "seeds": {"train": TRAIN_SEED, "test": TEST_SEED, "trainer": SETTINGS["seed"]},
            "largest": LARGEST,
            "trained": trained,
            "bytes": model.stat().st_size,
            "errors": rows,
            "relaxations": figures,
            "crystals": crystals,
        }
        write_record(json_path, record)


def show(rows: dict[str, dict[str, float]], figures: dict[str, Any]) -> None:
    """Print the mean errors, and the statistics of relaxations."""
    console = Console()
    print_table(
        console,
        "mace-mini against CHGNet 0.3.0: mean absolute errors, unseen compositions",
        ("frames", "number", "energy, meV/atom", "forces, meV/A", "stress, GPa"),
        [
            [name, str(row["frames"]), *(f"{value:.2f}" for value in list(row.values())[1:])]
            for name, row in rows.items()
        ],
        ("frames",),
    )
    print_table(
        console,
        f"FIRE, cell free, fmax {FMAX} eV/A, at most {TEST_STEPS} steps",
        ("relaxations of the test's starts", ""),
        [
            [name.replace("_", " "), f"{value:.2f}" if isinstance(value, float) else str(value)]
            for name, value in figures.items()
        ],
        ("relaxations of the test's starts",),
    )


if __name__ == "__main__":
    app()
