"""The tool torch-sim, and the argon crystals that it relaxes."""

from __future__ import annotations

import sys
import warnings
from importlib.util import find_spec
from typing import Any

import numpy as np

from benchmarks.features.tool import Tool
from benchmarks.features.workplace import STAND_INS, NotChecked

TOOL = Tool("torch-sim", "torch-sim-atomistic")


def argon() -> Any:
    """Return the module ``argon`` of the stand-ins.

    Raises
    ------
    NotChecked
        torch-sim is not installed.
    """
    if find_spec("torch_sim") is None:
        raise NotChecked("torch-sim-atomistic is not installed")
    if str(STAND_INS) not in sys.path:
        sys.path.append(str(STAND_INS))
    warnings.filterwarnings("ignore", message="Optimize has reached max steps")
    import argon

    return argon


def longest_force(state: Any) -> float:
    """Return the longest force of a state, eV/A."""
    return float(np.linalg.norm(state.forces.numpy(), axis=1).max())
