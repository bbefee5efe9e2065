"""The structures of a batch that are probed where they have converged, as a single run probes its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from relax.engine.coordinates import Batch, Gradients
from relax.engine.entries import Look, Member
from relax.engine.history import History
from relax.engine.saddle.lowest_mode import MinimumCheck, Probe, Project, rigid
from relax.engine.termination import Verdicts
from relax.preconditioner.pair_stiffness import PairStiffness

__all__ = ["Aside", "Probing"]


@dataclass
class Aside:
    """What structures do in place of a step of the rule."""

    which: np.ndarray  # (S,) those that do
    pushed: np.ndarray  # (S,) those that leave a saddle
    dx: np.ndarray  # (R, 3) A, from where they have converged

    @classmethod
    def none(cls, batch: Batch) -> Aside:
        """Return that all structures follow the rule."""
        nobody = np.zeros(len(batch), bool)
        return cls(nobody, nobody.copy(), np.zeros((batch.seg.rows, 3)))


class Probing:
    """Looks for the lowest curvature where structures have converged, one look of each in a round.

    Parameters
    ----------
    check
        How.
    escape
        Whether saddles are left.
    stiffness
        What the metric is made of.
    steps
        Most steps of a structure: one that has taken them leaves no saddle any more.
    """

    def __init__(self, check: MinimumCheck, escape: bool, stiffness: PairStiffness, steps: int) -> None:
        self.check, self.escape, self.stiffness, self.steps = check, escape, stiffness, steps

    def settle(
        self,
        batch: Batch,
        members: Sequence[Member],
        history: History,
        slopes: Gradients,
        verdicts: Verdicts,
    ) -> Aside:
        """Learn of those that are probed, and have those probed that have just converged.

        The former are put back to where they have converged.  Those that go on lose their verdict, and the
        others get theirs.
        """
        aside = Aside.none(batch)
        probed = np.array([member.look is not None for member in members])
        for s in map(int, np.flatnonzero(probed)):
            look = members[s].look
            assert look is not None
            if s in verdicts:
                history.record.goes_back[s] = 0  # shorter steps are no help here
            else:
                look.probe.learn(slopes.g[_rows(batch, s)] - look.g)
                verdicts[s] = "converged", look.reason
        if probed.any():
            batch.put_back(history.good, probed)
        for s in [s for s, (status, _) in verdicts.items() if status == "converged"]:
            member, rows = members[s], _rows(batch, s)
            look = member.look = member.look or self._begun(batch, s, slopes.g[rows], verdicts[s][1])
            if look.probe.direction is not None:
                aside.which[s], aside.dx[rows] = True, look.probe.direction
                del verdicts[s]
            elif not look.probe.saddle:
                verdicts[s] = "converged", f"{look.reason}, {look.probe.words}"
            elif self._leaves(member, history.record.steps[s]):
                aside.which[s] = aside.pushed[s] = True
                aside.dx[rows] = look.probe.push(look.g)
                member.look, member.escapes = None, member.escapes + 1
                del verdicts[s]
            else:
                times = f", after {member.escapes} escapes" if member.escapes else ""
                verdicts[s] = "saddle", look.probe.words + times
        if aside.pushed.any():
            rows = aside.pushed[batch.seg.owner]
            aside.dx[rows] = batch.allow(aside.dx)[rows]
        return aside

    def _leaves(self, member: Member, steps: int) -> bool:
        return self.escape and steps < self.steps and member.escapes < self.check.escapes

    def _begun(self, batch: Batch, s: int, g: np.ndarray, reason: str) -> Look:
        """Return the look at structure ``s``, which has converged where it is."""
        metric = batch.metric(self.stiffness, [s])
        turns = not batch.fixed.pbc[s].any()
        still = rigid(batch.positions[batch.slice(s)], len(g), turns)
        return Look(Probe(self.check, metric, _free(batch, s), still), g.copy(), reason)


def _rows(batch: Batch, s: int) -> slice:
    """Where the rows of structure ``s`` are."""
    first = int(batch.seg.starts[s])
    return slice(first, first + batch.seg.lengths[s])


def _free(batch: Batch, s: int) -> Project:
    """Return the projection on what symmetry, the cell's freedom and constraints leave of structure ``s``."""
    group, reference = batch.starts[s].group, batch.place.reference[s].copy()
    kept, freed = batch.fixed.step_kept[batch.slice(s)].copy(), batch.free[s].copy()

    def free(rows: np.ndarray) -> np.ndarray:
        atoms, strain = rows[: len(kept)], rows[len(kept) :]
        if group is not None:
            atoms = group.of_rows(atoms, reference)
        atoms = (atoms[:, None] @ kept)[:, 0]
        return np.concatenate([atoms, (freed @ strain.ravel()).reshape(3, 3)]) if len(strain) else atoms

    return free
