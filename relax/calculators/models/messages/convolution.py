"""The tensor product of an interaction and the sum over the edges, in one."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from relax.calculators.models.messages.edges import Edges

__all__ = ["Convolution", "Path"]


class _Messages(torch.autograd.Function):
    """Sums over the edges of each atom of (features of the other atom) x (weights) x (coupled harmonics)."""

    @staticmethod
    def forward(ctx: Any, edges: Edges, h: Tensor, w: Tensor, *coupled: Tensor) -> tuple[Tensor, ...]:
        """Return the sums (N, M, C) of h (N, K, C), w (P, T, C) and T arrays y (E, K, M)."""
        (n, k, c), features = h.shape, h.index_select(0, edges.sender)
        sums, kept = [], []
        for p, y in enumerate(coupled):
            m = y.shape[2]
            y = torch.cat([y, y.new_zeros((1, k, m))]).index_select(0, edges.edge)
            products = features * _weights(w, p, edges)
            out = h.new_zeros((n, m, c))
            for atoms, some, size in edges.groups:
                left = y[some].view(-1, size * k, m).transpose(1, 2)
                torch.bmm(left, products[some].view(-1, size * k, c), out=out[atoms])
            sums.append(out.index_select(0, edges.rank))
            kept += [y, products]
        ctx.edges = edges
        ctx.save_for_backward(h, w, *kept)
        return tuple(sums)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor | None, ...]:
        h, w, *kept = ctx.saved_tensors
        edges, (_, k, c), features = ctx.edges, h.shape, h.index_select(0, ctx.edges.sender)
        by_w, by_ys = torch.empty_like(w), []
        by_features = torch.zeros_like(features) if ctx.needs_input_grad[1] else None
        for p, by_sums in enumerate(given):
            y, products = kept[2 * p : 2 * p + 2]
            m, by_sums = y.shape[2], by_sums.index_select(0, edges.atoms)
            by_y, by_products = torch.empty_like(y), torch.empty_like(products)
            for atoms, some, size in edges.groups:
                of_y, of_products = (-1, size * k, m), (-1, size * k, c)
                mine = by_sums[atoms]
                torch.bmm(products[some].view(of_products), mine.transpose(1, 2), out=by_y[some].view(of_y))
                torch.bmm(y[some].view(of_y), mine, out=by_products[some].view(of_products))
            by_ys.append(by_y.index_select(0, edges.place))
            if by_features is not None:
                by_features.addcmul_(by_products, _weights(w, p, edges))
            by_products *= features
            by_weights = by_products[:, 0] if k == 1 else by_products.sum(1)
            one, other = (by_weights.index_select(0, place) for place in edges.places)
            torch.add(one, other, out=by_w[:, p])
        by_h = None
        if by_features is not None:
            by_h = torch.zeros_like(h).index_add_(0, edges.sender, by_features)
        return None, by_h, by_w, *by_ys


def _weights(w: Tensor, p: int, edges: Edges) -> Tensor:
    """Return the weights (Q, 1, C) of the path ``p`` of each place."""
    return w.view(-1, w.shape[2]).index_select(0, edges.pair * w.shape[1] + p)[:, None]


class Path(NamedTuple):
    """One product of the messages: the parts of features, harmonics and weights that it combines."""

    features: slice
    harmonics: slice
    weights: slice
    channels: int
    coupling: Tensor  # (K, L, M)


class Convolution(torch.nn.Module):
    """What replaces the tensor product of an interaction, and the sum over its edges."""

    def __init__(self, paths: list[Path], edges: Edges) -> None:
        super().__init__()
        self.paths, self.edges = paths, edges
        self.alike = [
            [place for place, path in enumerate(paths) if path.features.start == start]
            for start in sorted({path.features.start for path in paths})
        ]
        """Paths of the same features."""

    def forward(self, h: Tensor, harmonics: Tensor, weights: Tensor, index: Tensor) -> Tensor:
        sums: list[Tensor] = [h] * len(self.paths)
        split = torch.split(weights, [path.channels for path in self.paths], dim=1)
        for places in self.alike:
            some = [self.paths[place] for place in places]
            features = h[:, some[0].features].reshape(len(h), some[0].channels, -1).transpose(1, 2)
            own = weights if len(some) == len(self.paths) else torch.cat([split[p] for p in places], dim=1)
            coupled = [
                (harmonics[:, path.harmonics] @ path.coupling.transpose(0, 1).flatten(1)).view(
                    len(harmonics), len(path.coupling), -1
                )
                for path in some
            ]
            own = own.reshape(len(own), len(some), -1)
            found = _Messages.apply(self.edges, features.contiguous(), own, *coupled)  # type: ignore[no-untyped-call]
            for place, part in zip(places, found, strict=True):
                sums[place] = part.transpose(1, 2).flatten(1)
        return torch.cat(sums, dim=1)
