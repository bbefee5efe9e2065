"""The file of results of the crystal benchmark: a row for each optimizer and each rattle.

A row has for each structure what :class:`benchmarks.crystals.runs.End` holds, and the statistics of
:mod:`relax.analysis.comparison.statistics` and :mod:`benchmarks.crystals.statistics`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from ase import Atoms

from benchmarks.crystals.runs import SYMPREC, End, Key
from benchmarks.crystals.statistics import of_crystals
from benchmarks.crystals.tables import as_markdown
from relax.analysis.comparison.files.journal import Runs
from relax.analysis.comparison.files.provenance import (
    calculator_packages,
    environment,
    named_calculator,
    sha256_of,
    versions,
)
from relax.analysis.comparison.files.results_file import Json, Schema
from relax.analysis.comparison.minimizers.construction import settings_text
from relax.analysis.comparison.minimizers.names import System, packages_of
from relax.analysis.comparison.runs.ends import VOLUME
from relax.analysis.comparison.runs.run import OVERLAP, end_arrays
from relax.analysis.comparison.statistics import summarized

OPTIMIZERS = (
    "default", "default:check=minimum,escape=true", "pair-lbfgs", "pair-lbfgs:check=minimum,escape=true",
    "core", "frankenstein", "lbfgs", "fire", "rprop", "adam",
    "ase:FIRE", "ase:FIRE2", "ase:BFGS", "ase:LBFGS", "ase:BFGSLineSearch", "ase:GoodOldQuasiNewton",
    "ase:CG", "ase:PreconLBFGS",
)  # fmt: skip
"""The optimizers that are run by default, in the order of rows."""
RAW = ("parameters", "versions", *(f.name for f in fields(End) if f.name != "reason"), "reasons")
"""Entries of a row that are not computed from others."""


@dataclass(frozen=True)
class Protocol:
    """What all runs of a file of results have in common.

    Attributes
    ----------
    source
        Where the structures are from, in words of the command line.
    elements
        The elements that crystals may have; empty if all.
    reference
        Reference energies, eV/atom.
    """

    source: str
    calculator: str
    fmax: float
    cap: int
    seed: int
    elements: Sequence[str] = ()
    reference: Sequence[float] = ()
    reference_kind: str = ""


def header(crystals: Sequence[Atoms], protocol: Protocol) -> Json:
    """Return the header of a file of results."""
    packages = calculator_packages(protocol.calculator)
    made: Json = {
        "benchmark": "crystals",
        "source": protocol.source,
        "seed": protocol.seed,
        **named_calculator(protocol.calculator),
        "elements": list(protocol.elements) or None,
        "fmax": protocol.fmax,
        "cap": protocol.cap,
        "checks": {"volume": list(VOLUME), "near": OVERLAP, "symprec": SYMPREC},
        **environment("numpy", "scipy", "ase", "spglib", "relax", *packages),
        "starts_sha256": sha256_of(crystals),
        "structures": [atoms.info["name"] for atoms in crystals],
        "atoms": [len(atoms) for atoms in crystals],
    }
    if protocol.reference:
        made["reference"] = {"kind": protocol.reference_kind, "energy": list(protocol.reference)}
    return made


def identity(head: Json, optimizer: str) -> Json:
    """Return the entries that decide the numbers of a row."""
    packages = packages_of(optimizer, System.CRYSTALS)
    return {
        "parameters": settings_text(optimizer, System.CRYSTALS),
        "versions": versions(*packages, *calculator_packages(head["calculator"])),
    }


def row_of(head: Json, rattle: float, optimizer: str, ends: Sequence[End]) -> Json:
    """Return the row of an optimizer, without statistics, from the ends of its runs."""
    return (
        {"optimizer": optimizer, "rattle": rattle}
        | identity(head, optimizer)
        | end_arrays(head["structures"], ends)
    )


def order(row: Json) -> tuple[float, int, str]:
    """Return by what rows are sorted, so that their order does not depend on when they were made."""
    name = row["optimizer"]
    return row["rattle"], OPTIMIZERS.index(name) if name in OPTIMIZERS else len(OPTIMIZERS), name


def complete(head: Json, rows: Sequence[Json]) -> Json:
    """Return all results: the rows with statistics, and the command that makes them."""
    reference = head.get("reference", {}).get("energy", ())
    made = summarized(
        sorted(rows, key=order), "rattle", head["cap"], RAW, lambda row: of_crystals(row, reference)
    )
    return head | {"command": command(head, made), "rows": made}


def command(head: Json, rows: Sequence[Json]) -> str:
    """Return the command that makes these rows."""
    rattles = "".join(f" --rattle {rattle:g}" for rattle in dict.fromkeys(row["rattle"] for row in rows))
    names = ",".join(dict.fromkeys(row["optimizer"] for row in rows))
    protocol = f"--calculator {head['calculator']} --fmax {head['fmax']:g} --cap {head['cap']}"
    words = f"{head['source']} --seed {head['seed']} {protocol}{rattles}"
    return f"python -m benchmarks.crystals {words} --optimizers {names}"


SCHEMA = Schema(
    protocol=(
        "benchmark", "calculator", "calculator_sha256", "fmax", "cap", "seed", "checks", "starts_sha256",
        "structures",
    ),
    key=lambda row: (row["rattle"], row["optimizer"]),
    identity=lambda head, row: identity(head, row["optimizer"]),
    complete=complete,
    check=as_markdown,
)  # fmt: skip

RUNS = Runs(
    schema=SCHEMA,
    key=Key,
    end=End,
    identity=lambda head, key: identity(head, key.optimizer),
    row_of=lambda head, key, ends: row_of(head, key.rattle, key.optimizer, ends),
)
