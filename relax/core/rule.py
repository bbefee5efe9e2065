"""The base class of update rules: a frozen dataclass of hyper-parameters with two pure methods.

``init(x)`` returns the first state.  ``update(state, point)`` takes the result of one force call and returns
a displacement and the next state.  Every array has the rows on axis 0, and each structure of a batch
owns consecutive rows, so that one ``Atoms`` is a batch of one::

    rule = MaxStep(CoRe(), 0.2)
    state = rule.init(x)
    while not done:
        dx, state = rule.update(state, Point(x, g, e, seg))
        x = x + dx

A rule that treats each row on its own does not need ``point.seg``.  A rule that needs products over a whole
structure calls ``point.seg.dot``.
"""

from __future__ import annotations

import dataclasses
import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

from relax.core.parameters import check_parameters, parameters
from relax.core.segments import Array, Segments, array_namespace
from relax.core.state import State

if TYPE_CHECKING:
    from relax.preconditioner.base import Metric
    from relax.preconditioner.pair_stiffness import PairStiffness

__all__ = ["Known", "Point", "Rule", "Surface"]

R = TypeVar("R", bound="Rule")

Known = tuple[Array, Array]
"""Places of a structure (K, R, 3), A, nearest first, and the gradients there (K, R, 3), eV/A: those of force
calls that were made before the run."""

Surface = Callable[[Array], tuple[float, Array]]
"""A surface that costs nothing beside a force call: from the rows of a structure (R, 3), A, to an energy, eV,
and its gradient (R, 3), eV/A.  Neither is finite where it fails."""


class Point(NamedTuple):
    """The result of one force call for every structure of a batch, R rows in all."""

    x: Array  # (R, 3) coordinates, A
    g: Array  # (R, 3) gradient dE/dx, eV/A: minus the force
    e: Array  # (R, 1) energy of the structure that owns the row, eV; NaN where only forces are to count
    seg: Segments  # which rows belong together
    metric: Metric | None = None  # the preconditioner, for rules that need one; None means the identity
    surfaces: Sequence[Surface | None] = ()  # for each structure, a cheap surface beside the one that counts
    known: Sequence[Known | None] = ()  # for each structure, what was computed before the run

    @property
    def known_e(self) -> Array:
        """The energies (R, 1), with 0 where only forces are to count: states hold no NaN."""
        xp = array_namespace(self.e)
        return xp.where(xp.isnan(self.e), 0 * self.x[:, :1], self.e)


class Rule(ABC):
    """An update rule.  Subclasses are frozen dataclasses that declare their numbers with ``param``."""

    NAME: ClassVar[str] = ""
    """Name on the command line; if empty, the name of the class in lower case."""

    default_maxstep: ClassVar[tuple[float, str]] = (0.2, "atom")
    """Default trust radius (A) and the norm it is measured in; see ``MaxStep``."""

    default_clip: ClassVar[float | None] = None
    """Default limit of the gradient (eV/A), see ``ClipGradient``; None for no limit.

    Rules that remember gradients need one.  Two atoms that overlap have a gradient of 1e5 eV/A, which would
    dominate the memory for a hundred steps."""

    default_force_floor: ClassVar[float] = 0.0
    """Default force (eV/A) below which a gradient counts as noise, see ``ForceFloor``; 0 if the rule does
    not amplify noise."""

    max_strain: ClassVar[float] = 0.03
    """Default limit of the strain of one step; see ``CellFreedom``."""

    strain_length: ClassVar[tuple[float, float]] = (3.0, 0.5)
    """Default length (A) of a strain of one among the displacements of atoms; see ``CellFreedom``.  It is
    ``factor * N**power`` for N atoms, and this is ``(factor, power)``.

    The curvature of the energy along a strain grows with the number of atoms; along the displacement of
    one atom it does not.  With a power of 1/2 the two become alike, which suits rules that step in
    proportion to the gradient.  Rules that normalise the gradient make steps of a given length; with a
    power of 0 these are strains of a given size, for any number of atoms."""

    default_metric: ClassVar[bool] = False
    """Whether the optimizers of this name run the rule in a metric, unless they are told otherwise."""

    takes_back_steps: ClassVar[bool] = False
    """Whether the rule itself takes back a step that leads far uphill."""

    def __post_init__(self) -> None:
        check_parameters(self)

    @property
    def stiffness(self) -> PairStiffness | None:
        """Parameters of the preconditioner that ``point.metric`` must have; None if the rule needs none."""
        return None

    @property
    def uses_energies(self) -> bool:
        """Whether the steps depend on energies."""
        return self.takes_back_steps

    @abstractmethod
    def init(self, x: Array) -> State:
        """Return the state before the first step, for structures at ``x`` (R, 3), in A."""

    @abstractmethod
    def update(self, state: State, point: Point) -> tuple[Array, State]:
        """Return the displacement (R, 3) in A to add to ``point.x``, and the next state.

        The method is pure: it changes neither ``state`` nor ``point``.
        """

    @classmethod
    def from_settings(cls: type[R], settings: Mapping[str, Any], beside: Sequence[str] = ()) -> R:
        """Build the rule from named settings.

        Parameters
        ----------
        settings
            Values of the rule's parameters, by name.
        beside
            Other names that the message may suggest for an unknown one.

        Raises
        ------
        TypeError
            A name is unknown; the message suggests the nearest one.
        ValueError
            A value is of the wrong type or out of its bounds.
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
        """Return every field by name; a rule or a model inside a rule is a nested dictionary."""
        found = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}  # type: ignore[arg-type]
        for name, value in found.items():
            if isinstance(value, Rule):
                found[name] = {type(value).__name__: value.settings()}
            elif dataclasses.is_dataclass(value) and not callable(value):
                found[name] = {type(value).__name__: dataclasses.asdict(value)}
        return found
