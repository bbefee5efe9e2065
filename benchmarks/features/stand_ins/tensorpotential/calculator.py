"""The function by which ``janus geomopt --arch grace`` makes its calculator."""

from __future__ import annotations

from typing import Any

from stand_in import StandIn


def grace_fm(model: str, **settings: Any) -> StandIn:
    """Return the stand-in, whatever the model."""
    return StandIn(**settings)
