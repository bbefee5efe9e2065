"""The tables of the throughput benchmark, for Markdown and for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from relax.analysis.comparison.files.results_file import Json
from relax.analysis.comparison.tables import markdown, versions_text

TITLES = {"mini": "data/mace-mini.model", "larger": "a larger MACE (128 channels, 5 A) of random weights"}


class Sheet(NamedTuple):
    """A table, and notes to print below it."""

    title: str
    columns: tuple[str, ...]
    rows: list[list[str]]
    notes: list[str]


def best_of(rows: list[Json], start: str) -> Json | None:
    """Return the fastest of ``rows`` whose method starts with ``start``."""
    among = [row for row in rows if row["method"].startswith(start)]
    return max(among, key=lambda row: row["structures_per_s"], default=None)


def label(row: Json) -> str:
    """Return the method of a row, with the version of torch-sim if it is one of torch-sim."""
    method = str(row["method"])
    kind, _, rest = method.partition(":")
    if "torch_sim" not in row:
        return method
    here = f"torch_sim {row['torch_sim']}"
    ours = kind == "torch_sim" and not rest.startswith("FIRE")
    return f"relax:{rest}, in {here}" if ours else f"{here}:{rest}"


PEERS = {"L-BFGS": "newer_torch_sim:lbfgs", "FIRE": "newer_torch_sim:fire"}
"""Optimizers of the newer torch-sim."""


def peer(rows: list[Json], name: str, dtype: str = "float64") -> Json | None:
    """Return the fastest row of an optimizer of torch-sim in a precision; the older FIRE, if that is all."""
    single = [row for row in rows if "float32" in row["method"]]
    among = single if dtype == "float32" else [row for row in rows if row not in single]
    return best_of(among, PEERS[name]) or (best_of(among, "torch_sim:FIRE") if name == "FIRE" else None)


DEFAULT = "relax:internal-lbfgs"


def compared(rows: list[Json]) -> Iterator[str]:
    """Yield by how much the default rule is faster than torch-sim, in each precision."""
    methods = {row["method"]: row for row in rows}
    for ours, theirs in (("float64", "float64"), ("float32", "float32"), ("mixed", "float64")):
        row = methods.get(DEFAULT if ours == "float64" else f"{DEFAULT}:{ours}")
        for name in PEERS:
            if row and (other := peer(rows, name, theirs)):
                ratio = row["structures_per_s"] / other["structures_per_s"]
                processor = row["structures_per_processor_s"] / other["structures_per_processor_s"]
                yield (
                    f"the default rule in {ours}: {ratio:.2f} times {label(other)} in {theirs}, "
                    f"{processor:.2f} times by processor time"
                )


def speeds(record: Json, name: str) -> Sheet:
    """Return the structures per second of every method with one model."""
    rows = sorted(record[name], key=lambda row: -row["structures_per_s"])
    reference, quasi_newton = peer(rows, "FIRE"), peer(rows, "L-BFGS")
    base, other = (row["structures_per_s"] if row else float("nan") for row in (reference, quasi_newton))
    cells = [
        [
            f"`{label(row)}`",
            f"{row['structures_per_s']:.2f}",
            f"{row['structures_per_s'] / base:.2f}",
            f"{row['structures_per_s'] / other:.2f}" if quasi_newton else "",
            f"{row['structures_per_processor_s']:.2f}",
            f"{row['force_calls']:.1f}",
            f"{1e3 / row['structures_per_s'] / row['force_calls']:.1f}",
            f"{row['ended']['converged']} of {row['structures']}",
            f"{row['meV_above_lowest']:.1f}",
            f"{row['within_10_meV']:.0f}",
        ]
        for row in rows
    ]
    notes = []
    for what, start in (("fastest of relax", "relax:"), ("relax:fire", "relax:fire")):
        double = [row for row in rows if not row["method"].endswith(("float32", "mixed"))]
        if reference and (row := best_of(double, start)):
            ratio = row["structures_per_s"] / base
            notes.append(f"{what} ({row['method']}): {ratio:.2f} times the best torch-sim FIRE")
    notes += compared(rows)
    return Sheet(
        f"{TITLES[name]}, positions and cell, fmax {record['fmax']} eV/A, one core",
        (
            "method", "structures/s", "of torch-sim FIRE's", "of its L-BFGS's",
            "structures per s of processor",
            "force calls",
            "ms per call", "converged", "meV/atom above the lowest", "within 10 meV, %",
        ),
        cells,
        notes,
    )  # fmt: skip


PARTS = ("model", "neighbours", "graph", "rule", "engine")


def shares(record: Json) -> Sheet:
    """Return the share of time of each part of a relaxation."""
    rows = [
        [
            f"`{row['method']}`",
            f"{row['structures_per_s']:.2f}",
            f"{row['force_calls']:.1f}",
            *(f"{100 * row['shares'][part]:.1f}" for part in PARTS),
            f"{100 * row['outside']:.1f}",
        ]
        for row in record["profile"]
    ]
    columns = ("method", "structures/s", "force calls", *(f"{part}, %" for part in PARTS), "outside, %")
    title = "Where the time goes: 32 crystals of 8 atoms at once, data/mace-mini.model"
    return Sheet(title, columns, rows, [])


def streams(record: Json) -> Sheet:
    """Return the time and the memory of streams."""
    rows = [
        [
            f"{row['structures']:,}",
            f"{row['structures_per_s']:.0f}",
            f"{row['ms_per_structure']:.2f}",
            f"{row['processor_ms_per_structure']:.2f}",
            f"{row['force_calls']:.1f}",
            ", ".join(f"{count:,} {word}" for word, count in row["ended"].items()),
            f"{row['after_a_tenth_MB']:.0f}",
            f"{row['peak_MB']:.0f}",
        ]
        for row in record["stream"]
    ]
    columns = (
        "clusters", "structures/s", "ms each", "ms of processor each", "force calls", "ended",
        "peak MB after a tenth", "peak MB",
    )  # fmt: skip
    return Sheet("Lennard-Jones clusters of 5 to 12 atoms, as they come", columns, rows, [])


def graphics(record: Json) -> Sheet:
    """Return what was measured on a GPU."""
    among = [row for row in record["gpu"] if "structures_per_s" in row]
    rows = [
        [
            row["model"],
            f"`{row['method']}`",
            f"{row['structures']}",
            f"{row['structures_per_s']:.1f}",
            f"{row['force_calls']:.1f}",
            f"{row['converged']}",
            f"{row['meV_above_lowest']:.1f}",
            f"{row['peak_MB']:.0f}",
        ]
        for row in among
    ]
    sums = [row for row in record["gpu"] if row["method"] == "segment sums"]
    same = {True: "the same to the last bit", False: "not the same"}
    notes = [f"sums over structures, {row['tries']} times: {same[row['same']]}" for row in sums]
    if not record["gpu"]:
        notes = ["Not measured: no GPU available."]
    columns = (
        "model", "method", "crystals", "structures/s", "force calls", "converged", "meV/atom above lowest",
        "peak MB",
    )  # fmt: skip
    device = among[0]["device"] if among else "a GPU"
    return Sheet(f"On {device}", columns, rows, notes)


def named(record: Json, name: str) -> Sheet:
    """Return the table of one part: ``"mini"``, ``"larger"``, ``"profile"``, ``"stream"`` or ``"gpu"``."""
    if name in TITLES:
        return speeds(record, name)
    return {"profile": shares, "stream": streams, "gpu": graphics}[name](record)


def sheets(record: Json) -> Iterator[Sheet]:
    """Yield all tables of a record."""
    for name in (*TITLES, "profile", "stream", "gpu"):
        if name in record:
            yield named(record, name)


def table_of(sheet: Sheet) -> str:
    """Return the table of a sheet as Markdown."""
    return "\n".join(markdown(sheet.columns, sheet.rows, sheet.columns[:1]))


def commands(record: Json) -> dict[str, list[str]]:
    """Return which parts each command measured."""
    found: dict[str, list[str]] = {}
    for part, command in record["commands"].items():
        found.setdefault(command, []).append(part)
    return found


def page(record: Json) -> str:
    """Return all tables as a page of Markdown."""
    parts = ["# Structures per second", f"{record['processor']}; {versions_text(record)}"]
    parts += [f"{', '.join(names)}: `{command}`" for command, names in commands(record).items()]
    for sheet in sheets(record):
        parts += [f"## {sheet.title}", *([table_of(sheet)] if sheet.rows else []), *sheet.notes]
    return "\n\n".join(parts) + "\n"
