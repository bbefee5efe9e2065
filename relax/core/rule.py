"""What an update rule is: a frozen dataclass of hyper-parameters with two pure methods.

``init(x)`` makes a state, ``update(state, point)`` turns what one force call said into a displacement
and the next state.  Every array anywhere has the rows on axis 0, and every structure of a batch owns
a run of rows, so one ``Atoms`` is a batch of one::

    rule = MaxStep(CoRe(), 0.2)
    state = rule.init(x)
    while not done:
        dx, state = rule.update(state, Point(x, g, e, seg))
        x = x + dx

A rule that only looks at its own row never touches ``point.seg``; a rule that needs products over a
structure asks ``seg.dot`` and reads like the textbook.
"""

from __future__ import annotations

import dataclasses
import difflib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

from relax.core.parameters import parameters
from relax.core.segments import Array, Segments
from relax.core.state import State

if TYPE_CHECKING:
    from relax.preconditioner.base import Metric
    from relax.preconditioner.pair_stiffness import PairStiffness

__all__ = ["Point", "Rule"]

R = TypeVar("R", bound="Rule")


class Point(NamedTuple):
    """What one force call says about every structure of a batch; R rows in all."""

    x: Array  # (R, 3) coordinates, A
    g: Array  # (R, 3) gradient dE/dx, eV/A: minus the force
    e: Array  # (R, 1) energy of the structure that owns the row, eV
    seg: Segments  # which rows belong together
    metric: Metric | None = None  # how stiff the rows are, for rules that ask; else all alike


class Rule(ABC):
    """An update rule.  Subclasses are frozen dataclasses whose numbers are declared by ``param``."""

    max_strain: ClassVar[float] = 0.03
    """Largest strain of one step that suits the rule; see ``CellFreedom``."""

    NAME: ClassVar[str] = ""
    """What it is called on the command line; the name of the class in small letters, if not given."""

    default_maxstep: ClassVar[tuple[float, str]] = (0.2, "atom")
    """Trust radius (A) that suits the rule, and the norm it is measured in; see ``MaxStep``."""
    default_clip: ClassVar[float | None] = None
    """Force (eV/A) above which an atom's gradient only tells its direction, see ``ClipGradient``.

    For rules with a memory, which one overlap of atoms, 1e5 eV/A, would fill for a hundred steps."""

    strain_length: ClassVar[tuple[float, float]] = (3.0, 0.5)
    """Length (A) that a strain of one counts as among the displacements of atoms: a factor, and the power
    of the number of atoms it is multiplied by; see ``CellFreedom``.

    The curvature of the energy along a strain grows with the number of atoms, that along an atom's
    displacement does not: with the root of the number the two are alike, which suits rules that
    see gradients as they are.  A rule that normalises them makes steps of a length, whatever the
    curvature, and with a constant these are strains of a size, whatever the number of atoms."""

    undoes: ClassVar[bool] = False
    """Whether the rule itself goes back from a step that leads far uphill."""

    default_force_floor: ClassVar[float] = 0.0
    """Force (eV/A) that the rule must not be shown, see ``ForceFloor``; 0 where it cannot amplify noise."""

    def __post_init__(self) -> None:
        for name, declared in parameters(type(self)).items():
            declared.check(f"{type(self).__name__}: {name}", getattr(self, name))

    @property
    def stiffness(self) -> PairStiffness | None:
        """What the metric is made of that the rule wants to see in its points; None where it wants none."""
        return None

    @abstractmethod
    def init(self, x: Array) -> State:
        """Return the state before the first step of structures at ``x`` (R, 3), in A."""

    @abstractmethod
    def update(self, state: State, point: Point) -> tuple[Array, State]:
        """Return the displacement (R, 3) in A to add to ``point.x``, and the next state.

        Pure: neither ``state`` nor ``point`` is changed.
        """

    @classmethod
    def from_settings(cls: type[R], settings: Mapping[str, Any], beside: Sequence[str] = ()) -> R:
        """Build the rule from named settings, refusing a name it does not have.

        Raises
        ------
        TypeError
            A name is unknown; the message suggests the nearest one.
        ValueError
            A value is of the wrong kind or out of its bounds.
        """
        known = parameters(cls)
        for name in settings:
            if name not in known:
                near = difflib.get_close_matches(name, [*known, *beside], n=1, cutoff=0.4)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise TypeError(
                    f"{cls.__name__} has no parameter {name!r}{hint} (it has: {', '.join(known)})"
                )
        return cls(**settings)

    def settings(self) -> dict[str, Any]:
        """Return every field by name, rules inside rules as nested dictionaries."""
        return {
            f.name: {type(value).__name__: value.settings()}
            if isinstance(value := getattr(self, f.name), Rule)
            else value
            for f in dataclasses.fields(self)  # type: ignore[arg-type]
        }
