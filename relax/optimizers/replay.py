"""What a rule learns from the frames of an earlier run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from relax.core.rule import Rule
from relax.core.settings import Criteria
from relax.core.state import State
from relax.engine.coordinates import BatchCoordinates
from relax.engine.entries import Entry
from relax.engine.evaluation import evaluated
from relax.engine.relaxation import Policy, Relaxation
from relax.optimizers.structure import AseStructure, AtomsStructure

__all__ = ["Replay"]


class Replay:
    """Frames that a rule is shown as if they were its own steps; the structure itself stays where it is.

    Parameters
    ----------
    rule
        The rule.
    structure
        What it relaxes.

    Raises
    ------
    TypeError
        The structure is no plain ``Atoms``.
    """

    def __init__(self, rule: Rule, structure: AtomsStructure | AseStructure) -> None:
        if not isinstance(structure, AtomsStructure):
            kind = type(structure.coordinates.target).__name__
            raise TypeError(f"a trajectory can be replayed for plain Atoms, not for a {kind}")
        self.structure = structure
        self.coordinates = BatchCoordinates([structure.start])
        entry = Entry(0, structure.atoms)
        criteria, policy = Criteria(0.0, steps=10**9), Policy(guard=False)
        self.relaxation = Relaxation(rule, criteria, policy, self.coordinates, None, [entry])

    def learned(self, frames: Sequence[Atoms]) -> State | None:
        """Return the state of the rule after ``frames``; None after none.

        Raises
        ------
        ValueError
            A frame is of other atoms, or has no forces.
        """
        atoms = self.structure.atoms
        for i, frame in enumerate(frames):
            if not np.array_equal(frame.numbers, atoms.numbers):
                raise ValueError(f"frame {i} of the trajectory is of {frame.symbols}, not of {atoms.symbols}")
            if frame.calc is None:
                raise ValueError(f"frame {i} of the trajectory has no forces")
            there = np.array_equal(frame.positions, atoms.positions)
            if i == len(frames) - 1 and there and np.array_equal(frame.cell.array, atoms.cell.array):
                break  # the run itself begins here
            self.coordinates.read_from(frame, 0)
            self.relaxation.observe(evaluated(frame, bool(self.coordinates.relaxes[0])), np.zeros(1, int))
            self.relaxation.advance()
        return self.relaxation.state
