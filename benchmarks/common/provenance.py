"""What a file of results says about where its numbers come from: the machine, the command."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def processor() -> str:
    """Return the name of the processor model, or of its family where the model is not known."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def command_line(module: str) -> str:
    """Return the command of this process, ``module`` being the one that Python was asked to run."""
    return f"python -m {module} {' '.join(sys.argv[1:])}".strip()
