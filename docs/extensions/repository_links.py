"""Links from pages to files of the repository that are no pages, as they stand for readers of the repository.

Tables of results, and the pages beside the README, become pages too.  A link to a folder becomes its name.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from reference import write
from sphinx.application import Sphinx

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")
PICTURES = (".png", ".svg")


def pages(root: Path) -> dict[Path, str]:
    """Return the files of the repository that become pages, and the names of these."""
    found = {root / name: f"generated/project/{name.lower()}" for name in ("CONTRIBUTING.md", "CHANGELOG.md")}
    found[root / "data" / "README.md"] = "generated/project/data.md"
    results = sorted((root / "benchmarks" / "results").glob("*.md"))
    return found | {path: f"generated/results/{path.name}" for path in results}


def relinked(text: str, source: Path, page: Path, root: Path) -> str:
    """Return the text of a file ``source`` for the place of ``page``, with all links leading somewhere."""
    made = {path: root / "docs" / name for path, name in pages(root).items()}
    made[root / "README.md"] = root / "docs" / "index.md"

    def linked(found: re.Match[str]) -> str:
        picture, words, target, anchor = found[1], found[2], found[3], found[4] or ""
        path = Path(os.path.normpath(source.parent / target))
        if not path.exists() and not path.is_relative_to(root / "docs"):
            return found[0]
        if path.is_dir():
            return words
        place = os.path.relpath(made.get(path, path), page.parent)
        return f"{picture}[{words}]({place}{'' if path.name == 'README.md' else anchor})"

    return LINK.sub(linked, text)


def make(app: Sphinx) -> None:
    """Write the pages of files that are none."""
    root = Path(app.srcdir).parent
    for source, name in pages(root).items():
        page = root / "docs" / name
        head = "---\norphan: true\n---\n\n" if "results" in name else ""
        write(page, head + relinked(source.read_text(), source, page, root))


def read(app: Sphinx, docname: str, content: list[str]) -> None:
    """Mend the links of a page before it is parsed."""
    path = Path(app.env.doc2path(docname))
    if path.suffix == ".md" and "generated" not in docname:
        content[0] = relinked(content[0], path, path, Path(app.srcdir).parent)


def setup(app: Sphinx) -> dict[str, bool]:
    """Have links mended, and pages written before others are read."""
    app.connect("builder-inited", make)
    app.connect("source-read", read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
