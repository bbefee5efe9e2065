"""When a run has ended, and what is checked then."""

from __future__ import annotations

from dataclasses import dataclass

from relax.cli.options.declaration import not_negative, one_of, option, positive

__all__ = ["StopOptions"]


@dataclass(frozen=True, kw_only=True)
class StopOptions:
    """When a run has ended, and what is checked then."""

    fmax: float = option(
        0.05, "Largest force on an atom at convergence, eV/A.", metavar="FORCE", check=positive
    )
    smax: float | None = option(
        None,
        "With --cell: largest component of the residual stress at convergence, GPa; "
        "derived from --fmax if not given.",
        metavar="STRESS",
        check=positive,
        needs="--cell",
    )
    steps: int = option(500, "Maximum number of steps per structure.", metavar="N", check=not_negative)
    timeout: float | None = option(
        None,
        "Maximum time per structure, s: its share, by size, of the calls that it takes part in. A call that "
        "hangs is ended.",
        metavar="SECONDS",
        check=positive,
        role="run",
    )
    on_bad: str = option(
        "stop",
        "If a run goes wrong: stop at the last good structure, or go back to it and continue "
        "with shorter steps.",
        metavar="stop|backtrack",
        check=one_of("stop", "backtrack"),
    )
    check: str | None = option(
        None,
        "Check that a converged structure is a minimum, with a few more force calls; "
        "if it is not, its status is saddle; 'tight' relaxes to 1e-3 eV/A and looks longer.",
        metavar="minimum|tight",
        check=one_of("minimum", "tight"),
    )
    escape: bool = option(
        False,
        "With --check minimum: move away from saddle points and continue.",
        "--escape",
        needs="--check minimum",
    )
