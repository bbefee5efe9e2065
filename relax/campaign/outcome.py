"""What has become of one structure of a campaign.

ASE and numpy are imported where they are used: to count structures needs neither, and takes less time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["Outcome"]

Json = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """A structure of a campaign, and how its relaxation ended if it has.

    Parameters
    ----------
    id
        Its number in the campaign, from 0 in the order of the input.
    given, found
        What the lines of the input and of the result say; the second is None before there is a result.
    worker
        What the process says of itself that relaxed it: host, hardware, versions; empty if there is none.
    """

    id: int
    given: Mapping[str, Any] = field(repr=False)
    found: Mapping[str, Any] | None = field(repr=False)
    worker: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def source(self) -> str:
        """The name of the structure: its file, with the frame if there are several."""
        return str(self.given["source"])

    @property
    def file(self) -> str:
        """The file that it comes from; empty if it comes from none."""
        return str(self.given.get("file", ""))

    @property
    def frame(self) -> int:
        """Its place in that file, from 0."""
        return int(self.given.get("frame", 0))

    @property
    def digest(self) -> str:
        """What tells its start from others, see :func:`relax.io.check.digest`."""
        return str(self.given["digest"])

    @property
    def formula(self) -> str:
        """The chemical formula."""
        return str(self.given["formula"])

    @property
    def status(self) -> str:
        """How it ended, see :class:`~relax.core.result.Result`; or ``waiting``."""
        if "invalid" in self.given:
            return "refused"
        return "waiting" if self.found is None else str(self.found["status"])

    @property
    def reason(self) -> str:
        """The same in words."""
        if "invalid" in self.given:
            return str(self.given["invalid"])
        return "" if self.found is None else str(self.found["reason"])

    @property
    def cause(self) -> str:
        """Of what the last process died that relaxed it, where it is lost; else empty."""
        return str((self.found or {}).get("cause", ""))

    @property
    def converged(self) -> bool:
        """Whether the status is ``converged``."""
        return self.status == "converged"

    @property
    def round(self) -> int:
        """The round of the campaign in which it was relaxed: 0 is the first, and each retry is another."""
        return 0 if self.found is None else int(self.found["round"])

    @property
    def energy(self) -> float:
        """Energy (enthalpy under pressure) of the end, eV; NaN if it is not known."""
        return self._number("energy_last")

    @property
    def fmax(self) -> float:
        """Longest force on an atom of the end, eV/A; NaN if it is not known."""
        return self._number("fmax")

    @property
    def smax(self) -> float:
        """Largest component of the residual stress of the end, GPa; NaN if it is not known."""
        return self._number("smax")

    @property
    def calls(self) -> int:
        """Force calls."""
        return int((self.found or {}).get("force_calls", 0))

    @property
    def steps(self) -> int:
        """Steps of the optimizer."""
        return int((self.found or {}).get("steps", 0))

    @property
    def seconds(self) -> float:
        """Time of its relaxation, s."""
        return float((self.found or {}).get("wall_time", 0.0))

    @property
    def start(self) -> Atoms:
        """The structure as it was given."""
        from relax.campaign.store.structures import atoms_of

        return atoms_of(dict(self.given))

    @cached_property
    def atoms(self) -> Atoms:
        """Where it ended, with energy, forces and stress if there are any; as given before it has ended."""
        import numpy as np
        from ase.calculators.singlepoint import SinglePointCalculator

        atoms, found = self.ended()
        results = {
            name: float(value) if name == "energy" else np.array(value, float)
            for name, value in found.items()
        }
        atoms.calc = SinglePointCalculator(atoms, **results) if results else None
        return atoms

    def ended(self) -> tuple[Atoms, Json]:
        """Return where it ended, without a calculator, and the results there; as given if it has not."""
        from relax.campaign.store.structures import atoms_of

        found = self.found if self.found and "positions" in self.found else {}
        moved = {name: found[name] for name in ("positions", "cell") if name in found}
        return atoms_of({**self.given, **moved}), found.get("results", {})

    def _number(self, name: str) -> float:
        value = (self.found or {}).get(name)
        return math.nan if value is None else float(value)

    def columns(self) -> Json:
        """Return what a table says of it: plain values by name, without what differs from run to run."""
        found = self.found or {}
        return {
            "id": self.id, "source": self.source, "file": self.file, "frame": self.frame,
            "formula": self.formula, "natoms": len(self.given["numbers"]), "input": self.digest,
            "status": self.status, "reason": self.reason, "energy": self.energy, "fmax": self.fmax,
            "smax": self.smax, "force_calls": self.calls, "steps": self.steps, "round": self.round,
            "volume_ratio": self._number("volume_ratio"),
            "spacegroup_first": str(found.get("spacegroup_first", "")),
            "spacegroup_last": str(found.get("spacegroup_last", "")),
        }  # fmt: skip
