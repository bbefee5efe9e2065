"""Potentials from names, ASE calculators and torch-sim models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ase import Atoms
from ase.calculators.calculator import compare_atoms
from ase.filters import Filter

from relax.calculators.base import Potential

if TYPE_CHECKING:
    from relax.calculators.models.one_by_one import SequentialCalculator

__all__ = ["as_potential", "batched_calculator"]


def as_potential(
    thing: Any,
    device: str = "cpu",
    dtype: str | None = None,
    head: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Potential:
    """Return ``thing`` as a potential, batched if possible.

    CHGNet, MACE models without interactions beyond their cutoff, ASE's Lennard-Jones and torch-sim models are
    batched.  Any other calculator evaluates one structure after the other.

    Parameters
    ----------
    thing
        A potential, which is returned unchanged; the name of a calculator, see
        :mod:`relax.calculators.registry`; an ASE calculator; or a torch-sim model.
    device, dtype, head, settings
        Options for a calculator that is given by name, see :func:`relax.calculators.registry.load`.

    Raises
    ------
    TypeError
        ``thing`` is none of these.
    CalculatorError
        The name is unknown, or the calculator is not available.
    """
    if isinstance(thing, str):
        from relax.calculators.registry import load

        return _of_calculator(load(thing, device, dtype, head, settings))
    if isinstance(thing, type):
        raise TypeError(f"{thing.__name__} is a class; give an instance of it: {thing.__name__}(...)")
    if isinstance(thing, Potential):
        return thing
    if hasattr(thing, "get_forces") and not isinstance(thing, Atoms | Filter):
        return _of_calculator(thing)
    if any(kind.__name__ == "ModelInterface" for kind in type(thing).__mro__):
        from relax.calculators.models.torchsim import TorchSim

        return TorchSim(thing)
    raise TypeError(
        f"cannot make a potential from {type(thing).__name__}: give a name, an ASE calculator, "
        "a torch-sim model or a relax.calculators.Potential"
    )


def _of_calculator(calculator: Any) -> Potential:
    # Compared by name, since the classes are in packages that may not be installed.
    name = type(calculator).__name__
    if name == "PotentialCalculator":
        potential: Potential = calculator.potential
        return potential
    if name == "MACECalculator":
        from relax.calculators.models.mace import MACE, unbatched

        return _one_by_one(calculator) if unbatched(calculator) else MACE(calculator)
    if name == "CHGNetCalculator":
        from relax.calculators.models.chgnet import CHGNet

        return CHGNet(calculator)
    if name == "LennardJones" and type(calculator).__module__ == "ase.calculators.lj":
        from relax.calculators.models.lennard_jones import LennardJones

        return LennardJones(**calculator.parameters)
    return _one_by_one(calculator)


def _one_by_one(calculator: Any) -> SequentialCalculator:
    from relax.calculators.models.one_by_one import SequentialCalculator

    return SequentialCalculator(calculator, str(getattr(calculator, "device", "cpu")))


@contextmanager
def batched_calculator(atoms: Atoms) -> Iterator[None]:
    """Within the block, let ``atoms`` have the batched potential of their calculator, if there is one.

    It keeps the neighbour lists of one structure from call to call, as ASE's calculators do not.  After the
    block the calculator of the atoms is back, with the results of the last call.
    """
    given = atoms.calc
    potential = None if given is None else as_potential(given)
    if potential is None or not potential.batched:
        yield
        return
    from relax.calculators.as_calculator import PotentialCalculator

    atoms.calc = calculator = PotentialCalculator(potential)
    try:
        yield
    finally:
        atoms.calc = given
        calculator.release()
        if not compare_atoms(calculator.atoms, atoms):
            given.atoms, given.results = atoms.copy(), calculator.results
