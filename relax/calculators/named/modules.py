"""Calculators from a module that the user has: an instance, or what returns one."""

from __future__ import annotations

import difflib
import importlib
import operator
import os
import sys
from collections.abc import Collection
from typing import Any

from relax.core.errors import CalculatorError, one_line

__all__ = ["load_from_module"]


def load_from_module(
    module: str, attribute: str, settings: dict[str, Any], prefixes: Collection[str] = ()
) -> Any:
    """Return the calculator ``module.attribute``, or the one that calling it returns.

    Parameters
    ----------
    module
        A module; those in the current directory are found too.
    attribute
        A name in it, with dots for what is further inside.
    settings
        Keyword arguments of the call.
    prefixes
        Words that may have been meant instead of ``module``, for the message.

    Raises
    ------
    CalculatorError
        There is no such module or attribute, the import or the call fails, there are settings for an
        instance, or the object is no calculator.
    """
    name = f"{module}:{attribute}"
    thing = _imported(module, attribute, prefixes)
    if not isinstance(thing, type) and _is_calculator(thing):
        if settings:
            raise CalculatorError(f"{name} is a calculator already and takes no settings (got {[*settings]})")
        return thing
    if not callable(thing):
        raise CalculatorError(
            f"{name} is {type(thing).__name__}, expected an ASE calculator or what returns one"
        )
    try:
        calculator = thing(**settings)
    except Exception as error:
        raise CalculatorError(f"{name}() failed: {one_line(error)}") from error
    if not _is_calculator(calculator):
        raise CalculatorError(f"{name}() returned {type(calculator).__name__}, expected an ASE calculator")
    return calculator


def _imported(module: str, attribute: str, prefixes: Collection[str]) -> Any:
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return operator.attrgetter(attribute)(importlib.import_module(module))
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(f"{error.name}.")):
            raise CalculatorError(f"{module}:{attribute} does not load: {one_line(error)}") from error
        near = difflib.get_close_matches(module, prefixes, n=1, cutoff=0.5)
        hint = f"; did you mean '{near[0]}:{attribute}'?" if near else ""
        raise CalculatorError(
            f"there is no module {module!r} for calculator {module}:{attribute}{hint}"
        ) from error
    except AttributeError as error:
        raise CalculatorError(f"{module}:{attribute} does not load: {one_line(error)}") from error
    except Exception as error:
        raise CalculatorError(f"module {module!r} does not import: {one_line(error)}") from error


def _is_calculator(thing: Any) -> bool:
    """Whether this is a calculator; structures and filters have the same methods, and positions too."""
    methods = ("get_forces", "get_potential_energy")
    return all(hasattr(thing, each) for each in methods) and not hasattr(thing, "get_positions")
