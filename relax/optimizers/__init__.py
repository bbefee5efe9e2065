"""Front ends of the engine: ASE optimizers, ``relax()`` for one structure, and torch-sim's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relax.core.lazy import lazy_names

if TYPE_CHECKING:
    from relax.optimizers.api import relax as relax
    from relax.optimizers.named import *  # noqa: F403  (as __getattr__ finds them)

__getattr__ = lazy_names(__name__, {"relax": "relax.optimizers.api"}, "relax.optimizers.named")
