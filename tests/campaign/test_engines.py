"""One campaign on engines of all kinds: each gives the same results, and leaves no process behind."""

from __future__ import annotations

import os

import pytest
from clusters import ROOT, assert_none_left, campaign, dask_cluster, ends, parsl_file

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    """Keep indices in a temporary folder, run in it, and let workers import what is tested."""
    monkeypatch.setenv("RELAX_INDEX_DIR", str(tmp_path / "index"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Return what processes of this machine find."""
    folder = tmp_path_factory.mktemp("processes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELAX_INDEX_DIR", str(folder / "index"))
        patch.setenv("PYTHONPATH", str(ROOT))
        with campaign(folder / "c") as found:
            assert found.run(workers=2) is None
            assert_none_left(folder / "c", 0)
            return ends(found)


def test_processes_converge(expected):
    assert {status for _, status, *_ in expected} == {"converged"}


def test_dask(tmp_path, expected):
    with dask_cluster() as name, campaign(tmp_path / "c") as found:
        assert found.run(executor=name) is None
        assert ends(found) == expected
        assert_none_left(tmp_path / "c")


def test_parsl(tmp_path, expected):
    with parsl_file(tmp_path) as name, campaign(tmp_path / "c") as found:
        assert found.run(executor=name) is None
        assert ends(found) == expected
        assert_none_left(tmp_path / "c")
        assert sorted(os.listdir(tmp_path)) == ["c", "index", "parsl_config.py"]


def test_executorlib(tmp_path, expected):
    pytest.importorskip("executorlib")
    with campaign(tmp_path / "c") as found:
        assert found.run(workers=2, executor="executorlib:local") is None
        assert ends(found) == expected
        assert_none_left(tmp_path / "c")
        assert sorted(os.listdir(tmp_path)) == ["c", "index"]


def test_shards(tmp_path, expected):
    with campaign(tmp_path / "c") as found:
        assert found.run(workers=1, shard=(0, 2)) is None
        assert 0 < found.status().waiting < len(expected)
        assert found.run(workers=1, shard=(1, 2)) is None
        assert ends(found) == expected
