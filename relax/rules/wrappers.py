"""Rules that hold a rule.  What is nested outermost acts last on the step and first on the gradient."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from relax import state as states
from relax.memory import column, safe
from relax.metric import PairStiffness, Plain
from relax.parameters import choice, param, parameters
from relax.rule import Point, Rule
from relax.segments import Array, array_namespace, row_dot
from relax.state import State

__all__ = [
    "Ascent",
    "Centred",
    "ClipGradient",
    "InMetric",
    "MaxStep",
    "Quiet",
    "Restart",
    "Scheduled",
    "Wrapper",
    "for_atoms",
]

NORMS = ("component", "atom", "structure")


@dataclass(frozen=True)
class Wrapper(Rule):
    """A rule that holds a rule and, unless it says otherwise, hands it its own state."""

    rule: Rule

    @property
    def stiffness(self) -> PairStiffness | None:
        return self.rule.stiffness

    def init(self, x: Array) -> State:
        return self.rule.init(x)

    @abstractmethod
    def update(self, state: State, point: Point) -> tuple[Array, State]: ...


@dataclass(frozen=True)
class MaxStep(Wrapper):
    """Trust radius: no step is longer than ``maxstep``, in the norm named.

    ``"component"`` cuts each Cartesian component (pele's FIRE); ``"atom"`` scales a structure's whole
    step so that its longest row is ``maxstep`` (ASE's BFGS and LBFGS); ``"structure"`` scales it so
    that its norm over all rows is ``maxstep`` (ASE's FIRE).
    """

    maxstep: float = param(0.2, "(0, inf)", "A", "longest step")
    norm: str = choice("atom", NORMS, "what the longest step is measured on")

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        xp = array_namespace(point.g)
        dx, state = self.rule.update(state, point)
        if self.norm == "component":
            return xp.clip(dx, -self.maxstep, self.maxstep), state
        length = point.seg.longest(dx) if self.norm == "atom" else xp.sqrt(point.seg.dot(dx, dx))
        return xp.where(length > self.maxstep, dx * (self.maxstep / safe(length)), dx), state


@dataclass(frozen=True)
class ClipGradient(Wrapper):
    """Show the rule no gradient above ``limit``, in the norm named.

    ``"component"`` cuts each Cartesian component, ``"atom"`` shortens each row of its own, and
    ``"structure"`` scales the gradient of a structure, where its norm is above ``limit``.
    """

    limit: float = param(10.0, "(0, inf)", "eV/A", "largest gradient")
    norm: str = choice("atom", NORMS, "what the largest gradient is measured on")

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        xp, g = array_namespace(point.g), point.g
        if self.norm == "component":
            g = xp.clip(g, -self.limit, self.limit)
        else:
            squared = point.seg.own_dot(g, g) if self.norm == "atom" else point.seg.dot(g, g)
            length = xp.sqrt(squared)
            g = xp.where(length > self.limit, g * (self.limit / safe(length)), g)
        return self.rule.update(state, point._replace(g=g))


@dataclass(frozen=True)
class Quiet(Wrapper):
    """Show the rule no force that is only noise, so that no normalised step amplifies it.

    An atom that symmetry holds in place feels a force of rounding size.  A rule that divides by the size
    of the forces it has seen makes a full step of it, and the crystal leaves its space group by
    accident.  A row counts as zero where it is below ``floor``, and below ``floor`` (as a plain number)
    of the longest row of its structure, so that any tolerance can still be reached.
    """

    floor: float = param(1e-4, "[0, 1)", "eV/A", "force, and share of the largest, that counts as none")

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        xp, g = array_namespace(point.g), point.g
        length = xp.sqrt(point.seg.own_dot(g, g))
        heard = length > self.floor * xp.clip(point.seg.max(length), None, 1.0)
        return self.rule.update(state, point._replace(g=xp.where(heard, g, 0 * g)))


@dataclass(frozen=True)
class Scheduled(Wrapper):
    """Multiply the step by ``schedule(t)``, any callable of the step number ``t`` = 0, 1, ...

    ``t`` is a column (R, 1), since structures of different age share a batch; the schedule returns a
    column or a number.  :mod:`relax.schedules` has the usual ones.
    """

    schedule: Callable[[Array], Array | float]

    def init(self, x: Array) -> State:
        return {"rule": self.rule.init(x), "t": column(x)}

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        dx, inner = self.rule.update(state["rule"], point)
        return dx * self.schedule(state["t"]), {"rule": inner, "t": state["t"] + 1}


@dataclass(frozen=True)
class Restart(Wrapper):
    """Give the rule a fresh state, structure by structure, when its last step went wrong.

    ``"energy"``: the energy rose.  ``"power"``: the step ended uphill, G.dx > 0; it does not see the
    noise that a float32 model has in its energies.  ``"stall"``: no lower energy for ``patience`` steps.

    Meant for rules that carry a velocity.  One that remembers step sizes starts again from its first,
    which near a minimum may be too long each time: there only ``"stall"`` makes sense.
    """

    when: str = choice("power", ("energy", "power", "stall"), "what calls for a restart")
    patience: int = param(20, "[1, inf)", "steps", "steps without a lower energy that are a stall")

    def init(self, x: Array) -> State:
        blank = {"dx": x * 0.0, "e": column(x), "t": column(x)}
        return {"rule": self.rule.init(x)} | blank

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        xp = array_namespace(point.g)
        e, t = state["e"], state["t"]  # for a stall: lowest energy, and steps since then
        lower = (t == 0) | (point.e < e)
        if self.when == "power":
            again = point.seg.dot(point.g, state["dx"]) > 0
        elif self.when == "energy":
            again = (t > 0) & (point.e > e)
        else:
            again = ~lower & (t >= self.patience)
        inner = states.where(again, self.rule.init(point.x), state["rule"])
        dx, inner = self.rule.update(inner, point)
        if self.when == "stall":
            e = xp.where(lower | again, point.e, e)
            t = xp.where(lower | again, xp.ones_like(t), t + 1)
        else:
            e, t = point.e, t + 1
        return dx, {"rule": inner, "dx": dx, "e": e, "t": t}


@dataclass(frozen=True)
class InMetric(Wrapper, PairStiffness):
    """Let the rule walk in coordinates in which bonds and angles are alike: q = (H / size)^1/2 x.

    ::

        dE/dq = (H / size)^-1/2 dE/dx,    dx = (H / size)^-1/2 dq

    With the size of H, the mean of its diagonal, taken out, stiff directions stay what they are, and soft
    ones become longer steps.  The root is the symmetric one, which mixes rows no more than it must and
    turns with the structure.  H is made anew at every step, and q goes on from where it was.
    """

    @property
    def stiffness(self) -> PairStiffness:
        return self

    def init(self, x: Array) -> State:
        blank = {name: x * 0.0 for name in ("x", "dx", "q", "dq")}
        return {"rule": self.rule.init(x)} | blank

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        xp, dot, metric = array_namespace(point.g), point.seg.dot, point.metric or Plain(point.x)
        stretch = xp.sqrt(metric.size)
        # Whoever carries out a step may have shortened it.
        part = dot(point.x - state["x"], state["dx"]) / safe(dot(state["dx"], state["dx"]))
        q = state["q"] + part * state["dq"]
        seen = point._replace(x=q, g=stretch * metric.root(point.g), metric=None)
        dq, inner = self.rule.update(state["rule"], seen)
        dx = stretch * metric.root(dq)
        return dx, {"rule": inner, "x": point.x, "dx": dx, "q": q, "dq": dq}


@dataclass(frozen=True)
class Ascent(Wrapper):
    """Climb: the rule sees the energy upside down."""

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        return self.rule.update(state, point._replace(g=-point.g, e=-point.e))


@dataclass(frozen=True)
class Centred(Wrapper):
    """Keep the centroid where it is, wherever the forces do.

    Rules that scale atom by atom drift, although the forces on a free structure sum to zero.  Where
    they do, to ``tolerance`` of the sum of their lengths, the mean step is taken out; where they do
    not (atoms held fixed, an external field, cell rows), the step is left as it is.
    """

    tolerance: float = param(1e-6, "[0, inf)", "", "net force, as a share of all, that counts as none")

    def update(self, state: State, point: Point) -> tuple[Array, State]:
        xp, seg = array_namespace(point.g), point.seg
        dx, state = self.rule.update(state, point)
        net, lengths = seg.sum(point.g), xp.sqrt(row_dot(point.g, point.g))
        free = xp.sqrt(row_dot(net, net)) <= self.tolerance * seg.sum(lengths)
        return xp.where(free, dx - seg.mean(dx), dx), state


def innermost(rule: Rule) -> Rule:
    """Return the rule inside all wrappers."""
    while isinstance(rule, Wrapper):
        rule = rule.rule
    return rule


def for_atoms(
    rule: Rule,
    *,
    maxstep: float | None = None,
    maxstep_norm: str | None = None,
    clip: float | None = None,
    clip_norm: str = "atom",
    quiet: float | None = None,
    schedule: Callable[[Array], Array | float] | None = None,
    restart_when: str | None = None,
    maximize: bool = False,
    centred: bool = False,
    metric: bool | PairStiffness = False,
) -> Rule:
    """Return ``rule`` as optimizers and benchmarks run it: inside a trust radius, and what else is asked.

    Parameters
    ----------
    maxstep, maxstep_norm
        Trust radius in A and its norm; the rule's own ``trust`` where not given.
    clip, clip_norm
        Largest gradient the rule is shown, eV/A; the rule's own ``ceiling`` where not given, if it has
        one, and none where infinite.
    quiet
        Force that counts as noise, eV/A, see :class:`Quiet`; the rule's own ``noise`` where not given.
    schedule
        Factor of the step size, a callable of the step number.
    restart_when
        ``"energy"``, ``"power"`` or ``"stall"``; see :class:`Restart`.
    maximize
        Climb instead of descending.
    centred
        Take the drift of the centroid out, see :class:`Centred`.
    metric
        Run the rule in the coordinates of a metric, ``True`` for that of the defaults; see
        :class:`InMetric`.

    Raises
    ------
    ValueError
        A value is out of its bounds, or the rule has a metric of its own.
    """
    own = innermost(rule)
    clip = own.ceiling if clip is None else clip
    quiet = own.noise if quiet is None else quiet
    if metric:
        if own.stiffness is not None:
            raise ValueError(f"{type(own).__name__} has a metric of its own; set its parameters")
        pairs = metric if isinstance(metric, PairStiffness) else PairStiffness()
        rule = InMetric(rule, **{name: getattr(pairs, name) for name in parameters(PairStiffness)})
    if schedule is not None:
        rule = Scheduled(rule, schedule)
    if restart_when is not None:
        rule = Restart(rule, restart_when)
    if clip is not None and clip < math.inf:
        rule = ClipGradient(rule, clip, clip_norm)
    if quiet:
        rule = Quiet(rule, quiet)
    if maximize:
        rule = Ascent(rule)
    if centred:
        rule = Centred(rule)
    maxstep, norm = own.trust[0] if maxstep is None else maxstep, maxstep_norm or own.trust[1]
    return MaxStep(rule, maxstep, norm)
