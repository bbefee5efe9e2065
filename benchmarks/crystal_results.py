"""The file of results of the crystal benchmark, and the runs beside it that are not yet part of it.

``rows`` holds a row for each optimizer and each rattle, see :mod:`benchmarks.crystal_statistics`, and
``parameters`` and ``versions``, which decide a row, given what is said before the rows.  Every run that
ends goes at once into ``NAME.partial.jsonl``, a line a run, so that the next command goes on from there;
when all are done it goes into the rows.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms

from benchmarks.crystal_optimizers import DEFAULTS, is_foreign, settings_text
from benchmarks.crystal_runs import NEAR, SYMPREC, VOLUME, End
from benchmarks.crystal_starts import shown
from benchmarks.crystal_statistics import summarized
from benchmarks.lj38_results import read_shown, versions

Json = dict[str, Any]

DECISIVE = ("benchmark", "calculator", "calculator_sha256", "fmax", "cap", "seed", "checks", "starts_sha256")
"""Entries that must be the same for rows to stand beside each other."""


class Key(NamedTuple):
    """What names one run among all."""

    rattle: float
    optimizer: str
    structure: str


Runs = dict[Key, End]


@dataclass(frozen=True)
class Protocol:
    """What every run of a file of results has in common."""

    source: str  # words of the command line
    calculator: str
    fmax: float
    cap: int
    seed: int
    elements: Sequence[str] = ()  # none: all that the calculator knows
    reference: Sequence[float] = ()  # eV/atom
    reference_kind: str = ""


def sha256_of(crystals: Sequence[Atoms]) -> str:
    """Return a digest of structures that is the same wherever they are made: to 1e-6 A."""
    digest = hashlib.sha256()
    for atoms in crystals:
        digest.update(atoms.numbers.astype("<i8").tobytes())
        for array in (atoms.positions, atoms.cell[:]):
            digest.update((np.round(array, 6) + 0.0).astype("<f8").tobytes())
    return digest.hexdigest()


def packages_of(calculator: str) -> list[str]:
    """Return the packages that a calculator's numbers come from."""
    kind = calculator.partition(":")[0]
    return {"chgnet": ["chgnet", "torch"], "mace": ["mace-torch", "torch"]}.get(kind, [])


def header(crystals: Sequence[Atoms], protocol: Protocol) -> Json:
    """Return what a file of results says before its rows."""
    kind, _, path = protocol.calculator.partition(":")
    model = Path(path) if path and Path(path).is_file() else None
    calculator = f"{kind}:{shown(model)}" if model else protocol.calculator
    return {
        "benchmark": "crystals",
        "source": protocol.source,
        "seed": protocol.seed,
        "calculator": calculator,
        "calculator_sha256": hashlib.sha256(model.read_bytes()).hexdigest() if model else None,
        "elements": list(protocol.elements) or None,
        "fmax": protocol.fmax,
        "cap": protocol.cap,
        "checks": {"volume": list(VOLUME), "near": NEAR, "symprec": SYMPREC},
        "versions": {"python": platform.python_version()}
        | versions("numpy", "scipy", "ase", "spglib", "relax", *packages_of(protocol.calculator)),
        "platform": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "starts_sha256": sha256_of(crystals),
        "structures": [atoms.info["name"] for atoms in crystals],
        "atoms": [len(atoms) for atoms in crystals],
    } | (
        {"reference": {"kind": protocol.reference_kind, "energy": list(protocol.reference)}}
        if protocol.reference
        else {}
    )


def identity(optimizer: str, calculator: str) -> Json:
    """Return what decides an optimizer's rows, given what is said before the rows."""
    packages = ("numpy", "scipy", "ase") if is_foreign(optimizer) else ("numpy", "ase", "relax")
    return {
        "parameters": settings_text(optimizer),
        "versions": versions(*packages, *packages_of(calculator)),
    }


def digest(identity: Json) -> str:
    """Return a short form of an identity, or of a row that holds one."""
    text = json.dumps([identity["parameters"], identity["versions"]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def current(optimizer: str, calculator: str) -> str:
    """Return the digest that runs up to date have; nothing where there is no such optimizer any more."""
    try:
        return digest(identity(optimizer, calculator))
    except (ValueError, TypeError, KeyError):
        return ""


def same_benchmark(results: Json, head: Json) -> bool:
    """Whether rows of ``results`` may stand beside rows made under ``head``."""
    return all(results.get(key) == head[key] for key in (*DECISIVE, "structures"))


def read_results(path: Path) -> Json:
    """Return the results in a file.  Raises ValueError where it holds none."""
    from benchmarks.crystal_table import as_markdown

    return read_shown(path, as_markdown)


def runs_of(results: Json) -> Runs:
    """Return the runs in the rows of a file of results that are up to date."""
    found: Runs = {}
    for row in results["rows"]:
        if digest(row) != current(row["optimizer"], results["calculator"]):
            continue
        for i, structure in enumerate(results["structures"]):
            arrays = {f.name: row[f.name][i] for f in fields(End) if f.name != "reason"}
            end = End(**arrays, reason=row["reasons"].get(structure, ""))
            found[Key(row["rattle"], row["optimizer"], structure)] = end
    return found


def row_of(head: Json, rattle: float, optimizer: str, runs: Runs) -> Json:
    """Return the row of an optimizer whose runs are all done."""
    ends = [runs[Key(rattle, optimizer, structure)] for structure in head["structures"]]
    arrays = {f.name: [getattr(end, f.name) for end in ends] for f in fields(End) if f.name != "reason"}
    reasons = {s: end.reason for s, end in zip(head["structures"], ends, strict=True) if end.reason}
    return (
        {"optimizer": optimizer, "rattle": rattle}
        | identity(optimizer, head["calculator"])
        | arrays
        | {"reasons": reasons}
    )


def place(pair: tuple[float, str]) -> tuple[float, int, str]:
    """Return what sorts rows the same way whichever was done first."""
    rattle, name = pair
    return rattle, DEFAULTS.index(name) if name in DEFAULTS else len(DEFAULTS), name


def results_of(head: Json, runs: Runs) -> Json:
    """Return all results: the rows that are whole, table by table, with what they say."""
    counts = Counter((key.rattle, key.optimizer) for key in runs)
    whole = sorted((pair for pair, n in counts.items() if n == len(head["structures"])), key=place)
    rows: list[Json] = []
    for rattle, pairs in groupby(whole, key=lambda pair: pair[0]):
        table = [row_of(head, rattle, name, runs) for _, name in pairs]
        rows += summarized(table, head["cap"], head.get("reference", {}).get("energy", ()))
    return head | {"command": command(head, rows), "rows": rows}


def command(head: Json, rows: Sequence[Json]) -> str:
    """Return the command that makes these rows."""
    rattles = "".join(f" --rattle {rattle:g}" for rattle in dict.fromkeys(row["rattle"] for row in rows))
    names = ",".join(dict.fromkeys(row["optimizer"] for row in rows))
    protocol = f"--calculator {head['calculator']} --fmax {head['fmax']:g} --cap {head['cap']}"
    words = f"{head['source']} --seed {head['seed']} {protocol}{rattles}"
    return f"python -m benchmarks.crystals {words} --optimizers {names}"


def write_results(path: Path, results: Json) -> None:
    """Write the file of results."""
    head = {key: value for key, value in results.items() if key != "rows"}
    # A line for each row's entry: readable, and small changes stay small.
    outer = ",\n ".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in head.items())
    inner = ",\n".join(
        "  {" + ",\n   ".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in row.items()) + "}"
        for row in results["rows"]
    )
    replace(path, f'{{{outer},\n "rows": [\n{inner}\n ]\n}}\n')


def replace(path: Path, text: str) -> None:
    """Write a file so that it is the old or the new one, whatever happens."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.replace(path)


class Journal:
    """The runs that have ended, kept in files from the moment they do, or only here without a file.

    Raises
    ------
    ValueError
        The files at hand are of other starts or another protocol, or are something else.
    """

    def __init__(
        self, out: Path | None, head: Json, resume: bool = True, others: Sequence[Path] = ()
    ) -> None:
        self.out, self.head = out, head
        self.runs: Runs = {}
        self.stale: list[str] = []
        for path in others:
            self.take(read_results(path), path)
        if out is None:
            return
        self.partial = out.with_name(f"{out.name}.partial.jsonl")
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.exists():
            found = read_results(out)
            if resume:
                self.take(found, out)
        if resume and self.partial.exists():
            self.runs |= self.read_partial()
        self.save()

    def take(self, found: Json, path: Path) -> None:
        """Take over the runs of a file of results that are up to date, and note those that are not."""
        self.must_match(found, path)
        runs = runs_of(found)
        fresh = {(key.rattle, key.optimizer) for key in runs}
        stale = [row["optimizer"] for row in found["rows"] if (row["rattle"], row["optimizer"]) not in fresh]
        self.stale += [name for name in dict.fromkeys(stale) if name not in self.stale]
        self.runs |= runs

    def must_match(self, found: Json, path: Path) -> None:
        """Raise ValueError unless ``found`` is of the same benchmark."""
        if not same_benchmark(found, self.head):
            raise ValueError(
                f"{path} holds results from other starts or another protocol; --no-resume replaces them"
            )

    def read_partial(self) -> Runs:
        """Return the runs of a command that was ended, but for a line it left half written."""
        records = []
        with contextlib.suppress(ValueError):
            for line in self.partial.read_text().splitlines():
                records.append(json.loads(line))
        if not records:
            return {}
        self.must_match(records[0], self.partial)
        keyed = [(Key(*record["key"]), record) for record in records[1:]]
        return {
            key: End(**record["end"])
            for key, record in keyed
            if record["identity"] == current(key.optimizer, self.head["calculator"])
        }

    def line(self, key: Key, end: End) -> str:
        mark = current(key.optimizer, self.head["calculator"])
        return json.dumps({"key": key, "identity": mark, "end": asdict(end)}) + "\n"

    def add(self, key: Key, end: End) -> None:
        """Keep a run that has just ended."""
        self.runs[key] = end
        if self.out is None:
            return
        first = "" if self.partial.exists() else json.dumps(self.head) + "\n"
        with self.partial.open("a") as file:
            file.write(first + self.line(key, end))

    def save(self) -> Json:
        """Put what is whole into the file of results and leave the rest beside it; return the former."""
        results = results_of(self.head, self.runs)
        if self.out is None:
            return results
        whole = {(row["rattle"], row["optimizer"]) for row in results["rows"]}
        rest = [self.line(key, end) for key, end in self.runs.items() if key[:2] not in whole]
        if whole:
            write_results(self.out, results)
        if rest:
            replace(self.partial, json.dumps(self.head) + "\n" + "".join(rest))
        else:
            self.partial.unlink(missing_ok=True)
        return results
