"""The file of results of LJ38.

A row has, in addition to its statistics,

- ``calls``: the force calls of each cluster, before a failure is counted at the cap;
  ``failed_clusters``: which failed; ``failures``: why and how often, ``evaporated`` before other reasons;
- ``energies``: the final energies, null where not finite; ``energies_sha256``: SHA-256 of the same, each
  with 6 decimals (``nan`` where not finite), joined by newlines;
- ``mean_energy``: over the clusters that did not fail;
- ``parameters`` and ``versions``: the identity of the row;
- ``seconds``: wall time of all its parts, on a machine that may have been busy.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.lj38 import clusters
from benchmarks.lj38.runs import CAP, STOP, Done
from benchmarks.lj38.tables import as_markdown
from relax.analysis.comparison.files.provenance import environment, versions
from relax.analysis.comparison.files.results_file import Json, Schema
from relax.analysis.comparison.minimizers.construction import settings_text
from relax.analysis.comparison.minimizers.names import System, packages_of

DIGITS = 6


def protocol() -> Json:
    """Return every number that decides what is measured."""
    return {
        "covalent_radius": clusters.COVALENT_RADIUS,
        "packing": clusters.PACKING,
        "window": list(clusters.WINDOW),
        "norm": "L2 norm of all forces",
        "stop": STOP,
        "cap": CAP,
        "bond": clusters.BOND,
    }


def header(starts: np.ndarray, seed: int, start: Path | None) -> Json:
    """Return the header of a file of results; ``start`` is the file of ``starts``, if there is one."""
    contents = np.ascontiguousarray(starts, dtype="<f8").tobytes()
    return {
        "benchmark": "lj38",
        "protocol": protocol(),
        "n": len(starts),
        "atoms": starts.shape[1],
        "seed": None if start else seed,
        "start": start.name if start else None,
        "starts_sha256": hashlib.sha256(contents).hexdigest(),
    } | environment("numpy", "scipy", "ase", "relax")


def identity(name: str) -> Json:
    """Return the entries that decide the numbers of a row."""
    packages = packages_of(name, System.CLUSTERS)
    return {
        "optimizer": name,
        "parameters": settings_text(name, System.CLUSTERS),
        "versions": versions(*packages),
    }


def row_of(done: Done) -> Json:
    """Return the row of an optimizer."""
    ends = done.ends
    bound = np.array([clusters.is_bound(x) for x in ends.x])
    failed = ~(ends.converged & bound)
    capped = np.where(failed, CAP, ends.calls)
    energies = [round(float(e), DIGITS) + 0.0 for e in ends.energies]
    text = "\n".join(f"{e:.{DIGITS}f}" for e in energies)
    why = Counter(np.where(bound, ends.why, "evaporated")[failed].tolist())
    return identity(done.optimizer) | {
        "mean": round(float(capped.mean()), 3),
        "median": float(np.median(capped)),
        "min": int(capped.min()),
        "max": int(capped.max()),
        "failed": int(failed.sum()),
        "evaporated": int((~bound).sum()),
        "mean_energy": None if failed.all() else round(float(ends.energies[~failed].mean()), DIGITS),
        "energies_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "failures": dict(why.most_common()),
        "failed_clusters": np.flatnonzero(failed).tolist(),
        "seconds": round(done.seconds, 1),
        "calls": ends.calls.tolist(),
        "energies": [e if math.isfinite(e) else None for e in energies],
    }


def complete(head: Json, rows: Sequence[Json]) -> Json:
    """Return all results, with the command that makes them."""
    source = f"--start {head['start']}" if head["start"] else f"--seed {head['seed']}"
    names = ",".join(row["optimizer"] for row in rows)
    command = f"python -m benchmarks.lj38 --n {head['n']} {source} --optimizers {names}"
    return head | {"command": command, "rows": list(rows)}


SCHEMA = Schema(
    protocol=("benchmark", "protocol", "n", "starts_sha256"),
    key=lambda row: row["optimizer"],
    identity=lambda head, row: identity(row["optimizer"]),
    complete=complete,
    check=as_markdown,
)
