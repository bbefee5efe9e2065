"""Files of results: which rows are kept, and what happens to a file of another protocol."""

from __future__ import annotations

import importlib
import json

import pytest
from commands import ROOT

from relax.analysis.comparison.files.results_file import ResultsFile, Schema, replace

SETTINGS = {"a": "as today", "b": "as today"}


def check(results):
    if results["benchmark"] != "test":
        raise ValueError(results["benchmark"])


SCHEMA = Schema(
    protocol=("benchmark", "seed"),
    key=lambda row: row["optimizer"],
    identity=lambda head, row: {"parameters": SETTINGS[row["optimizer"]]},
    complete=lambda head, rows: head | {"command": "test", "rows": list(rows)},
    check=check,
)
HEADER = {"benchmark": "test", "seed": 1}


def row(name, **changes):
    return {"optimizer": name, "parameters": SETTINGS.get(name, ""), "calls": 3} | changes


@pytest.fixture
def path(tmp_path):
    """Return a file with two rows that are up to date and one of an optimizer that is gone."""
    path = tmp_path / "made" / "out.json"
    file = ResultsFile(path, HEADER, SCHEMA)
    for name in ("a", "b", "gone"):
        file.add(row(name))
    return path


def test_rows_are_written_as_they_are_added(path):
    found = json.loads(path.read_text())
    assert found == HEADER | {"command": "test", "rows": [row("a"), row("b"), row("gone")]}
    assert [p.name for p in path.parent.iterdir()] == ["out.json"]


def test_rows_that_are_up_to_date_are_kept(path):
    file = ResultsFile(path, HEADER, SCHEMA)
    assert list(file.rows) == ["a", "b"]
    assert file.outdated == ["gone"]
    assert file.missing(["a", "b", "c"]) == ["c"]


def test_rows_with_other_settings_are_computed_again(path, monkeypatch):
    monkeypatch.setitem(SETTINGS, "a", "changed")
    file = ResultsFile(path, HEADER, SCHEMA)
    assert file.missing(["a", "b"]) == ["a"]
    assert file.outdated == ["a", "gone"]


def test_without_resume_rows_that_are_asked_for_are_computed_again(path):
    file = ResultsFile(path, HEADER, SCHEMA, resume=False)
    assert file.missing(["a"]) == ["a"]
    file.add(row("a", calls=5))
    assert [r["calls"] for r in json.loads(path.read_text())["rows"]] == [5, 3]


def test_rows_of_another_protocol_are_neither_mixed_nor_lost(path):
    before = path.read_text()
    with pytest.raises(ValueError, match="other starts or another protocol"):
        ResultsFile(path, HEADER | {"seed": 2}, SCHEMA)
    assert path.read_text() == before
    ResultsFile(path, HEADER | {"seed": 2}, SCHEMA, resume=False).add(row("a"))
    found = json.loads(path.read_text())
    assert (found["seed"], len(found["rows"])) == (2, 1)


@pytest.mark.parametrize("content", ["my notes", "{}", '{"benchmark": "another", "rows": []}', "[]"])
def test_a_file_of_something_else_is_left_alone(tmp_path, content):
    path = tmp_path / "notes"
    path.write_text(content)
    for resume in (True, False):
        with pytest.raises(ValueError, match="holds no results"):
            ResultsFile(path, HEADER, SCHEMA, resume)
    assert path.read_text() == content


def test_rows_of_other_files_are_taken_unless_there_already(path, tmp_path):
    file = ResultsFile(tmp_path / "other.json", HEADER, SCHEMA)
    file.add(row("a", calls=7))
    file.take(SCHEMA.read(path), path)
    assert {name: r["calls"] for name, r in file.rows.items()} == {"a": 7, "b": 3}
    with pytest.raises(ValueError, match="other starts"):
        file.take(SCHEMA.read(path) | {"seed": 3}, path)


def test_an_interrupted_write_leaves_the_old_file(path, monkeypatch):
    def stops(self, target):
        raise KeyboardInterrupt

    before = path.read_text()
    monkeypatch.setattr(type(path), "replace", stops)
    with pytest.raises(KeyboardInterrupt):
        replace(path, "new")
    assert path.read_text() == before


RESULTS = ROOT / "benchmarks" / "results"
COMMITTED = {
    path.name: module
    for pattern, module in {
        "crystals_*.json": "crystals",
        "descents.json": "descents",
        "disturbed.json": "disturbed",
        "landscapes.json": "landscapes",
        "lj38.json": "lj38",
        "materials_*.json": "materials",
        "metals.json": "metals",
        "minima.json": "minima",
        "molecules_*.json": "molecules",
    }.items()
    for path in RESULTS.glob(pattern)
}


@pytest.mark.parametrize("name", COMMITTED)
def test_files_of_this_repository_are_as_their_benchmark_writes_them(name):
    schema = importlib.import_module(f"benchmarks.{COMMITTED[name]}.results").SCHEMA
    found = schema.read(RESULTS / name)
    header = {key: value for key, value in found.items() if key != "rows"}
    assert json.loads(json.dumps(schema.complete(header, found["rows"]))) == found
