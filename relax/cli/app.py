"""The command ``relax``.

Exit codes of ``relax run``: 0, all structures converged; 1, some did not; 2, a mistake on the command
line, a file or structure that is of no use, or a calculator that cannot be had (whatever else was
asked for is still done); 130, Ctrl-C, after what was done has been written.

Start-up matters, so numpy, rich, ASE and torch are imported where they are used.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import signal
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relax.cli.batching import relax_batch
from relax.cli.options import Plan
from relax.cli.running import BAD_INPUT, OK, Fault, Job, complain, relax_all
from relax.core.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from relax.core.parameters import Param
    from relax.core.rule import Rule

__all__ = ["RULE_NAMES", "app", "main"]

RULE_NAMES = (
    "sgd", "momentum", "nag", "adagrad", "adadelta", "rmsprop", "adam", "adamax", "rprop", "core",
    "frankenstein", "fire", "lbfgs", "pair-lbfgs",
)  # fmt: skip
"""The names of ``relax.rules.RULES``, written out so that help needs no numpy."""

app = typer.Typer(
    help="Relax atomistic structures with the CoRe and Frankenstein rules and the classics.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def main(args: list[str] | None = None) -> None:
    """Run the command line ``args``, of the process if not given, and exit."""
    try:
        code = app(args, prog_name="relax", standalone_mode=False)
    except typer.Abort:
        code = 128 + signal.SIGINT
    except Exception as error:
        if isinstance(error, UsageError):
            complain(str(error))
        elif hasattr(error, "format_message"):  # a usage error of click, or of typer's own copy of it
            context = getattr(error, "ctx", None)
            command = context.command_path if context else "relax"
            message = " ".join(error.format_message().split())
            complain(f"{message.rstrip('.')} (see {command} --help)")
        else:
            raise
        code = BAD_INPUT
    sys.exit(code or OK)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a suggestion for the unknown ``name``, with a leading comma, or nothing."""
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.4)
    return f", did you mean {near[0]!r}?" if near else ""


def show_version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        from relax import __version__

        print(f"relax {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def common(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=show_version, help="Show the version.")
    ] = False,
) -> None:
    """Show the help where no command is given."""
    if context.invoked_subcommand is None:
        print(context.get_help())


# --------------------------------------------------------------------------------------------------
# relax run


@app.command()
def run(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help="Structure files, in any format that ASE reads.")
    ],
    calculator: Annotated[
        str,
        typer.Option(
            "--calculator",
            "-c",
            metavar="NAME",
            help="chgnet, emt, lj, mace:NAME_OR_PATH or module:callable.",
        ),
    ] = "chgnet",
    device: Annotated[str, typer.Option(metavar="cpu|cuda", help="Where chgnet and mace run.")] = "cpu",
    dtype: Annotated[
        str | None,
        typer.Option(metavar="float64|float32", help="Precision of mace; float64, if not given."),
    ] = None,
    head: Annotated[
        str | None, typer.Option(metavar="NAME", help="Head of mace, for models that have several.")
    ] = None,
    rule: Annotated[
        str, typer.Option("--rule", "-r", metavar="RULE", help=f"One of {' '.join(RULE_NAMES)}.")
    ] = Plan.rule,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            "-s",
            metavar="NAME=VALUE",
            help="A parameter of the rule, any number of times; see 'relax rules'.",
        ),
    ] = None,
    metric: Annotated[
        bool,
        typer.Option(
            "--metric", help="Let the rule know that bonds are stiff and angles soft; pair-lbfgs always does."
        ),
    ] = False,
    cell: Annotated[
        bool,
        typer.Option("--cell/--no-cell", help="Relax the cell too, along the directions that are periodic."),
    ] = False,
    pressure: Annotated[
        float, typer.Option(metavar="PRESSURE", help="With --cell: external pressure, GPa.")
    ] = 0.0,
    hydrostatic: Annotated[
        bool, typer.Option("--hydrostatic", help="With --cell: only scale the cell.")
    ] = False,
    constant_volume: Annotated[
        bool, typer.Option("--constant-volume", help="With --cell: only change its shape.")
    ] = False,
    symmetry: Annotated[
        str, typer.Option(metavar="keep|free", help="Keep the space group of the start, or leave it free.")
    ] = "free",
    symprec: Annotated[
        float, typer.Option(metavar="LENGTH", help="How far atoms may be off a symmetric place, A.")
    ] = 0.01,
    rattle: Annotated[
        float,
        typer.Option(
            metavar="LENGTH",
            help="Displace the atoms at random first, and with --cell strain the cell, A; "
            "the way off a saddle point.",
        ),
    ] = 0.0,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of --rattle, for each structure anew.")] = 0,
    fmax: Annotated[
        float, typer.Option(metavar="FORCE", help="Largest force that is converged, eV/A.")
    ] = 0.05,
    smax: Annotated[
        float | None,
        typer.Option(
            metavar="STRESS",
            help="With --cell: largest stress that is converged, GPa; "
            "if not given, that which --fmax implies.",
        ),
    ] = None,
    steps: Annotated[int, typer.Option(metavar="N", help="Most steps to take for a structure.")] = 500,
    timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", help="Most time to take for a structure; with --batch, its share of the time."
        ),
    ] = None,
    on_bad: Annotated[
        str,
        typer.Option(
            metavar="stop|backtrack",
            help="What to do where a run goes wrong: stop it at the last good structure, or go back to "
            "that and on with shorter steps.",
        ),
    ] = "stop",
    check: Annotated[
        str | None,
        typer.Option(
            metavar="minimum",
            help="Make sure that what has converged is a minimum, by a few more force calls; what is none "
            "ends as a saddle.",
        ),
    ] = None,
    escape: Annotated[
        bool, typer.Option("--escape", help="With --check minimum: step off saddles, and go on.")
    ] = False,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write the relaxed structures, such as relaxed.extxyz."
        ),
    ] = None,
    trajectory: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Write each path: a folder, or a .traj file for one structure."),
    ] = None,
    logfile: Annotated[str | None, typer.Option(metavar="FILE", help="Write a line a step.")] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print JSON instead of a table; with --batch, a line for each structure as it ends.",
        ),
    ] = False,
    batch: Annotated[
        bool,
        typer.Option("--batch", help="Relax structures together, and write each to --output as it ends."),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="With --batch: go on with --output, leave out what is in it.")
    ] = False,
    budget: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            help="With --batch: how many atoms (MACE: edges) go through the calculator at once; "
            "found out, if not given.",
        ),
    ] = None,
) -> None:
    """Relax structures and print how each one ended.

    Without --output no structure is written. With it, every structure that was relaxed is, converged
    or not, in the order given, with its energy, forces and verdict; the file appears whole, at the end.

    With --batch structures are read as there is room for them and written as they end, in that order,
    to a file in .extxyz or .xyz that grows by whole structures. However the run ends, the same
    command with --resume goes on where it was. There may be any number of structures; a table is
    shown of 50 at most, and --json prints of each what it prints without --batch, plus "source".

    Exit code: 0 all converged, 1 some did not, 2 bad input (the rest is relaxed), 130 Ctrl-C.
    """
    plan = Plan(
        files=files, calculator=calculator, device=device, dtype=dtype, head=head,
        rule=rule, settings=read_settings(rule, settings or []), metric=metric,
        cell=cell, pressure=pressure, hydrostatic=hydrostatic, constant_volume=constant_volume,
        symmetry=symmetry, symprec=symprec, rattle=rattle, seed=seed,
        fmax=fmax, smax=smax, steps=steps, timeout=timeout, on_bad=on_bad,
        check=check, escape=escape,
        output=output, trajectory=trajectory, logfile=logfile,
        batch=batch, resume=resume, budget=budget,
    )  # fmt: skip
    plan.examine()
    if output is None and sys.stderr.isatty():
        complain("no --output is given, the relaxed structures will not be written")
    if plan.batch:
        tally, code = relax_batch(plan, partial(print_json_line, plan) if as_json else None)
        if as_json:
            complain(", ".join(tally.summary(plan.output)))
        else:
            from relax.cli.screens import batch_table

            show(plan, partial(batch_table, tally, plan.output))
        raise typer.Exit(code)
    done, faults, code = relax_all(plan)
    if as_json:
        print_json(plan, done, faults)
    elif done:
        from relax.cli.screens import run_table

        show(plan, partial(run_table, done))
    raise typer.Exit(code)


def show(plan: Plan, table: Callable[[int, str], RenderableType]) -> None:
    """Print what ``table`` is for a screen of so many columns, with what its energies are called."""
    from rich.console import Console

    # A pipe has no width, and a table cut for 80 columns would lose what it is read for.
    console = Console(width=None if sys.stdout.isatty() else 1000)
    console.print(table(console.width, "enthalpy" if plan.pressure else "energy"))


def read_settings(rule: str, words: list[str]) -> dict[str, Any]:
    """Return the values of ``--set``, checked against the parameters of ``rule``.

    Raises
    ------
    UsageError
        The rule or a parameter is unknown, or a value is not allowed.
    """
    if rule not in RULE_NAMES:
        raise UsageError(
            f"unknown rule {rule!r}{nearest(rule, RULE_NAMES)} (there are: {' '.join(RULE_NAMES)})"
        )
    from relax.core.parameters import parameters
    from relax.rules import RULES
    from relax.rules.wrappers import for_atoms

    own, common = parameters(RULES[rule]), common_settings()
    known = own | common
    settings = {}
    for word in words:
        name, _, text = word.partition("=")
        if not (name and text):
            raise UsageError(f"--set {word}: write it as name=value")
        if name not in known:
            raise UsageError(
                f"{rule} has no parameter {name!r}{nearest(name, known)} (it has: {' '.join(known)})"
            )
        try:
            settings[name] = known[name].parse(name, text)
        except ValueError as error:
            raise UsageError(f"--set {error}") from None
    try:
        chosen = RULES[rule].from_settings({k: v for k, v in settings.items() if k in own})
        for_atoms(chosen, **{k: v for k, v in settings.items() if k in common})
    except ValueError as error:
        raise UsageError(f"--set {error}") from None
    return settings


def common_settings() -> dict[str, Param]:
    """Return the parameters that every rule has, those of ``relax.rules.wrappers.for_atoms``."""
    from relax.core.parameters import Param, parameters
    from relax.rules.wrappers import ClipGradient, ForceFloor, MaxStep, Restart

    trust, clip, restart = parameters(MaxStep), parameters(ClipGradient), parameters(Restart)
    return {
        "maxstep": trust["maxstep"],
        "maxstep_norm": trust["norm"],
        "clip": clip["limit"],
        "clip_norm": clip["norm"],
        "force_floor": parameters(ForceFloor)["floor"],
        "restart_when": restart["when"],
        "maximize": Param(False, None, (), "", "climb instead of descending"),
        "centred": Param(False, None, (), "", "take the drift of the centroid out of each step"),
    }


def plain(value: Any) -> Any:
    """Return ``value`` as JSON has it, which knows no infinities and no NaN."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def facts(plan: Plan, job: Job) -> dict[str, Any]:
    """Return what there is to say of a structure, for JSON."""
    from relax import __version__

    told = dataclasses.asdict(job.result)
    del told["mode"]
    return {
        "file": job.file, "frame": job.frame, "formula": job.formula, "atoms": job.natoms,
        "cell": job.with_cell, **told,
        # What a row of a table that people make of many runs is told apart by.
        "rule": plan.rule, "settings": plan.settings, "calculator": plan.calculator, "relax": __version__,
    }  # fmt: skip


def print_json(plan: Plan, done: list[Job], faults: list[Fault]) -> None:
    """Print the results of a run as one JSON object."""
    from relax import __version__

    results = [facts(plan, job) for job in done]
    bad = [dataclasses.asdict(fault) for fault in faults]
    said = {"relax": __version__, "options": plan.options(), "results": results, "bad_input": bad}
    print(json.dumps(plain(said), indent=1))


def print_json_line(plan: Plan, job: Job) -> None:
    """Print the result of a structure as one line of JSON."""
    print(json.dumps(plain({"source": job.source} | facts(plan, job))), flush=True)


# --------------------------------------------------------------------------------------------------
# relax rules


@app.command("rules")
def rules_(
    name: Annotated[str | None, typer.Argument(metavar="RULE", help="The rule to show in full.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Show every rule in full.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the rules and their parameters.

    For each rule: its source, and its parameters with defaults, bounds and units. With the name of
    a rule, or --all, its recurrence and the text about it are shown too.
    """
    if name is not None and name not in RULE_NAMES:
        raise UsageError(
            f"unknown rule {name!r}{nearest(name, RULE_NAMES)} (there are: {' '.join(RULE_NAMES)})"
        )
    from relax.rules import RULES

    chosen = RULES if name is None else {name: RULES[name]}
    if as_json:
        print(json.dumps(plain([rule_facts(name, rule) for name, rule in chosen.items()]), indent=1))
        return
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    from relax.cli.screens import rule_page, settings_table

    console = Console(highlight=False)
    for each, rule in chosen.items():
        console.print(rule_page(each, rule, full=every or name is not None))
    own = dict.fromkeys(("maxstep", "maxstep_norm", "clip", "force_floor"), "the rule's")
    words = own | {"restart_when": "none"}
    console.print(Text("all rules", "bold green"))
    console.print()
    console.print(Padding(settings_table(common_settings(), words), (0, 0, 0, 2), expand=False))


def rule_facts(name: str, rule: type[Rule]) -> dict[str, Any]:
    """Return what there is to say of a rule, for JSON."""
    from relax.cli.screens import about
    from relax.core.parameters import parameters

    told, (maxstep, norm) = about(rule), rule.default_maxstep
    return {
        "name": name,
        "class": f"{rule.__name__}Relax",
        "summary": told.summary,
        "source": told.source,
        "recurrence": told.recurrence,
        "maxstep": maxstep,
        "maxstep_norm": norm,
        "clip": rule.default_clip,
        "force_floor": rule.default_force_floor,
        "parameters": [
            {"name": p, "default": d.default, "allowed": d.allowed, "unit": d.unit, "meaning": d.doc}
            for p, d in parameters(rule).items()
        ],
    }
