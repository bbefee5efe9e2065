"""Plugin of pytest: stand-ins in ASE's place before tests are imported, and the outcome of each test."""

from __future__ import annotations

import json
import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ase_suite.exclusions import reason
from benchmarks.ase_suite.stand_ins import Count, emt_for_asap3, replace

LIMIT = 60
"""Seconds after which a test has failed; with ASE's own classes the slowest takes 4."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what the plugin is told."""
    group = parser.getgroup("ase_suite")
    group.addoption("--stand-in", help="Name of the optimizer in the place of ASE's.")
    group.addoption("--outcomes", help="JSON file of outcomes.")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Replace ASE's classes, and follow the tests."""
    emt_for_asap3()
    if name := config.getoption("--stand-in"):
        replace(name)
    if path := config.getoption("--outcomes"):
        config.pluginmanager.register(Outcomes(Path(path)), "ase_suite_outcomes")


def test_id(item: pytest.Item) -> str:
    """Return the id of a test, which does not depend on where ASE is installed."""
    module = item.module.__name__.removeprefix("ase.test.").replace(".", "/")  # type: ignore[attr-defined]
    return f"{module}.py::{item.nodeid.partition('::')[2]}"


@contextmanager
def limited() -> Iterator[None]:
    """Fail after ``LIMIT`` seconds, so that a run that never ends does not stop the others."""

    def stop(*_: object) -> None:
        pytest.fail(f"not done after {LIMIT} s")  # no Exception: relax would take one for the calculator's

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Outcomes:
    """What became of each test.

    ========================  ==============================================================
    ``passed``, ``failed``    with the optimizer in ASE's place
    ``no optimizer``          passed, but made none, so that it says nothing about it
    ``skipped``               by ASE itself
    ``excluded``              by :mod:`benchmarks.ase_suite.exclusions`
    ========================  ==============================================================
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: dict[str, dict[str, str]] = {}
        self.made = 0

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out the tests that are excluded."""
        left_out = [item for item in items if reason(test_id(item))]
        for item in items:
            why = reason(test_id(item))
            self.found[test_id(item)] = {"outcome": "excluded", "why": why} if why else {"outcome": "not run"}
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self) -> Generator[None, Any, Any]:
        """Limit the time of fixtures, and count the optimizers from here on."""
        self.made = Count.made
        with limited():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, Any, Any]:
        """Limit the time of the test."""
        with limited():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note how a test, or its fixtures, ended."""
        report = yield
        name = test_id(item)
        if report.skipped:
            why = getattr(report, "wasxfail", "") or report.longrepr[2].removeprefix("Skipped: ")
            self.found[name] = {"outcome": "skipped", "why": why}
        elif report.failed:
            self.found[name] = {"outcome": "failed", "why": first_line(report)}
        elif report.when == "call":
            self.found[name] = {"outcome": "passed" if Count.made > self.made else "no optimizer"}
        return report

    def pytest_sessionfinish(self) -> None:
        """Write the outcomes."""
        self.path.write_text(json.dumps(self.found, indent=1))


def first_line(report: pytest.TestReport) -> str:
    """Return the error of a test in one line."""
    crash = getattr(report.longrepr, "reprcrash", None)
    words = crash.message if crash else str(report.longrepr)
    return " ".join(words.splitlines()[0].split())[:200]
