"""Names that are imported when they are first used, so that a command or a small import starts at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["lazy_names"]


def lazy_names(package: str, homes: Mapping[str, str], default: str = "") -> Callable[[str], Any]:
    """Return the ``__getattr__`` of ``package``.

    Parameters
    ----------
    package
        The name of the package.
    homes
        The modules in which names are.
    default
        The module in which all other names are that begin with a capital, if there is one.
    """

    def find(name: str) -> Any:
        # A name in small letters may be a submodule that is about to be imported.
        home = homes.get(name) or (default if name[0].isupper() else "")
        if not home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(home), name)

    return find
