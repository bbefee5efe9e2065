"""Which optimizers the page for choosing compares, and how it writes their names.

A name on the page is what one gives to ``relax.relax`` after the calculator: ``core:metric=true`` of the
files of results is ``core, metric=True`` there.
"""

from __future__ import annotations

from relax.analysis.comparison.minimizers.names import (
    DEFAULT,
    METRIC_RULES,
    is_foreign,
    parse_value,
    read_settings,
    resolved,
)

RULES = (
    DEFAULT, "pair-lbfgs", "core:metric=true", "core", "frankenstein:metric=true", "frankenstein",
    "lbfgs", "fire",
)  # fmt: skip
ESCAPE = f"{DEFAULT}:check=minimum,escape=true"
SEARCHES = frozenset({"metric", "check", "escape", "draws", "rattle", "seed"})
"""Settings with which one looks for lower minima, and the metric; rows of other settings are left out."""


def canonical(name: str) -> str:
    """Return the name that an optimizer has in most files: ``core:metric=true`` for ``core:metric``."""
    return f"{name}=true" if name in METRIC_RULES else name


def is_variant(name: str) -> bool:
    """Whether this is one of :data:`RULES`, alone or with settings of :data:`SEARCHES` only."""
    own, _, text = name.partition(":")
    keys = {word.partition("=")[0] for word in text.split(",") if word}
    return own in {rule.partition(":")[0] for rule in RULES} and keys <= SEARCHES


def label(name: str) -> str:
    """Return an optimizer as the page has it, in backticks."""
    if is_foreign(name):
        return f"`{name}`"
    own, _, text = name.partition(":")
    _, implied = read_settings(resolved(own))  # a rule alone is without the metric that its class may add
    given = dict(word.split("=") for word in text.split(",") if word)
    settings = implied | {key: parse_value(value) for key, value in given.items()}
    shown = [f'{k}="{v}"' if isinstance(v, str) else f"{k}={v!r}" for k, v in settings.items()]
    return f"`{', '.join([own, *shown])}`"
