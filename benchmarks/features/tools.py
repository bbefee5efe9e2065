"""All tools, with their checks."""

from __future__ import annotations

from importlib import import_module

from benchmarks.features.tool import Tool

PACKAGES = ("relax_run", "janus", "ase_run", "torch_sim_batches")


def all_tools() -> list[Tool]:
    """Return the tools, in the order of the columns."""
    for package in PACKAGES:
        for part in ("inputs", "failures", "outputs"):
            import_module(f"benchmarks.features.{package}.{part}")  # registers its checks
    return [import_module(f"benchmarks.features.{package}.tool").TOOL for package in PACKAGES]
