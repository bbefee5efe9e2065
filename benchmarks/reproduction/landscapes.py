"""Verdicts on the claims about paths on landscapes."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.reproduction.verdicts import Claim, Found, Results

OURS, THEIRS = "frankenstein", "ase:CG"


def alloy_path(results: Results, claim: Claim) -> Found:
    """Compare Frankenstein with conjugate gradients on the same start: calls, and how low they end."""
    rows = results.file("landscapes")["rows"] if results.has("landscapes") else []
    for row in rows:
        runs = {run["optimizer"]: run for run in row["runs"] if run["status"] == "converged"}
        if row["case"] == "alloy" and {OURS, THEIRS} <= set(runs):
            ours, theirs = runs[OURS], runs[THEIRS]
            parts = [
                f"`{run['optimizer']}` {run['calls']} calls, to {run['energy']:.2f} eV"
                for run in (ours, theirs)
            ]
            held = [ours["calls"] < theirs["calls"], ours["energy"] <= theirs["energy"]]
            word = "reproduced" if all(held) else "partly" if any(held) else "not"
            words = [
                f"{'fewer' if held[0] else 'more'} calls than conjugate gradients",
                f"{'no higher' if held[1] else 'a higher'} end",
            ]
            return Found(
                "; ".join(parts), f"{word}: {' and '.join(words)}, one box of {row['atoms']:,} atoms"
            )
    return Found("", "not measured yet: no run of each of the two on a box of the alloy has converged")


def network_path(results: Results, claim: Claim) -> Found:
    """Say that no network is trained here."""
    return Found("", "out of scope: it is about a network; the landscapes here are those of atoms")


LANDSCAPES: dict[str, Callable[[Results, Claim], Found]] = {
    "alloy_path": alloy_path,
    "network_path": network_path,
}
