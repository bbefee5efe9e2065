"""The tool ``ase run``."""

from __future__ import annotations

from benchmarks.features.tool import Tool

TOOL = Tool("`ase run`", "ase")
