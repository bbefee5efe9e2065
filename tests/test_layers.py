"""Imports point one way: a package imports only from packages before it in the list."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import relax

PACKAGE = Path(relax.__file__).parent
ROOMS = (
    "core", "geometry", "io", "preconditioner", "rules", "calculators", "engine", "optimizers", "campaign",
    "analysis", "cli",
)  # fmt: skip
MODULES = {
    ".".join(("relax", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name != "__main__.py"
}
# Arrays and each other are all that rules know.
PURE = [name for name in MODULES if name.startswith("relax.rules")]
PURE += [f"relax.core.{name}" for name in ("parameters", "rule", "segments", "state")]
PURE += [
    f"relax.preconditioner.{name}" for name in ("base", "features", "pair_stiffness", "internal_stiffness")
]
PURE += ["relax.preconditioner.internal.derivatives", "relax.preconditioner.matrices.factorised"]


def imports(name):
    """Return what a module imports: the name, and whether when it is loaded; types alone do not count."""
    tree = ast.parse(MODULES[name].read_text())
    typing = {
        inner for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }  # fmt: skip
    inside = {
        inner for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
    }  # fmt: skip
    for node in set(ast.walk(tree)) - typing:
        if isinstance(node, ast.Import):
            yield from ((alias.name, node not in inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the package in full"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield (whole if whole in MODULES else node.module), node not in inside


@pytest.mark.parametrize("name", MODULES)
def test_a_package_imports_from_those_before_it(name):
    room = name.split(".")[1] if "." in name else "relax"
    for imported, _ in imports(name):
        if imported.startswith("relax.") and room in ROOMS:
            assert ROOMS.index(imported.split(".")[1]) <= ROOMS.index(room), f"{name} imports {imported}"


def test_every_package_has_its_place_and_is_small():
    assert {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name[0] != "_"} == set(ROOMS)
    for folder in [PACKAGE, *(path for path in PACKAGE.rglob("*") if path.is_dir() and path.name[0] != "_")]:
        # A package that Python can run needs one file more.
        entries = [path for path in folder.iterdir() if path.name not in ("__pycache__", "__main__.py")]
        assert len(entries) <= 12, f"{folder.name} has {len(entries)} entries"


@pytest.mark.parametrize("name", PURE)
def test_rules_know_arrays_and_each_other(name):
    lazy = {"relax.core.segments": {"torch"}}
    preconditioner = ("features", "internal.derivatives", "matrices.factorised")
    lazy |= {f"relax.preconditioner.{file}": {"scipy"} for file in preconditioner}
    kriging = ("covariance", "kernel", "likelihood", "process")
    lazy |= {f"relax.rules.kriging.{file}": {"scipy"} for file in kriging}
    for imported, loads in imports(name):
        top = imported.partition(".")[0]
        known = {*sys.stdlib_module_names, "array_api_compat", "numpy"}
        assert top in known or imported in PURE or (not loads and top in lazy.get(name, ())), imported


def test_no_module_imports_in_a_circle():
    graph = {
        name: {imported for imported, loads in imports(name) if loads and imported in MODULES}
        for name in MODULES
    }
    assert set(TopologicalSorter(graph).static_order()) >= set(PURE)


def loaded(*names):
    """Return the modules of other packages that importing ``names`` loads, in a process of its own."""
    script = f"import sys, {', '.join(names)}; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True, text=True, check=True, cwd=PACKAGE.parent,
    )  # fmt: skip
    return {name for name in run.stdout.split() if "." not in name}


def test_rules_load_neither_ase_nor_torch():
    assert not loaded(*PURE) & {"ase", "torch", "typer", "scipy", "rich"}


def test_the_engine_loads_no_potential_and_no_screen():
    models = {"torch", "mace", "chgnet", "torch_sim"}
    assert not loaded("relax.engine.api", "relax.calculators.potentials") & {*models, "typer", "rich"}
