"""What computes energies and forces."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from relax.cli.options.declaration import option

__all__ = ["CalculatorOptions", "calculator_names"]


def calculator_names() -> list[str]:
    """Return the names of calculators, as far as they are the same for everyone."""
    from relax.calculators.registry import NAMES

    heads = [name.partition(":") for name in NAMES]
    return [kind + colon for kind, colon, _ in heads if kind != "module"]


@dataclass(frozen=True, kw_only=True)
class CalculatorOptions:
    """What computes energies and forces."""

    calculator: str = option(
        "chgnet",
        "Calculator of energies and forces: chgnet, emt, lj (reduced units: sigma 1 A, epsilon 1 eV), gfn1, "
        "gfn2, gfnff, pyscf, mace:NAME_OR_PATH, sevennet:NAME_OR_PATH, orb:NAME, mattersim:NAME_OR_PATH, "
        "uma:NAME_OR_PATH, grace:NAME_OR_PATH, ase:NAME for any that ASE knows, or module:object.",
        *("--calculator", "-c"),
        metavar="NAME",
        words=calculator_names,
    )
    device: str = option("cpu", "Device of chgnet, mace and other models.", metavar="cpu|cuda", role="run")
    head: str | None = option(None, "Head of a mace model that has several.", metavar="NAME")
    dtype: str | None = option(
        None,
        "Precision of mace models; float64 if not given. mixed is float32 until near the stop.",
        metavar="float64|float32|mixed",
    )
    calc_set: list[str] | None = option(  # noqa: RUF009 - it returns a field
        None,
        "Set a keyword argument of the calculator, in its own units, such as sigma=2.5; may be repeated.",
        metavar="KEY=VALUE",
        role="run",
    )

    @cached_property
    def calculator_settings(self) -> dict[str, Any]:
        """The keyword arguments of the calculator that are set."""
        from relax.calculators.named.settings import read_settings
        from relax.core.errors import CalculatorError, UsageError

        try:
            return read_settings(self.calc_set or [])
        except CalculatorError as error:
            raise UsageError(str(error)) from None

    @property
    def calculator_text(self) -> str:
        """The keyword arguments of the calculator, for the output file."""
        from relax.calculators.named.settings import settings_text

        return settings_text(self.calculator_settings)

    def calculator_kwargs(self) -> dict[str, Any]:
        """Return the arguments of :func:`relax.calculators.registry.load`."""
        named = {name: getattr(self, name) for name in ("device", "dtype", "head")}
        return {"name": self.calculator, "settings": self.calculator_settings} | named
