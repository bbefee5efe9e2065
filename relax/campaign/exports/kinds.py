"""The names of the formats, apart from the code that writes them, which ``--help`` does not load."""

from __future__ import annotations

__all__ = ["KINDS"]

KINDS = ("extxyz", "ase.db", "parquet", "pymatgen-json", "matbench")
