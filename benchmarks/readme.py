"""Put the tables of ``benchmarks/results`` into the README: ``python -m benchmarks.readme``.

A table stands between ``<!-- NAME -->`` and ``<!-- end -->``; nothing else is touched.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def lj38() -> str:
    """Return the LJ38 table, short enough to read: what counts, and the published mean."""
    from benchmarks.lj38_table import published

    results = json.loads((RESULTS / "lj38.json").read_text())
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
    results = json.loads((RESULTS / "update_cost.json").read_text())
    sizes = results["sizes"]
    lines = [
        f"| rule | {' | '.join(f'{n:,} atoms' for n in sizes)} | exponent |",
        f"| --- | {'---: | ' * len(sizes)}---: |",
    ]
    for row in results["rows"]:
        times = " | ".join(f"{1e3 * t:.3f}" for t in row["seconds"])
        lines.append(f"| `{row['rule']}` | {times} | {row['exponent']:.2f} |")
    return "\n".join(lines)


TABLES = {"lj38": lj38, "update_cost": update_cost}


def filled(text: str) -> str:
    """Return ``text`` with every table made anew."""
    for name, table in TABLES.items():
        block = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text = block.sub(lambda found, made=table(): f"{found[1]}{made}\n{found[2]}", text)  # type: ignore[misc]
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(filled(readme.read_text()))
