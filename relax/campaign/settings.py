"""The settings of a campaign, which are the same for all of its structures and do not change."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relax.core.errors import CalculatorError, UsageError

if TYPE_CHECKING:
    from ase import Atoms

    from relax.geometry.cell import CellFreedom

__all__ = ["Settings"]

Json = dict[str, Any]

NOT_FOR_CAMPAIGNS = ("monitor", "progress", "hessian")
"""Arguments of relax_many that no file can hold."""


@dataclass(frozen=True)
class Settings:
    """What is done with each structure of a campaign.

    Parameters
    ----------
    calculator
        The name of the calculator, see :mod:`relax.calculators.registry`.
    device, dtype, head, calculator_settings
        As for :func:`relax.calculators.registry.load`.
    pbc
        Along which cell vectors (3,) all structures are periodic; None where they say it.
    cell
        What of the cells relaxes: arguments of :class:`~relax.geometry.cell.CellFreedom`; None is nothing.
    relaxation
        Other arguments of :func:`relax.engine.api.relax_many`.

    Raises
    ------
    UsageError
        A setting is unknown or not allowed, or cannot be kept in a file.
    """

    calculator: str
    device: str = "cpu"
    dtype: str | None = None
    head: str | None = None
    calculator_settings: Mapping[str, Any] = field(default_factory=dict)
    pbc: Sequence[bool] | None = None
    cell: Mapping[str, Any] | None = None
    relaxation: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        calculator: str,
        *,
        cell: bool | str | CellFreedom = False,
        pressure: float = 0.0,
        pbc: Sequence[bool] | None = None,
        device: str = "cpu",
        dtype: str | None = None,
        head: str | None = None,
        calculator_settings: Mapping[str, Any] | None = None,
        **relaxation: Any,
    ) -> Settings:
        """Return the settings for arguments as those of :func:`relax.engine.api.relax_many`."""
        from relax.geometry.cell import cell_freedom

        if not isinstance(calculator, str):
            raise UsageError(
                f"a campaign needs the name of a calculator, not a {type(calculator).__name__}: each process "
                "loads its own; 'module:function' names a function that returns one"
            )
        try:
            freedom = cell_freedom(cell, pressure)
        except (TypeError, ValueError) as error:
            raise UsageError(f"cell: {error}") from None
        for name in NOT_FOR_CAMPAIGNS:
            if name in relaxation:
                raise UsageError(f"{name} is not for campaigns, whose settings are kept in a file")
        if (known := relaxation.get("known")) is not None:
            relaxation["known"] = _files(known)
        given = cls(
            _absolute(calculator), device, dtype, head, dict(calculator_settings or {}),
            None if pbc is None else [bool(along) for along in pbc],
            None if freedom is None else _given(freedom),
            {name: value for name, value in relaxation.items() if value is not None},
        )  # fmt: skip
        given.check()
        return given

    def check(self) -> None:
        """Raise UsageError for what :func:`relax.engine.api.relax_many` or the calculator would refuse."""
        from relax.calculators.registry import check_name
        from relax.engine.api import relax_many

        try:
            check_name(self.calculator, self.device, self.dtype, self.head)
            arguments = self.arguments()
            if prior := arguments.get("prior"):
                check_name(prior)
                arguments["prior"] = _Nothing()
            relax_many([], _Nothing(), **arguments)
        except (CalculatorError, TypeError, ValueError) as error:
            raise UsageError(" ".join(str(error).split())) from None
        try:
            text = json.dumps(self.to_plain())
        except TypeError:
            raise UsageError(f"these settings cannot be kept in a file: {self.to_plain()}") from None
        if json.loads(text) != self.to_plain():
            raise UsageError(f"these settings do not come back from a file as they are: {self.to_plain()}")

    def arguments(self) -> Json:
        """Return the arguments of :func:`relax.engine.api.relax_many`."""
        from relax.geometry.cell import CellFreedom

        freedom = None if self.cell is None else CellFreedom(**self.cell)
        cell: Any = False if freedom is None else lambda atoms: freedom if atoms.pbc.any() else False
        # A structure must not depend on what was measured of the calls before it.
        return {"budget": math.inf} | dict(self.relaxation) | {"cell": cell}

    def load(self) -> Any:
        """Return the potential; UsageError where it is not available."""
        from relax.calculators.models.confined import load_confined

        return load_confined(
            self.calculator, self.device, self.dtype, self.head, dict(self.calculator_settings)
        )

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """Return these settings with other arguments of relax_many; errors as in the class."""
        found = dataclasses.replace(self, relaxation={**self.relaxation, **changes})
        found.check()
        return found

    def to_plain(self) -> Json:
        """Return the settings as a tree of plain values without None."""
        tree = {
            "calculator": {
                "name": self.calculator, "device": self.device, "dtype": self.dtype, "head": self.head,
                "settings": dict(self.calculator_settings) or None,
            },
            "pbc": None if self.pbc is None else list(self.pbc),
            "cell": None if self.cell is None else dict(self.cell),
            "relaxation": dict(self.relaxation),
        }  # fmt: skip
        tree["calculator"] = {k: v for k, v in tree["calculator"].items() if v is not None}  # type: ignore[union-attr]
        return {name: value for name, value in tree.items() if value is not None}

    @classmethod
    def from_plain(cls, tree: Json) -> Settings:
        """Return the settings of a tree; KeyError or TypeError where it is none."""
        of = dict(tree["calculator"])
        return cls(
            of.pop("name"), calculator_settings=of.pop("settings", {}), pbc=tree.get("pbc"),
            cell=tree.get("cell"), relaxation=tree["relaxation"], **of,
        )  # fmt: skip

    @property
    def digest(self) -> str:
        """16 digits that tell these settings from others; the device does not count."""
        tree = self.to_plain()
        del tree["calculator"]["device"]
        return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:16]


def _absolute(calculator: str) -> str:
    """Return a name of a calculator that is the same in other folders, if it names a file."""
    from relax.calculators.registry import FAMILIES

    kind, colon, model = calculator.partition(":")
    return (
        f"{kind}{colon}{os.path.abspath(model)}" if kind in FAMILIES and os.path.exists(model) else calculator
    )


def _files(known: Any) -> list[str]:
    """Return the files of known calculations by names that are the same in other folders."""
    several = known if isinstance(known, list | tuple) else [known]
    for one in several:
        if not isinstance(one, str | Path):
            raise UsageError(f"a campaign needs the files of known calculations, not a {type(one).__name__}")
    return [os.path.abspath(one) for one in several]


def _given(freedom: CellFreedom) -> Json:
    """Return the arguments that make ``freedom`` which are not the default, as plain values."""
    found = {}
    for each in dataclasses.fields(freedom):
        value = getattr(freedom, each.name)
        value = value.tolist() if hasattr(value, "tolist") else value
        if each.init and value != each.default and value is not None:
            found[each.name] = value
    return found


class _Nothing:
    """A potential of no structures, to check arguments with."""

    unit, device, batched = "atoms", "cpu", True

    def admit(self, key: int, atoms: Atoms) -> float:
        raise NotImplementedError

    def release(self, key: int) -> None:
        raise NotImplementedError

    def evaluate(self, geometry: Any, stress: bool) -> Any:
        raise NotImplementedError
