"""Calculators by name, as the command line names them.

``chgnet``
    CHGNet 0.3.0, an embedding of 94 elements whose weights come in its wheel: no network needed.
``emt``
    ASE's effective medium theory: Al Cu Ag Au Ni Pd Pt and H C N O, for trying things out.
``lj``
    Lennard-Jones in reduced units: sigma 1 A, epsilon 1 eV, every element alike.  The potential is
    brought smoothly to zero between 6.6 and 10 A, so that forces have no jump and clusters of up to
    6.6 A across see it exactly.
``mace:NAME_OR_PATH``
    A MACE foundation model by name (fetched once, kept in MACE's own cache), or a model file.
``module:callable``
    Whatever calling ``callable`` from ``module`` returns; modules are also looked for in the
    current directory.

A model file is a pickle, and so is code that runs when it is loaded: nothing is loaded but a file the
user named or a foundation model from MACE's own list.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import importlib
import io
import operator
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["NAMES", "CalculatorError", "check_name", "load", "unsupported"]

NAMES = ("chgnet", "emt", "lj", "mace:NAME_OR_PATH", "module:callable")

NOISY = r"(chgnet|e3nn|mace|pymatgen|torch)(\.|$)"
"""Packages whose warnings say nothing to somebody who relaxes a structure."""


class CalculatorError(ValueError):
    """A calculator cannot be had; the message is one line that says why and what helps."""


def check_name(name: str) -> None:
    """Raise CalculatorError unless ``name`` reads like one of :data:`NAMES`; imports nothing."""
    kind, colon, rest = name.partition(":")
    if colon and kind and rest:
        return
    if name in ("chgnet", "emt", "lj"):
        return
    if kind == "mace":
        raise CalculatorError("calculator 'mace' needs a model: mace:NAME or mace:PATH, such as mace:small")
    near = difflib.get_close_matches(name, ("chgnet", "emt", "lj", "mace"), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise CalculatorError(f"unknown calculator {name!r}; {hint}(there are: {', '.join(NAMES)})")


def load(name: str, device: str = "cpu") -> Any:
    """Return the ASE calculator called ``name``, see the module.

    Parameters
    ----------
    name
        One of :data:`NAMES`.
    device
        Where torch models run.

    Raises
    ------
    CalculatorError
        The name is unknown, an optional package is missing, a module has no such attribute, or
        loading failed.
    """
    check_name(name)
    kind, _, rest = name.partition(":")
    if name == "chgnet":
        return _chgnet(device)
    if name == "emt":
        from ase.calculators.emt import EMT

        return EMT()
    if name == "lj":
        from ase.calculators.lj import LennardJones

        return LennardJones(sigma=1.0, epsilon=1.0, rc=10.0, ro=6.6, smooth=True)
    return _mace(rest, device) if kind == "mace" else _called(kind, rest)


def unsupported(calculator: Any, atoms: Atoms) -> str:
    """Return in words why ``calculator`` cannot take ``atoms``; nothing where it can, or nobody knows."""
    name = type(calculator).__name__
    if name == "EMT":
        from ase.calculators.emt import parameters

        known = [symbol in parameters for symbol in atoms.symbols]
    elif name == "MACECalculator":
        known = [int(number) in calculator.z_table.zs for number in atoms.numbers]
    elif name == "CHGNetCalculator":
        largest = calculator.model.composition_model.fc.in_features
        known = [1 <= number <= largest for number in atoms.numbers]
        if all(known) and atoms.cell.rank < 3:
            return "CHGNet needs a cell in all three directions; give the structure one, with room around it"
    else:
        return ""
    if all(known):
        return ""
    i = known.index(False)
    model = {"CHGNetCalculator": "CHGNet", "MACECalculator": "this MACE model"}.get(name, name)
    return f"{model} does not know the element of atom {i}, {atoms.symbols[i]}"


def _chgnet(device: str) -> Any:
    with _extra("chgnet", "chgnet", "torch"), _hushed():
        from chgnet.model.dynamics import CHGNetCalculator

        # A lone atom gets an answer that means nothing, so it is an error and not a warning.
        return _quiet(CHGNetCalculator(use_device=device, on_isolated_atoms="error"))


def _mace(model: str, device: str) -> Any:
    with _extra("mace", "mace", "torch"), _environment_kept(), _hushed():
        import mace  # noqa: F401  (before e3nn, which fails to import without what this sets up)
        from mace.calculators import MACECalculator, mace_mp
        from mace.calculators.foundations_models import mace_mp_names

    names = [name for name in mace_mp_names if name]
    with _environment_kept(), _hushed(show=True):
        try:
            if model in names:
                return _quiet(mace_mp(model=model, device=device, default_dtype="float64"))
            if Path(model).is_file():
                return _quiet(MACECalculator(model_paths=model, device=device, default_dtype="float64"))
        except Exception as error:
            why = error.__cause__ or error
            help_ = "; without a network, give a model file: mace:PATH" if model in names else ""
            raise CalculatorError(f"mace:{model} does not load: {_words(why)}{help_}") from error
    near = difflib.get_close_matches(model, names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise CalculatorError(f"mace:{model} is neither a file nor a foundation model{hint} ({', '.join(names)})")


def _called(module: str, attribute: str) -> Any:
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        make = operator.attrgetter(attribute)(importlib.import_module(module))
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(f"{error.name}.")):
            raise CalculatorError(f"{module}:{attribute} does not load: {_words(error)}") from error
        near = difflib.get_close_matches(module, ("mace",), n=1, cutoff=0.5)
        hint = f"; did you mean '{near[0]}:{attribute}'?" if near else ""
        raise CalculatorError(
            f"there is no module {module!r} for calculator {module}:{attribute}{hint}"
        ) from error
    except AttributeError as error:
        raise CalculatorError(f"{module}:{attribute} does not load: {_words(error)}") from error
    except Exception as error:
        raise CalculatorError(f"module {module!r} does not import: {_words(error)}") from error
    try:
        calculator = make()
    except Exception as error:
        raise CalculatorError(f"{module}:{attribute}() failed: {_words(error)}") from error
    if not hasattr(calculator, "get_forces"):
        raise CalculatorError(
            f"{module}:{attribute}() returned no ASE calculator but {type(calculator).__name__}"
        )
    return calculator


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}"


@contextlib.contextmanager
def _extra(name: str, *modules: str) -> Iterator[None]:
    """Turn an import that fails into a line that says which extra brings it."""
    try:
        yield
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        if package in modules:
            raise CalculatorError(
                f'{package} is not installed, which {name} needs: pip install "relax[{name}]"'
            ) from error
        raise CalculatorError(f"{name} does not import: {_words(error)}") from error
    except Exception as error:
        raise CalculatorError(f"{name} does not load: {_words(error)}") from error


@contextlib.contextmanager
def _hushed(show: bool = False) -> Iterator[None]:
    """Keep what a package prints off standard output, and ``show`` it on standard error or not at all."""
    out = sys.stderr if show else io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        warnings.filterwarnings("ignore", module=NOISY)
        yield


@contextlib.contextmanager
def _environment_kept() -> Iterator[None]:
    """Undo what ``import mace`` does to the whole process: make every ``torch.load`` run pickles."""
    key = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(key)
    try:
        if "mace" in sys.modules:
            os.environ[key] = "1"
        yield
    finally:
        if before is None:
            os.environ.pop(key, None)
        else:
            os.environ[key] = before


def _quiet(calculator: Any) -> Any:
    """Return ``calculator`` with the warnings of its package silenced while it calculates."""
    calculate = calculator.calculate

    @functools.wraps(calculate)
    def quietly(*args: Any, **kwargs: Any) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=NOISY)
            return calculate(*args, **kwargs)

    calculator.calculate = quietly
    return calculator
