"""Optional packages: errors if they are missing, less output, and no side effects on the process."""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from relax.core.errors import CalculatorError, one_line

__all__ = ["environment_restored", "extra", "silence_output", "silence_warnings"]

NOISY = (
    r"(chgnet|e3nn|fairchem|mace|mattersim|orb_models|pymatgen|sevenn|tensorflow|tensorpotential|torch"
    r"|torch_geometric)(\.|$)"
)
"""Packages whose warnings do not help a user who relaxes a structure."""

INSTALL = {
    "gfn1": "relax[xtb]", "gfn2": "relax[xtb]", "gfnff": "pygfnff", "grace": "tensorpotential",
    "mattersim": "mattersim", "orb": "orb-models", "sevennet": "sevenn", "uma": "fairchem-core",
}  # fmt: skip
"""What pip installs for a calculator that is not an extra of the same name."""


@contextlib.contextmanager
def extra(name: str, *modules: str) -> Iterator[None]:
    """Raise CalculatorError if an import fails; if one of ``modules`` is missing, it says what to install."""
    try:
        yield
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        if package in modules:
            wheel = INSTALL.get(name, f"relax[{name}]")
            raise CalculatorError(
                f'{package} is not installed, which {name} needs: pip install "{wheel}"'
            ) from error
        raise CalculatorError(f"{name} does not import: {one_line(error)}") from error
    except Exception as error:
        raise CalculatorError(f"{name} does not load: {one_line(error)}") from error


@contextlib.contextmanager
def silence_output(show: bool = False) -> Iterator[None]:
    """Hide what a package prints or, with ``show``, print it to standard error only."""
    out = sys.stderr if show else io.StringIO()
    # Without a handler the first log message of mace would configure logging for the whole process.
    root, mute = logging.getLogger(), logging.NullHandler()
    root.addHandler(mute)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            warnings.filterwarnings("ignore", module=NOISY)
            yield
    finally:
        root.removeHandler(mute)


@contextlib.contextmanager
def environment_restored() -> Iterator[None]:
    """Restore the variable by which ``import mace`` allows every ``torch.load`` to run pickles."""
    key = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(key)
    try:
        if "mace" in sys.modules:
            os.environ[key] = "1"
        yield
    finally:
        if before is None:
            os.environ.pop(key, None)
        else:
            os.environ[key] = before


def silence_warnings(calculator: Any) -> Any:
    """Return ``calculator`` with the warnings of its package hidden while it calculates."""
    calculate = calculator.calculate

    @functools.wraps(calculate)
    def silenced(*args: Any, **kwargs: Any) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=NOISY)
            return calculate(*args, **kwargs)

    calculator.calculate = silenced
    return calculator
