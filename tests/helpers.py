"""What the tests of rules share: structures, potentials, and a bare loop around a rule."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import array_api_strict
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

from relax.calculators.base import Geometry
from relax.core import state as states
from relax.core.rule import Point, Rule
from relax.core.segments import Segments

DATA = Path(__file__).parent / "data"

Potential = Callable[[np.ndarray], tuple[float, np.ndarray]]

ARRAYS: dict[str, Callable[[np.ndarray], Any]] = {
    "numpy": np.array,
    "torch": torch.tensor,
    "strict": array_api_strict.asarray,
}


FAMILIES = ("core", "fire", "lbfgs", "pair-lbfgs", "internal-lbfgs")


def full(table: Mapping[str, Any]) -> list[Any]:
    """Return the values of ``table`` as parameters, named by its keys, which are names of rules.

    One rule of each family runs always, the others are marked slow: for products of rules and cases.
    """
    return [
        pytest.param(value, id=name, marks=() if name in FAMILIES else pytest.mark.slow)
        for name, value in table.items()
    ]


def golden(name: str) -> dict[str, Any]:
    """Return the golden file ``name``: ``"core"``, ``"frankenstein"`` or ``"inputs"``."""
    return json.loads((DATA / f"golden_{name}.json").read_text())


def cluster(n: int, seed: int = 0, rattle: float = 0.12) -> np.ndarray:
    """Return ``n`` atoms about a minimum of :func:`morse`: a ball of fcc sites, rattled; in A."""
    k = np.arange(-3, 4)
    sites = np.stack(np.meshgrid(k, k, k), axis=-1).reshape(-1, 3)
    sites = sites[sites.sum(axis=1) % 2 == 0] * 2.5 / math.sqrt(2)
    # No site is as far from this centre as another, so the ball is unique.
    order = np.argsort(np.linalg.norm(sites - [0.31, 0.57, 0.83], axis=1))
    return sites[order[:n]] + np.random.default_rng(seed).normal(0, rattle, (n, 3))


def pair_sum(
    x: np.ndarray, i: np.ndarray, j: np.ndarray, shift: np.ndarray | float, r0: Any, cutoff: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return energy, gradient and virial of Morse pairs ``i``-``j`` that fade out smoothly at ``cutoff``."""
    depth, stiffness = 0.5, 1.4
    d = x[j] - x[i] + shift
    r = np.linalg.norm(d, axis=1)
    s = np.exp(-stiffness * (r - r0))
    phi, slope = depth * (s * s - 2 * s), -2 * stiffness * depth * (s * s - s)
    if cutoff < math.inf:
        u = np.clip(1 - (r / cutoff) ** 2, 0, None)
        phi, slope = phi * u**3, slope * u**3 - phi * 6 * u**2 * r / cutoff**2
    g = np.zeros_like(x)
    along = (slope / r)[:, None] * d
    np.add.at(g, j, along)
    np.add.at(g, i, -along)
    return float(phi.sum()), g, along.T @ d


def morse(x: np.ndarray) -> tuple[float, np.ndarray]:
    """Energy (eV) and gradient (eV/A) of a free cluster whose pairs are 2.5 A apart at rest."""
    i, j = np.triu_indices(len(x), 1)
    return pair_sum(x, i, j, 0.0, 2.5, math.inf)[:2]


def quadratic(curvatures: Sequence[float], seed: int = 0) -> Potential:
    """Return a quadratic about the origin with these ``curvatures``, eV/A^2, turned at random."""
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(curvatures), len(curvatures))))
    hessian = turn @ np.diag(curvatures) @ turn.T

    def potential(x: np.ndarray) -> tuple[float, np.ndarray]:
        g = hessian @ x.ravel()
        return float(0.5 * x.ravel() @ g), g.reshape(x.shape)

    return potential


def rotation(seed: int = 0) -> np.ndarray:
    """Return a random proper rotation; a row ``x`` turns to ``x @ rotation().T``."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


class Walk:
    """Structures that one rule advances side by side, as a driver does."""

    def __init__(
        self,
        rule: Rule,
        starts: Sequence[np.ndarray],
        potential: Potential = morse,
        array: Callable[[np.ndarray], Any] = np.array,
    ) -> None:
        self.rule, self.potential, self.array = rule, potential, array
        self.seg = Segments([len(x) for x in starts])
        self.x = array(np.concatenate(list(starts)))
        self.state = rule.init(self.x)

    @property
    def structures(self) -> list[np.ndarray]:
        """Positions of each structure, whatever the rule computes with."""
        return np.split(np.asarray(self.x), self.seg.starts[1:])

    def point(self) -> Point:
        """What a force call says here."""
        told = [self.potential(x.copy()) for x in self.structures]
        e = np.concatenate([np.full((n, 1), e) for n, (e, _) in zip(self.seg.lengths, told, strict=True)])
        return Point(self.x, self.array(np.concatenate([g for _, g in told])), self.array(e), self.seg)

    def step(self, times: int = 1) -> Walk:
        """Take steps."""
        for _ in range(times):
            dx, self.state = self.rule.update(self.state, self.point())
            self.x = self.x + dx
        return self

    def swap(self, out: int, new: np.ndarray) -> Walk:
        """Let structure number ``out`` go and admit ``new`` at the end."""
        kept = [n for k, n in enumerate(self.seg.lengths) if k != out]
        mask = self.array(self.seg.owner != out)
        x = self.array(new)
        self.state = states.concat([states.take(self.state, mask), self.rule.init(x)])
        self.x = states.concat([states.take({"x": self.x}, mask), {"x": x}])["x"]
        self.seg = Segments([*kept, len(new)])
        return self


def replay(rule: Rule, start: Any, gradients: Any) -> np.ndarray:
    """Return the positions after each step from ``start`` along a given sequence of gradients."""
    x = np.array(start, dtype=float)
    seg, e, state, path = Segments([len(x)]), np.zeros((len(x), 1)), rule.init(x), []
    for g in gradients:
        dx, state = rule.update(state, Point(x, np.array(g), e, seg))
        x = x + dx
        path.append(x)
    return np.array(path)


def leaves(state: states.State) -> list[Any]:
    """Return every array of a state."""
    found: list[Any] = []
    states.map_leaves(found.append, state)
    return found


def crystal_pairs(atoms: Atoms, reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return pairs within ``reach`` (A), each from both sides, the second's image, and distances at rest.

    Unlike neighbours bond.
    """
    i, j, images = neighbor_list("ijS", atoms, reach)
    radii = covalent_radii[atoms.numbers]
    r0 = (radii[i] + radii[j]) * np.where(atoms.numbers[i] == atoms.numbers[j], 1.4, 1.0)
    return i, j, images, r0


def crystal_morse(atoms: Atoms, cutoff: float = 4.5, skin: float = 2.0) -> Potential:
    """Return the Morse energy of a crystal of fixed cell.

    The pairs are listed once, so that no atom may move more than half of ``skin``, in A.
    """
    i, j, images, r0 = crystal_pairs(atoms, cutoff + skin)
    shift = images @ atoms.cell[:]
    start = atoms.get_positions()

    def potential(x: np.ndarray) -> tuple[float, np.ndarray]:
        assert np.linalg.norm(x - start, axis=1).max() < skin / 2, "an atom has left its list of pairs"
        e, g, _ = pair_sum(x, i, j, shift, r0, cutoff)
        return e / 2, g / 2  # the list names each pair from both sides

    return potential


def geometry(structures, keys=None):
    """Return where the atoms of ``structures`` are."""
    return Geometry(
        tuple(range(len(structures)) if keys is None else keys),
        np.array([len(a) for a in structures]),
        np.concatenate([a.numbers for a in structures]),
        np.concatenate([a.positions for a in structures]),
        np.array([a.cell.array for a in structures]),
        np.array([a.pbc for a in structures]),
    )
