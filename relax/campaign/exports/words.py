"""What files say of a structure beside its atoms."""

from __future__ import annotations

import inspect
import math
from typing import Any

from relax.campaign.outcome import Outcome
from relax.campaign.settings import Settings

__all__ = ["Words", "plain_columns", "plain_info"]

KEYS = (
    "status", "reason", "force_calls", "fmax", "smax", "volume_ratio", "spacegroup_first", "spacegroup_last",
)  # fmt: skip
"""Columns of an outcome that the files of ``relax run`` have too."""

BESIDE = ("energy_first", "curvature", "frequency")
"""What else a line of a result says that they have."""


class Words:
    """The ``info`` of structures, by the same names as in the files that ``relax run`` writes.

    Parameters
    ----------
    settings
        Those of the campaign.
    changes
        What rounds have in their place, by their numbers.
    """

    def __init__(self, settings: Settings, changes: dict[int, dict[str, Any]]) -> None:
        self.settings, self.changes = settings, changes
        self._texts: dict[int, tuple[str, str]] = {}

    def info(self, outcome: Outcome, more: dict[str, Any]) -> dict[str, Any]:
        """Return what a file says of a structure, without numbers that are not known.

        Parameters
        ----------
        outcome
            The structure.
        more
            Other columns of it.
        """
        rule, options = self._of_round(outcome.round)
        info = {"source": outcome.source, "relax_place": outcome.id, "relax_input": outcome.digest}
        info |= {"relax_rule": rule, "relax_options": options}
        columns = outcome.columns()
        info |= {f"relax_{name}": columns[name] for name in KEYS}
        info["relax_reason"] = outcome.reason.replace("\\", "/")  # ASE writes none that can be read
        found = outcome.found or {}
        info |= {f"relax_{name}": found[name] for name in BESIDE if found.get(name)}
        info |= {f"relax_{name}": value for name, value in more.items()}
        unknown = [k for k, v in info.items() if v in ("", None) or (isinstance(v, float) and math.isnan(v))]
        return {name: value for name, value in info.items() if name not in unknown}

    def _of_round(self, number: int) -> tuple[str, str]:
        if number not in self._texts:
            changes = self.changes.get(number, {})
            self._texts[number] = _texts(self.settings.changed(changes) if changes else self.settings)
        return self._texts[number]


def _texts(settings: Settings) -> tuple[str, str]:
    """Return the rule with its parameters, and the other settings that decide the result."""
    from relax.engine.api import relax_many

    given = dict(settings.relaxation)
    known = inspect.signature(relax_many).parameters
    rule = [str(given.pop("rule", known["rule"].default))]
    rule += [f"{name}={given.pop(name)}" for name in sorted(given.keys() - known.keys())]
    options: dict[str, Any] = {"calculator": settings.calculator}
    options |= {"dtype": settings.dtype, "head": settings.head}
    options["pbc"] = None if settings.pbc is None else "".join("FT"[along] for along in settings.pbc)
    options |= {"fmax": known["fmax"].default} | given
    if settings.cell is not None:
        options |= {"cell": True} | dict(settings.cell)
    options |= dict(settings.calculator_settings)
    return " ".join(rule), " ".join(f"{k}={v}" for k, v in options.items() if v is not None)


def plain_columns(outcome: Outcome, more: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a structure and ``more`` of them; what is not known is None."""
    columns = outcome.columns() | more
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in columns.items()}


def plain_info(outcome: Outcome) -> dict[str, Any]:
    """Return what the input says of a structure, such as its ``material_id``: words and numbers alone."""
    return {
        name: value for name, value in outcome.start.info.items()
        if isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value))
    }  # fmt: skip
