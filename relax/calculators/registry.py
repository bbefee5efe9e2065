"""Calculators by name, as on the command line.

``chgnet``
    CHGNet 0.3.0 for 94 elements.  Its weights are part of its wheel, so it needs no network.
``emt``
    ASE's effective medium theory, for Al Cu Ag Au Ni Pd Pt and H C N O; for tests.
``lj``
    Lennard-Jones in reduced units: sigma 1 A and epsilon 1 eV for every element.  The energy goes smoothly to
    zero between 6.6 and 10 A, so that forces do not jump.  It is exact for clusters up to 6.6 A across.
``mace:NAME_OR_PATH``
    A MACE foundation model by name (downloaded once, into MACE's own cache), or a model file;
    :mod:`relax.calculators.mace_loading` says which words are names and which are paths.
``module:callable``
    The object that ``callable`` from ``module`` returns.  Modules in the current directory are found too.

A model file is a pickle, and loading a pickle runs the code in it.  Only files that the user names and
foundation models from MACE's own list are loaded.
"""

from __future__ import annotations

import difflib
import importlib
import logging
import operator
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from relax.calculators.mace_loading import DTYPES, check_model, load_model, sees_no_neighbours
from relax.calculators.optional import extra, silence_output, silence_warnings
from relax.core.errors import CalculatorError, one_line

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["NAMES", "CalculatorError", "check_name", "load", "unsupported"]

LOG = logging.getLogger(__name__)

NAMES = ("chgnet", "emt", "lj", "mace:NAME_OR_PATH", "module:callable")


def check_name(name: str, device: str = "cpu", dtype: str | None = None, head: str | None = None) -> None:
    """Check a name and its options without importing anything.

    Raises
    ------
    CalculatorError
        ``name`` does not have the form of one of :data:`NAMES`, a model file does not exist, or the device,
        dtype or head is unknown or has no meaning for the calculator.
    """
    kind, colon, rest = name.partition(":")
    if not (colon and kind and rest) and name not in ("chgnet", "emt", "lj"):
        if kind == "mace":
            raise CalculatorError(
                "calculator 'mace' needs a model: mace:NAME or mace:PATH, such as mace:small"
            )
        near = difflib.get_close_matches(name, ("chgnet", "emt", "lj", "mace"), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise CalculatorError(f"unknown calculator {name!r}; {hint}(there are: {', '.join(NAMES)})")
    where, _, number = device.partition(":")
    if where not in ("cpu", "cuda") or (device != where and not (where == "cuda" and number.isdecimal())):
        raise CalculatorError(f"unknown device {device!r}; give cpu or cuda, or cuda:1 for the second one")
    if dtype is not None and dtype not in DTYPES:
        raise CalculatorError(f"unknown dtype {dtype!r}; give {' or '.join(DTYPES)}")
    if device != "cpu" and name != "chgnet" and kind != "mace":
        raise CalculatorError(f"a device can be chosen for chgnet and mace models, not for {name}")
    for what, given in (("dtype", dtype), ("head", head)):
        if given is not None and kind != "mace":
            raise CalculatorError(f"a {what} can be chosen for mace models, not for {name}")
    if kind == "mace":
        check_model(rest)


def load(name: str, device: str = "cpu", dtype: str | None = None, head: str | None = None) -> Any:
    """Return the ASE calculator called ``name``, see the module.

    Parameters
    ----------
    name
        One of :data:`NAMES`.
    device
        Device of CHGNet and MACE models: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` and so on.
    dtype
        Precision of MACE models: ``"float64"``, the default, or ``"float32"``.  A file in the other precision
        is converted.
    head
        The head to use, for MACE models that have several.

    Raises
    ------
    CalculatorError
        The name is unknown; an optional package, a file or the device is missing; a module has no such
        attribute; or loading failed.
    """
    check_name(name, device, dtype, head)
    start = time.monotonic()
    calculator = _loaded(name, device, dtype, head)
    LOG.info("%s was loaded in %.1f s", name, time.monotonic() - start)
    return calculator


def _loaded(name: str, device: str, dtype: str | None, head: str | None) -> Any:
    """Return the calculator of a name that has been checked."""
    kind, _, rest = name.partition(":")
    if device != "cpu":
        _check_cuda(device, "chgnet" if kind == "chgnet" else "mace")
    if name == "chgnet":
        return _chgnet(device)
    if name == "emt":
        from ase.calculators.emt import EMT

        return EMT()
    if name == "lj":
        from ase.calculators.lj import LennardJones

        return LennardJones(sigma=1.0, epsilon=1.0, rc=10.0, ro=6.6, smooth=True)
    return load_model(rest, device, dtype or DTYPES[0], head) if kind == "mace" else _from_module(kind, rest)


def unsupported(calculator: Any, atoms: Atoms, in_reach: bool = False) -> str:
    """Return in words why ``calculator`` does not support ``atoms``; an empty string if no reason is known.

    ``in_reach`` says that a neighbour within the cutoff is already known, so that none is searched for.
    """
    name = type(calculator).__name__
    if name == "EMT":
        from ase.calculators.emt import parameters

        return unknown_elements(
            "EMT", [symbol in parameters for symbol in atoms.symbols], atoms, list(parameters)
        )
    if name == "MACECalculator":
        from ase.data import chemical_symbols

        known = [int(number) for number in calculator.z_table.zs]
        symbols = [chemical_symbols[number] for number in known]
        mask = [int(number) in known for number in atoms.numbers]
        if why := unknown_elements("this MACE model", mask, atoms, symbols):
            return why
        # The forces would be zero, as in a minimum, and the run would count as converged.
        alone = len(atoms) == 1 and not atoms.pbc.any()
        if not (in_reach or alone) and sees_no_neighbours(calculator, atoms):
            return f"no atom has a neighbour within the {calculator.r_max:g} A that this MACE model sees"
    elif name == "CHGNetCalculator":
        largest = calculator.model.composition_model.fc.in_features
        mask = [1 <= number <= largest for number in atoms.numbers]
        if why := unknown_elements("CHGNet", mask, atoms, []):
            return why
        if atoms.cell.rank < 3:
            return "CHGNet needs a cell in all three directions; give the structure one, with room around it"
    return ""


def unknown_elements(model: str, known: list[bool], atoms: Atoms, symbols: list[str]) -> str:
    """Return in words which elements are unknown to a ``model``; an empty string if there are none.

    Parameters
    ----------
    model
        Name of the model, for the message.
    known
        Whether the element of each atom is known (N,).
    atoms
        The structure.
    symbols
        The known elements, which the message lists if they are at most 20.
    """
    if all(known):
        return ""
    i = known.index(False)
    others = sorted({s for s, k in zip(atoms.symbols, known, strict=True) if not k} - {atoms.symbols[i]})
    also = f", nor {' '.join(others)}" if others else ""
    only = f" (it knows {' '.join(symbols)})" if 0 < len(symbols) <= 20 else ""
    return f"{model} does not know the element of atom {i}, {atoms.symbols[i]}{also}{only}"


def _check_cuda(device: str, name: str) -> None:
    with extra(name, "torch"):
        import torch
    number = int(device.partition(":")[2] or 0)
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if number >= there:
        found = f"there are {there} CUDA devices" if there else "no CUDA device found"
        raise CalculatorError(f"{device} is not available, {found}; leave the device out to run on the CPU")


def _chgnet(device: str) -> Any:
    with extra("chgnet", "chgnet", "torch"), silence_output():
        from chgnet.model.dynamics import CHGNetCalculator

        # Results for isolated atoms have no meaning, so CHGNet's warning is made an error.
        return silence_warnings(CHGNetCalculator(use_device=device, on_isolated_atoms="error"))


def _from_module(module: str, attribute: str) -> Any:
    """Return the calculator that ``module.attribute()`` returns."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        make = operator.attrgetter(attribute)(importlib.import_module(module))
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(f"{error.name}.")):
            raise CalculatorError(f"{module}:{attribute} does not load: {one_line(error)}") from error
        near = difflib.get_close_matches(module, ("mace",), n=1, cutoff=0.5)
        hint = f"; did you mean '{near[0]}:{attribute}'?" if near else ""
        raise CalculatorError(
            f"there is no module {module!r} for calculator {module}:{attribute}{hint}"
        ) from error
    except AttributeError as error:
        raise CalculatorError(f"{module}:{attribute} does not load: {one_line(error)}") from error
    except Exception as error:
        raise CalculatorError(f"module {module!r} does not import: {one_line(error)}") from error
    try:
        calculator = make()
    except Exception as error:
        raise CalculatorError(f"{module}:{attribute}() failed: {one_line(error)}") from error
    if not hasattr(calculator, "get_forces"):
        raise CalculatorError(
            f"{module}:{attribute}() returned {type(calculator).__name__}, expected an ASE calculator"
        )
    return calculator
