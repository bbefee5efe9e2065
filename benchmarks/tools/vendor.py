"""Fetch the JavaScript libraries of ``relax report``: ``python -m benchmarks.tools.vendor``.

They are packed by ``npm``, which takes the newest versions unless others are named.  The files that the page
needs are copied beside it, with their licences, and ``versions.json`` says which they are.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Annotated

import typer

FOLDER = Path(__file__).parents[2] / "relax" / "analysis" / "report" / "assets" / "vendor"

FILES = {
    "3dmol": {"build/3Dmol-min.js": "3Dmol-min.js", "LICENSE": "3Dmol-LICENSE"},
    "uplot": {
        "dist/uPlot.iife.min.js": "uPlot.iife.min.js",
        "dist/uPlot.min.css": "uPlot.min.css",
        "LICENSE": "uPlot-LICENSE",
    },
}
"""Files of each package, and what they are called here."""


def fetched(package: str, version: str, folder: Path) -> dict[str, str]:
    """Copy the files of a package to ``folder``; return its version and the SHA-256 of each file."""
    with tempfile.TemporaryDirectory() as place:
        asked = f"{package}@{version}" if version else package
        subprocess.run(["npm", "pack", "--silent", asked], cwd=place, check=True, stdout=subprocess.DEVNULL)
        (packed,) = Path(place).glob("*.tgz")
        with tarfile.open(packed) as archive:
            archive.extractall(place, filter="data")
        root = Path(place, "package")
        found = {"version": str(json.loads((root / "package.json").read_text())["version"])}
        for source, name in FILES[package].items():
            content = (root / source).read_bytes().replace(b"\r\n", b"\n")
            (folder / name).write_bytes(content)
            found[name] = hashlib.sha256(content).hexdigest()
    return found


def main(
    mol: Annotated[str, typer.Option("--3dmol", help="Version of 3dmol; the newest if not given.")] = "",
    uplot: Annotated[str, typer.Option(help="Version of uplot; the newest if not given.")] = "",
) -> None:
    """Fetch the libraries."""
    FOLDER.mkdir(exist_ok=True)
    found = {"3dmol": fetched("3dmol", mol, FOLDER), "uplot": fetched("uplot", uplot, FOLDER)}
    (FOLDER / "versions.json").write_text(json.dumps(found, indent=1) + "\n")
    for package, files in found.items():
        print(f"{package} {files['version']}")


if __name__ == "__main__":
    typer.run(main)
