"""Campaigns of the tests keep their indices in a folder of the test."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def index_dir(tmp_path_factory):
    """Keep the indices of campaigns in a folder of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELAX_INDEX_DIR", str(tmp_path_factory.mktemp("index")))
        yield
