"""Calculators by name, as on the command line.

``chgnet``
    CHGNet 0.3.0 for 94 elements.  Its weights are part of its wheel, so it needs no network.
``emt``
    ASE's effective medium theory, for Al Cu Ag Au Ni Pd Pt and H C N O; for tests.
``lj``
    Lennard-Jones in reduced units: sigma 1 A and epsilon 1 eV for every element.  The energy goes smoothly to
    zero between 6.6 and 10 A, so that forces do not jump.  It is exact for clusters up to 6.6 A across.
``gfn1``, ``gfn2``, ``gfnff``
    GFN1-xTB and GFN2-xTB of tblite, and GFN-FF of pygfnff, see :mod:`relax.calculators.named.xtb`.
``pyscf``
    Density-functional theory of molecules with PySCF, see :mod:`relax.calculators.named.pyscf`.
``mace:NAME_OR_PATH``
    A MACE foundation model by name (downloaded once, into MACE's own cache), or a model file, see
    :mod:`relax.calculators.named.mace`.
``sevennet:MODEL``, ``orb:MODEL``, ``mattersim:MODEL``, ``uma:MODEL``, ``grace:MODEL``
    Models of other packages, see :mod:`relax.calculators.named.pretrained`.
``ase:NAME``
    Any calculator that ASE knows, with ASE's defaults, see :mod:`relax.calculators.named.ase_names`.
``module:object``
    An ASE calculator in ``module``, or what a callable there returns.  Modules in the current directory are
    found too.

All energies are in eV and lengths in A.  A model file is a pickle, and loading a pickle runs the code in it.
Only files that the user names and models from the lists of their packages are loaded.
"""

from __future__ import annotations

import difflib
import logging
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from relax.calculators.named.files import check_file
from relax.calculators.named.support import unsupported
from relax.calculators.optional import extra
from relax.core.errors import CalculatorError

__all__ = ["NAMES", "CalculatorError", "check_name", "load", "unsupported"]

LOG = logging.getLogger(__name__)

PLAIN = ("chgnet", "emt", "lj", "gfn1", "gfn2", "gfnff", "pyscf")


class Family(NamedTuple):
    """Names of the form ``family:model``: what the model can be, one as an example, and whether on a GPU."""

    forms: str
    example: str
    device: bool = True


FAMILIES = {
    "mace": Family("NAME_OR_PATH", "small"),
    "sevennet": Family("NAME_OR_PATH", "7net-0"),
    "orb": Family("NAME", "orb-v3-conservative-inf-omat"),
    "mattersim": Family("NAME_OR_PATH", "mattersim-v1.0.0-1M"),
    "uma": Family("NAME_OR_PATH", "uma-s-1p1"),
    "grace": Family("NAME_OR_PATH", "GRACE-2L-OAM", device=False),
    "ase": Family("NAME", "morse", device=False),
}
NAMES = (*PLAIN, *(f"{kind}:{family.forms}" for kind, family in FAMILIES.items()), "module:object")
ON_DEVICE = ("chgnet", *(kind for kind, family in FAMILIES.items() if family.device))
DTYPES = ("float64", "float32", "mixed")
"""Precisions of MACE models; the first one is the default.  Mixed is float32 far from the stop, see
:mod:`relax.calculators.models.mixed`."""


def check_name(name: str, device: str = "cpu", dtype: str | None = None, head: str | None = None) -> None:
    """Check a name and its options without importing the package of the calculator.

    Raises
    ------
    CalculatorError
        ``name`` does not have the form of one of :data:`NAMES`, ASE has no calculator of this name, a model
        file does not exist, or the device, dtype or head is unknown or has no meaning for the calculator.
    """
    kind, _, model = name.partition(":")
    _check_form(name)
    where, _, number = device.partition(":")
    if where not in ("cpu", "cuda") or (device != where and not (where == "cuda" and number.isdecimal())):
        raise CalculatorError(f"unknown device {device!r}; give cpu or cuda, or cuda:1 for the second one")
    if dtype is not None and dtype not in DTYPES:
        raise CalculatorError(f"unknown dtype {dtype!r}; give {', '.join(DTYPES[:-1])} or {DTYPES[-1]}")
    if device != "cpu" and kind not in ON_DEVICE:
        listed = f"{', '.join(ON_DEVICE[:-1])} and {ON_DEVICE[-1]}"
        raise CalculatorError(f"a device can be chosen for {listed} models, not for {name}")
    for what, given in (("dtype", dtype), ("head", head)):
        if given is not None and kind != "mace":
            raise CalculatorError(f"a {what} can be chosen for mace models, not for {name}")
    if kind == "ase":
        from relax.calculators.named.ase_names import check_ase_name

        check_ase_name(model)
    elif kind in FAMILIES and FAMILIES[kind].forms == "NAME_OR_PATH":
        check_file(kind, model, folder=kind == "grace")


def _check_form(name: str) -> None:
    """Raise CalculatorError for a name that does not have the form of one of :data:`NAMES`."""
    kind, _, model = name.partition(":")
    if name in PLAIN or (kind and model and kind not in PLAIN):
        return
    if kind in FAMILIES:
        what = "name" if kind == "ase" else "model"
        forms = " or ".join(f"{kind}:{form}" for form in FAMILIES[kind].forms.split("_OR_"))
        raise CalculatorError(
            f"calculator {kind!r} needs a {what}: {forms}, such as {kind}:{FAMILIES[kind].example}"
        )
    from relax.calculators.named.ase_names import ase_name

    if kind in PLAIN:
        near = [kind]
    elif of_ase := ase_name(name):
        near = [f"ase:{of_ase}"]
    else:
        near = difflib.get_close_matches(kind, (*PLAIN, *FAMILIES), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise CalculatorError(f"unknown calculator {name!r}; {hint}(there are: {', '.join(NAMES)})")


def load(
    name: str,
    device: str = "cpu",
    dtype: str | None = None,
    head: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Any:
    """Return the ASE calculator called ``name``, see the module.

    Parameters
    ----------
    name
        One of :data:`NAMES`.
    device
        Device of CHGNet, MACE and other models: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` and so on.
    dtype
        Precision of MACE models: ``"float64"``, the default, ``"float32"`` or ``"mixed"``.  A file in another
        precision is converted.
    head
        The head to use, for MACE models that have several.
    settings
        Keyword arguments of the calculator, or of what makes it, in its own units: ``{"sigma": 2.5}``.

    Raises
    ------
    CalculatorError
        The name or a setting is unknown; an optional package, a file or the device is missing; a module has
        no such attribute; or loading failed.
    """
    check_name(name, device, dtype, head)
    start = time.monotonic()
    calculator = _loaded(name, device, dtype, head, dict(settings or {}))
    LOG.info("%s was loaded in %.1f s", name, time.monotonic() - start)
    return calculator


def _loaded(name: str, device: str, dtype: str | None, head: str | None, given: dict[str, Any]) -> Any:
    """Return the calculator of a name that has been checked."""
    kind, _, model = name.partition(":")
    if device != "cpu":
        _check_cuda(device, kind)
    if kind == "mace":
        from relax.calculators.named.mace import load_model

        if dtype != "mixed":
            return load_model(model, device, dtype or DTYPES[0], head, given)
        from relax.calculators.as_calculator import PotentialCalculator
        from relax.calculators.models.mixed import MixedPrecision

        double, single = (load_model(model, device, each, head, given) for each in DTYPES[:2])
        return PotentialCalculator(MixedPrecision(single, double))
    if kind in ON_DEVICE or kind == "grace":
        from relax.calculators.named.pretrained import LOADERS

        return LOADERS[kind](model, device, given)
    if kind in ("gfn1", "gfn2", "gfnff"):
        from relax.calculators.named import xtb

        return xtb.load_gfnff(given) if kind == "gfnff" else xtb.load_tblite(kind, given)
    if kind == "pyscf":
        from relax.calculators.named.pyscf import load_pyscf

        return load_pyscf(given)
    if kind in ("ase", "emt", "lj"):
        from relax.calculators.named import ase_names

        make = {"emt": ase_names.load_emt, "lj": ase_names.load_lennard_jones}
        return make[kind](given) if kind in make else ase_names.load_ase(model, given)
    from relax.calculators.named.modules import load_from_module

    return load_from_module(kind, model, given, FAMILIES)


def _check_cuda(device: str, kind: str) -> None:
    with extra(kind, "torch"):
        import torch
    number = int(device.partition(":")[2] or 0)
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if number >= there:
        found = f"there are {there} CUDA devices" if there else "no CUDA device found"
        raise CalculatorError(f"{device} is not available, {found}; leave the device out to run on the CPU")
