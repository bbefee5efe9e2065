"""An optimizer of ASE in the place of a rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ase.constraints import FixSymmetry
from ase.optimize.optimize import Optimizer

from relax.core.rule import Point, Rule
from relax.core.segments import Array
from relax.core.state import State
from relax.engine.arrays import Start
from relax.engine.batch.of_ase.cell_filter import freed_cell
from relax.engine.batch.of_ase.names import ase_class, check_ase_name, check_keywords

__all__ = ["AseRule", "ase_rule"]


@dataclass(frozen=True)
class AseRule(Rule):
    """Says of an optimizer of ASE what the engine asks of a rule; the steps are that optimizer's own.

    Parameters
    ----------
    name
        Its name, such as ``ase:BFGS``.
    keywords
        Its keyword arguments.
    """

    strain_length: ClassVar[tuple[float, float]] = (1.0, 1.0)
    takes_back_steps: ClassVar[bool] = True  # line searches

    name: str
    keywords: Mapping[str, Any] = field(default_factory=dict)

    def init(self, x: Array) -> State:
        return {}

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        return 0 * point.x, state

    def optimizer(self, start: Start, atoms: Any, symprec: float) -> Optimizer:
        """Return the optimizer of ``atoms``, which have a calculator and relax as ``start`` says.

        Parameters
        ----------
        symprec
            Tolerance (A) of the space group, if it is kept.

        Raises
        ------
        UnsupportedStructure
            The cell is not one that ASE can relax so.
        """
        if start.group is not None:
            atoms.set_constraint([*atoms.constraints, FixSymmetry(atoms, symprec)])
        target = atoms if start.freedom is None else freed_cell(atoms, start.freedom)
        made: Optimizer = ase_class(self.name.removeprefix("ase:"))(target, logfile=None, **self.keywords)
        return made


def ase_rule(name: str, settings: Mapping[str, Any]) -> AseRule:
    """Return the optimizer of ASE of a name, such as ``ase:BFGS``, with its keyword arguments.

    Raises
    ------
    ValueError
        The name or an argument is unknown, an argument is not allowed, or a metric is asked for.
    """
    check_ase_name(name)
    keywords = dict(settings)
    if keywords.pop("metric", None) is not None:
        raise ValueError(f"metric= is for the rules of relax, not for {name}; leave it out")
    check_keywords(name, keywords)
    return AseRule(name, keywords)
