"""Draw the pictures of docs/how-to/report.md, with Chromium: ``python docs/figures/report.py``.

One is of the path of an oxygen atom on platinum, the other of alloys that are relaxed with their cells.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from ase.build import add_adsorbate, bulk, fcc111
from ase.constraints import FixAtoms
from ase.io import write

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from benchmarks.report.browser import opened, started  # noqa: E402
from relax.analysis.report.api import report  # noqa: E402
from relax.cli.app import main as relax  # noqa: E402

METALS = ("Al", "Ni", "Cu", "Pd", "Ag", "Pt", "Au")
ALLOYS = 120


def path(folder: Path) -> Path:
    """Relax an oxygen atom beside its place on a rough surface of platinum; return the page."""
    slab = fcc111("Pt", (3, 3, 3), vacuum=6)
    add_adsorbate(slab, "O", 2.4, "ontop")
    slab.rattle(0.1, seed=1)
    slab.set_constraint(FixAtoms(mask=slab.get_tags() == 3))
    write(folder / "O-on-Pt.extxyz", slab)
    words = ("-c", "emt", "--fmax", "0.01", "--trajectory", "O-on-Pt.traj")
    run(folder, "run", "O-on-Pt.extxyz", *words)
    report(folder / "O-on-Pt.traj", folder / "path.html")
    return folder / "path.html"


def many(folder: Path) -> Path:
    """Relax alloys with few steps, so that some do not converge; return the page."""
    rng = np.random.default_rng(0)
    alloys = []
    for k in range(ALLOYS):
        host, guest = map(str, rng.choice(METALS, 2, replace=False))
        atoms = bulk(host, cubic=True) * (1, 1, int(rng.integers(1, 3)))
        symbols = atoms.get_chemical_symbols()
        symbols[0] = guest
        atoms.set_chemical_symbols(symbols)
        atoms.set_cell(atoms.cell * rng.uniform(0.97, 1.05), scale_atoms=True)
        atoms.rattle(float(rng.choice([0.02, 0.1, 0.2])), seed=k)
        alloys.append(atoms)
    write(folder / "alloys.extxyz", alloys)
    words = ("-c", "emt", "--cell", "--fmax", "0.01", "--steps", "8", "-o", "relaxed.extxyz")
    run(folder, "run", "alloys.extxyz", *words)
    report(folder / "relaxed.extxyz", folder / "many.html", title="relaxed.extxyz")
    return folder / "many.html"


def run(folder: Path, *words: str) -> None:
    """Run a command of relax in a folder.  Raises SystemExit where it cannot do what it should."""
    try:
        with contextlib.chdir(folder):
            relax(list(words))
    except SystemExit as ended:
        if ended.code not in (0, 1):
            raise


def picture(driver: Any, name: str) -> None:
    """Write what the browser shows to a file beside this one, in 256 colours."""
    from io import BytesIO

    from PIL import Image

    shown = Image.open(BytesIO(driver.get_screenshot_as_png())).convert("RGB")
    shown.quantize(256, dither=Image.Dither.NONE).save(HERE / name, optimize=True)


def main() -> None:
    """Draw both pictures."""
    with tempfile.TemporaryDirectory() as folder:
        driver = started((1360, 1010))
        try:
            opened(driver, path(Path(folder)))
            driver.execute_script("document.querySelector('.toggle input').click()")
            driver.execute_script("document.querySelectorAll('.player button')[0].click()")
            driver.execute_script(
                "for (let k = 0; k < 3; k++) document.querySelectorAll('.player button')[3].click()"
            )
            picture(driver, "report_path.png")
            opened(driver, many(Path(folder)))
            driver.execute_script("document.getElementById('theme').click()")
            driver.execute_script("document.querySelectorAll('.grid thead button')[6].click()")
            driver.execute_script("document.querySelectorAll('.grid tbody tr[role=row]')[3].click()")
            picture(driver, "report_many.png")
        finally:
            driver.quit()


if __name__ == "__main__":
    main()
