"""The tool ``janus geomopt``."""

from __future__ import annotations

from benchmarks.features.tool import Tool

TOOL = Tool("`janus geomopt`", "janus-core")
