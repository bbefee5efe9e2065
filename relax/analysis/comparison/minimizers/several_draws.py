"""Several draws of a structure, behind the method that optimizers have."""

from __future__ import annotations

from typing import Any

from ase import Atoms

from relax.core.result import Result
from relax.optimizers.api import relax


class SeveralDraws:
    """``relax.relax`` with several draws.

    Parameters
    ----------
    atoms
        The structure, with a calculator.
    rule
        The name of the rule.
    **options
        As in :func:`relax.relax`, ``draws`` among them.
    """

    result: Result

    def __init__(self, atoms: Atoms, rule: str, **options: Any) -> None:
        self.atoms, self.rule, self.options = atoms, rule, options

    def run(self, fmax: float, steps: int) -> None:
        """Relax the draws to ``fmax``, eV/A, in ``steps`` steps each; the atoms go to the lowest end."""
        self.result = relax(self.atoms, None, self.rule, fmax=fmax, steps=steps, **self.options)
