"""The edges of a call, in an order in which the sums over those of each atom are products of matrices."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["Edges"]

ROUNDED = 4
"""The places of an atom are a multiple of this number: fewer groups, and few empty places."""


class Edges:
    """The edges of the current call, with places for them: those of an atom in a row, with few left empty.

    Atoms with about as many edges are in one group, in which all have equally many places.
    """

    atoms: Tensor  # (N,) the atoms, group after group
    rank: Tensor  # (N,) where each atom is among them
    edge: Tensor  # (Q,) the edge of each place; E if it is empty
    place: Tensor  # (E,) the place of each edge
    sender: Tensor  # (Q,) the atom that sends
    pair: Tensor  # (Q,) the pair that an edge belongs to
    once: Tensor  # (P,) one edge of each pair
    places: tuple[Tensor, Tensor]  # (P,) the place of it, and that of the other
    groups: list[tuple[slice, slice, int]]  # atoms, their places, places of each

    def set(self, receiver: np.ndarray, sender: np.ndarray, reverse: np.ndarray, n: int) -> None:
        """Take in the edges of a call.

        Parameters
        ----------
        receiver, sender
            The atoms (E,) of each edge; those that receive in rising order.
        reverse
            The edges (E,) in the other direction.
        n
            The number of atoms.
        """
        counts, edges = np.bincount(receiver, minlength=n), np.arange(len(receiver))
        room = -(-counts // ROUNDED) * ROUNDED
        atoms = np.argsort(room, kind="stable")
        room = room[atoms]
        begins = np.empty(n, int)
        begins[atoms] = np.cumsum(room) - room
        first = np.cumsum(counts) - counts
        place = begins[receiver] + edges - first[receiver]
        once = np.flatnonzero(reverse > edges)
        pair = np.empty_like(edges)
        pair[once] = pair[reverse[once]] = np.arange(len(once))
        rank = np.empty_like(atoms)
        rank[atoms] = np.arange(n)
        edge = np.full(int(room.sum()), len(edges))
        edge[place] = edges
        # An empty place has another edge of the same atom: what is no number stays in its structure.
        filled = np.repeat(first[atoms], room)
        filled[place] = edges
        self.atoms, self.rank, self.edge, self.place, self.sender, self.pair, self.once = (
            torch.from_numpy(array)
            for array in (atoms, rank, edge, place, sender[filled], pair[filled], once)
        )
        self.places = torch.from_numpy(place[once]), torch.from_numpy(place[reverse[once]])
        self.groups, begin = [], 0
        for some in np.split(np.arange(n), np.flatnonzero(np.diff(room)) + 1):
            size = int(room[some[0]])
            end = begin + len(some) * size
            if size:
                self.groups.append((slice(int(some[0]), int(some[-1]) + 1), slice(begin, end), size))
            begin = end
