"""The results of a comparison: a row for each minimizer and each start, with an entry for each structure.

The file of results has a header; ``tables``, the statistics of each minimizer for each rattle; and ``rows``,
each with ``rattle`` (A), ``draw``, ``optimizer``, and what :class:`End` holds for each structure in order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.io.jsonio import encode

from relax.analysis.comparison.files.journal import Runs
from relax.analysis.comparison.files.provenance import calculator_packages, environment, sha256_of, versions
from relax.analysis.comparison.files.results_file import Json, Schema
from relax.analysis.comparison.minimizers.construction import settings_text
from relax.analysis.comparison.minimizers.names import System, packages_of
from relax.analysis.comparison.runs.ends import VOLUME
from relax.analysis.comparison.runs.run import OVERLAP, RunEnd, end_arrays
from relax.analysis.comparison.statistics import capped_calls, excess, lowest_energies, summary, with_interval

__all__ = ["RUNS", "SCHEMA", "End", "Key", "Protocol", "flat_rows", "header"]

PROTOCOL = (
    "results", "calculator", "calculator_sha256", "calculator_parameters", "dtype", "head", "fmax", "cap",
    "stop", "seed", "checks", "structures", "cells", "periodic", "starts_sha256", "constraints_sha256",
    "charges_sha256",
)  # fmt: skip
"""Entries of the header that must be equal for rows to be compared with each other."""
STOPS = {True: "calculator", False: "optimizer"}
"""What ends a run, by whether it is the first force call within ``fmax``."""


class Key(NamedTuple):
    """What distinguishes a run from the others."""

    rattle: float
    draw: int
    optimizer: str
    structure: str


@dataclass(frozen=True)
class End(RunEnd):
    """How a run ended; ``fmax`` is the largest row at the end, eV/A, None where it is not known."""

    fmax: float | None


ENTRIES = tuple(field.name for field in fields(End) if field.name != "reason")
"""Entries of a row that have a value for each structure."""


@dataclass(frozen=True)
class Protocol:
    """What all runs of a comparison have in common, and what is asked for.

    Parameters
    ----------
    calculator
        Entries of the header that say which calculator it is.
    names
        Names of the minimizers; the others are compared with the first.
    rattles
        Standard deviations of the random displacements at the start, A.
    draws
        Number of starts for each rattle that is not zero.
    seed
        Seed of the first draw; the next ones have the seeds after it.
    fmax
        Largest row at which a run ends, eV/A.
    cap
        Largest number of force calls.
    first_call
        Whether a run ends at the first force call within ``fmax``, or when the minimizer ends it.
    """

    calculator: Mapping[str, Any]
    names: Sequence[str]
    rattles: Sequence[float]
    draws: int
    seed: int
    fmax: float
    cap: int
    first_call: bool

    @property
    def starts(self) -> list[tuple[float, int]]:
        """The rattle and the number of the draw of each start; there is one start as it is."""
        return [(rattle, draw) for rattle in self.rattles for draw in range(self.draws if rattle else 1)]


def header(structures: Sequence[Atoms], systems: Sequence[System], protocol: Protocol) -> Json:
    """Return the header of a file of results, for structures that have names."""
    packages = calculator_packages(protocol.calculator["calculator"])
    constraints = [[each.todict() for each in atoms.constraints] for atoms in structures]
    charges = [[atoms.get_initial_charges(), atoms.get_initial_magnetic_moments()] for atoms in structures]
    return {
        "results": "relax compare",
        **protocol.calculator,
        "fmax": protocol.fmax,
        "cap": protocol.cap,
        "stop": STOPS[protocol.first_call],
        "seed": protocol.seed,
        "checks": {"volume": list(VOLUME), "near": OVERLAP},
        **environment("numpy", "scipy", "ase", "relax", *packages),
        "names": list(protocol.names),
        "starts": [list(start) for start in protocol.starts],
        "structures": [atoms.info["name"] for atoms in structures],
        "formulas": [atoms.get_chemical_formula("metal") for atoms in structures],
        "atoms": [len(atoms) for atoms in structures],
        "cells": [system is System.CRYSTALS for system in systems],
        "periodic": [atoms.pbc.tolist() for atoms in structures],
        "starts_sha256": sha256_of(structures),
        "constraints_sha256": hashlib.sha256(encode(constraints).encode()).hexdigest(),
        "charges_sha256": hashlib.sha256(encode(charges).encode()).hexdigest(),
    }


def identity(head: Json, optimizer: str) -> Json:
    """Return the entries that decide the numbers of a row."""
    systems = {System.CRYSTALS if cell else System.MOLECULES for cell in head["cells"]}
    ordered = sorted(systems, key=lambda system: system.value)
    packages = [*packages_of(optimizer, ordered[0]), *calculator_packages(head["calculator"])]
    return {
        "parameters": "; ".join(f"{system.value}: {settings_text(optimizer, system)}" for system in ordered),
        "versions": versions(*packages),
    }


def row_of(head: Json, key: Key, ends: Sequence[End]) -> Json:
    """Return the row of a minimizer and a start, from the ends of its runs."""
    named = {"rattle": key.rattle, "draw": key.draw, "optimizer": key.optimizer}
    return named | identity(head, key.optimizer) | end_arrays(head["structures"], ends)


def complete(head: Json, rows: Sequence[Json]) -> Json:
    """Return all results, in an order that does not depend on when the rows were made."""
    names = head["names"]

    def order(row: Json) -> tuple[float, int, int, str]:
        name = row["optimizer"]
        return row["rattle"], row["draw"], names.index(name) if name in names else len(names), name

    ordered = sorted(rows, key=order)
    return head | {"tables": tables(head, ordered), "rows": ordered}


def tables(head: Json, rows: Sequence[Json]) -> list[Json]:
    """Return the statistics of each minimizer for each rattle, for those that were asked for.

    They are those of :func:`relax.analysis.comparison.statistics.summary`, over all draws, where the lowest
    energy of a structure is that of any run in the file that converged; and ``calls``, the mean calls as a
    multiple of those of the minimizer that was named first, with a 95 % interval, bootstrapped over the
    structures, all of its draws together.  For a single structure there is no interval.
    """
    lowest = lowest_energies(rows) if rows else np.zeros(0)
    found = []
    for rattle in dict.fromkeys(rattle for rattle, _ in head["starts"]):
        draws = [draw for other, draw in head["starts"] if other == rattle]
        pooled = [row for name in head["names"] if (row := over_draws(rows, rattle, draws, name))]
        for row in pooled:
            statistics = summary(row, np.tile(lowest, len(draws)), head["cap"])
            named = {"rattle": rattle, "draws": len(draws), "optimizer": row["optimizer"]}
            found.append(named | statistics | {"calls": beside(row, pooled[0], head, len(draws))})
    return found


def over_draws(rows: Sequence[Json], rattle: float, draws: Sequence[int], name: str) -> Json | None:
    """Return a row with the runs of all draws, one draw after the other; None where some are missing."""
    some = {row["draw"]: row for row in rows if (row["rattle"], row["optimizer"]) == (rattle, name)}
    if not set(draws) <= some.keys():
        return None
    entries = {key: [value for draw in draws for value in some[draw][key]] for key in ENTRIES}
    return {"rattle": rattle, "optimizer": name} | entries


def beside(row: Json, first: Json, head: Json, draws: int) -> list[float | None] | None:
    """Return mean calls as a multiple of those of ``first``, and the interval; None for ``first`` itself."""
    if row is first:
        return None
    ours, theirs = (capped_calls(each, head["cap"]).reshape(draws, -1).sum(axis=0) for each in (row, first))
    ratio, *ends = with_interval(lambda drawn: ours[drawn].sum(-1) / theirs[drawn].sum(-1), len(ours))
    return [ratio, *(ends if len(ours) > 1 else (None, None))]


def flat_rows(results: Json) -> list[Json]:
    """Return one row for each run that was asked for, without lists, as a data frame takes them."""
    wanted = {tuple(start) for start in results["starts"]}
    lowest = lowest_energies(results["rows"]) if results["rows"] else np.zeros(0)
    found = []
    for row in results["rows"]:
        if (row["rattle"], row["draw"]) not in wanted or row["optimizer"] not in results["names"]:
            continue
        above, scored = excess(row, lowest), capped_calls(row, results["cap"])
        for i, name in enumerate(results["structures"]):
            found.append(
                {
                    "rule": row["optimizer"],
                    "structure": name,
                    "formula": results["formulas"][i],
                    "atoms": results["atoms"][i],
                    "cell": results["cells"][i],
                    "rattle": row["rattle"],
                    "draw": row["draw"],
                    **{key: row[key][i] for key in ENTRIES},
                    "scored_calls": int(scored[i]),
                    "above_lowest": round(float(above[i]), 3) if np.isfinite(above[i]) else None,
                    "reason": row["reasons"].get(name, ""),
                }
            )
    return found


def check(results: Json) -> None:
    """Raise ValueError or KeyError for what are no results of a comparison."""
    if results["results"] != "relax compare":
        raise ValueError("of another program")
    complete(results, results["rows"])


SCHEMA = Schema(
    protocol=PROTOCOL,
    key=lambda row: (row["rattle"], row["draw"], row["optimizer"]),
    identity=lambda head, row: identity(head, row["optimizer"]),
    complete=complete,
    check=check,
)

RUNS: Runs[Key, End] = Runs(
    schema=SCHEMA,
    key=Key,
    end=End,
    identity=lambda head, key: identity(head, key.optimizer),
    row_of=row_of,
)
