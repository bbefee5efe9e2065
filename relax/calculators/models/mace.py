"""MACE models for many structures at once."""

from __future__ import annotations

import warnings
from time import perf_counter
from typing import Any

import numpy as np
from ase import Atoms

from relax.calculators.base import Evaluation, Geometry
from relax.calculators.memory import keep_memory, memory_watched
from relax.calculators.named.mace import LOCAL
from relax.calculators.neighbor_lists import NeighborLists, Pairs
from relax.calculators.optional import NOISY
from relax.calculators.registry import unsupported
from relax.calculators.splitting import unknown, volumes, with_fault_isolation
from relax.core.errors import CalculatorError, UnsupportedStructure
from relax.geometry.neighbors import images

__all__ = ["MACE", "unbatched"]


def unbatched(calculator: Any) -> str:
    """Return in words why a MACECalculator cannot be batched; an empty string if it can."""
    if len(calculator.models) != 1:
        return f"a committee of {len(calculator.models)} models"
    model = calculator.models[0]
    kind = str(getattr(model, "original_name", type(model).__name__))
    if kind not in LOCAL or calculator.model_type != "MACE":
        return f"{kind}, a model with interactions beyond its cutoff"
    if hasattr(model, "joint_embedding"):
        return "a model that needs the charge and the spin of a structure"
    if getattr(calculator, "use_compile", False):
        return "a compiled model"
    if (calculator.energy_units_to_eV, calculator.length_units_to_A) != (1.0, 1.0):
        return "a model in other units than eV and A"
    return ""


class MACE:
    """A MACE model without interactions beyond its cutoff.

    On the CPU, constructing it makes the process keep freed memory, see
    :func:`relax.calculators.memory.keep_memory`.

    Parameters
    ----------
    calculator
        A MACECalculator with one model, as :func:`relax.calculators.named.mace.load_model` returns it.
        The parameters of its model are frozen.
    skin
        Distance beyond the cutoff up to which pairs are kept as candidates, A, see
        :class:`~relax.calculators.neighbor_lists.NeighborLists`.
    lists
        Neighbour lists shared with another potential of the same model, which adds and drops the structures.

    Raises
    ------
    CalculatorError
        The model cannot be batched, see :func:`unbatched`.
    """

    unit = "edges"
    batched = True

    def __init__(self, calculator: Any, skin: float = 1.0, lists: NeighborLists | None = None) -> None:
        import torch

        if why := unbatched(calculator):
            raise CalculatorError(f"this MACE calculator is not batched: {why}")
        self.calculator = calculator
        self.device = str(calculator.device)
        self.seconds = {"neighbours": 0.0, "graph": 0.0, "model": 0.0}
        """Wall time since the start, s, by task."""
        self._model = self._fast = calculator.models[0].requires_grad_(False)
        self._dtype = getattr(torch, calculator.default_dtype)
        self.lists = lists or NeighborLists(float(calculator.r_max), skin, reverse=True)
        elements = [int(z) for z in calculator.z_table.zs]
        self._element = np.zeros(max(elements) + 1, int)
        self._element[elements] = np.arange(len(elements))
        self._one_hot = torch.eye(len(elements), dtype=self._dtype)
        self._head = calculator.available_heads.index(calculator.head)
        self._kept: tuple[tuple[int, ...], dict[str, Any]] = ((), {})
        if self.device == "cpu":
            from relax.calculators.models.messages.edges import Edges
            from relax.calculators.models.messages.network import with_fast_messages

            keep_memory()
            self._edges = Edges()
            self._fast = with_fast_messages(self._model, self._edges)

    def admit(self, key: int, atoms: Atoms) -> float:
        try:
            edges = self.lists.add(key, atoms)
        except ValueError as error:
            raise UnsupportedStructure(str(error)) from error
        if why := unsupported(self.calculator, atoms, in_reach=edges > 0):
            self.lists.drop(key)
            raise UnsupportedStructure(why)
        return max(edges, len(atoms))

    def release(self, key: int) -> None:
        self.lists.drop(key)
        if key in self._kept[0]:
            self._kept = (), {}

    def evaluate(self, geometry: Geometry, stress: bool) -> Evaluation:
        return with_fault_isolation(lambda some: self._evaluate(some, stress), geometry)

    def _evaluate(self, geometry: Geometry, stress: bool) -> Evaluation:
        times = [perf_counter()]
        found = self.lists(geometry)
        times.append(perf_counter())
        evaluation, lost = unknown(geometry), found.without
        evaluation.faults.update(found.faults)
        if lost.all():
            return evaluation
        with memory_watched(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=NOISY)
            graph = self._graph(geometry, found, stress)
            times.append(self._now())
            model = self._fast if len(found.first) else self._model
            out = model(graph, training=False, compute_force=True, compute_virials=stress)
            evaluation.energies = self._to_numpy(out["energy"])
            evaluation.forces = self._to_numpy(out["forces"])
            if stress:
                evaluation.stresses = -self._to_numpy(out["virials"]) / volumes(geometry)[:, None, None]
                evaluation.stresses[~geometry.pbc.any(axis=1)] = np.nan
        times.append(self._now())
        for what, spent in zip(self.seconds, np.diff(times), strict=True):
            self.seconds[what] += float(spent)
        evaluation.energies[lost], evaluation.stresses[lost] = np.nan, np.nan
        evaluation.forces[lost[found.owner]] = np.nan
        return evaluation

    def _graph(self, geometry: Geometry, found: Pairs, stress: bool) -> dict[str, Any]:
        """Return the input of the model."""
        import torch

        if self._kept[0] != geometry.keys:
            self._kept = (geometry.keys, self._constant_input(geometry, found.owner))
        cells, shifts = geometry.cells, -found.shifts
        receiver, sender = found.first, found.second
        if self._fast is not self._model and len(receiver):
            self._edges.set(receiver, sender, found.reverse, len(found.owner))
        graph = self._kept[1] | {
            "positions": self._to_torch(geometry.positions),
            "cell": self._to_torch(cells.reshape(-1, 3)),
            "edge_index": torch.from_numpy(np.stack([sender, receiver])).to(self.device),
            "unit_shifts": self._to_torch(shifts),
        }
        if stress:
            # The model's own displacement contains the sum of all positions times zero.  The overflow of
            # one structure would make it NaN for all.
            graph["displacement"] = torch.zeros(
                (len(cells), 3, 3), dtype=self._dtype, device=self.device, requires_grad=True
            )
            graph["shifts"] = graph["unit_shifts"]
        else:
            graph["shifts"] = self._to_torch(images(shifts, cells[found.owner[receiver]]))
        return graph

    def _constant_input(self, geometry: Geometry, owner: np.ndarray) -> dict[str, Any]:
        """Return the part of the input that stays the same while the structures do."""
        import torch

        ends = torch.from_numpy(np.cumsum(geometry.lengths))
        elements = torch.from_numpy(self._element[geometry.numbers])
        known = {
            "node_attrs": self._one_hot[elements],
            "batch": torch.from_numpy(owner),
            "ptr": torch.cat([torch.zeros(1, dtype=ends.dtype), ends]),
            "head": torch.full((len(geometry.keys),), self._head),
            "pbc": torch.from_numpy(geometry.pbc.copy()),
        }
        return {name: tensor.to(self.device) for name, tensor in known.items()}

    def _to_torch(self, array: np.ndarray) -> Any:
        import torch

        return torch.from_numpy(array).to(device=self.device, dtype=self._dtype)

    @staticmethod
    def _to_numpy(tensor: Any) -> np.ndarray:
        return np.array(tensor.detach().cpu().numpy(), float)

    def _now(self) -> float:
        """Return the time once the device has finished all calls."""
        if self.device != "cpu":
            import torch

            torch.cuda.synchronize(self.device)
        return perf_counter()
