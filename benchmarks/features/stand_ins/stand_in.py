"""A calculator that the checks can watch and disturb: ASE's EMT, with faults that the environment names.

``STAND_IN_CALLS`` is a file that gets a line for each call, ``STAND_IN_SLOW`` the seconds that a call takes
at least, and ``STAND_IN_FAULT`` what is wrong.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase.calculators.emt import EMT


class StandIn(EMT):
    """ASE's EMT with faults; takes any settings, and writes them beside each call."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.settings = settings
        self.calls = 0

    def calculate(self, *args: Any, **kwargs: Any) -> None:
        """Compute all properties, and spoil them."""
        self.calls += 1
        if "STAND_IN_CALLS" in os.environ:
            with Path(os.environ["STAND_IN_CALLS"]).open("a") as file:
                print(json.dumps(self.settings), file=file)
        time.sleep(float(os.environ.get("STAND_IN_SLOW", "0")))
        super().calculate(*args, **kwargs)
        if "STAND_IN_FAULT" in os.environ:
            FAULTS[os.environ["STAND_IN_FAULT"]](self)


def not_a_number(calculator: StandIn) -> None:
    """One force is not a number, from the third call on."""
    if calculator.calls >= 3:
        calculator.results["forces"][0, 0] = np.nan


def hang(calculator: StandIn) -> None:
    """The third call does not return."""
    if calculator.calls >= 3:
        time.sleep(3600)


def explode(calculator: StandIn) -> None:
    """Each pair of atoms is driven apart by a force that falls as the root of their distance."""
    between = calculator.atoms.get_all_distances(vector=True)
    distances = np.linalg.norm(between, axis=2) + np.eye(len(between))
    calculator.results["forces"] = -(between / distances[:, :, None] ** 1.5).sum(axis=1)
    energy = -float(np.triu(2 * np.sqrt(distances), 1).sum())
    calculator.results["energy"] = calculator.results["free_energy"] = energy


def noise(calculator: StandIn) -> None:
    """Forces are off by 0.05 eV/A."""
    shape = calculator.results["forces"].shape
    calculator.results["forces"] += np.random.default_rng(calculator.calls).normal(0, 0.05, shape)


FAULTS: dict[str, Callable[[StandIn], None]] = {
    "nan": not_a_number,
    "hang": hang,
    "explode": explode,
    "noise": noise,
}
