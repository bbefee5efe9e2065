"""Names of rules and the values of ``--set``."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from relax.core.errors import UsageError
from relax.engine.batch.of_ase.names import ASE_NAMES, is_ase

if TYPE_CHECKING:
    from relax.core.parameters import Param

__all__ = ["RULE_NAMES", "check_rule", "common_settings", "read_settings"]

RULE_NAMES = (
    "internal-lbfgs", "sgd", "momentum", "nag", "adagrad", "adadelta", "rmsprop", "adam", "adamax", "rprop",
    "core", "frankenstein", "fire", "lbfgs", "pair-lbfgs", "kriging",
)  # fmt: skip
"""The names in ``relax.rules.RULES``, the default first; spelled out so that ``--help`` needs no numpy."""


def check_rule(name: str) -> None:
    """Raise UsageError if there is no rule, and no optimizer of ASE, called ``name``."""
    if name not in (*RULE_NAMES, *ASE_NAMES):
        known = ASE_NAMES if is_ase(name) else RULE_NAMES
        raise UsageError(f"unknown rule {name!r}{_suggestion(name, known)}")


def _suggestion(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown ``name``: the nearest known name, and all of them."""
    known = list(known)
    folded = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.4)
    return f"{f'; did you mean {folded[near[0]]!r}?' if near else ''} (available: {' '.join(known)})"


def read_settings(rule: str, words: Iterable[str]) -> dict[str, Any]:
    """Return the values of ``--set``, checked against the parameters of a rule.

    Parameters
    ----------
    rule
        The name of the rule.
    words
        Texts such as ``"maxstep=0.1"``.

    Raises
    ------
    UsageError
        The rule or a parameter is unknown, or a value is not allowed.
    """
    check_rule(rule)
    if is_ase(rule):
        return _read_keywords(rule, words)
    from relax.core.parameters import parameters
    from relax.rules import RULES
    from relax.rules.wrappers import for_atoms

    own, common = parameters(RULES[rule]), common_settings()
    known = own | common
    settings = {}
    for word in words:
        name, _, text = word.partition("=")
        if not (name and text):
            raise UsageError(f"--set {word}: write NAME=VALUE")
        if name not in known:
            raise UsageError(f"--set {word}: {rule} has no parameter {name!r}{_suggestion(name, known)}")
        try:
            settings[name] = known[name].parse(name, text)
        except ValueError as error:
            raise UsageError(f"--set {error}") from None
    try:
        built = RULES[rule].from_settings({k: v for k, v in settings.items() if k in own})
        for_atoms(built, **{k: v for k, v in settings.items() if k in common})
    except ValueError as error:
        raise UsageError(f"--set {error}") from None
    return settings


def _read_keywords(name: str, words: Iterable[str]) -> dict[str, Any]:
    """Return the values of ``--set`` as keyword arguments of the optimizer ``name`` of ASE."""
    from relax.calculators.named.settings import read_settings as read_keywords
    from relax.engine.batch.of_ase.names import check_keywords

    try:
        keywords = read_keywords(words, "--set")
        check_keywords(name, keywords)
    except ValueError as error:
        text = str(error)
        raise UsageError(text if text.startswith("--set") else f"--set: {text}") from None
    return keywords


def common_settings() -> dict[str, Param]:
    """Return the parameters that every rule has, those of ``relax.rules.wrappers.for_atoms``."""
    from relax.core.parameters import Param, parameters
    from relax.rules.wrappers import CheckedEnergies, ClipGradient, ForceFloor, MaxStep, Restart

    step, clip, restart = parameters(MaxStep), parameters(ClipGradient), parameters(Restart)
    return {
        "maxstep": step["maxstep"],
        "maxstep_norm": step["norm"],
        "clip": clip["limit"],
        "clip_norm": clip["norm"],
        "force_floor": parameters(ForceFloor)["floor"],
        "restart_when": restart["when"],
        "maximize": Param(False, None, (), "", "maximize the energy instead of minimizing it"),
        "centred": Param(False, None, (), "", "remove the drift of the centroid from each step"),
        "energies": parameters(CheckedEnergies)["energies"],
    }
