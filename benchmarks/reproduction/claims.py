"""What the papers print."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.lj38.tables import Entry
from benchmarks.lj38.tables import published as clusters

Claim = Mapping[str, Any]
"""What a paper says and prints: ``claim``, ``source``, ``where``, ``says``, and its figures, ``printed``."""


def published() -> Any:
    """Return the file of claims, where those on clusters have their figures from that of the clusters."""
    found = json.loads(Path(__file__).with_name("claims.json").read_text())
    entries = {entry.name: entry for _, entry in clusters()}
    for claim in found["lj38"]:
        if "entry" in claim:
            claim["printed"] = calls(entries[claim["entry"]])
        if "entries" in claim:
            claim["printed"] = {name: entries[name].mean for name in claim["entries"]}
    return found


def calls(entry: Entry) -> dict[str, int]:
    """Return the figures of a published row."""
    return {"mean": entry.mean, "min": entry.least, "max": entry.most}
