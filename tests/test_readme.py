"""README and docs say what the project does: their commands, tables, snippets and links."""

from __future__ import annotations

import logging
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.readme import TABLES, filled, pages

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = {str(page.relative_to(ROOT)): page.read_text() for page in pages()}
PROSE = PAGES | {name: (ROOT / name).read_text() for name in ("CONTRIBUTING.md", "data/README.md")}
SNIPPETS = [
    pytest.param(snippet, id=f"{name}-{n}")
    for name, text in PAGES.items()
    for n, snippet in enumerate(re.findall(r"```python\n(.*?)```", text, re.DOTALL), 1)
]


def test_readme_is_short():
    assert len(README.splitlines()) <= 200


def test_every_table_stands_in_one_page_and_is_up_to_date():
    for name in TABLES:
        assert sum(text.count(f"<!-- {name} -->") for text in PAGES.values()) == 1, name
    for text in PAGES.values():
        assert filled(text) == text


def test_continuous_integration_runs_the_test_command():
    (command,) = re.findall(r"^python3 -m venv .*pytest.*$", README, re.MULTILINE)
    assert command in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_snippets_run(snippet, tmp_path, monkeypatch, capsys):
    for word, package in {"torch_sim": "torch_sim", '"gfn': "tblite"}.items():
        if word in snippet:
            pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    levels = {name: logging.getLogger(name).level for name in ("", "relax")}
    try:
        exec(compile(snippet, "snippet", "exec"), {})
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


@pytest.mark.parametrize("name", PROSE)
def test_links_lead_somewhere(name):
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", PROSE[name]):
        path = (ROOT / name).parent / target if target else ROOT / name
        assert path.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", t).lower().replace(" ", "-") for t in titles}, anchor


@pytest.mark.parametrize("name", PROSE)
def test_commands_exist(name, relax):
    for module in re.findall(r"python -m (benchmarks[a-z0-9_.]*[a-z0-9_])", PROSE[name]):
        assert find_spec(module), module
    for command in ("run", "compare"):
        options = set(re.findall(r"--?[a-z][\w-]*", relax(command, "--help")[1]))
        for line in re.findall(rf"^relax {command} .*$", PROSE[name], re.MULTILINE):
            assert set(re.findall(r"(?<= )--?[a-z][\w-]*", line)) <= options, line
