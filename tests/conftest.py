"""Fixtures of more than one file of tests."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture
def relax(capsys, tmp_path, monkeypatch):
    """Return a function that runs the command in an empty folder: exit code, output, lines of errors."""
    from relax.cli.app import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words: object) -> tuple[int, str, list[str]]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err.splitlines()

    return run
