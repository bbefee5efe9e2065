"""Loading of MACE models, and a correction of MACE for structures with fewer than three periodic directions.

:mod:`relax.calculators.named.files` says which words are paths.  Any other word is the name of a foundation
model.  The names are those of mace-torch's trainer (``mace_run_train --foundation_model``):

- those of ``mace_mp``, such as ``small``, ``medium-mpa-0`` and ``mh-1``;
- ``small_off``, ``medium_off`` and ``large_off`` of ``mace_off``;
- ``mace_anicc`` and ``mace_omol``;
- those of ``mace_polar``, such as ``polar-1-s``.

mace-torch downloads these once, into its own cache.  A model file is a pickle, and loading a pickle runs
the code in it.
"""

from __future__ import annotations

import difflib
import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relax.calculators.named.files import check_file, path_of
from relax.calculators.named.settings import check_settings, parameters_of
from relax.calculators.optional import environment_restored, extra, silence_output, silence_warnings
from relax.core.errors import CalculatorError, one_line
from relax.geometry.neighbors import pairs

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["boxed", "load_model", "sees_no_neighbours"]

OURS = ("model_paths", "models", "device", "default_dtype", "model_type")
"""Keyword arguments of MACECalculator that are given to it anyway."""

LOCAL = ("MACE", "ScaleShiftMACE")
"""Model classes without interactions beyond the cutoff."""


def load_model(
    model: str, device: str, dtype: str, head: str | None = None, settings: Mapping[str, Any] | None = None
) -> Any:
    """Return the ASE calculator of a MACE model.

    A model in another precision than ``dtype`` is converted.

    Parameters
    ----------
    model
        The path of a file, or the name of a foundation model, see the module.
    device
        A torch device that is available.
    dtype
        ``"float64"`` or ``"float32"``.
    head
        The head to use; needed if the model has several and none is called default.
    settings
        Further keyword arguments of MACECalculator.

    Raises
    ------
    CalculatorError
        mace-torch is not installed, the model does not exist, cannot be loaded or is not a MACE model with
        energies, or the head is unknown or missing, or a setting is unknown.
    """
    check_file("mace", model)
    with extra("mace", "mace", "torch"), environment_restored(), silence_output():
        import mace  # noqa: F401  (before e3nn, which fails to import without what this sets up)
        from mace.calculators import MACECalculator

    settings = settings or {}
    check_settings(f"mace:{model}", settings, parameters_of(MACECalculator, without=OURS))
    path = path_of(model)
    network = _from_foundation(model, device, dtype) if path is None else _from_file(model, path, device)
    kind = str(getattr(network, "original_name", type(network).__name__))
    network = network.double() if dtype == "float64" else network.float()
    with extra(f"mace:{model}"), silence_output():
        calculator = MACECalculator(
            models=[network],
            device=device,
            default_dtype=dtype,
            head=_head(model, network, head),
            model_type="PolarMACE" if kind == "PolarMACE" else "MACE",
            **settings,
        )
    return silence_warnings(_fix_partial_pbc(calculator, local=kind in LOCAL))


def sees_no_neighbours(calculator: Any, atoms: Atoms) -> bool:
    """Whether no atom has a neighbour, or an image of itself, within the model's cutoff."""
    reach = calculator.r_max
    where = atoms.positions, atoms.cell.array, atoms.pbc
    # The short search first: it is faster than the full one, and nearly every structure has such a pair.
    return not any(len(pairs(*where, r)[0]) for r in (min(3.0, reach), reach))


def _foundation_models() -> dict[str, tuple[str, dict[str, str]]]:
    """Return the loader in mace-torch and its arguments for each name."""
    from mace.calculators import foundations_models as known

    return (
        {name: ("mace_mp", {"model": name}) for name in known.mace_mp_urls}
        | {f"{name}_off": ("mace_off", {"model": name}) for name in known.mace_off_urls}
        | {"mace_anicc": ("mace_anicc", {}), "mace_omol": ("mace_omol", {"model": "extra_large"})}
        | {name: ("mace_polar", {"model": name}) for name in known.polar_model_names}
    )


def _from_foundation(model: str, device: str, dtype: str) -> Any:
    from mace.calculators import foundations_models
    from mace.tools.utils import get_cache_dir

    models = _foundation_models()
    if model not in models:
        near = difflib.get_close_matches(model, models, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        if Path(model).is_file():
            hint = f"; for the file of that name, write mace:.{os.sep}{model}"
        raise CalculatorError(
            f"mace:{model} is not a foundation model{hint} (there are: {', '.join(models)})"
        )
    loader, arguments = models[model]
    if loader != "mace_anicc":  # this loader has no such argument: the model is float64
        arguments = arguments | {"default_dtype": dtype}
    try:
        # Progress and licence of a download must be visible.
        with environment_restored(), silence_output(show=True):
            return getattr(foundations_models, loader)(**arguments, device=device, return_raw_model=True)
    except Exception as error:
        why = error.__cause__ or error
        cache = foundations_models.module_dir if loader == "mace_anicc" else get_cache_dir()
        hint = f"it is kept in {cache}, remove it there to download it again"
        if isinstance(why, OSError):
            hint = "without a network, give a model file: mace:PATH"
        raise CalculatorError(f"mace:{model} does not load: {one_line(why)}; {hint}") from error


def _from_file(model: str, path: Path, device: str) -> Any:
    import torch

    try:
        with silence_output():
            network = torch.load(path, map_location=device, weights_only=False)
    except Exception as error:
        raise CalculatorError(f"mace:{model} does not load: {one_line(error)}") from error
    if not (isinstance(network, torch.nn.Module) and hasattr(network, "atomic_numbers")):
        hint = " (perhaps the checkpoint of a training run)" if isinstance(network, dict) else ""
        raise CalculatorError(f"mace:{model} is a {type(network).__name__}, not a MACE model{hint}")
    if not hasattr(network, "atomic_energies_fn"):
        raise CalculatorError(f"mace:{model} is a MACE model without energies")
    return network


def _head(model: str, network: Any, head: str | None) -> str:
    """Return the head to use.  MACE itself would replace an unknown one by the last, without an error."""
    heads = [str(name) for name in getattr(network, "heads", None) or ["Default"]]
    listed = ", ".join(heads)
    if head is not None and head not in heads:
        raise CalculatorError(f"mace:{model} has no head {head!r} (it has: {listed})")
    usual = [name for name in heads if name.lower() == "default"] or heads
    if head is None and len(usual) > 1:
        raise CalculatorError(f"mace:{model} has several heads, name the one to use (it has: {listed})")
    return head or usual[0]


def _fix_partial_pbc(calculator: Any, local: bool) -> Any:
    """Return ``calculator`` with a correction for structures with fewer than three periodic directions.

    For these MACE makes up a cell, divides the stress by its volume, and fails for some cells that are not
    along the axes.  With the correction a ``local`` model gets a periodic box that is larger than its
    cutoff, and the stress is that of the given cell.  There is no stress if the given cell has no volume or
    the model is not local.
    """
    import torch

    calculate = calculator.calculate

    @functools.wraps(calculate)
    def corrected(atoms: Any = None, *args: Any, **kwargs: Any) -> None:
        atoms = calculator.atoms if atoms is None else atoms
        box = boxed(atoms, calculator.r_max) if local else atoms
        dtype = torch.get_default_dtype()
        try:
            calculate(box, *args, **kwargs)
        finally:
            # MACE changes the default, and does not restore it if an exception ends the calculation.
            torch.set_default_dtype(dtype)
        calculator.atoms = atoms.copy()
        if not atoms.pbc.all() and "stress" in calculator.results:
            if local and atoms.pbc.any() and atoms.cell.rank == 3:
                calculator.results["stress"] = (
                    calculator.results["stress"] * box.cell.volume / atoms.cell.volume
                )
            else:
                del calculator.results["stress"]

    calculator.calculate = corrected
    return calculator


def boxed(atoms: Atoms, reach: float) -> Atoms:
    """Return ``atoms`` in a cell that is periodic in all directions, without new pairs in ``reach`` (A)."""
    import numpy as np

    if atoms.pbc.all():
        return atoms
    cell = atoms.cell.array.copy()
    across = np.linalg.svd(cell[atoms.pbc])[2][atoms.pbc.sum() :] if atoms.pbc.any() else np.eye(3)
    cell[~atoms.pbc] = across * (np.ptp(atoms.positions @ across.T, axis=0)[:, None] + reach + 1.0)
    box: Atoms = atoms.copy()
    box.set_constraint()
    box.set_cell(cell)
    box.pbc = True
    return box
