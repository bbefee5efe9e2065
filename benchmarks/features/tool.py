"""A tool that is compared, its checks, and the cells that they fill."""

from __future__ import annotations

import inspect
import pkgutil
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import ModuleType

from benchmarks.features.workplace import Done, NotChecked, Workplace


@dataclass(frozen=True)
class Cell:
    """The outcome of a check.

    Attributes
    ----------
    answer
        ``yes``, ``no``, or words of the table's legend.
    evidence
        What was run, and what was seen.
    """

    answer: str
    evidence: str


Check = Callable[[Workplace], Cell]


@dataclass(frozen=True)
class Tool:
    """A tool.

    Parameters
    ----------
    title
        The head of its column.
    package
        The distribution whose version is reported.
    checks
        A check for each feature, by the feature's name.
    """

    title: str
    package: str
    checks: dict[str, Check] = field(default_factory=dict)

    def check(self, *features: str) -> Callable[[Check], Check]:
        """Register a check for features."""

        def register(function: Check) -> Check:
            for feature in features:
                if feature in self.checks:
                    raise ValueError(f"two checks of {feature} for {self.title}")
                self.checks[feature] = function
            return function

        return register


def seen(done: Done, answer: str | bool, words: str) -> Cell:
    """Return the cell of a command: ``True`` is yes, ``False`` is no."""
    return noted(f"`{done.line}`", answer, words)


def noted(what: str, answer: str | bool, words: str) -> Cell:
    """Return the cell of whatever was run."""
    if not isinstance(answer, str):  # a truth value, that of numpy too
        answer = "yes" if answer else "no"
    return Cell(answer, f"{what}: {words}")


def in_python(what: str, works: bool, words: str) -> Cell:
    """Return the cell of a feature that the command lacks but the package has."""
    return noted(what, "Python" if works else "no", words)


def no_command(names: Iterable[str], package: str) -> Cell:
    """Return the cell of a feature of commands, for a package that has none."""
    names = sorted(names)
    if names:
        raise NotChecked(f"{package} has the commands {', '.join(names)}")
    return Cell("no command", f"the installed distribution {package} has no console script")


def no_name(pattern: str, names: Iterable[str], where: str) -> Cell:
    """Return ``no`` if no name fits a pattern.

    Raises
    ------
    NotChecked
        A name fits, so that somebody has to look.
    """
    names = sorted(set(names))
    found = [name for name in names if re.search(pattern, name, re.IGNORECASE)]
    if found:
        raise NotChecked(f"{where} has {', '.join(found)}")
    return Cell("no", f"none of the {len(names)} {where} fits `{pattern}`")


def options(place: Workplace, command: str) -> list[str]:
    """Return the long options in the help of a command."""
    done = place.run(f"{command} --help")
    if done.code:
        raise NotChecked(f"`{done.line}`: {done.ending}")
    return re.findall(r"(?<!\S)--[a-z][a-z-]+", done.text)


def module_names(package: ModuleType) -> list[str]:
    """Return the names of all modules of a package."""
    return [module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]


def argument_names(*functions: Callable[..., object]) -> list[str]:
    """Return the names of the arguments of functions."""
    return [name for function in functions for name in inspect.signature(function).parameters]
