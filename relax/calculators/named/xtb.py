"""The extended tight-binding methods of tblite, and GFN-FF.

The total charge is the sum of the initial charges of the structure, and for GFN1-xTB and GFN2-xTB the number
of unpaired electrons that of its initial magnetic moments; the settings ``charge`` and ``multiplicity`` of
these two replace the sums.
"""

from __future__ import annotations

import contextlib
import functools
from typing import Any

from relax.calculators.named.settings import check_settings
from relax.calculators.optional import extra

__all__ = ["HEAVIEST", "METHODS", "load_gfnff", "load_tblite"]

METHODS = {"gfn1": "GFN1-xTB", "gfn2": "GFN2-xTB"}

HEAVIEST = 86
"""The largest atomic number of the GFN methods, radon."""


def load_tblite(name: str, settings: dict[str, Any]) -> Any:
    """Return tblite's ASE calculator of a method in :data:`METHODS`, which prints nothing.

    Raises
    ------
    CalculatorError
        tblite is not installed, or a setting is unknown.
    """
    with extra(name, "tblite"):
        from tblite.ase import TBLite
    known = {k: v for k, v in TBLite.default_parameters.items() if k not in ("method", "verbosity")}
    check_settings(name, settings, known | {"charge": 0, "multiplicity": 1})
    with extra(name):
        return TBLite(method=METHODS[name], verbosity=0, **settings)


def load_gfnff(settings: dict[str, Any]) -> Any:
    """Return pygfnff's ASE calculator of GFN-FF, for molecules without a cell.

    Raises
    ------
    CalculatorError
        pygfnff is not installed, or a setting is given: there are none.
    """
    with extra("gfnff", "pygfnff"):
        from pygfnff import GFNFF
    check_settings("gfnff", settings, {})
    calculator = GFNFF()
    calculate = calculator.calculate

    @functools.wraps(calculate)
    def here(*args: Any, **kwargs: Any) -> None:
        # pygfnff leaves the process in another folder if a calculation fails.
        with contextlib.chdir("."):
            calculate(*args, **kwargs)

    calculator.calculate = here
    return calculator
