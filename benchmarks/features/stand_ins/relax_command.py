"""The command ``relax``, which writes each call of the batched Lennard-Jones model to ``STAND_IN_CALLS``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from relax.calculators.models.lennard_jones import LennardJones
from relax.cli.app import main

evaluate = LennardJones.evaluate


def counted(self: LennardJones, geometry: Any, stress: bool) -> Any:
    """Evaluate a batch, and write that it was one call."""
    if "STAND_IN_CALLS" in os.environ:
        with Path(os.environ["STAND_IN_CALLS"]).open("a") as file:
            print("call", file=file)
    return evaluate(self, geometry, stress)


if __name__ == "__main__":
    LennardJones.evaluate = counted  # type: ignore[method-assign]
    main()
