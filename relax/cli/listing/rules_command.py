"""The command ``relax rules``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from relax.cli.options.rule_settings import RULE_NAMES, check_rule, common_settings
from relax.cli.terminal import print_json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from relax.core.parameters import Param
    from relax.core.rule import Rule

__all__ = ["RuleText", "rule_text", "rules"]


def rules(
    name: Annotated[str | None, typer.Argument(metavar="RULE", help="Show only this rule, in full.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Show every rule in full.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the update rules and their parameters.

    The default rule comes first. For each rule, the list has the source and the parameters with their
    defaults, allowed values and units. With the name of a rule, or with --all, the equations and the
    description are shown too.
    """
    if name is not None:
        check_rule(name)
    from relax.rules import RULES

    chosen = {each: RULES[each] for each in ([name] if name else RULE_NAMES)}
    if as_json:
        print_json([_json_fields(each, rule) for each, rule in chosen.items()], indent=1)
        return
    from rich.console import Console

    console = Console(highlight=False)
    for each, rule in chosen.items():
        console.print(_rule_page(each, rule, full=every or name is not None))
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


def _rule_page(name: str, rule: type[Rule], full: bool) -> RenderableType:
    """Return the names, the source and the parameters of a rule, in ``full`` with its whole docstring."""
    from rich.console import Group
    from rich.text import Text

    from relax.core.parameters import parameters

    text, (length, norm) = rule_text(rule), rule.default_maxstep
    defaults = [f"maxstep={length:g} A", f"maxstep_norm={norm}"]
    defaults += [f"clip={rule.default_clip:g} eV/A"] if rule.default_clip is not None else []
    defaults += [f"force_floor={rule.default_force_floor:g} eV/A"] if rule.default_force_floor else []
    default = ", the default" if name == RULE_NAMES[0] else ""
    head = Text.assemble((name, "bold green"), f"  (in Python {rule.__name__}Relax{default})")
    parts: list[RenderableType] = [head, Text(text.summary)]
    if not full:  # the docstring names the source itself
        parts.append(Text(f"Source: {text.source}."))
    parts.append(Text(f"Defaults: {', '.join(defaults)}."))
    if full:
        parts += [Text(), Text(_unwrapped(text.text))]
    return Group(*parts, Text(), _parameter_table(parameters(rule)), Text())


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
