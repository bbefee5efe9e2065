"""What Matbench Discovery takes of a model that relaxes structures: their ends, and formation energies."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import math
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from ase import Atoms
from ase.data import chemical_symbols

from relax.campaign.exports.pymatgen_json import structure_line
from relax.campaign.outcome import Outcome
from relax.core.errors import UsageError

__all__ = ["FILES", "Matbench"]

FILES = ("geo-opt.jsonl.gz", "discovery.csv.gz")
"""The files, whose names may begin with a date."""

ID = "material_id"
CORRECTION = "e_correction_per_atom_mp2020"
"""The column of the summary of the WBM test set with the corrections of the Materials Project."""


class Matbench:
    """A folder with ``geo-opt.jsonl.gz`` and ``discovery.csv.gz``, named as the benchmark names them.

    The first has a JSON object a line for each structure with an energy: ``material_id``, ``energy`` (eV),
    ``converged``, ``n_steps``, and ``structure`` as pymatgen writes it.  The second is a table of all of
    them: ``material_id``, ``energy``, ``converged``, ``n_steps``, ``error``, and the formation energy
    ``e_form_per_atom_MODEL`` (eV/atom).  ``material_id`` is that in the ``info`` of the input, or the source.

    Parameters
    ----------
    model
        The key of the model in the benchmark, such as ``mace-mpa-0``.
    references
        Energies of the elements, eV/atom, by symbol; or a JSON file of them.  Without them the table has
        ``energy_per_atom`` in place of the formation energy, and a warning says so.
    corrections
        What is added to the energies, eV/atom, by ``material_id``; or a CSV file with columns of these two
        names, as the summary of the WBM test set: the references of the benchmark are corrected ones.
    date
        Day in the names of the files, ``2026-01-31``; without it the names have none.

    Raises
    ------
    UsageError
        From here and from the methods: a file cannot be read or says no numbers, or a reference or a
        correction is missing.
    """

    def __init__(
        self,
        model: str,
        references: Mapping[str, float] | str | Path | None = None,
        corrections: Mapping[str, float] | str | Path | None = None,
        date: str = "",
    ) -> None:
        if not re.fullmatch(r"[\w.+-]+", model):
            raise UsageError(f"model = {model!r}: give the key of the model, such as mace-mpa-0")
        if date and not re.fullmatch(r"\d{4}-\d\d-\d\d", date):
            raise UsageError(f"date = {date!r}: give a day such as 2026-01-31")
        self.head = f"{date}-" if date else ""
        self.references = _energies(references)
        self.corrections = _corrections(corrections)
        if self.corrections and not self.references:
            raise UsageError("corrections need references, the energies of the elements")
        self.column = f"e_form_per_atom_{model}" if self.references else "energy_per_atom"
        if not self.references:
            warnings.warn(
                "the table has energy_per_atom in place of formation energies: these need references, the "
                "energies of the elements (eV/atom), and corrections",
                stacklevel=2,
            )

    def write(self, part: Path, rows: Iterable[tuple[Outcome, dict[str, Any]]]) -> None:
        """Write the two files to a folder ``part``."""
        part.mkdir()
        names = "material_id", "energy", self.column, "converged", "n_steps", "error"
        with (
            _compressed(part / f"{self.head}{FILES[0]}") as ends,
            _compressed(part / f"{self.head}{FILES[1]}") as table,
        ):
            lines = csv.writer(table, lineterminator="\n")
            lines.writerow(names)
            for outcome, _ in rows:
                atoms = outcome.atoms
                name = str(outcome.start.info.get(ID, outcome.source))
                energy = math.nan if atoms.calc is None else atoms.calc.results.get("energy", math.nan)
                known = math.isfinite(energy)
                row = [repr(energy), repr(self._per_atom(name, energy, atoms))] if known else ["", ""]
                error = "" if outcome.converged else f"{outcome.status}: {outcome.reason}"
                lines.writerow([name, *row, outcome.converged, outcome.steps, error])
                if known:
                    head = {ID: name, "energy": energy, "converged": outcome.converged}
                    ends.write(structure_line(head | {"n_steps": outcome.steps}, atoms))

    def _per_atom(self, name: str, energy: float, atoms: Atoms) -> float:
        """Return the formation energy, or the energy where there are no references, eV/atom."""
        total = energy
        for number, count in sorted(Counter(atoms.numbers.tolist()).items()):
            symbol = chemical_symbols[number]
            if self.references and symbol not in self.references:
                raise UsageError(f"{name}: references has no energy of {symbol}")
            total -= count * self.references.get(symbol, 0.0)
        if self.corrections and name not in self.corrections:
            raise UsageError(f"{name}: corrections has none of it")
        return total / len(atoms) + self.corrections.get(name, 0.0)


@contextlib.contextmanager
def _compressed(path: Path) -> Iterator[IO[str]]:
    """Open a compressed file for text, which says neither its name nor the time."""
    with (
        open(path, "wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="") as text,
    ):
        yield text


def _energies(given: Mapping[str, float] | str | Path | None) -> dict[str, float]:
    if not isinstance(given, str | Path):
        return dict(given or {})
    try:
        with _opened(given) as file:
            found = json.load(file)
        return {str(symbol): float(energy) for symbol, energy in found.items()}
    except OSError as error:
        raise UsageError(f"references: {given}: {error.strerror or error}") from error
    except (AttributeError, TypeError, ValueError):
        raise UsageError(
            f'references: {given} is no JSON object of numbers, such as {{"Cu": -4.1}}'
        ) from None


def _corrections(given: Mapping[str, float] | str | Path | None) -> dict[str, float]:
    if not isinstance(given, str | Path):
        return dict(given or {})
    try:
        with _opened(given) as file:
            return {row[ID]: float(row[CORRECTION]) for row in csv.DictReader(file)}
    except OSError as error:
        raise UsageError(f"corrections: {given}: {error.strerror or error}") from error
    except KeyError as error:
        raise UsageError(f"corrections: {given} has no column {error}") from None
    except (TypeError, ValueError) as error:
        raise UsageError(f"corrections: {given}: {error}") from None


def _opened(path: str | Path) -> IO[str]:
    if str(path).endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return open(path, encoding="utf-8", newline="")
