"""Pages of the reference, made from the code when the pages are built: nothing in them is typed by hand.

They are written to ``docs/generated``: a page for each public name, and for each rule with its declared
parameters.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

import relax
import relax.rules
from relax.cli.listing.rules_command import rule_text
from relax.core.parameters import Param, parameters
from relax.optimizers.base import RuleOptimizer
from relax.optimizers.named import OPTIMIZERS, NamedOptimizer
from relax.rules import DEFAULT_RULE, RULES
from relax.rules.wrappers import SETTINGS, for_atoms

LINKED = re.compile(r":(?:class|func|mod|meth|attr|exc|data):`~?(relax(?:\.\w+)+)`")


def write(path: Path, text: str) -> None:
    """Write a page if it has changed, so that what is unchanged is not built again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def first_sentence(thing: Any) -> str:
    """Return the first sentence of a docstring, without references to other names."""
    summary = " ".join(inspect.getdoc(thing).split("\n\n")[0].split())
    sentence = re.split(r"(?<=[.:])  ?(?=[A-Z:])", summary)[0].rstrip(":")
    return re.sub(r":\w+:`~?([^`]*)`", lambda found: f"`{found[1].rsplit('.', 1)[-1]}`", sentence)


def directive(name: str, thing: Any) -> str:
    """Return the lines that have a name documented."""
    if inspect.ismodule(thing):
        return f".. automodule:: {name}"
    if inspect.isfunction(thing):
        return f".. autofunction:: {name}"
    if not inspect.isclass(thing):
        return f".. autodata:: {name}\n   :no-value:"
    shown = ""
    if issubclass(thing, NamedOptimizer):
        shown = "(atoms, **options)"
    elif hasattr(thing, "from_settings"):
        shown = "(**parameters)"
    return f".. autoclass:: {name}{shown}\n   :members:"


def page(title: str, *blocks: str) -> str:
    """Return a page in reStructuredText."""
    return "\n".join([title, "=" * len(title), "", *blocks, ""])


def kind_of(thing: Any) -> int:
    """Return the place of a name in a list: functions, classes, optimizers and their base."""
    if inspect.isclass(thing) and issubclass(thing, RuleOptimizer):
        return 2 if thing is RuleOptimizer else 3
    return 0 if inspect.isfunction(thing) else 1


def names_pages(folder: Path, package: Any, names: list[str]) -> None:
    """Write the pages of names of a package, and a list of them."""
    home = package.__name__
    rows, toc = [], []
    for name in sorted(names, key=lambda name: kind_of(getattr(package, name))):
        thing = getattr(package, name)
        if not (inspect.isfunction(thing) or inspect.isclass(thing)):
            continue
        write(folder / f"{home}.{name}.rst", page(name, directive(f"{home}.{name}", thing)))
        rows.append(f"| [{name}]({home}.{name}.rst) | {first_sentence(thing)} |")
        toc.append(f"{home}.{name}")
    table = "\n".join(["| name | |", "| --- | --- |", *rows])
    toctree = "\n".join(["```{toctree}", ":hidden:", "", *toc, "```"])
    write(folder / f"{home}.md", f"# `{home}`\n\n{inspect.getdoc(package)}\n\n{table}\n\n{toctree}\n")


def linked_page(folder: Path) -> None:
    """Write the page of what docstrings refer to, and no other page has."""
    shown = {f"relax.{name}" for name in relax.__all__} | {
        f"relax.rules.{name}" for name in relax.rules.__all__
    }
    homes = {resolved(name).__module__ + "." + name.rsplit(".", 1)[-1] for name in shown if here(name)}
    done, left = set(shown), list(shown)
    blocks = []
    while left:
        for target in map(owner, LINKED.findall(docstrings(resolved(left.pop())))):
            if target not in done and target not in homes and here(target):
                done.add(target)
                left.append(target)
                blocks.append(directive(target, resolved(target)))
    write(folder / "linked.rst", page("Other names", *(f"{block}\n" for block in sorted(blocks))))


def owner(name: str) -> str:
    """Return the class of a method, and any other name as it is."""
    home = name.rpartition(".")[0]
    return home if inspect.isclass(resolved(home)) else name


def docstrings(thing: Any) -> str:
    """Return the docstring of a name, and of the members of a class that are shown."""
    texts = [inspect.getdoc(thing)]
    if inspect.isclass(thing):
        texts += [inspect.getdoc(member) for name, member in vars(thing).items() if not name.startswith("_")]
    return "\n".join(text or "" for text in texts)


def public_name(app: Sphinx, env: Any, node: Any, contnode: Any) -> Any:
    """Return a link to the page of a name that a docstring calls by the module it is in."""
    if not (target := node.get("reftarget", "")).startswith("relax."):
        return None
    short = target.rsplit(".", 1)[-1]
    for home in ("relax", "relax.rules"):
        name = f"{home}.{short}"
        if name != target and short in import_module(home).__all__ and resolved(name) is resolved(target):
            domain = env.get_domain("py")
            return domain.resolve_xref(
                env, node["refdoc"], app.builder, node["reftype"], name, node, contnode
            )
    return None


def here(name: str) -> bool:
    """Return whether a name can be documented, as numbers and words cannot."""
    thing = resolved(name)
    return inspect.ismodule(thing) or inspect.isclass(thing) or inspect.isfunction(thing)


def resolved(name: str) -> Any:
    """Return what a dotted name means."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            thing = import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            thing = getattr(thing, part)
        return thing
    raise ImportError(name)


def parameter_table(declared: Mapping[str, Param]) -> str:
    """Return the table of declared parameters."""
    lines = ["| parameter | default | allowed | unit | meaning |", "| --- | --- | --- | --- | --- |"]
    for name, one in declared.items():
        allowed = one.allowed.replace("|", "\\|")
        lines.append(f"| `{name}` | {one.default} | {allowed} | {one.unit} | {one.doc} |")
    return "\n".join(lines)


def rule_pages(folder: Path) -> None:
    """Write a page for each rule: what it does, its parameters, its class and its optimizer."""
    rows, names = [], sorted(RULES, key=lambda name: name != DEFAULT_RULE)
    for name in names:
        rule = RULES[name]
        text, (length, norm) = rule_text(rule), rule.default_maxstep
        default = " It is the default." if name == DEFAULT_RULE else ""
        optimizer = OPTIMIZERS[name].__name__
        published = [form for form in ("paper", "package") if hasattr(rule, form)]
        members = f"   :members: {', '.join(published)}\n" if published else ""
        limits = [f"`maxstep` {length:g} A by {norm}"]
        limits += [f"`clip` {rule.default_clip:g} eV/A"] if rule.default_clip is not None else []
        limits += [f"`force_floor` {rule.default_force_floor:g} eV/A"] if rule.default_force_floor else []
        write(
            folder / f"{name}.md",
            f"# {name}\n\n"
            f"As an ASE optimizer it is [{optimizer}](../api/relax.{optimizer}.rst).{default} "
            f"Limits unless set: {', '.join(limits)}.\n\n"
            f"```{{eval-rst}}\n.. autoclass:: relax.rules.{rule.__name__}(**parameters)\n"
            f"{members}   :no-index:\n```\n\n"
            f"## Parameters\n\n{parameter_table(parameters(rule))}\n\n"
            "[Parameters of every rule](rules.md#parameters-of-every-rule) can be set too.\n",
        )
        rows.append(f"| [{name}]({name}.md) | {first_sentence(rule)} | {text.source.split(';')[0]} |")
    table = "\n".join(["| rule | what it does | source |", "| --- | --- | --- |", *rows])
    common = "\n".join(["| parameter |", "| --- |", *(f"| `{name}` |" for name in SETTINGS)])
    toctree = "\n".join(["```{toctree}", ":hidden:", "", *names, "```"])
    write(
        folder / "rules.md",
        "# Rules\n\nEach number is declared in the code with its bounds and its unit; "
        f"checks, `relax rules` and these pages read that.\n\n{table}\n\n## Parameters of every rule\n\n"
        "Every rule and optimizer takes these, see {func}`relax.rules.for_atoms`.\n\n"
        f"{common}\n\n{toctree}\n",
    )
    assert set(SETTINGS) <= set(inspect.signature(for_atoms).parameters)


def make(app: Sphinx) -> None:
    """Write all pages."""
    folder = Path(app.srcdir) / "generated"
    names_pages(folder / "api", relax, relax.__all__)
    names_pages(folder / "api", relax.rules, relax.rules.__all__)
    linked_page(folder / "api")
    rule_pages(folder / "rules")


def setup(app: Sphinx) -> dict[str, bool]:
    """Have the pages written before others are read."""
    app.connect("builder-inited", make)
    app.connect("missing-reference", public_name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
