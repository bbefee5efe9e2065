"""Tables in the Parquet format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from relax.campaign.exports.needed import needed
from relax.campaign.exports.words import plain_columns, plain_info
from relax.campaign.outcome import Outcome
from relax.campaign.store.lines import text_of

__all__ = ["write_parquet"]

GROUP = 10_000
"""Structures in a row group, which is written at a time."""

AT_ONCE = 500
"""Structures that are rows of Python objects at a time, which take far more memory than columns."""

UNITS = {
    "energy": "eV", "fmax": "eV/A", "smax": "GPa", "positions": "A", "cell": "A", "forces": "eV/A",
    "stress": "eV/A^3",
}  # fmt: skip

WHOLE = ("id", "frame", "natoms", "force_calls", "steps", "round", "group")
WORDS = (
    "source",
    "file",
    "formula",
    "input",
    "status",
    "reason",
    "spacegroup_first",
    "spacegroup_last",
    "info",
)
NUMBERS = ("energy", "fmax", "smax", "volume_ratio")


def write_parquet(part: Path, rows: Iterable[tuple[Outcome, dict[str, Any]]], more: Iterable[str]) -> None:
    """Write a table with a row for each structure.

    The columns are those of :meth:`relax.campaign.outcome.Outcome.columns`, what the input says as JSON
    (``info``), and lists: ``numbers`` (N), ``positions`` and ``forces`` (N, 3), ``cell`` (3, 3), ``pbc`` (3)
    and ``stress`` (6), in the order of ASE.  What is not known is null.

    Parameters
    ----------
    part
        The file.
    rows
        The structures, and other columns of each.
    more
        The names of these columns.

    Raises
    ------
    UsageError
        pyarrow is not installed.
    """
    with needed("parquet", "pyarrow"):
        import pyarrow
        from pyarrow import parquet

    schema = _schema(pyarrow, more)
    with parquet.ParquetWriter(part, schema, compression="zstd") as writer:
        parts = (pyarrow.Table.from_pylist(some, schema) for some in _parts(rows))
        while group := list(islice(parts, GROUP // AT_ONCE)):
            writer.write_table(pyarrow.concat_tables(group), row_group_size=GROUP)


def _parts(rows: Iterable[tuple[Outcome, dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
    source = iter(rows)
    while some := [_row(outcome, more) for outcome, more in islice(source, AT_ONCE)]:
        yield some


def _schema(pyarrow: Any, more: Iterable[str]) -> Any:
    vectors = pyarrow.list_(pyarrow.list_(pyarrow.float64()))
    kinds = {name: pyarrow.int64() for name in WHOLE}
    kinds |= {name: pyarrow.string() for name in WORDS} | {name: pyarrow.float64() for name in NUMBERS}
    kinds |= {"group_lowest": pyarrow.bool_(), "numbers": pyarrow.list_(pyarrow.int16())}
    kinds |= {"positions": vectors, "cell": vectors, "forces": vectors}
    kinds |= {"pbc": pyarrow.list_(pyarrow.bool_()), "stress": pyarrow.list_(pyarrow.float64())}
    names = (
        "id", "source", "file", "frame", "formula", "natoms", "input", "status", "reason", "energy", "fmax",
        "smax", "force_calls", "steps", "round", "volume_ratio", "spacegroup_first", "spacegroup_last", *more,
        "info", "numbers", "positions", "cell", "pbc", "forces", "stress",
    )  # fmt: skip
    units = {name: {"unit": UNITS[name]} if name in UNITS else None for name in names}
    return pyarrow.schema([pyarrow.field(name, kinds[name], metadata=units[name]) for name in names])


def _row(outcome: Outcome, more: dict[str, Any]) -> dict[str, Any]:
    atoms = outcome.atoms
    results = {} if atoms.calc is None else atoms.calc.results
    info = text_of([plain_info(outcome)]).rstrip()
    return plain_columns(outcome, more) | {
        "info": info,
        "numbers": atoms.numbers, "positions": list(atoms.positions), "cell": list(atoms.cell.array),
        "pbc": atoms.pbc, "forces": list(results["forces"]) if "forces" in results else None,
        "stress": results.get("stress"),
    }  # fmt: skip
