"""Put the tables of ``benchmarks/results`` into README and docs: ``python -m benchmarks.readme``.

A table stands between ``<!-- NAME -->`` and ``<!-- end -->``; nothing else is touched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"

Row = dict[str, Any]


def results_of(name: str) -> Any:
    """Return what is in a file of results."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def rows_of(name: str) -> list[Row]:
    """Return the rows of a file of results."""
    rows: list[Row] = results_of(name)["rows"]
    return rows


def lj38() -> str:
    """Return the LJ38 table, short enough to read: what counts, and the published mean."""
    from benchmarks.lj38.tables import published

    results = results_of("lj38")
    beside = {name: entry for _, entry in published() for name in entry.ours}
    lines = [
        "| optimizer | mean | median | max | failed | evaporated | mean energy | published mean |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in sorted(results["rows"], key=lambda row: (row["mean"], row["optimizer"])):
        name, entry = row["optimizer"], beside.get(row["optimizer"])
        energy = "" if row["mean_energy"] is None else f"{row['mean_energy']:.2f}"
        cells = [f"`{name}`", f"{row['mean']:.0f}", f"{row['median']:.0f}", f"{row['max']:.0f}"]
        cells += [f"{row['failed']}", f"{row['evaporated']}", energy, f"{entry.mean}" if entry else ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def update_cost() -> str:
    """Return the cost of one update by number of atoms."""
    results = results_of("update_cost")
    sizes = results["sizes"]
    lines = [
        f"| rule | {' | '.join(f'{n:,} atoms' for n in sizes)} | exponent |",
        f"| --- | {'---: | ' * len(sizes)}---: |",
    ]
    for row in results["rows"]:
        times = " | ".join(f"{1e3 * t:.3f}" for t in row["seconds"])
        lines.append(f"| `{row['rule']}` | {times} | {row['exponent']:.2f} |")
    return "\n".join(lines)


def crystals(name: str) -> str:
    """Return what optimizers need, and where they end, from the starts as they are and from rattled ones."""
    rows = rows_of(name)
    rattles = sorted({row["rattle"] for row in rows})
    titles = [
        f"{'rattled' if rattle else 'as they are'}: calls | of FIRE's | failed | ≤ 1 meV, % | ≤ 10 meV, %"
        for rattle in rattles
    ]
    lines = [
        f"| optimizer | {' | '.join(titles)} |",
        f"| --- | {'---: | ' * 5 * len(rattles)}".rstrip(),
    ]
    beside = {(row["rattle"], row["optimizer"]): row for row in rows}
    names = dict.fromkeys(
        row["optimizer"] for row in sorted(rows, key=lambda row: (row["rattle"], row["mean"]))
    )
    for optimizer in names:
        cells = [f"`{optimizer}`"]
        for rattle in rattles:
            row = beside.get((rattle, optimizer))
            if row is None:
                cells += [""] * 5
                continue
            share = row["beside"].get("ase:FIRE")
            cells += [f"{row['mean']:.1f}", f"{share['calls'][0]:.2f}" if share else ""]
            cells += [f"{row['failed']}", f"{row['within_1']:.0f}", f"{row['within_10']:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def choice() -> str:
    """Return the mean force calls of optimizers on clusters, crystals and molecules, side by side."""

    def calls(name: str, *chosen: tuple[str, float]) -> dict[str, str]:
        rows = rows_of(name)
        return {
            row["optimizer"]: f"{row['mean']:.1f}" + (f" ({row['failed']} failed)" if row["failed"] else "")
            for row in rows
            if all(row[key] == value for key, value in chosen)
        }

    columns = {
        "LJ38": calls("lj38"),
        "crystals": calls("crystals_chgnet", ("rattle", 0.0)),
        "crystals, rattled": calls("crystals_chgnet", ("rattle", 0.05)),
        "molecules": calls("molecules_xtb", ("fmax", 0.05)),
        "molecules to 0.01 eV/A": calls("molecules_xtb", ("fmax", 0.01)),
    }
    shared = set.intersection(*(set(column) for column in columns.values()))
    lines = [f"| force calls | {' | '.join(columns)} |", f"| --- | {'---: | ' * len(columns)}".rstrip()]
    for optimizer in (name for name in columns["crystals, rattled"] if name in shared):
        lines.append(f"| `{optimizer}` | {' | '.join(c[optimizer] for c in columns.values())} |")
    return "\n".join(lines)


def molecules(name: str) -> str:
    """Return what optimizers need for molecules, beside the best of ASE's, and where they end."""
    from relax.analysis.comparison.tables import interval_text

    rows = rows_of(name)
    best = {row["fmax"]: list(row["beside"])[-1] for row in rows}
    titles = [f"fmax {fmax:g}: calls | of `{other}`'s | failed | ≤ 1 meV, %" for fmax, other in best.items()]
    lines = [f"| optimizer | {' | '.join(titles)} |", f"| --- | {'---: | ' * 4 * len(best)}".rstrip()]
    found = {(row["fmax"], row["optimizer"]): row for row in rows}
    fewest = sorted(rows, key=lambda row: (-row["fmax"], row["mean"], row["optimizer"]))
    for optimizer in dict.fromkeys(row["optimizer"] for row in fewest):
        cells = [f"`{optimizer}`"]
        for fmax, other in best.items():
            row = found.get((fmax, optimizer))
            if row is None:
                cells += [""] * 4
                continue
            beside = "" if optimizer == other else interval_text(row["beside"][other]["calls"])
            cells += [f"{row['mean']:.1f}", beside, f"{row['failed']}", f"{row['within_1']:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def molecule_set(name: str) -> str:
    """Return what optimizers need for a set of molecules, and where they end, beside ours."""
    from benchmarks.molecules.tables import beside_columns

    rows = rows_of(f"molecules_{name}")
    return calls_and(beside_columns(rows), rows)


def material_set(name: str) -> str:
    """Return what optimizers need for a set of materials, and where they end, beside ``default``."""
    from benchmarks.materials.tables import ends, ratio

    words = "ends beside default's: lower / same / higher"
    return calls_and({"default's calls, of its": ratio, words: ends}, rows_of(f"materials_chgnet_{name}"))


def calls_and(more: Mapping[str, Callable[[Row], str]], rows: Sequence[Row]) -> str:
    """Return the table of rows, fewest calls first, with more columns."""
    from relax.analysis.comparison.tables import markdown

    cells = [
        [
            f"`{row['optimizer']}`",
            f"{row['mean']:.1f}",
            f"{row['median']:.0f}",
            f"{row['failed']}",
            *(cell(row) for cell in more.values()),
        ]
        for row in sorted(rows, key=lambda row: (row["mean"], row["optimizer"]))
    ]
    return "\n".join(markdown(["optimizer", "mean", "median", "failed", *more], cells))


def kinds() -> str:
    """Return what ``default`` needs for each set, beside the best optimizer that is not of relax."""
    from benchmarks.profile.sets import all_sets
    from benchmarks.profile.table import table

    return "\n".join(table(all_sets(RESULTS)))


def expensive_dft() -> str:
    """Return what whole relaxations with density-functional theory take, with a cheap prior and without."""
    from benchmarks.expensive.tables import whole_relaxations

    results = results_of("expensive_dft-example")
    return "\n".join(whole_relaxations(results))


def expensive() -> str:
    """Return the calls with a cheap prior for each part, beside the best of other rules."""
    from benchmarks.expensive.parts import PARTS
    from benchmarks.expensive.tables import overview

    files = [RESULTS / f"expensive_{part}.json" for part in PARTS if part != "dft-example"]
    return "\n".join(overview([json.loads(file.read_text()) for file in files if file.exists()]))


def metals() -> str:
    """Return force calls, seconds and memory on large crystals."""
    from benchmarks.metals.tables import COLUMNS, WORDS, tables
    from relax.analysis.comparison.tables import markdown

    found = tables(results_of("metals"))
    rows = [[f"{atoms:,}", *cells] for atoms, table in found.items() for cells in table]
    return "\n".join(markdown(("atoms", *COLUMNS), rows, WORDS))


def alloy(part: str) -> str:
    """Return a part of the benchmark of the alloy: ``"paper"``, ``"grains"`` or ``"verdict"``."""
    from benchmarks.alloy import summary

    results = results_of("alloy")
    parts = {"paper": summary.beside_paper, "grains": summary.by_grains, "verdict": summary.verdict}
    return parts[part](results)


def single_cost() -> str:
    """Return the table of the time of single structures."""
    rows = rows_of("single_cost")
    lines = ["| way | force calls | ms per call |", "| --- | ---: | ---: |"]
    for row in rows:
        lines.append(f"| {row['way']} | {row['force_calls']:.1f} | {row['ms_per_call']:.2f} |")
    return "\n".join(lines)


def command_cost() -> str:
    """Return the times of the command and of the relaxation alone, and what the whole run needs."""
    results = results_of("command_cost")
    lines = [
        "| clusters | steps at most | force calls | `relax_many`, ms | `relax run`, ms | ratio |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in results["compared"]:
        times = " | ".join(f"{1e3 * median(row[way]):.2f}" for way in ("alone", "command"))
        cells = f"{row['n']:,} | {row['steps']} | {row['force_calls']:.1f} | {times} | {row['ratio']:.3f}"
        lines.append(f"| {cells} |")
    lines += ["", f"- Start of the command: {results['start']['cpu']:.1f} s."]
    for row in results["runs"]:
        speed = f"{row['seconds']:.0f} s by the clock, {row['n'] / row['seconds']:.0f} structures/s"
        lines.append(
            f"- `relax run` on {row['n']:,} clusters, at most {row['steps']} steps each: {speed}, "
            f"{row['memory']:.0f} MB."
        )
    lines.append(f"- Growth of the memory between the two: {results['growth']:.0f} bytes for a structure.")
    for row in results["shown"]:
        lines.append(
            f"- `relax {row['command']}` on all {results['runs'][-1]['n']:,}: {median(row['seconds']):.1f} s."
        )
    return "\n".join(lines)


def campaign(name: str) -> str:
    """Return a table of the benchmarks of campaigns."""
    from benchmarks.campaign import tables

    file = "scale" if name == "plan" else name
    results = results_of(f"campaign_{file}")
    found: str = getattr(tables, name)(results)
    return found


def cell_cost() -> str:
    """Return the cost of a step with the cell, outside the calculator."""
    results = results_of("cell_cost")
    lines = [f"| {results['atoms']} atoms | median, ms | fastest, ms |", "| --- | ---: | ---: |"]
    for row in results["rows"]:
        lines.append(f"| `{row['optimizer']}` | {1e3 * row['median']:.2f} | {1e3 * row['fastest']:.2f} |")
    return "\n".join(lines)


def step_cost() -> str:
    """Return the time of a step of the default, by the number of atoms."""
    lines = ["| structure | atoms: ms | | | exponent |", "| --- | ---: | ---: | ---: | ---: |"]
    for row in rows_of("step_cost"):
        times = zip(row["atoms"], row["seconds"], strict=True)
        cells = [f"{atoms:,}: {1e3 * seconds:.1f}" for atoms, seconds in times]
        lines.append(f"| {row['kind']} | {' | '.join(cells)} | {row['exponent']:.2f} |")
    return "\n".join(lines)


def stiffness() -> str:
    """Return how near models are to the Hessians of molecules, and the constants that bring one nearest."""
    results = results_of("stiffness")
    lines = [
        f"| {results['molecules']} molecules | spread | softest mode | stiffest mode | stiffest of all |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for row in results["rows"]:
        numbers = (f"{row[key]:.2f}" for key in ("spread", "softest", "stiffest", "worst"))
        lines.append(f"| {row['model']} | {' | '.join(numbers)} |")
    fit = results["fit"]
    nearest = ", ".join(f"`{name}` {fit[name]:.3g}" for name in fit if name not in ("before", "after"))
    lines += [
        "",
        f"Nearest with {nearest}: a root mean variance of {fit['after']:.3f}, {fit['before']:.3f} as it is.",
    ]
    return "\n".join(lines)


def ase_suite() -> str:
    """Return how many of ASE's own tests pass with other optimizers in the place of ASE's."""
    lines = ["| in the place of ASE's | passed | failed |", "| --- | ---: | ---: |"]
    for row in rows_of("ase_suite"):
        lines.append(f"| `{row['optimizer']}` | {row['passed']} | {row['failed']} |")
    return "\n".join(lines)


def disturbed(kind: str) -> str:
    """Return mean calls, and failures in parentheses, with disturbed forces."""
    from benchmarks.disturbed.tables import sheet
    from relax.analysis.comparison.tables import markdown

    found = sheet(results_of("disturbed"), kind)
    return "\n".join(markdown(found.columns, found.rows))


def choosing(part: str) -> str:
    """Return one part of the page for choosing, ``"summary"`` or one of ``ANSWERS``."""
    from benchmarks.choosing.page import ANSWERS, summary

    return "\n".join(summary(RESULTS) if part == "summary" else ANSWERS[part](RESULTS).lines())


def features() -> str:
    """Return what the command can do, beside other tools."""
    from benchmarks.features.table import table

    return "\n".join(table(results_of("features")))


def reproduction(part: str) -> str:
    """Return claims of papers, beside what is measured here."""
    from benchmarks.reproduction.tables import table

    return "\n".join(table(RESULTS, part))


def minima() -> str:
    """Return what the minimum check says of each structure, and how often it is right."""
    from benchmarks.minima.tables import sheet, summary
    from relax.analysis.comparison.tables import markdown

    results = results_of("minima")
    found = sheet(results)
    return "\n".join([*markdown(found.columns, found.rows, found.left), "", summary(results)])


def tuned(name: str) -> str:
    """Return what each number of a rule is worth, as ``benchmarks.tools.tune`` found it."""
    rows = rows_of(f"tune_{name}")
    lines = [
        f"| {name} | clusters: mean | max | failed | crystals: mean | failed | energy, eV/atom |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        cells = [row["variant"], f"{row['clusters_mean']:.0f}", row["clusters_max"], row["clusters_failed"]]
        cells += [f"{row['crystals_mean']:.1f}", row["crystals_failed"], f"{row['crystals_energy']:.4f}"]
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    return "\n".join(lines)


def throughput(name: str) -> str:
    """Return one table of the throughput benchmark, with what there is to say below it."""
    from benchmarks.throughput.tables import named, table_of

    sheet = named(results_of("throughput"), name)
    return "\n".join([*([table_of(sheet), ""] if sheet.rows else []), *sheet.notes]).rstrip()


def landscape(case: str) -> str:
    """Return how the runs of a landscape ended."""
    from benchmarks.landscapes.tables import table

    rows = rows_of("landscapes")
    return table(next(row for row in rows if row["case"] == case))


CAMPAIGN = ("scale", "plan", "faults", "engines", "workers")

TABLES: dict[str, Callable[[], str]] = {
    "lj38": lj38,
    "update_cost": update_cost,
    "cell_cost": cell_cost,
    "step_cost": step_cost,
    "stiffness": stiffness,
    "ase_suite": ase_suite,
    "single_cost": single_cost,
    "command_cost": command_cost,
} | {f"tune_{name}": partial(tuned, name) for name in ("frankenstein", "core", "fire", "lbfgs")}
TABLES |= {
    f"crystals_{name}": partial(crystals, f"crystals_{name}")
    for name in ("chgnet", "draws", "mace_mini", "metric")
}
TABLES |= {
    f"throughput_{name}": partial(throughput, name) for name in ("mini", "larger", "profile", "stream", "gpu")
}

TABLES |= {
    f"choosing_{part}": partial(choosing, part)
    for part in ("summary", "minimum", "ends", "calls", "disturbed")
}
TABLES |= {f"campaign_{name}": partial(campaign, name) for name in CAMPAIGN}
TABLES |= {f"disturbed_{kind}": partial(disturbed, kind) for kind in ("lj38", "crystals")}
TABLES |= {
    "kinds": kinds,
    "features": features,
    "minima": minima,
    "choice": choice,
    "molecules_xtb": partial(molecules, "molecules_xtb"),
    "metals": metals,
    "expensive": expensive,
    "expensive_dft": expensive_dft,
    "alloy": partial(alloy, "paper"),
    "alloy_grains": partial(alloy, "grains"),
    "alloy_verdict": partial(alloy, "verdict"),
}
TABLES |= {
    f"reproduction_{part}": partial(reproduction, part)
    for part in ("lj38", "crystals", "alloy", "landscapes", "core")
}
TABLES |= {
    f"molecules_{name}": partial(molecule_set, name) for name in ("baker", "birkholz", "drugs", "clusters")
}
TABLES |= {
    f"materials_{name}": partial(material_set, name)
    for name in ("slabs", "layers", "defects", "frameworks", "perovskites", "molcrystals", "amorphous")
}


TABLES |= {f"landscape_{case}": partial(landscape, case) for case in ("lj38", "alloy")}


def filled(text: str) -> str:
    """Return ``text`` with every table made anew."""
    block = re.compile(r"<!-- (\w+) -->\n.*?<!-- end -->", re.DOTALL)
    return block.sub(lambda found: f"<!-- {found[1]} -->\n{TABLES[found[1]]()}\n<!-- end -->", text)


def pages() -> list[Path]:
    """Return the pages that are written, not made: those that may have tables."""
    docs = ROOT / "docs"
    written = (page for page in docs.rglob("*.md") if not page.is_relative_to(docs / "generated"))
    return [ROOT / "README.md", *sorted(written)]


if __name__ == "__main__":
    for page in pages():
        page.write_text(filled(page.read_text()))
