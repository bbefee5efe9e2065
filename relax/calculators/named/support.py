"""Which structures a calculator does not support, of what is known without calling it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relax.calculators.named.mace import sees_no_neighbours
from relax.calculators.named.xtb import HEAVIEST

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["unknown_elements", "unsupported"]


def unsupported(calculator: Any, atoms: Atoms, in_reach: bool = False) -> str:
    """Return in words why ``calculator`` does not support ``atoms``; an empty string if no reason is known.

    ``in_reach`` says that a neighbour within the cutoff is already known, so that none is searched for.
    """
    name = type(calculator).__name__
    if name == "EMT":
        from ase.calculators.emt import parameters

        return unknown_elements(
            "EMT", [symbol in parameters for symbol in atoms.symbols], atoms, list(parameters)
        )
    if name == "MACECalculator":
        from ase.data import chemical_symbols

        known = [int(number) for number in calculator.z_table.zs]
        symbols = [chemical_symbols[number] for number in known]
        mask = [int(number) in known for number in atoms.numbers]
        if why := unknown_elements("this MACE model", mask, atoms, symbols):
            return why
        # The forces would be zero, as in a minimum, and the run would count as converged.
        alone = len(atoms) == 1 and not atoms.pbc.any()
        if not (in_reach or alone) and sees_no_neighbours(calculator, atoms):
            return f"no atom has a neighbour within the {calculator.r_max:g} A that this MACE model sees"
    elif name == "CHGNetCalculator":
        largest = calculator.model.composition_model.fc.in_features
        mask = [1 <= number <= largest for number in atoms.numbers]
        if why := unknown_elements("CHGNet", mask, atoms, []):
            return why
        if atoms.cell.rank < 3:
            return "CHGNet needs a cell in all three directions; give the structure one, with room around it"
    elif name in ("TBLite", "GFNFF"):
        mask = [1 <= number <= HEAVIEST for number in atoms.numbers]
        if why := unknown_elements("GFN-FF" if name == "GFNFF" else "xTB", mask, atoms, []):
            return why
        if name == "GFNFF" and (atoms.pbc.any() or atoms.cell.any()):
            return "GFN-FF is here for molecules without a cell only; remove the cell, or take gfn2"
    elif name == "PySCFMolecule" and atoms.pbc.any():
        return "PySCF is here for molecules only; make no direction of the structure periodic"
    return ""


def unknown_elements(model: str, known: list[bool], atoms: Atoms, symbols: list[str]) -> str:
    """Return in words which elements are unknown to a ``model``; an empty string if there are none.

    Parameters
    ----------
    model
        Name of the model, for the message.
    known
        Whether the element of each atom is known (N,).
    atoms
        The structure.
    symbols
        The known elements, which the message lists if they are at most 20.
    """
    if all(known):
        return ""
    i = known.index(False)
    others = sorted({s for s, k in zip(atoms.symbols, known, strict=True) if not k} - {atoms.symbols[i]})
    also = f", nor {' '.join(others)}" if others else ""
    only = f" (it knows {' '.join(symbols)})" if 0 < len(symbols) <= 20 else ""
    return f"{model} does not know the element of atom {i}, {atoms.symbols[i]}{also}{only}"
