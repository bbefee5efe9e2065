"""Which formats can grow by one structure after the other, and what stands in for those that cannot.

The command imports this to check its options: it imports nothing heavy.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["grows", "results_path"]

GROWING = (".extxyz", ".xyz")


def grows(output: str) -> bool:
    """Return whether structures can be appended to the file ``output``."""
    return Path(output).suffix in GROWING


def results_path(output: str) -> str:
    """Return the file that grows in a run that writes ``output``: this, or one in extended XYZ beside it."""
    return output if grows(output) else f"{output}{GROWING[0]}"
