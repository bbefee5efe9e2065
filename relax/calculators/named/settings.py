"""Settings of a calculator: read from text, written as text, checked against what it takes."""

from __future__ import annotations

import ast
import difflib
import inspect
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any
from urllib.parse import quote

from relax.core.errors import CalculatorError

__all__ = ["check_settings", "parameters_of", "read_settings", "settings_text"]

WORDS = {"true": True, "false": False, "none": None}


def read_settings(words: Iterable[str], flag: str = "--calc-set") -> dict[str, Any]:
    """Return the settings in texts such as ``"sigma=2.5"``, the values of ``flag``.

    A value is a number, ``true``, ``false``, ``none``, a Python literal such as ``(2,2,2)``, or else text.

    Raises
    ------
    CalculatorError
        A text does not have this form.
    """
    settings = {}
    for word in words:
        key, _, text = word.partition("=")
        if not (key.isidentifier() and text):
            raise CalculatorError(f"{flag} {word}: write KEY=VALUE, such as sigma=2.5")
        settings[key] = _value(text)
    return settings


def settings_text(settings: Mapping[str, Any]) -> str:
    """Return settings as words without blanks, backslashes and quotes; other settings are other words."""
    return " ".join(
        f"calc_set.{key}={quote(_text(value), safe='!#$&()*+,-./:;<=>?@[]^_{|}~')}"
        for key, value in settings.items()
    )


def check_settings(name: str, settings: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Check settings against those that a calculator has.

    Parameters
    ----------
    name
        The name of the calculator, for the message.
    settings
        What is given.
    known
        What there is, with the defaults; a number cannot be replaced by what is none.

    Raises
    ------
    CalculatorError
        A setting is unknown, or should be a number.
    """
    for key, value in settings.items():
        if key not in known:
            if not known:
                raise CalculatorError(f"{name} has no settings (got {key!r})")
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise CalculatorError(f"{name} has no setting {key!r}{hint} (there are: {', '.join(known)})")
        if _is_number(known[key]) and not _is_number(value):
            raise CalculatorError(f"setting {key} of {name} must be a number (got {value!r})")


def parameters_of(make: Callable[..., Any], without: Collection[str] = ()) -> dict[str, Any]:
    """Return the named parameters of ``make`` with their defaults, all but some."""
    return {
        each.name: each.default
        for each in inspect.signature(make).parameters.values()
        if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY) and each.name not in without
    }


def _value(text: str) -> Any:
    """Return the value that a text stands for."""
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of backslashes in what is text after all
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def _text(value: Any) -> str:
    """Return the text from which ``_value`` makes ``value``."""
    return value if isinstance(value, str) and _value(value) == value else repr(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
