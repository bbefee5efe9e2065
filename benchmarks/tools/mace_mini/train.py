"""Training with MACE's own trainer."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write

from benchmarks.tools.mace_mini.labels import frames_of_kind

STRONGEST = 15.0
"""Largest force (eV/A) of a frame to train on."""
VALID_EVERY = 20
"""One crystal in so many is used to choose among the epochs, and not trained on."""
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
    # Stresses (eV/A^3) are a hundred times smaller than forces (eV/A).
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
"""Learning rate of the last epoch, relative to that of the first."""


def split(folder: Path) -> dict[str, list[Atoms]]:
    """Return the frames to train on, and those to choose among the epochs by, from different crystals."""
    crystals = frames_of_kind(folder, "train")
    chosen = {
        "train": frames_of_kind(folder, "pure")
        + [frames for i, frames in enumerate(crystals) if i % VALID_EVERY],
        "valid": crystals[::VALID_EVERY],
    }
    return {
        name: [f for frames in group for f in frames if np.abs(f.arrays["REF_forces"]).max() < STRONGEST]
        for name, group in chosen.items()
    }


def train_model(folder: Path, model: Path) -> None:
    """Train on the labels in ``folder``, and write the model in float64 to ``model``."""
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
