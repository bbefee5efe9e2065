"""A calculator kept from ending the program, from printing among its results, and from leaving its folder."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from relax.calculators.base import Aimed
from relax.core.errors import CalculatorError, UsageError, one_line

if TYPE_CHECKING:
    from ase import Atoms

    from relax.calculators.base import Evaluation, Geometry, Potential

__all__ = ["ConfinedPotential", "confined", "load_confined"]


def load_confined(
    name: str,
    device: str = "cpu",
    dtype: str | None = None,
    head: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> ConfinedPotential:
    """Return the potential of a calculator by name, confined; as :func:`~relax.calculators.as_potential`.

    Raises
    ------
    UsageError
        It is not available.
    """
    from relax.calculators import as_potential

    try:
        with confined():
            potential = as_potential(name, device, dtype, head, settings)
    except CalculatorError as error:
        raise UsageError(str(error)) from error
    return ConfinedPotential(potential)


class ConfinedPotential:
    """A potential each of whose calls is confined, see :func:`confined`.

    Parameters
    ----------
    potential
        The potential.
    """

    def __init__(self, potential: Potential) -> None:
        self.potential = potential
        self.unit, self.device, self.batched = potential.unit, potential.device, potential.batched

    def aim(self, fmax: float) -> None:
        if isinstance(self.potential, Aimed):
            self.potential.aim(fmax)

    def admit(self, key: int, atoms: Atoms) -> float:
        with confined():
            return self.potential.admit(key, atoms)

    def release(self, key: int) -> None:
        self.potential.release(key)

    def evaluate(self, geometry: Geometry, stress: bool) -> Evaluation:
        with confined():
            return self.potential.evaluate(geometry, stress)


@contextlib.contextmanager
def confined() -> Iterator[None]:
    """Have what is printed in the block go to standard error, and be in the same folder after it.

    Raises
    ------
    CalculatorError
        For SystemExit and its like.  Signals raise KeyboardInterrupt, which is let through.
    """
    folder = os.getcwd()
    try:
        with _standard_output_kept():
            yield
    except (SystemExit, GeneratorExit) as error:
        raise CalculatorError(f"the calculator would end the program: {one_line(error)}") from error
    finally:
        os.chdir(folder)


@contextlib.contextmanager
def _standard_output_kept() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, ValueError):  # where it is no file of the system
            number, other = sys.stdout.fileno(), sys.stderr.fileno()
            sys.stdout.flush()
            kept = os.dup(number)
            stack.callback(os.close, kept)
            stack.callback(os.dup2, kept, number)
            os.dup2(other, number)  # for compiled code and for other programs
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        yield
