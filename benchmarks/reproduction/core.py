"""Verdicts on the claims of the paper of CoRe, asked for atoms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.reproduction.verdicts import Claim, Found, Results

Row = dict[str, Any]


def all_in_one(results: Results, claim: Claim) -> Found:
    """Compare CoRe with the other optimizers of its paper that were run on clusters."""
    names = ("core", "core:paper", "adam", "rprop", "adamax", "momentum", "nag", "adagrad")
    rows = {name: results.lj38(name) for name in names}
    here = "LJ38: " + ", ".join(
        f"`{name}` {row['mean']:.0f}" + (f" ({row['failed']} failed)" if row["failed"] else "")
        for name, row in rows.items()
    )
    others = min(row["mean"] for name, row in rows.items() if not name.startswith("core"))
    if rows["core:paper"]["mean"] <= others:
        return Found(here, "reproduced, for clusters")
    if rows["core"]["mean"] <= others:
        return Found(here, "partly: for clusters not with its own values, but with those for atoms")
    return Found(here, "not, for clusters")


def one_set_of_values(results: Results, claim: Claim) -> Found:
    """Count how many clusters end with the printed values."""
    row, n = results.lj38("core:paper"), results.file("lj38")["n"]
    here = f"{row['evaporated']} of {n:,} clusters fall apart with them, the others take a median of "
    here += f"{row['median']:.0f} calls (`core`: {results.lj38('core')['median']:.0f})"
    return Found(
        here, "reproduced" if row["failed"] == 0 else "not, for atoms: the largest step of 1 A is too long"
    )


def as_cheap_as_adam(results: Results, claim: Claim) -> Found:
    """Compare the times of an update."""
    sizes = results.file("update_cost")["sizes"]
    core, adam = (results.row("update_cost", rule=rule)["seconds"] for rule in ("core", "adam"))
    ratios = [a / b for a, b in zip(core, adam, strict=True)]
    here = "of Adam's time: " + ", ".join(
        f"{ratio:.2f} ({size:,} atoms)" for ratio, size in zip(ratios, sizes, strict=True)
    )
    return Found(here, "reproduced" if max(ratios) < 2 else "not")


def share_of_time(results: Results, claim: Claim) -> Found:
    """Compare the time outside the calculator with that of a force call."""
    row = results.row("crystals_chgnet", optimizer="core", rattle=0.0)
    share = 100 * row["ms_outside"] / row["ms_calculator"]
    here = f"all that is done beside a call of CHGNet, for small crystals: {share:.0f} % of it"
    words = "out of scope as printed, for training; for atoms it depends on the calculator"
    return Found(here, "reproduced" if share < claim["printed"]["percent"] else words)


def robust(results: Results, claim: Claim) -> Found:
    """Compare calls with disturbed forces with those without."""

    def row(noise: float, curl: float) -> Row:
        return results.row("disturbed", kind="lj38", optimizer="core:metric=true", noise=noise, curl=curl)

    plain, noisy, curled = row(0.0, 0.0), row(0.01, 0.0), row(0.0, 0.3)
    n = results.file("disturbed")["n"]
    here = (
        f"clusters, `core` in the model: {plain['mean']:.0f} calls; noise of 0.01 eV/A {noisy['mean']:.0f}, "
    )
    here += f"{noisy['failed']} of {n} failed; a curl of 30 % {curled['failed']} of {n} failed"
    if noisy["failed"]:
        return Found(here, "not")
    return Found(here, "partly: against noise, not against a curl" if curled["failed"] else "reproduced")


def potentials(results: Results, claim: Claim) -> Found:
    """Say that no model is trained here."""
    return Found("", "out of scope: `relax` relaxes structures and trains no model")


CORE: dict[str, Callable[[Results, Claim], Found]] = {
    judge.__name__: judge
    for judge in (all_in_one, one_set_of_values, as_cheap_as_adam, share_of_time, robust, potentials)
}
