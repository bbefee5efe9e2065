"""Whether the minimum check is right, and its calls: ``python -m benchmarks.minima --json OUT``.

Twenty structures, about half of them saddle points (:mod:`benchmarks.minima.structures`).  Each is relaxed to
its stationary point, where its whole Hessian is made by central differences; neither is counted.  From there
the default optimizer runs with each level of the check, without escapes.
"""

from __future__ import annotations

from typing import Annotated

import typer

from benchmarks.common.terminal import (
    JsonFile,
    RenderFile,
    Resume,
    TableFile,
    errors_in_one_line,
    progress,
    show,
    warn_outdated,
)
from benchmarks.minima.results import SCHEMA, header, identity
from benchmarks.minima.runs import measured
from benchmarks.minima.structures import STRUCTURES
from benchmarks.minima.tables import LEVELS, page
from relax.analysis.comparison.files.results_file import ResultsFile


def main(
    structures: Annotated[
        list[str] | None, typer.Option("--structure", help="A structure by its name; may be repeated.")
    ] = None,
    out: JsonFile = None,
    table: TableFile = None,
    render: RenderFile = None,
    resume: Resume = True,
) -> None:
    """Compare what the minimum check says with whole Hessians, and count its force calls."""
    with errors_in_one_line("minima"):
        if render is not None:
            results = SCHEMA.read(render)
        else:
            names = list(dict.fromkeys(structures or STRUCTURES))
            for name in names:
                if name not in STRUCTURES:
                    raise ValueError(f"there is no structure {name!r} (there are: {'; '.join(STRUCTURES)})")
            file = ResultsFile(out, header(), SCHEMA, resume)
            warn_outdated(file.outdated)
            missing = file.missing(names)
            with progress("minima", len(missing)) as (_, advance):
                for name in missing:
                    file.add(identity(name) | measured(STRUCTURES[name], LEVELS))
                    advance()
            results = file.save()
        show(page(results), table)


if __name__ == "__main__":
    typer.run(main)
