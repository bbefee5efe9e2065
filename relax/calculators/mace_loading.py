"""MACE models: which one a name means, loading it, and calculating with it where MACE itself goes wrong.

A word with a path separator, or that ends in one of :data:`SUFFIXES`, is the path of a file and is
looked for nowhere else.  Any other word is the name of a foundation model, as mace-torch's own trainer
(``mace_run_train --foundation_model``) names them, and is never looked up as a file:

- those of ``mace_mp``, such as ``small``, ``medium-mpa-0`` and ``mh-1``;
- ``small_off``, ``medium_off`` and ``large_off`` of ``mace_off``;
- ``mace_anicc`` and ``mace_omol``;
- those of ``mace_polar``, such as ``polar-1-s``.

mace-torch fetches these once, into its own cache.  A model file is a pickle, and loading a pickle runs
the code in it.
"""

from __future__ import annotations

import difflib
import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relax.calculators.optional import environment_restored, extra, quiet, silence_output
from relax.core.errors import CalculatorError, one_line
from relax.geometry.neighbors import pairs

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["DTYPES", "boxed", "check_model", "load_model", "sees_no_neighbours"]

SUFFIXES = (".model", ".pt", ".pth")

DTYPES = ("float64", "float32")
"""Precisions, the one for relaxations first."""

LOCAL = ("MACE", "ScaleShiftMACE")
"""Models without interactions beyond their cutoff."""


def path_of(model: str) -> Path | None:
    """Return the file that ``model`` means, or None where it means a foundation model."""
    separators = [separator for separator in (os.sep, os.altsep) if separator]
    if model.endswith(SUFFIXES) or any(separator in model for separator in separators):
        return Path(model).expanduser()
    return None


def check_model(model: str) -> None:
    """Raise CalculatorError where ``model`` means a file that is not there; imports nothing."""
    path = path_of(model)
    if path is not None and not path.exists():
        raise CalculatorError(f"mace:{model}: there is no such file")
    if path is not None and not path.is_file():
        raise CalculatorError(f"mace:{model} is not a file")


def load_model(model: str, device: str, dtype: str, head: str | None = None) -> Any:
    """Return the calculator of a MACE model.

    A model that is kept in another precision than ``dtype`` is converted.

    Parameters
    ----------
    model
        The path of a file, or the name of a foundation model, see the module.
    device
        Where it runs, as torch has it; the device is there.
    dtype
        ``"float64"`` or ``"float32"``.
    head
        The head to use, of a model that has several and none called default.

    Raises
    ------
    CalculatorError
        mace-torch is missing, there is no such model, it does not load, it is no MACE model that
        gives energies, or its head is unknown or not given.
    """
    check_model(model)
    with extra("mace", "mace", "torch"), environment_restored(), silence_output():
        import mace  # noqa: F401  (before e3nn, which fails to import without what this sets up)
        from mace.calculators import MACECalculator

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
        )
    return quiet(_mended(calculator, local=kind in LOCAL))


def sees_no_neighbours(calculator: Any, atoms: Atoms) -> bool:
    """Whether no atom has a neighbour, or an image of itself, near enough for the model to see."""
    reach = calculator.r_max
    where = atoms.positions, atoms.cell.array, atoms.pbc
    # Nearly every structure has a short distance, and finding all pairs within reach takes long.
    return not any(len(pairs(*where, r)[0]) for r in (min(3.0, reach), reach))


def _foundation_models() -> dict[str, tuple[str, dict[str, str]]]:
    """Return for each name the loader in mace-torch, and what it is to be told."""
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
        raise CalculatorError(f"mace:{model} is no foundation model{hint} (there are: {', '.join(models)})")
    loader, told = models[model]
    if loader != "mace_anicc":  # which is float64, and says nothing about it
        told = told | {"default_dtype": dtype}
    try:
        # What is shown is how a download goes, and under which licence.
        with environment_restored(), silence_output(show=True):
            return getattr(foundations_models, loader)(**told, device=device, return_raw_model=True)
    except Exception as error:
        why = error.__cause__ or error
        cache = foundations_models.module_dir if loader == "mace_anicc" else get_cache_dir()
        hint = f"it is kept in {cache}, remove it there to fetch it anew"
        if isinstance(why, OSError):
            hint = "without a network, give a model file: mace:PATH"
        raise CalculatorError(f"mace:{model} does not load: {one_line(why)}; {hint}") from error


def _from_file(model: str, path: Path, device: str) -> Any:
    import torch

    try:
        with silence_output():
            network = torch.load(path, map_location=device, weights_only=False)
    except Exception as error:
        raise CalculatorError(f"mace:{model} is no model that loads: {one_line(error)}") from error
    if not (isinstance(network, torch.nn.Module) and hasattr(network, "atomic_numbers")):
        hint = " (the checkpoint of a training run, perhaps)" if isinstance(network, dict) else ""
        raise CalculatorError(f"mace:{model} holds no MACE model but a {type(network).__name__}{hint}")
    if not hasattr(network, "atomic_energies_fn"):
        raise CalculatorError(f"mace:{model} is a MACE model that gives no energies")
    return network


def _head(model: str, network: Any, head: str | None) -> str:
    """Return the head to use; MACE itself takes the last one in place of one that it does not find."""
    heads = [str(name) for name in getattr(network, "heads", None) or ["Default"]]
    listed = ", ".join(heads)
    if head is not None and head not in heads:
        raise CalculatorError(f"mace:{model} has no head {head!r} (it has: {listed})")
    usual = [name for name in heads if name.lower() == "default"] or heads
    if head is None and len(usual) > 1:
        raise CalculatorError(f"mace:{model} has several heads, name the one to use (it has: {listed})")
    return head or usual[0]


def _mended(calculator: Any, local: bool) -> Any:
    """Return ``calculator`` with structures that are not periodic in three directions made right.

    MACE divides their stress by the volume of a cell that it makes up, and fails on some cells that are
    not along the axes.  A ``local`` model gets a box in their place that no interaction bridges, and the
    stress is that of the given cell; where there is no volume, there is no stress.
    """
    import torch

    calculate = calculator.calculate

    @functools.wraps(calculate)
    def mended(atoms: Any = None, *args: Any, **kwargs: Any) -> None:
        atoms = calculator.atoms if atoms is None else atoms
        box = boxed(atoms, calculator.r_max) if local else atoms
        dtype = torch.get_default_dtype()
        try:
            calculate(box, *args, **kwargs)
        finally:
            # MACE changes it meanwhile, and leaves it changed where it is stopped by an error or the time.
            torch.set_default_dtype(dtype)
        calculator.atoms = atoms.copy()
        if not atoms.pbc.all() and "stress" in calculator.results:
            if local and atoms.pbc.any() and atoms.cell.rank == 3:
                calculator.results["stress"] = (
                    calculator.results["stress"] * box.cell.volume / atoms.cell.volume
                )
            else:
                del calculator.results["stress"]

    calculator.calculate = mended
    return calculator


def boxed(atoms: Atoms, reach: float) -> Atoms:
    """Return ``atoms`` in a cell that is periodic in all directions, with images beyond ``reach`` (A)."""
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
