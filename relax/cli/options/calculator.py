"""What computes energies and forces."""

from __future__ import annotations

from dataclasses import dataclass

from relax.cli.options.declaration import option

__all__ = ["CalculatorOptions"]


def _names() -> list[str]:
    """Return the names of calculators, as far as they are the same for everyone."""
    from relax.calculators.registry import NAMES

    heads = [name.partition(":") for name in NAMES]
    return [kind + colon for kind, colon, _ in heads if kind != "module"]


@dataclass(frozen=True, kw_only=True)
class CalculatorOptions:
    """What computes energies and forces."""

    calculator: str = option(
        "chgnet",
        "Calculator of energies and forces: chgnet, emt, lj, mace:NAME_OR_PATH or module:callable.",
        *("--calculator", "-c"),
        metavar="NAME",
        words=_names,
    )
    device: str = option("cpu", "Device of chgnet and mace models.", metavar="cpu|cuda", role="run")
    head: str | None = option(None, "Head of a mace model that has several.", metavar="NAME")
    dtype: str | None = option(
        None, "Precision of mace models; float64 if not given.", metavar="float64|float32"
    )
