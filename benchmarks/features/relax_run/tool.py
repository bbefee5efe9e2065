"""The tool ``relax run``."""

from __future__ import annotations

from benchmarks.features.tool import Tool

TOOL = Tool("`relax run`", "relax")
