"""Training data: energies, forces and stresses of CHGNet 0.3.0.

Of crystals unrelaxed, along their relaxation and relaxed, and rattled, strained and compressed; and of the
pure metals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.filters import FrechetCellFilter
from ase.io import read, write
from rich.console import Console
from rich.progress import track

from benchmarks.tools.mace_mini.crystals import (
    ELEMENTS,
    TEST_SEED,
    TRAIN_SEED,
    distorted,
    training_crystals,
    unseen_crystals,
)
from relax import LBFGSRelax
from relax.calculators.registry import load

FMAX = 0.05
"""Largest row at which a relaxation ends, eV/A."""
TRAIN_STEPS, ALONG = 25, 5
"""Steps of a training crystal's relaxation, and how many of its frames are kept."""
TEST_STEPS = 500


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
    """Return the labelled frames of a relaxation, atoms and cell."""
    atoms, frames = start.copy(), []
    atoms.calc = calculator
    opt = LBFGSRelax(FrechetCellFilter(atoms), logfile=None)
    opt.attach(lambda: frames.append(labelled(atoms, calculator, "relaxation")))
    opt.run(FMAX, steps)
    frames[0].info["kind"] = "start"
    frames[-1].info["kind"] = "relaxed" if opt.result.converged else "relaxation"
    return frames


def frames_of_training(start: Atoms, index: int, calculator: Any) -> list[Atoms]:
    """Return the training frames of one crystal."""
    rng = np.random.default_rng([TRAIN_SEED, index])
    path = relaxation(start, calculator, TRAIN_STEPS)
    frames = [path[i] for i in np.unique(np.linspace(0, len(path) - 1, ALONG).astype(int))]
    copies = [("distorted", base, (0.75, 1.3), 0.08) for base in (start, path[-1], path[-1])]
    if index % 3 == 0:
        # Relaxations seldom have short distances, and a model not trained on them may have no repulsion.
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


def all_frames(calculator: Any) -> Iterator[tuple[str, Callable[[], list[Atoms]]]]:
    """Yield a name for each crystal, and the function that makes its frames."""
    for i, atoms in enumerate(unseen_crystals()):
        yield f"test-{i:04d}", lambda a=atoms, i=i: frames_of_test(a, i, calculator)  # type: ignore[misc]
    for i, symbol in enumerate(ELEMENTS):
        yield f"pure-{i:04d}", lambda s=symbol, i=i: frames_of_element(s, i, calculator)  # type: ignore[misc]
    for i, atoms in enumerate(training_crystals()):
        yield f"train-{i:04d}", lambda a=atoms, i=i: frames_of_training(a, i, calculator)  # type: ignore[misc]


def frames_of_kind(folder: Path, kind: str) -> list[list[Atoms]]:
    """Return the labelled frames of ``"test"``, ``"pure"`` or ``"train"``, a list for each crystal."""
    return [read(path, ":") for path in sorted((folder / "labels").glob(f"{kind}-*.extxyz"))]


def write_labels(folder: Path) -> None:
    """Label all crystals with CHGNet, except those whose file is there already."""
    calculator = load("chgnet")
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    for name, make in track(list(all_frames(calculator)), "labels", console=Console(stderr=True)):
        path = folder / "labels" / f"{name}.extxyz"
        if not path.exists():
            # Under another name until it is complete: the command may be stopped at any time.
            unfinished = path.with_suffix(".part")
            write(unfinished, make(), format="extxyz")
            unfinished.rename(path)
