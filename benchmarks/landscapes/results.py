"""The file of results of landscapes: a row for each case, with its runs, and all that its picture shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from benchmarks.landscapes.cases import CASES
from relax.analysis.comparison.files.provenance import environment, sha256_of, versions
from relax.analysis.comparison.files.results_file import Json, Schema
from relax.analysis.comparison.minimizers.construction import settings_text
from relax.analysis.comparison.minimizers.names import System, packages_of
from relax.analysis.landscape.result import Landscape

DIGITS = 7
"""Significant digits of energies, and of coordinates after the point: 5."""


def header() -> Json:
    """Return the header of a file of results."""
    return {
        "benchmark": "landscapes",
        "command": "python -m benchmarks.landscapes",
        **environment("numpy", "scipy", "ase", "relax"),
    }


def run_identity(name: str, optimizer: str) -> Json:
    """Return what decides the path of an optimizer."""
    case, spec = CASES[name], asdict(CASES[name].spec)
    packages = [*packages_of(optimizer, System.POSITIONS), *case.packages]
    return {
        "case": name,
        "spec": {key: spec[key] for key in ("source", "calculator", "seed", "fmax", "cap")},
        "start_sha256": sha256_of([case.start()]),
        "optimizer": optimizer,
        "parameters": settings_text(optimizer, System.POSITIONS),
        "versions": versions(*packages),
    }


def identity(row: Json) -> Json:
    """Return the entries that decide the numbers of a row."""
    case, start = CASES[row["case"]], CASES[row["case"]].start()
    found = [run_identity(row["case"], optimizer) for optimizer in case.spec.optimizers]
    return {
        "spec": {
            key: list(value) if key == "optimizers" else value  # as JSON has it
            for key, value in asdict(case.spec).items()
            if key != "title"
        },
        "formula": start.get_chemical_formula(),
        "atoms": len(start),
        "start_sha256": sha256_of([start]),
        "parameters": {each["optimizer"]: each["parameters"] for each in found},
        "versions": {package: v for each in found for package, v in each["versions"].items()},
    }


def plane_entries(found: Landscape) -> Json:
    """Return what the picture of a landscape shows."""
    distance, path, frame = found.farthest
    return {
        "labels": list(found.labels),
        "explained": [round(float(share), 6) for share in found.explained],
        "farthest": {"distance": round(distance, 5), "optimizer": path, "frame": frame},
        "x": np.round(found.x, 5).tolist(),
        "y": np.round(found.y, 5).tolist(),
        "energies": [[digits(energy) for energy in line] for line in found.energies],
        "paths": {
            name: np.round(each, 5).tolist() for name, each in zip(found.names, found.paths, strict=True)
        },
        "distances": {
            name: np.round(each, 5).tolist() for name, each in zip(found.names, found.distances, strict=True)
        },
        "ends": [[digits(energy) for energy in pair] for pair in found.ends],
        "on_plane": [digits(energy) for energy in found.on_plane],
    }


def digits(energy: float) -> float | None:
    """Return an energy with some digits, None where there is none."""
    return float(f"{energy:.{DIGITS}g}") if math.isfinite(energy) else None


def landscape_of(row: Json) -> Landscape:
    """Return the landscape of a row, as far as its picture needs it: it has no structures."""
    plane, none = row["plane"], np.zeros((0, 3))
    return Landscape(
        x=np.array(plane["x"]),
        y=np.array(plane["y"]),
        energies=infinite(plane["energies"]),
        names=tuple(plane["paths"]),
        paths=tuple(np.array(each) for each in plane["paths"].values()),
        distances=tuple(np.array(each) for each in plane["distances"].values()),
        ends=infinite(plane["ends"]),
        on_plane=infinite(plane["on_plane"]),
        explained=np.array(plane["explained"]),
        labels=tuple(plane["labels"]),
        calculator=row["spec"]["calculator"],
        numbers=np.zeros(row["atoms"], int),
        positions=none,
        cell=none,
        pbc=np.zeros(3, bool),
        length=math.nan,
        origin=none,
        axes=none,
    )


def infinite(values: Sequence[float | None] | Sequence[Sequence[float | None]]) -> np.ndarray:
    """Return energies as floats, infinite where there is none."""
    found = np.array(values, dtype=float)
    return np.where(np.isnan(found), np.inf, found)


def complete(head: Json, rows: Sequence[Json]) -> Json:
    """Return all results, the rows in the order of the cases."""
    found = {row["case"]: row for row in rows}
    return head | {"rows": [found[name] for name in CASES if name in found]}


def check(results: Json) -> None:
    """Raise an exception unless these are results of this benchmark."""
    if results["benchmark"] != "landscapes":
        raise ValueError(f"the benchmark is {results['benchmark']}")
    for row in results["rows"]:
        landscape_of(row)


SCHEMA = Schema(
    protocol=("benchmark",),
    key=lambda row: row["case"],
    identity=lambda head, row: identity(row),
    complete=complete,
    check=check,
)
