"""The README says what the project does: its commands, its tables, its snippets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.readme import TABLES, filled, pages

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_tables_are_those_of_the_results():
    texts = [page.read_text() for page in pages()]
    assert all(any(f"<!-- {name} -->" in text for text in texts) for name in TABLES)
    for text in texts:
        assert filled(text) == text


def test_continuous_integration_runs_the_test_command():
    (command,) = re.findall(r"^python3 -m venv .*pytest.*$", README, re.MULTILINE)
    assert command in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("snippet", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_snippets_run(snippet, tmp_path, monkeypatch, capsys):
    if "torch_sim" in snippet:
        pytest.importorskip("torch_sim")
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "README.md", "exec"), {})
