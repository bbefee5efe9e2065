"""A calculator with faults: it ends its process, or never returns, for some structures."""

from __future__ import annotations

import os
import time
from typing import Any

from ase import Atoms
from ase.calculators.emt import EMT

ENDS_PROCESS, NEVER_RETURNS = "Pd", "Pt"
"""Elements of structures at which it does."""


class FaultyEMT(EMT):  # type: ignore[misc]  # ASE has no types
    """EMT, but for structures with palladium or platinum."""

    def calculate(self, atoms: Atoms | None = None, *others: Any, **more: Any) -> None:
        """Calculate, end the process, or never return."""
        symbols = set() if atoms is None else set(atoms.symbols)
        if ENDS_PROCESS in symbols:
            os.abort()
        while NEVER_RETURNS in symbols:
            time.sleep(1.0)
        super().calculate(atoms, *others, **more)


def faulty_emt() -> FaultyEMT:
    """Return the calculator."""
    return FaultyEMT()
