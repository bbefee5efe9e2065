"""The table of features: each cell has evidence, and relax still does what its column says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.common.provenance import RESULTS, ROOT
from benchmarks.features.__main__ import cell
from benchmarks.features.relax_run.failures import ends_as
from benchmarks.features.relax_run.tool import TOOL
from benchmarks.features.rows import LEGEND, NOT_CHECKED, keys
from benchmarks.features.table import table
from benchmarks.features.tool import Tool, no_name
from benchmarks.features.tools import all_tools
from benchmarks.features.workplace import NotChecked, Workplace

RECORD = json.loads((RESULTS / "features.json").read_text())
CELLS = {row["feature"]: row["cells"] for row in RECORD["rows"]}
FAST = ("pressure", "others", "overwrite", "nan", "dynamics")
FEATURES = [key if key in FAST else pytest.param(key, marks=pytest.mark.slow) for key in keys()]


def test_the_page_is_what_the_results_say():
    page = (ROOT / "docs" / "reference" / "cli.md").read_text()
    assert "\n".join(["<!-- features -->", *table(RECORD), "<!-- end -->"]) in page


def test_every_cell_has_evidence():
    tools = all_tools()
    assert set(CELLS) == set(keys())
    for feature, row in CELLS.items():
        assert list(row) == [tool.title for tool in tools], feature
        for found in row.values():
            assert found["answer"] in {"yes", "no", *LEGEND}, feature
            assert len(found["evidence"]) > 20, feature
            assert found["version"] or found["answer"] == NOT_CHECKED, feature
            assert str(Path.home()) not in found["evidence"], feature
            assert "/tmp" not in found["evidence"], feature


def test_every_feature_has_a_check_of_every_tool():
    for tool in all_tools():
        assert set(tool.checks) == set(keys()), tool.title


@pytest.mark.parametrize("feature", FEATURES)
def test_relax_does_what_the_table_says(feature):
    all_tools()
    assert cell(TOOL, feature, None, None)["answer"] == CELLS[feature][TOOL.title]["answer"]


def test_a_check_can_fail(tmp_path):
    place = Workplace(tmp_path)
    place.prepare()
    assert ends_as(place, "", "nonfinite").answer == "no"


def test_what_cannot_run_keeps_its_cell():
    tool, before = Tool("tool", "ase"), {"answer": "yes", "evidence": "seen before", "version": "1"}

    @tool.check("cell")
    def check(place):
        place.run("janus geomopt --help")

    assert cell(tool, "cell", None, before) == before
    assert cell(tool, "cell", None, None)["answer"] == NOT_CHECKED


def test_a_name_that_fits_is_no_evidence_of_absence():
    assert no_name("phonon", ["cell", "pressure"], "options").answer == "no"
    with pytest.raises(NotChecked, match="phonons"):
        no_name("phonon", ["cell", "phonons"], "options")
