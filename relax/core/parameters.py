"""Declared hyper-parameters: each has a default, bounds, a unit and a description."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

__all__ = ["Bounds", "Param", "check_parameters", "choice", "param", "parameters"]


@dataclass(frozen=True)
class Bounds:
    """An interval such as ``(0, 1]``."""

    text: str
    low: float
    high: float

    @classmethod
    def parse(cls, text: str) -> Bounds:
        """Read an interval such as ``"[0, inf)"``."""
        low, high = text[1:-1].split(",")
        return cls(text, float(low), float(high))

    def allow(self, value: float) -> bool:
        """Return whether ``value`` is in the interval."""
        above = value >= self.low if self.text[0] == "[" else value > self.low
        below = value <= self.high if self.text[-1] == "]" else value < self.high
        return above and below


@dataclass(frozen=True)
class Param:
    """The declaration of one hyper-parameter.  Checks, command line and tables all read it."""

    default: Any
    bounds: Bounds | None
    choices: tuple[str, ...]
    unit: str
    doc: str

    @property
    def allowed(self) -> str:
        """The bounds or the choices, as text."""
        return self.bounds.text if self.bounds else " | ".join(self.choices) or "true | false"

    def check(self, name: str, value: Any) -> None:
        """Raise ValueError if ``value`` is not allowed; the message contains ``name``."""
        if self.bounds is not None:
            good = (
                isinstance(value, int | float)
                and not isinstance(value, bool)
                and self.bounds.allow(value)
                and not (isinstance(self.default, int) and value != int(value))
            )
        elif self.choices:
            good = value in self.choices
        else:
            good = isinstance(value, bool)
        if not good:
            whole = isinstance(self.default, int)
            kind = ("a whole number in" if whole else "a number in") if self.bounds else "one of"
            raise ValueError(f"{name} = {value!r} is not allowed; give {kind} {self.allowed}")

    def parse(self, name: str, text: str) -> Any:
        """Return the value that ``text`` from a command line means; raise ValueError if it is not allowed."""
        if self.choices:
            value: Any = text
        elif self.bounds is None:
            words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
            value = words.get(text.lower(), text)
        else:
            try:
                value = float(text)
            except ValueError:
                raise ValueError(f"{name} = {text!r} is not a number") from None
            if isinstance(self.default, int) and value == value // 1:
                value = int(value)
        self.check(name, value)
        return value


def param(default: float | bool, bounds: str = "", unit: str = "", doc: str = "") -> Any:
    """Declare a number with ``bounds`` or, without bounds, a switch.

    If the default is an ``int``, only whole numbers are allowed.
    """
    declared = Param(default, Bounds.parse(bounds) if bounds else None, (), unit, doc)
    return dataclasses.field(default=default, metadata={"param": declared})


def choice(default: str, choices: tuple[str, ...], doc: str = "") -> Any:
    """Declare a parameter whose value is one of the words ``choices``."""
    return dataclasses.field(default=default, metadata={"param": Param(default, None, choices, "", doc)})


def parameters(declared: Any) -> dict[str, Param]:
    """Return the declared parameters of a dataclass by name, in the order of their declaration."""
    fields = dataclasses.fields(declared)
    return {f.name: f.metadata["param"] for f in fields if "param" in f.metadata}


def check_parameters(declared: Any) -> None:
    """Raise ValueError if a declared parameter of a dataclass has a value that is not allowed."""
    for name, one in parameters(declared).items():
        one.check(f"{type(declared).__name__}: {name}", getattr(declared, name))
