"""ASE's own calculators: ``emt``, ``lj``, and ``ase:NAME`` for each that ASE knows."""

from __future__ import annotations

import difflib
import inspect
from typing import Any

from relax.calculators.named.settings import check_settings, parameters_of
from relax.core.errors import CalculatorError, one_line

__all__ = ["ase_name", "check_ase_name", "load_ase", "load_emt", "load_lennard_jones"]

CHECKED = ("emt", "ff", "lj", "morse", "tersoff", "tip3p", "tip4p")
"""Calculators whose ``**kwargs`` are their default parameters and nothing else."""


def ase_name(word: str) -> str | None:
    """Return the name in ASE for a name or a class, upper or lower case: ``lj`` for ``LennardJones``."""
    from ase.calculators.calculator import special
    from ase.calculators.names import names

    known = {each.lower(): name for name, each in special.items() if name in names}
    known |= {name.lower(): name for name in names}
    return known.get(word.lower())


def check_ase_name(word: str) -> None:
    """Raise CalculatorError if ASE knows no calculator of this name; no calculator is imported."""
    from ase.calculators.names import names

    if ase_name(word) is None:
        near = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.5)
        hint = f"; did you mean 'ase:{near[0]}'?" if near else ""
        raise CalculatorError(f"ASE has no calculator {word!r}{hint} (it has: {', '.join(names)})")


def load_ase(word: str, settings: dict[str, Any]) -> Any:
    """Return the calculator that ASE knows by this name, with ASE's defaults but for ``settings``.

    Raises
    ------
    CalculatorError
        The name or a setting is unknown, its package is missing, or the calculator refuses the settings.
    """
    from ase.calculators.calculator import get_calculator_class

    check_ase_name(word)
    name = ase_name(word)
    try:
        make = get_calculator_class(name)
    except ImportError as error:
        raise CalculatorError(
            f"ase:{name} does not import: {one_line(error)}; install the package that ASE takes it from"
        ) from error
    kinds = [each.kind for each in inspect.signature(make).parameters.values()]
    if name in CHECKED or inspect.Parameter.VAR_KEYWORD not in kinds:
        own = parameters_of(make, without=("restart", "label", "atoms", "neighbor_list"))
        check_settings(f"ase:{name}", settings, own | getattr(make, "default_parameters", {}))
    try:
        return make(**settings)
    except Exception as error:
        hint = "" if settings else "; it may need settings, or a command in ASE's configuration"
        raise CalculatorError(f"ase:{name} does not load: {one_line(error)}{hint}") from error


def load_emt(settings: dict[str, Any]) -> Any:
    """Return ASE's effective medium theory."""
    from ase.calculators.emt import EMT

    check_settings("emt", settings, EMT.default_parameters)
    return EMT(**settings)


def load_lennard_jones(settings: dict[str, Any]) -> Any:
    """Return the Lennard-Jones potential, by default in reduced units.

    Without other settings it is cut off smoothly between 6.6 and 10 times ``sigma``.
    """
    from ase.calculators.lj import LennardJones

    check_settings("lj", settings, LennardJones.default_parameters | {"rc": 10.0, "ro": 6.6})
    sigma = settings.get("sigma", 1.0)
    cutoff = {} if {"rc", "ro"} & settings.keys() else {"rc": 10.0 * sigma, "ro": 6.6 * sigma}
    return LennardJones(**{"sigma": 1.0, "epsilon": 1.0, "smooth": True} | cutoff | settings)
