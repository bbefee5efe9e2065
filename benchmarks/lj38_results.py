"""The file of results of LJ38: what it says, and how it is read and written.

A row has, beside its statistics,

- ``calls``: the calls each cluster took, in order, before any is scored at the cap; ``failed_clusters``
  tells which are; ``failures`` counts why, ``evaporated`` coming before any other reason;
- ``energies``: where each ended, null where that is not a number; ``energies_sha256``: SHA-256 of the
  same, each written with 6 decimals (``nan`` where not a number), joined by newlines;
- ``mean_energy``: over the clusters that did not fail;
- ``parameters`` and ``versions``: what decides the row, given the starts and the protocol;
- ``seconds``: wall time of its parts, added up, on machines that may have been busy.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import tomllib
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import clusters
from benchmarks.lj38_table import as_markdown
from benchmarks.lockstep import Ends
from benchmarks.optimizers import is_foreign, settings_text

STOP = 0.01
CAP = 10_000
DIGITS = 6

Json = dict[str, Any]


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


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of packages; relax's is that of the checkout."""
    project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())["project"]
    return {p: project["version"] if p == "relax" else version(p) for p in packages}


def header(starts: np.ndarray, seed: int, start: Path | None) -> Json:
    """Return what a file of results says before its rows."""
    contents = np.ascontiguousarray(starts, dtype="<f8").tobytes()
    return {
        "benchmark": "lj38",
        "protocol": protocol(),
        "n": len(starts),
        "atoms": starts.shape[1],
        "seed": None if start else seed,
        "start": start.name if start else None,
        "starts_sha256": hashlib.sha256(contents).hexdigest(),
        "versions": {"python": platform.python_version()} | versions("numpy", "scipy", "ase", "relax"),
        "platform": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }


def identity(name: str) -> Json:
    """Return what decides an optimizer's row, given the starts and the protocol."""
    packages = ("numpy", "scipy", "ase") if is_foreign(name) else ("numpy", "relax")
    return {"optimizer": name, "parameters": settings_text(name), "versions": versions(*packages)}


def row_of(name: str, ends: Ends, seconds: float) -> Json:
    """Return the row of an optimizer whose runs ended like this."""
    bound = np.array([clusters.is_bound(x) for x in ends.x])
    failed = ~(ends.converged & bound)
    scored = np.where(failed, CAP, ends.calls)
    energies = [round(float(e), DIGITS) + 0.0 for e in ends.energies]
    text = "\n".join(f"{e:.{DIGITS}f}" for e in energies)
    why = Counter(np.where(bound, ends.why, "evaporated")[failed].tolist())
    return identity(name) | {
        "mean": round(float(scored.mean()), 3),
        "median": float(np.median(scored)),
        "min": int(scored.min()),
        "max": int(scored.max()),
        "failed": int(failed.sum()),
        "evaporated": int((~bound).sum()),
        "mean_energy": None if failed.all() else round(float(ends.energies[~failed].mean()), DIGITS),
        "energies_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "failures": dict(why.most_common()),
        "failed_clusters": np.flatnonzero(failed).tolist(),
        "seconds": round(seconds, 1),
        "calls": ends.calls.tolist(),
        "energies": [e if math.isfinite(e) else None for e in energies],
    }


def same_benchmark(results: Json, head: Json) -> bool:
    """Whether rows of ``results`` may stand beside rows made under ``head``."""
    return all(results.get(key) == head[key] for key in ("benchmark", "protocol", "n", "starts_sha256"))


def read_shown(path: Path, show: Callable[[Json], object]) -> Json:
    """Return the results in a file, if ``show`` can make something of them.  Raises ValueError if not."""
    try:
        results: Json = json.loads(path.read_text())
        show(results)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"{path} holds no results of this benchmark ({error})") from None
    return results


def read_results(path: Path) -> Json:
    """Return the results in a file.  Raises ValueError where it holds none."""
    return read_shown(path, as_markdown)


def add_row(path: Path, head: Json, row: Json) -> None:
    """Put a row into the file of results, at once; rows that another run has put there stay."""
    rows: list[Json] = []
    if path.exists():
        results = read_results(path)
        rows = results["rows"] if same_benchmark(results, head) else []
    rows = [other for other in rows if other["optimizer"] != row["optimizer"]] + [row]
    write_results(path, head, rows)


def write_results(path: Path, head: Json, rows: list[Json]) -> None:
    """Write results so that the file is the old or the new one, whatever happens."""
    source = f"--start {head['start']}" if head["start"] else f"--seed {head['seed']}"
    names = ",".join(row["optimizer"] for row in rows)
    command = f"python -m benchmarks.lj38 --n {head['n']} {source} --optimizers {names}"
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    # A line for each row's entry: readable, and small changes stay small.
    results = json.dumps(head | {"command": command}, indent=1)[:-2]
    inner = ",\n".join(
        "  {" + ",\n   ".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in row.items()) + "}"
        for row in rows
    )
    draft.write_text(f'{results},\n "rows": [\n{inner}\n ]\n}}\n')
    draft.replace(path)
