"""The registry of optimizers: their names, and what the settings in a name mean.

========================  ===================================================================================
``core``                  a rule of relax with its defaults; ``core:s_0=0.1,maxstep=0.1`` changes some of them
``default``               the rule that relax follows where none is named; ``default:maxstep=0.1`` changes it
``default:hessian=``      ``differences``: with the Hessian at the start, by finite differences of forces; its
                          calls are not counted, and its time counts as that of the optimizer
``ase:FIRE``              an optimizer of ASE with its defaults
``ase:PreconLBFGS``       for crystals tuned, with ``Exp(A=3)`` and a ``maxstep`` of 0.2 A, since its defaults
                          precondition no structure of less than 100 atoms; for positions its defaults
``ase:PreconLBFGS:Exp``   for positions: the same, tuned
``scipy:L-BFGS-B``        for clusters
``core:paper``            for clusters: a rule as published, without a limit on the step
``core:metric``           for clusters: the defaults in a metric, as ``CoReRelax`` runs them; for other
                          systems ``core:metric=true``
``core:component``        for clusters: the defaults, but with one scale for each Cartesian component
``sella``                 for molecules: Sella in internal coordinates, see :mod:`.peers`
``pyberny``               for molecules: pyberny
``geometric``             for molecules: geomeTRIC with TRIC coordinates
========================  ===================================================================================
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from enum import Enum
from importlib.util import find_spec
from typing import Any

from relax.core.parameters import parameters
from relax.core.rule import Rule
from relax.engine.batch.of_ase.names import ASE_NAMES
from relax.optimizers.named import OPTIMIZERS, NamedOptimizer
from relax.rules import DEFAULT_RULE, RULES, CoRe, Frankenstein

FIRE = "ase:FIRE"
PRECON = "ase:PreconLBFGS"
TUNED_PRECON = f"{PRECON}:Exp"
SCIPY = "scipy:L-BFGS-B"
DEFAULT = "default"
ALIASES = {"ase:GOQN": "ase:GoodOldQuasiNewton", DEFAULT: DEFAULT_RULE}
"""What a name stands for; settings may follow."""
PEERS = {"sella": "sella", "pyberny": "berny", "geometric": "geometric"}
"""Optimizers for molecules, by the name of their package: the module to import."""

PUBLISHED_RULES: dict[str, Callable[[], Rule]] = {
    "core:paper": CoRe.paper,
    "frankenstein:paper": Frankenstein.paper,
    "frankenstein:package": Frankenstein.package,
}
COMPONENT_RULES = [f"{name}:component" for name, rule in RULES.items() if "granularity" in parameters(rule)]
METRIC_RULES = [f"{name}:metric" for name, rule in RULES.items() if rule().stiffness is None]


class System(Enum):
    """What is relaxed, which decides how optimizers are made and what their names mean."""

    CLUSTERS = "Lennard-Jones clusters, many at a time"
    CRYSTALS = "positions and cell"
    POSITIONS = "positions"
    MOLECULES = "positions of molecules"


def known_optimizers(system: System) -> list[str]:
    """Return the name of every optimizer for a system, without settings."""
    ase = list(ASE_NAMES)
    if system is System.CLUSTERS:
        ase.remove(PRECON)  # it needs a cell
        return [DEFAULT, *RULES, *PUBLISHED_RULES, *COMPONENT_RULES, *METRIC_RULES, *ase, SCIPY]
    tuned = [] if system is System.CRYSTALS else [TUNED_PRECON]
    peers = PEERS if system is System.MOLECULES else ()
    return [*OPTIMIZERS, *ase, *tuned, *ALIASES, *peers]


def resolved(name: str) -> str:
    """Return the name that an alias stands for, with the settings that follow it."""
    if name in ALIASES:
        return ALIASES[name]
    own, colon, settings = name.partition(":")
    return f"{ALIASES.get(own, own)}{colon}{settings}"


def check_name(name: str, system: System) -> None:
    """Raise ValueError, with the nearest name, where there is no optimizer of this name."""
    known = known_optimizers(system)
    own = name if is_foreign(name) or system is System.CLUSTERS else name.partition(":")[0]
    if own in known:
        return
    folded = {other.lower(): other for other in known}
    near = difflib.get_close_matches(own.lower(), folded, n=1, cutoff=0.5)
    hint = f"; did you mean {folded[near[0]]!r}?" if near else f" (there are: {', '.join(known)})"
    raise ValueError(f"there is no optimizer {own!r}{hint}")


def is_foreign(name: str) -> bool:
    """Whether the optimizer is from another package than relax."""
    return name.startswith(("ase:", "scipy:")) or name in PEERS


def split_names(texts: Iterable[str]) -> list[str]:
    """Return the names in lists with commas; ``a:x=1,y=2,b`` are ``a:x=1,y=2`` and ``b``."""
    names: list[str] = []
    for text in texts:
        for word in (word.strip() for word in text.split(",") if word.strip()):
            key, equals, _ = word.partition("=")
            if equals and ":" not in key and names:
                names[-1] += f",{word}"
            else:
                names.append(word)
    return list(dict.fromkeys(names))


def read_settings(name: str) -> tuple[type[NamedOptimizer], dict[str, Any]]:
    """Return the class and the keyword arguments that the name of one of our optimizers means."""
    own, _, text = name.partition(":")
    named = OPTIMIZERS[own]
    declared = parameters(named.rule_class)
    # A name without settings is the rule alone: that its class adds a metric is said in the name.
    settings: dict[str, Any] = {"metric": False} if named.rule_class.default_metric else {}
    for word in text.split(",") if text else ():
        key, equals, value = word.partition("=")
        if not equals:
            raise ValueError(f"{name}: {word!r} is no setting; write name=value")
        if key == "hessian" and value != "differences":
            raise ValueError(f"{name}: hessian is {value!r}; write hessian=differences")
        settings[key] = declared[key].parse(key, value) if key in declared else parse_value(value)
    return named, settings


def parse_value(text: str) -> bool | int | float | str:
    """Return the boolean or the number that a word means, else the word."""
    booleans = {"true": True, "false": False}
    if text.lower() in booleans:
        return booleans[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def packages_of(name: str, system: System) -> list[str]:
    """Return the packages that decide what an optimizer does, without those of the calculator."""
    if not is_foreign(name):
        return ["numpy", "relax"] if system is System.CLUSTERS else ["numpy", "ase", "relax"]
    if name in PEERS:
        return ["numpy", "scipy", "ase", name]
    # ASE's preconditioned optimizers use pyamg to solve for the step where it is installed.
    solver = ["pyamg"] if name.startswith(PRECON) and find_spec("pyamg") else []
    return ["numpy", "scipy", "ase", *solver]
