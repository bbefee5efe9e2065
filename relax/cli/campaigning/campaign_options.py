"""The options of ``relax campaign init``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from relax.campaign.store.rounds import UNIT_COST
from relax.cli.options.declaration import argument, option, positive, quiet_option
from relax.cli.options.run_options import RelaxationOptions

__all__ = ["CampaignOptions"]


@dataclass(frozen=True, kw_only=True)
class FolderOption:
    """The folder of a campaign."""

    folder: str = argument("Folder of the campaign.", metavar="DIR")


@dataclass(frozen=True, kw_only=True)
class CampaignOptions(RelaxationOptions, FolderOption):
    """The options of ``relax campaign init``."""

    unit_cost: float = option(
        UNIT_COST,
        "How much is relaxed together, and handed to a process at a time: about the number of pairs of atoms "
        "within 5 A. A GPU takes much more; for an expensive calculator give 1.",
        metavar="PAIRS",
        check=positive,
        role="run",
    )
    quiet: bool = quiet_option()

    def campaign_kwargs(self) -> dict[str, Any]:
        """Return the arguments of :meth:`relax.campaign.campaign.Campaign.create`, but for the structures."""
        calculator = self.calculator_kwargs()
        return self.relaxation_kwargs() | {
            "calculator": calculator.pop("name"),
            "calculator_settings": calculator.pop("settings"),
            **calculator,
            "cell": self.freedom() if self.cell else False,
            "pbc": self.periodic,
            "unit_cost": self.unit_cost,
        }
