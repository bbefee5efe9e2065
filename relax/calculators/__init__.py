"""Calculators by name, and potentials, which evaluate many structures at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relax.core.lazy import lazy_names

if TYPE_CHECKING:
    from relax.calculators.as_calculator import PotentialCalculator
    from relax.calculators.base import Evaluation, Geometry, Potential
    from relax.calculators.potentials import as_potential
    from relax.calculators.registry import load
    from relax.core.errors import CalculatorError, OutOfMemory, UnsupportedStructure

__all__ = [
    "CalculatorError",
    "Evaluation",
    "Geometry",
    "OutOfMemory",
    "Potential",
    "PotentialCalculator",
    "UnsupportedStructure",
    "as_potential",
    "load",
]

__getattr__ = lazy_names(
    __name__,
    dict.fromkeys(("Evaluation", "Geometry", "Potential"), "relax.calculators.base")
    | dict.fromkeys(("CalculatorError", "OutOfMemory", "UnsupportedStructure"), "relax.core.errors")
    | {
        "PotentialCalculator": "relax.calculators.as_calculator",
        "as_potential": "relax.calculators.potentials",
        "load": "relax.calculators.registry",
    },
)
