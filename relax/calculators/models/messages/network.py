"""A MACE model with fast messages."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from relax.calculators.models.messages.convolution import Convolution, Path
from relax.calculators.models.messages.edges import Edges

__all__ = ["with_fast_messages"]

BY_LENGTH = (
    "RealAgnosticInteractionBlock",
    "RealAgnosticResidualInteractionBlock",
    "RealAgnosticDensityInteractionBlock",
    "RealAgnosticDensityResidualInteractionBlock",
)
"""Interactions whose weights are a function of the length of an edge and of its elements, in any order."""


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

    Its input must be the edges that have been given to ``edges``.  It shares the weights of ``model``, which
    is not changed.  The numbers are the same within rounding.
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
        "conv_tp": Convolution(paths, edges),
        "conv_tp_weights": _OncePerPair(_folded(block.conv_tp_weights), edges),
    }
    changed.conv_fusion = True
    return changed


def _paths(product: Any) -> list[Path] | None:
    """Return the paths of a tensor product; None if it is none that is understood."""
    if not hasattr(product, "instructions"):
        return None
    first, second, out = (
        (irreps, irreps.slices()) for irreps in (product.irreps_in1, product.irreps_in2, product.irreps_out)
    )
    like = next(iter(product.buffers()))
    paths, weight = [], 0
    for place, step in enumerate(product.instructions):
        (c, k), (one, j), (_, m) = (
            (part[0][i].mul, part[0][i].ir.dim)
            for part, i in zip((first, second, out), (step.i_in1, step.i_in2, step.i_out), strict=True)
        )
        if step.connection_mode != "uvu" or not step.has_weight or one != 1 or step.i_out != place:
            return None
        # The coefficients are what the product itself makes of single components.
        features, harmonics = like.new_zeros((k, j, first[0].dim)), like.new_zeros((k, j, second[0].dim))
        weights = like.new_zeros((k, j, product.weight_numel))
        weights[..., weight] = 1.0
        for i in range(k):
            features[i, :, first[1][step.i_in1].start + i] = 1.0
        for i in range(j):
            harmonics[:, i, second[1][step.i_in2].start + i] = 1.0
        start = out[1][step.i_out].start
        coupling = product(features, harmonics, weights)[..., start : start + m].contiguous()
        which = first[1][step.i_in1], second[1][step.i_in2], slice(weight, weight + c)
        paths.append(Path(*which, c, coupling))
        weight += c
    return paths


def _folded(network: Any) -> Any:
    """Return a fully connected network with its constants in its matrices, if it gives the same numbers."""
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
        far = 1e-12 if probe.dtype == torch.float64 else 1e-5
        same = torch.allclose(folded(probe), network(probe), rtol=far, atol=far)
    return folded if same else network
