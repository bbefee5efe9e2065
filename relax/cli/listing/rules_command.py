"""The command ``relax rules``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from relax.cli.options.declaration import completes
from relax.cli.options.rule_settings import RULE_NAMES, check_rule, common_settings
from relax.cli.terminal import print_json
from relax.engine.batch.of_ase.names import ASE_NAMES, is_ase

if TYPE_CHECKING:
    from rich.console import RenderableType

    from relax.core.parameters import Param
    from relax.core.rule import Rule

__all__ = ["RuleText", "rule_text", "rules"]


def rules(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="RULE",
            help="Show only this rule, in full.",
            autocompletion=completes(lambda: (*RULE_NAMES, *ASE_NAMES)),
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Show every rule in full.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the update rules.

    The default rule comes first. With the name of a rule, or of all with --all, the equations, the
    description and the parameters with their defaults, allowed values and units are shown.
    """
    if name is not None:
        check_rule(name)
        if is_ase(name):
            _print_optimizer(name, as_json)
            return
    from relax.rules import RULES

    chosen = {each: RULES[each] for each in ([name] if name else RULE_NAMES)}
    if as_json:
        print_json([_json_fields(each, rule) for each, rule in chosen.items()], indent=1)
        return
    from rich.console import Console

    console = Console(highlight=False)
    if not (every or name):
        console.print(_overview(chosen))
        return
    for each, rule in chosen.items():
        console.print(_rule_page(each, rule))
    console.print(_common_page())


class RuleText(NamedTuple):
    """What the docstring of a rule says."""

    summary: str
    source: str
    recurrence: str  # the literal blocks
    text: str  # all but the summary


def rule_text(rule: type[Rule]) -> RuleText:
    """Return the parts of the docstring of ``rule``."""
    doc = inspect.cleandoc(rule.__doc__ or "")
    summary, _, text = doc.partition("\n\n")
    # A sentence ends with two spaces, or at the end of a line or a paragraph.
    found = re.search(r"Source:\s+(.+?)\.(?=  |\n|$)", text, re.DOTALL)
    source = " ".join(found[1].split()) if found else ""
    blocks = re.findall(r"(?:^|\n)::\n\n((?: {4}.*\n|\n)+)", text + "\n")
    recurrence = inspect.cleandoc("\n".join(blocks))
    return RuleText(" ".join(summary.split()), source.replace("``", ""), recurrence, text)


def _json_fields(name: str, rule: type[Rule]) -> dict[str, Any]:
    """Return the JSON fields of a rule."""
    from relax.core.parameters import parameters

    text, (maxstep, norm) = rule_text(rule), rule.default_maxstep
    return {
        "name": name,
        "class": f"{rule.__name__}Relax",
        "summary": text.summary,
        "source": text.source,
        "recurrence": text.recurrence,
        "maxstep": maxstep,
        "maxstep_norm": norm,
        "clip": rule.default_clip,
        "force_floor": rule.default_force_floor,
        "parameters": [
            {"name": p, "default": d.default, "allowed": d.allowed, "unit": d.unit, "meaning": d.doc}
            for p, d in parameters(rule).items()
        ],
    }


def _overview(rules: Mapping[str, type[Rule]]) -> RenderableType:
    """Return the rules in one line each, the default first."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", expand=True)
    table.add_column("rule", no_wrap=True, style="bold green")
    table.add_column("what it does", ratio=2)
    table.add_column("source", ratio=1)
    for name, rule in rules.items():
        text = rule_text(rule)
        default = " The default." if name == RULE_NAMES[0] else ""
        # The first source, without what was taken from it.
        source = re.split(r"; |, (?:and|as|for|in) | \((?=[A-Z])", text.source)[0]
        source = re.sub(r"^(?:equation|section|Algorithm).* of ", "", source)
        summary = re.sub(r", see :class:.*", ".", text.summary)
        table.add_row(name, Text(summary + default), Text(source))
    more = (
        f"Optimizers of ASE can be followed, too: {' '.join(ASE_NAMES)}.\n\n"
        "See one in full with relax rules RULE, all of them with relax rules --all."
    )
    return Group(table, Text(), Text(more))


def _rule_page(name: str, rule: type[Rule]) -> RenderableType:
    """Return the names, the whole docstring and the parameters of a rule."""
    from rich.console import Group
    from rich.text import Text

    from relax.core.parameters import parameters

    text, (length, norm) = rule_text(rule), rule.default_maxstep
    defaults = [f"maxstep={length:g} A", f"maxstep_norm={norm}"]
    defaults += [f"clip={rule.default_clip:g} eV/A"] if rule.default_clip is not None else []
    defaults += [f"force_floor={rule.default_force_floor:g} eV/A"] if rule.default_force_floor else []
    default = ", the default" if name == RULE_NAMES[0] else ""
    head = Text.assemble((name, "bold green"), f"  (in Python {rule.__name__}Relax{default})")
    return Group(
        head,
        Text(_unwrapped(text.summary)),
        Text(f"Defaults: {', '.join(defaults)}."),
        Text(),
        Text(_unwrapped(text.text)),
        Text(),
        _parameter_table(parameters(rule)),
        Text(),
    )


def _print_optimizer(name: str, as_json: bool) -> None:
    """Print the keyword arguments of an optimizer of ASE, with their defaults."""
    from relax.engine.batch.of_ase.names import ASE, keywords_of

    path, keywords = ".".join(ASE[name.removeprefix("ase:")]), keywords_of(name)
    if as_json:
        parameters = [{"name": key, "default": value} for key, value in keywords.items()]
        print_json([{"name": name, "class": path, "parameters": parameters}], indent=1)
        return
    print(f"{name}  (in Python {path})", "Its keyword arguments can be set, in the units of ASE:", sep="\n")
    print(*(f"  {key}={value}" for key, value in keywords.items()), sep="\n")


def _common_page() -> RenderableType:
    """Return the parameters that all rules have."""
    from rich.console import Group
    from rich.text import Text

    defaults = dict.fromkeys(("maxstep", "maxstep_norm", "clip", "force_floor"), "see rule")
    table = _parameter_table(common_settings(), defaults | {"restart_when": "none"})
    return Group(
        Text("all rules", "bold green"), Text("These parameters can be set for every rule."), Text(), table
    )


def _parameter_table(
    declared: Mapping[str, Param], defaults: Mapping[str, str] | None = None
) -> RenderableType:
    """Return the table of parameters; ``defaults`` has the text for those without one value."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("name", no_wrap=True, style="cyan")
    for column in ("default", "allowed", "unit"):
        table.add_column(column, overflow="fold")
    table.add_column("meaning")
    for name, param in declared.items():
        default = (defaults or {}).get(name, _typed(param.default))
        table.add_row(name, *(Text(cell) for cell in (default, param.allowed, param.unit, param.doc)))
    return Padding(table, (0, 0, 0, 2), expand=False)


def _typed(value: Any) -> str:
    """Return a value as it is typed on the command line."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _unwrapped(text: str) -> str:
    """Return the text of a docstring without markup, with each paragraph on one line.

    Literal blocks lose their indentation, so that they fit 80 columns.
    """
    text = re.sub(r":\w+:`~?([^`]*)`", r"\1", text).replace("``", "")
    parts = []
    for part in text.split("\n\n"):
        if part.startswith("    "):
            parts.append(inspect.cleandoc("\n" + part))
        elif part.strip() != "::":
            # A line continues on the next one, unless that begins an item of a list.
            parts.append(re.sub(r" *\n\s*(?!\s*- )", " ", part))
    return "\n\n".join(parts)
