"""The memory that a process has had."""

from __future__ import annotations

from pathlib import Path


def peak() -> float:
    """Return the most memory that this process has had so far, MB; NaN where that cannot be known.

    Not from ``getrusage``, which counts in what the parent had when it started this one.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next((float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), float("nan"))
