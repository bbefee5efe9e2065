"""Put one class in the place of each of ASE's optimizers."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any, ClassVar

from ase.calculators.emt import EMT
from ase.optimize.optimize import Optimizer
from ase.units import GPa

from relax.analysis.comparison.minimizers.construction import check_optimizer
from relax.analysis.comparison.minimizers.names import System, is_foreign, read_settings, resolved
from relax.engine.batch.of_ase.names import ASE, ase_class
from relax.optimizers.named import NamedOptimizer

REPLACED = {
    "ase.optimize": (
        *("BFGS", "LBFGS", "LBFGSLineSearch", "BFGSLineSearch", "MDMin", "FIRE", "FIRE2", "GPMin"),
        *("GoodOldQuasiNewton", "RFO", "CellAwareBFGS", "ODE12r"),
    ),
    "ase.optimize.sciopt": ("SciPyFminCG", "SciPyFminBFGS"),
    "ase.optimize.precon": ("PreconLBFGS", "PreconFIRE", "PreconODE12r"),
}
"""ASE's classes by their module; one comes after those that it is derived from."""

DEFAULTS = {
    "ase.mep.neb": ("NEB.interpolate", "NEB.idpp_interpolate", "idpp_interpolate"),
    "ase.mep.autoneb": ("AutoNEB.__init__",),
    "ase.optimize.climbfixinternals": ("BFGSClimbFixInternals.__init__",),
}
"""Functions of ASE that may have a class as the default of an argument."""

KEPT = (
    *("atoms", "restart", "logfile", "trajectory", "append_trajectory", "maxstep"),
    *("master", "comm", "loginterval"),
)
"""Arguments that mean the same in ASE and in relax."""


def named_class(name: str) -> tuple[type[Optimizer], dict[str, Any]]:
    """Return the class that the name of an optimizer of relax or of ASE means, and its settings.

    Raises
    ------
    ValueError
        There is no such optimizer, it has no such setting, or it is of another package.
    """
    check_optimizer(name, System.POSITIONS)
    name = resolved(name)
    if not is_foreign(name):
        return read_settings(name)
    if name.removeprefix("ase:") not in ASE:
        raise ValueError(f"{name!r} is no class of relax or of ASE")
    return ase_class(name.removeprefix("ase:")), {}


class Count:
    """How many stand-ins were made so far: a test that makes none says nothing about them."""

    made = 0


@cache
def arguments(asked: type) -> frozenset[str]:
    """Return the names of the arguments of a class and of those that it is derived from."""
    inits = [vars(base)["__init__"] for base in asked.__mro__[:-1] if "__init__" in vars(base)]
    return frozenset(name for init in inits for name in inspect.signature(init).parameters)


def kept(
    asked: type, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return what a stand-in is given where ``asked``, a class of ASE, is called with these arguments."""
    named = inspect.signature(asked).bind(*args, **kwargs).arguments
    rest = named.pop("args", ())
    named |= named.pop("kwargs", {})
    chosen = {key: value for key, value in named.items() if key in KEPT or key not in arguments(asked)}
    if chosen.get("maxstep", 0) is None:  # which means the default, in ASE too
        del chosen["maxstep"]
    return rest, chosen


def stand_ins(name: str) -> dict[type, type]:
    """Return what takes the place of each of ASE's classes: the class named, under the name of ASE's.

    A stand-in drops the arguments of ASE's class that say how ASE's own method works, such as ``alpha``,
    ``memory``, ``dt`` or ``precon``; those of files, of the log and ``maxstep`` reach the class named.  An
    argument that ASE's class does not have is an error, as with ASE.  A class that is derived from another
    in ASE is derived from its stand-in, and all are ``Optimizer`` and the class named.  The ``smax`` of
    ``CellAwareBFGS``, eV/A^3 in ASE, is given to relax in GPa; ASE's other classes have none.
    """
    ours, settings = named_class(name)
    knows_smax = issubclass(ours, NamedOptimizer)

    class StandIn(ours):  # type: ignore[misc, valid-type]
        asked: ClassVar[type]

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            Count.made += 1
            rest, chosen = kept(self.asked, args, kwargs)
            if "maxstep" not in arguments(ours):  # GoodOldQuasiNewton calls it maxradius
                chosen.pop("maxstep", None)
            super().__init__(*rest, **(settings | chosen))

    class WithSmax:
        def irun(self, fmax: float = 0.05, smax: float | None = None, **kwargs: Any) -> Iterator[bool]:
            # The test of restarts sets the attribute, since ASE's irun does not take smax.
            limit = smax or getattr(self, "smax", 0.005)
            kwargs |= {"smax": limit / GPa} if knows_smax else {}
            found: Iterator[bool] = super().irun(fmax, **kwargs)  # type: ignore[misc]
            return found

        def run(self, fmax: float = 0.05, smax: float = 0.005, steps: int | None = None) -> bool:
            *_, converged = self.irun(fmax, smax, **({} if steps is None else {"steps": steps}))
            return converged

    made: dict[type, type] = {}
    for module, names in REPLACED.items():
        for label in names:
            asked = getattr(importlib.import_module(module), label)
            bases = tuple(made[base] for base in asked.__bases__ if base in made) or (StandIn,)
            if label == "CellAwareBFGS":
                bases = (WithSmax, *bases)
            made[asked] = type(label, bases, {"asked": asked, "__doc__": f"In the place of ASE's {label}."})
    return made


def function(module: ModuleType, path: str) -> Any:
    """Return the function at a path such as ``Class.method`` in a module."""
    found: Any = module
    for part in path.split("."):
        found = getattr(found, part)
    return found


def replace(name: str) -> None:
    """Put stand-ins in the place of ASE's classes, in all of ASE that is loaded and in defaults."""
    for module in DEFAULTS:
        importlib.import_module(module)
    made = stand_ins(name)
    for loaded in [m for key, m in sys.modules.items() if key == "ase" or key.startswith("ase.")]:
        for attribute, value in list(vars(loaded).items()):
            if isinstance(value, type) and value in made:
                setattr(loaded, attribute, made[value])
    for module, paths in DEFAULTS.items():
        for path in paths:
            changed = function(sys.modules[module], path)
            before = changed.__defaults__ or ()
            changed.__defaults__ = tuple(made.get(v, v) if isinstance(v, type) else v for v in before)


def emt_for_asap3() -> None:
    """Let ASE's EMT be that of ``asap3`` where this is not installed: the same potential, but slower."""
    if "asap3" in sys.modules or find_spec("asap3"):
        return
    module = ModuleType("asap3")
    module.__spec__ = ModuleSpec("asap3", None)  # ASE asks whether it is installed
    module.__version__ = "EMT of ASE"  # type: ignore[attr-defined]
    module.EMT = EMT  # type: ignore[attr-defined]
    sys.modules["asap3"] = module
