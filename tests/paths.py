"""Relaxations whose paths are frozen: each case runs as one structure and in a batch.

The file was written when single runs and batches had a loop each, so that it holds what two implementations
agreed on, but for two things that were made one since: a run that goes back pays no second call for the
place it goes back to, and a batch reports the stress of a fixed cell where it comes with the forces.
``python tests/paths.py`` writes ``tests/data/golden_paths.json`` anew; do that only for a change that is
meant to change paths, and say so in the commit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk, diamond100, fcc111, molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms, FixCartesian, FixedLine, FixedPlane, FixScaled
from toys import Bonds, Toy, ball

from relax import CellFreedom, MinimumCheck, relax_many
from relax.optimizers.named import OPTIMIZERS

FILE = Path(__file__).parent / "data" / "golden_paths.json"

RULES = tuple(OPTIMIZERS)


def cluster() -> Atoms:
    """Return seven atoms of copper under EMT, rattled."""
    atoms = ball(7, seed=3)
    atoms.calc = EMT()
    return atoms


def copper() -> Atoms:
    """Return a cubic cell of copper, rattled and stretched, under EMT."""
    return stretched("Cu", 0.12)


def stretched(symbol: str, rattle: float) -> Atoms:
    """Return a cubic cell of an element, rattled by so many A and stretched, under EMT."""
    atoms = bulk(symbol, cubic=True)
    atoms.rattle(rattle, seed=1)
    atoms.set_cell(atoms.cell * [1.03, 0.99, 1.01], scale_atoms=True)
    atoms.calc = EMT()
    return atoms


def salt() -> Atoms:
    """Return rock salt, rattled, under bonds of unlike neighbours."""
    atoms = bulk("NaCl", "rocksalt", a=5.3).repeat((1, 1, 2))
    atoms.rattle(0.1, seed=1)
    atoms.calc = Bonds(skin=0.5)
    return atoms


def alloy() -> Atoms:
    """Return NiAl, tetragonal by a strain, with its symmetry."""
    atoms = bulk("NiAl", "cesiumchloride", a=3.1)
    atoms.set_cell(atoms.cell * [1.0, 1.0, 1.04], scale_atoms=True)
    atoms.calc = EMT()
    return atoms


def slab() -> Atoms:
    """Return a slab of aluminium, rattled."""
    atoms = fcc111("Al", (2, 1, 2), vacuum=6.0)
    atoms.rattle(0.05, seed=2)
    atoms.calc = EMT()
    return atoms


def wire() -> Atoms:
    """Return copper that is periodic along one direction, rattled."""
    atoms = bulk("Cu", cubic=True)
    atoms.center(vacuum=5.0, axis=(1, 2))
    atoms.pbc = [True, False, False]
    atoms.rattle(0.05, seed=3)
    atoms.calc = EMT()
    return atoms


def water() -> Atoms:
    """Return a molecule of water, rattled."""
    atoms = molecule("H2O")
    atoms.rattle(0.05, seed=4)
    atoms.calc = EMT()
    return atoms


def alcohol() -> Atoms:
    """Return a molecule of ethanol, rattled."""
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.05, seed=4)
    atoms.calc = EMT()
    return atoms


def diamond() -> Atoms:
    """Return a cubic cell of diamond, rattled and stretched."""
    return stretched("C", 0.05)


def diamond_slab() -> Atoms:
    """Return a slab of diamond with two layers held, rattled."""
    atoms = diamond100("C", (2, 1, 4), vacuum=6.0)
    atoms.set_constraint(FixAtoms(mask=atoms.get_tags() > 2))
    atoms.rattle(0.05, seed=2)
    atoms.calc = EMT()
    return atoms


def square() -> Atoms:
    """Return four atoms of copper on a saddle point."""
    return Atoms("Cu4", [[0, 0, 0], [2.3, 0, 0], [0, 2.3, 0], [2.3, 2.3, 0]], calculator=EMT())


def bcc() -> Atoms:
    """Return bcc copper, a saddle point of its cell."""
    atoms = bulk("Cu", "bcc", a=2.9, cubic=True)
    atoms.calc = EMT()
    return atoms


def held(constraint: Callable[[], Any], make: Callable[[], Atoms] = copper) -> Callable[[], Atoms]:
    """Return a structure under a constraint."""

    def made() -> Atoms:
        atoms = make()
        atoms.set_constraint(constraint())
        return atoms

    return made


def nan_forces(results: dict[str, Any]) -> None:
    """Make a force no number."""
    results["forces"][2, 1] = math.nan


def far_uphill(results: dict[str, Any]) -> None:
    """Raise the energy beyond what a descent comes back from."""
    results["energy"] += 1e3


def raises(results: dict[str, Any]) -> None:
    """Fail as a calculator does."""
    raise RuntimeError("no convergence")


def faulty(deed: Callable[[dict[str, Any]], None], at: int) -> Callable[[], Atoms]:
    """Return a cluster whose calculator does a deed at one call."""
    return lambda: Atoms("Cu7", ball(7).positions, calculator=Toy(at=at, deed=deed))


def flying() -> Atoms:
    """Return a pair of atoms that are pushed apart."""

    def push(x: np.ndarray) -> tuple[float, np.ndarray]:
        d = x[1] - x[0]
        r = float(np.linalg.norm(d))
        g = np.array([d, -d]) / r * 3.0
        return -3.0 * r, g

    return Atoms("Cu2", [[0, 0, 0], [2.5, 0, 0]], calculator=Toy(push))


@dataclass(frozen=True)
class Case:
    """One relaxation."""

    make: Callable[[], Atoms]
    rule: str = "fire"
    options: dict[str, Any] = field(default_factory=dict)
    fmax: float = 0.02
    steps: int = 12

    @property
    def tolerance(self) -> float:
        """How far paths may be apart: rounding may cost an iterative solver one iteration more or less.

        A rule that divides by its gradients amplifies the rounding of a metric.
        """
        in_metric = self.rule == "internal-lbfgs" or OPTIMIZERS[self.rule].rule_class.default_metric
        return 1e-6 if in_metric else 1e-9


FREEDOMS = {
    "pressure": CellFreedom(pressure=8.0),
    "hydrostatic": CellFreedom(hydrostatic=True),
    "constant volume": CellFreedom(constant_volume=True),
    "mask": CellFreedom(mask=[True, True, False, False, False, True]),
    "small steps": CellFreedom(max_strain=0.002),
    "rebased": CellFreedom(rebase=0.02),
    "length": CellFreedom(length=5.0),
}

CONSTRAINTS = {
    "atoms": lambda: FixAtoms([0]),
    "cartesian": lambda: FixCartesian(1, [True, False, False]),
    "line": lambda: FixedLine(2, [1, 1, 0]),
    "plane": lambda: FixedPlane(3, [0, 1, 1]),
    "scaled": lambda: FixScaled(1, [True, True, True]),
    "several": lambda: [FixAtoms([0]), FixedLine(2, [1, 1, 0])],
}

SOME = ("core", "frankenstein", "fire", "lbfgs", "pair-lbfgs", "internal-lbfgs")


def cases() -> Iterator[tuple[str, Case]]:
    """Yield the name of each case, and the case."""
    for rule in RULES:
        yield f"{rule} cluster", Case(cluster, rule)
        yield f"{rule} crystal", Case(salt, rule)
        yield f"{rule} cell", Case(copper, rule, {"cell": True})
    for rule in SOME:
        for name, freedom in FREEDOMS.items():
            yield f"{rule} {name}", Case(salt, rule, {"cell": freedom})
        for name, constraint in CONSTRAINTS.items():
            yield f"{rule} fixed {name}", Case(held(constraint), rule)
            yield f"{rule} fixed {name}, cell", Case(held(constraint), rule, {"cell": True})
        yield f"{rule} slab", Case(slab, rule, {"cell": True})
        yield f"{rule} wire", Case(wire, rule, {"cell": True})
        yield f"{rule} water", Case(water, rule)
        yield f"{rule} symmetry", Case(alloy, rule, {"cell": True, "symmetry": "keep"})
        yield f"{rule} rattle", Case(alloy, rule, {"cell": True, "rattle": 0.03, "seed": 4})
        yield f"{rule} to the end", Case(copper, rule, {"cell": True}, steps=300)
        yield f"{rule} check", Case(square, rule, {"check": "minimum"}, steps=60)
        escape = {"check": MinimumCheck(escapes=2), "escape": True}
        yield f"{rule} escape", Case(square, rule, escape, steps=60)
        yield f"{rule} escape, cell", Case(bcc, rule, {**escape, "cell": True}, steps=60)
        for on_bad in ("stop", "backtrack"):
            yield f"{rule} not a number, {on_bad}", Case(faulty(nan_forces, 4), rule, {"on_bad": on_bad})
            yield f"{rule} uphill, {on_bad}", Case(faulty(far_uphill, 4), rule, {"on_bad": on_bad})
            yield f"{rule} raises, {on_bad}", Case(faulty(raises, 4), rule, {"on_bad": on_bad})
            yield f"{rule} flies, {on_bad}", Case(flying, rule, {"on_bad": on_bad}, steps=80)
    for rule in ("lbfgs", "pair-lbfgs", "internal-lbfgs"):
        yield f"{rule} molecule", Case(alcohol, rule, steps=25)
        yield f"{rule} diamond", Case(diamond, rule, {"cell": True})
        yield f"{rule} diamond slab", Case(diamond_slab, rule, steps=25)
    for rule in ("core", "fire"):
        yield f"{rule} metric", Case(salt, rule, {"cell": True, "metric": True})
    yield "stress", Case(copper, "core", {"cell": True, "criteria": {"smax": 0.2}}, 0.3, 60)
    yield "energy", Case(copper, "core", {"cell": True, "criteria": {"energy_change": 1e-4}}, 0.3, 60)
    yield "displacement", Case(copper, "core", {"cell": True, "criteria": {"displacement": 1e-3}}, 0.3, 60)
    yield "no step", Case(copper, "core", {"cell": True}, 0.0, 0)
    yield "together", Case(faulty(nan_forces, 1), "core")


CASES = dict(cases())


def told(atoms: Atoms, result: Any) -> dict[str, Any]:
    """Return what is frozen of a run: where it ended, and what it says of itself."""
    numbers = {
        name: None if not math.isfinite(value := getattr(result, name)) else value
        for name in ("fmax", "smax", "energy_first", "energy_last", "curvature", "shortest", "volume_ratio")
    }
    words = {name: getattr(result, name) for name in ("status", "reason", "force_calls", "steps", "escapes")}
    groups = {name: getattr(result, name) for name in ("spacegroup_first", "spacegroup_last")}
    return {
        **words, **groups, **numbers,
        "positions": atoms.positions.tolist(), "cell": atoms.cell.array.tolist(),
    }  # fmt: skip


def single(case: Case) -> dict[str, Any]:
    """Run a case by an ASE optimizer."""
    atoms, options = case.make(), dict(case.options)
    criteria = options.pop("criteria", {})
    optimizer = OPTIMIZERS[case.rule](atoms, logfile=None, **options)
    optimizer.run(case.fmax, case.steps, **criteria)
    return told(atoms, optimizer.result)


def batch(case: Case) -> dict[str, Any]:
    """Run a case in a batch."""
    atoms, options = case.make(), dict(case.options)
    criteria = options.pop("criteria", {})
    # With a companion, unless the calculator counts its calls.
    companions = [] if isinstance(atoms.calc, Toy) else [case.make()]
    for companion in companions:
        companion.rattle(0.02, seed=9)
    done = relax_many(
        [*companions, atoms], atoms.calc, case.rule, fmax=case.fmax, steps=case.steps, budget=1e6,
        **criteria, **options,
    )  # fmt: skip
    ends = {one.index: one for one in done}
    last = ends[len(companions)]
    return told(last.atoms, last.result)


def rounded(value: Any) -> Any:
    """Return numbers with as many digits as they are compared by."""
    if isinstance(value, float):
        return float(f"{value:.12g}")
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return value


def alike(one: Any, other: Any, tolerance: float) -> bool:
    """Whether two values are the same, numbers to a tolerance in A, eV, eV/A and GPa."""
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= tolerance * max(1.0, abs(one), abs(other))
    if isinstance(one, list):
        return len(one) == len(other) and all(alike(a, b, tolerance) for a, b in zip(one, other, strict=True))
    return bool(one == other)


def main() -> None:
    """Write the file."""
    frozen = {}
    for name, case in CASES.items():
        one, many = single(case), batch(case)
        differ = [key for key in one if not alike(one[key], many[key], case.tolerance)]
        assert not differ, f"{name}: a single run and a batch differ in {', '.join(differ)}"
        frozen[name] = {key: rounded(value) for key, value in one.items()}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(found)}" for name, found in frozen.items())
    FILE.write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    main()
