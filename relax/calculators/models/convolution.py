"""The messages between the atoms of a MACE model, without arrays of all edges times all components.

For each edge a MACE model multiplies features h (channels c) of one atom, spherical harmonics Y (components m)
of the vector to the other and weights w of its length, and adds up the products of all edges of an atom:

    A[i, m, c] = sum over the edges e of atom i of  Y[e, m] h[j(e), c] w[e, c].

Written that way there are E x M x C products, which are stored and read several times in either direction, and
most of the time of a call goes there.  For the edges of one atom the sum is a product of the matrices Y (n, M)
and h w (n, C).  Atoms with equally many edges make a batch of such products.  With features of components of
their own, Y is first combined with the coupling coefficients, which are few numbers for each edge.

The weights depend on the length only, which both edges of a pair of atoms share, so that their network is
evaluated once for each pair.

The numbers are those of the model's own code within rounding; where they are not, that is kept.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["Edges", "with_fast_messages"]

BY_LENGTH = (
    "RealAgnosticInteractionBlock",
    "RealAgnosticResidualInteractionBlock",
    "RealAgnosticDensityInteractionBlock",
    "RealAgnosticDensityResidualInteractionBlock",
)
"""Interactions whose weights are a function of the length of an edge and of its two elements, in any order."""


class Edges:
    """The edges of the current call: all those of an atom together, and atoms with equally many in a row.

    Attributes
    ----------
    order
        Positions (E,) of the edges in the order in which they were given.
    """

    order: np.ndarray
    atoms: Tensor  # (N,) the atoms in this order
    places: Tensor  # (N,) the place of each atom in this order
    pair: Tensor  # (E,) the pair that an edge belongs to
    once: Tensor  # (P,) one edge of each pair
    again: Tensor  # (P,) the other
    groups: list[tuple[slice, slice, int]]  # places of atoms, their edges, edges of each

    def set(self, first: np.ndarray, reverse: np.ndarray, atoms: int, device: str) -> None:
        """Take in the edges of a call.

        Parameters
        ----------
        first
            The atoms (E,) that receive, in rising order.
        reverse
            The positions (E,) of the edges in the other direction.
        atoms
            The number of atoms.
        device
            Where the model computes.
        """
        counts = np.bincount(first, minlength=atoms)
        by_count = np.argsort(counts, kind="stable")
        self.order = np.argsort(counts[first], kind="stable")
        place = np.empty(len(first), int)
        place[self.order] = np.arange(len(first))
        back = place[reverse[self.order]]
        once = np.flatnonzero(back > np.arange(len(first)))
        pair = np.empty(len(first), int)
        pair[once] = pair[back[once]] = np.arange(len(once))
        places = np.empty(atoms, int)
        places[by_count] = np.arange(atoms)
        self.atoms, self.places, self.pair, self.once, self.again = (
            torch.from_numpy(index).to(device) for index in (by_count, places, pair, once, back[once])
        )
        found = counts[by_count]
        starts = [0, *(np.flatnonzero(np.diff(found)) + 1).tolist(), atoms]
        self.groups, edge = [], 0
        for begin, end in pairwise(starts):
            n = int(found[begin])
            self.groups.append((slice(begin, end), slice(edge, edge + (end - begin) * n), n))
            edge += (end - begin) * n


class _Messages(torch.autograd.Function):
    """Sums over the edges of each atom of (features of the other atom) x (weights) x (coupled harmonics)."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, y: Tensor, w: Tensor, sender: Tensor, edges: Edges) -> Tensor:
        """Return the sums (N, M, C) of h (N, K, C), y (E, K, M) and w (P, C)."""
        products = h.index_select(0, sender)
        products *= w.index_select(0, edges.pair)[:, None]
        n_atoms, channels, components = len(edges.atoms), h.shape[2], y.shape[2]
        out = h.new_zeros((n_atoms, components, channels))
        for atoms, some, n in edges.groups:
            if n:
                size = atoms.stop - atoms.start, -1
                torch.bmm(
                    y[some].reshape(*size, components).transpose(1, 2),
                    products[some].reshape(*size, channels),
                    out=out[atoms],
                )
        ctx.edges = edges
        ctx.save_for_backward(h, y, w, sender, products)
        return out.index_select(0, edges.places)

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[misc, untyped-decorator]
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor | None, ...]:
        h, y, w, sender, products = ctx.saved_tensors
        edges = ctx.edges
        given = given.index_select(0, edges.atoms)
        by_y, by_products = torch.empty_like(y), torch.empty_like(products)
        components, channels = given.shape[1:]
        for atoms, some, n in edges.groups:
            if n:
                size, mine = (atoms.stop - atoms.start, -1), given[atoms]
                torch.bmm(
                    products[some].reshape(*size, channels),
                    mine.transpose(1, 2),
                    out=by_y[some].view(*size, components),
                )
                torch.bmm(
                    y[some].reshape(*size, components), mine, out=by_products[some].view(*size, channels)
                )
        by_h = None
        if ctx.needs_input_grad[0]:
            weighted = by_products * w.index_select(0, edges.pair)[:, None]
            by_h = torch.zeros_like(h).index_add_(0, sender, weighted)
        by_products *= h.index_select(0, sender)
        by_w = by_products[:, 0] if h.shape[1] == 1 else by_products.sum(1)
        by_w = by_w.index_select(0, edges.once).add_(by_w.index_select(0, edges.again))
        return by_h, by_y, by_w, None, None


class _Path(NamedTuple):
    """One product of the messages: the parts of features and harmonics that it combines."""

    features: slice
    harmonics: slice
    channels: int  # C, also the number of its weights
    coupling: Tensor  # (K, L, M)


class _Convolution(torch.nn.Module):
    """What replaces the tensor product of an interaction, and the sum over its edges."""

    def __init__(self, paths: list[_Path], edges: Edges) -> None:
        super().__init__()
        self.paths, self.edges = paths, edges

    def forward(self, h: Tensor, harmonics: Tensor, weights: Tensor, index: Tensor) -> Tensor:
        sums, parts = [], {}
        # Not slices, whose derivatives are arrays of all weights each.
        of_paths = weights.split([path.channels for path in self.paths], dim=1)
        for path, w in zip(self.paths, of_paths, strict=True):
            start = path.features.start
            if start not in parts:
                block = h[:, path.features].reshape(len(h), path.channels, -1)
                parts[start] = block.transpose(1, 2).contiguous()
            k, _, m = path.coupling.shape
            y = (harmonics[:, path.harmonics] @ path.coupling.transpose(0, 1).flatten(1)).view(-1, k, m)
            sums.append(_Messages.apply(parts[start], y, w, index[0], self.edges))
        return torch.cat([part.transpose(1, 2).flatten(1) for part in sums], dim=1)


class _OncePerPair(torch.nn.Module):
    """A network of the edges, evaluated for one edge of each pair."""

    def __init__(self, network: Callable[[Tensor], Tensor], edges: Edges) -> None:
        super().__init__()
        self.network, self.edges = network, edges

    def forward(self, features: Tensor) -> Tensor:
        return self.network(features.index_select(0, self.edges.once))


@dataclass
class _Layers:
    """A network of silu layers whose constants are part of its matrices."""

    matrices: list[Tensor]

    def __call__(self, x: Tensor) -> Tensor:
        for matrix in self.matrices[:-1]:
            x = torch.nn.functional.silu(x @ matrix)
        return x @ self.matrices[-1]


def with_fast_messages(model: Any, edges: Edges) -> Any:
    """Return a model like ``model`` with fast messages, or ``model`` itself where that cannot be.

    Its input must have the edges in the order of ``edges``, with the atom that receives as the second.  It
    shares the weights of ``model``, which is not changed.
    """
    if isinstance(model, torch.jit.ScriptModule) or not getattr(model, "apply_cutoff", True):
        return model
    fast = [_fast_interaction(block, edges) for block in model.interactions]
    if None in fast:
        return model
    changed = copy.copy(model)
    changed._modules = model._modules | {"interactions": torch.nn.ModuleList(fast)}
    return changed


def _fast_interaction(block: Any, edges: Edges) -> Any:
    if type(block).__name__ not in BY_LENGTH or hasattr(block, "conv_fusion"):
        return None
    paths = _paths(block.conv_tp)
    if paths is None:
        return None
    changed = copy.copy(block)
    changed._modules = block._modules | {
        "conv_tp": _Convolution(paths, edges),
        "conv_tp_weights": _OncePerPair(_folded(block.conv_tp_weights), edges),
    }
    changed.conv_fusion = True
    return changed


def _paths(product: Any) -> list[_Path] | None:
    """Return the paths of a tensor product; None if it is none that is understood."""
    if not hasattr(product, "instructions"):
        return None
    first, second, out = (
        (irreps, irreps.slices()) for irreps in (product.irreps_in1, product.irreps_in2, product.irreps_out)
    )
    like = next(iter(product.buffers()))
    paths, weight = [], 0
    for place, step in enumerate(product.instructions):
        (c, k), (one, l), (_, m) = (
            (part[0][i].mul, part[0][i].ir.dim)
            for part, i in zip((first, second, out), (step.i_in1, step.i_in2, step.i_out), strict=True)
        )
        if step.connection_mode != "uvu" or not step.has_weight or one != 1 or step.i_out != place:
            return None
        # The coefficients are what the product itself makes of single components.
        features, harmonics = like.new_zeros((k, l, first[0].dim)), like.new_zeros((k, l, second[0].dim))
        weights = like.new_zeros((k, l, product.weight_numel))
        weights[..., weight] = 1.0
        for i in range(k):
            features[i, :, first[1][step.i_in1].start + i] = 1.0
        for i in range(l):
            harmonics[:, i, second[1][step.i_in2].start + i] = 1.0
        start = out[1][step.i_out].start
        coupling = product(features, harmonics, weights)[..., start : start + m].contiguous()
        paths.append(_Path(first[1][step.i_in1], second[1][step.i_in2], c, coupling))
        weight += c
    return paths


def _folded(network: Any) -> Any:
    """Return a fully connected network with its constants in its matrices, where it gives the same numbers."""
    layers = list(network.children())
    try:
        matrices, factor = [], 1.0
        for layer in layers:
            scale = (layer.h_in * layer.var_in) ** 0.5
            if layer.act is None:
                scale /= layer.var_out**0.5
            matrices.append(layer.weight.detach() * (factor / scale))
            factor = 1.0 if layer.act is None else float(layer.act.cst) * layer.var_out**0.5
    except AttributeError:
        return network
    folded = _Layers(matrices)
    rng = torch.Generator().manual_seed(0)
    probe = torch.randn((64, len(matrices[0])), generator=rng, dtype=torch.float64).to(matrices[0])
    with torch.no_grad():
        same = torch.allclose(folded(probe), network(probe), rtol=1e-5, atol=1e-6)
    return folded if same else network
