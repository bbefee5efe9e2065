"""Dependencies point one way: rules know arrays and each other, and nothing of what drives them."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import relax

PACKAGE = Path(relax.__file__).parent
# The lowest layer first; a module imports from layers below its own only.
LAYERS = (
    ("relax.segments",),
    ("relax.state", "relax.cell", "relax.parameters"),
    ("relax.metric",),
    ("relax.rule",),
    ("relax.memory", "relax.schedules", "relax.secants"),
    tuple(f"relax.rules.{path.stem}" for path in sorted((PACKAGE / "rules").glob("[!_]*.py"))),
    ("relax.rules",),
)
LAYER = {module: k for k, modules in enumerate(LAYERS) for module in modules}
NUMPY = {"relax.segments", "relax.state", "relax.cell"}
# What is loaded only where it is called for.
LAZY = {"torch": {"relax.segments", "relax.cell"}, "scipy": {"relax.cell"}}


def source(module):
    """Return the parsed source of a module of the package."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(path.read_text())


def imports(tree):
    """Return what a source imports: the module, and whether only when a function runs."""
    inside = {
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {(alias.name, node in inside) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the package in full"
            # `from relax import state` imports the module relax.state.
            names = [f"relax.{a.name}" for a in node.names] if node.module == "relax" else [node.module]
            found |= {(name, node in inside) for name in names}
    return found


@pytest.mark.parametrize("module", LAYER)
def test_rules_import_only_arrays_and_lower_layers(module):
    for name, lazily in imports(source(module)):
        top = name.partition(".")[0]
        if top == "relax":
            assert LAYER[name] < LAYER[module], f"{module} imports {name}"
        elif top in LAZY:
            assert module in LAZY[top]
            assert lazily
        elif top == "numpy":
            assert module in NUMPY
        else:
            assert top in {*sys.stdlib_module_names, "array_api_compat"}, f"{module} imports {name}"


def test_no_module_imports_in_a_circle():
    modules = {
        ".".join(("relax", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        for path in PACKAGE.rglob("*.py")
    }
    graph = {
        module: {name for name, lazily in imports(source(module)) if name in modules and not lazily}
        for module in modules - {"relax"}  # which names its parts and imports none of them
    }
    assert set(TopologicalSorter(graph).static_order()) >= set(LAYER)


def printed(script):
    """Return the words that a script prints in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True, text=True, check=True, cwd=PACKAGE.parent,
    )  # fmt: skip
    return run.stdout.split()


def test_rules_load_neither_ase_nor_torch():
    script = (
        "import importlib, sys\n"
        f"for name in {sorted(LAYER)}: importlib.import_module(name)\n"
        "print(*sorted({'ase', 'torch', 'typer', 'scipy', 'rich'} & set(sys.modules)))"
    )
    assert printed(script) == []


def test_a_batch_loads_no_potential_and_no_screen():
    script = (
        "import sys, relax.ensemble, relax.potentials\n"
        "print(*sorted({'torch', 'mace', 'chgnet', 'torch_sim', 'typer', 'rich'} & set(sys.modules)))"
    )
    assert printed(script) == []


def test_a_batch_knows_nothing_of_graphs_and_a_potential_nothing_of_rules():
    potentials = {path.stem for path in (PACKAGE / "potentials").glob("[!_]*.py")}
    for name in potentials:
        for imported, _ in imports(source(f"relax.potentials.{name}")):
            assert not imported.startswith(("relax.rule", "relax.batch", "relax.ensemble")), name
    for name in ("batch", "columns", "records", "jury"):
        for imported, _ in imports(source(f"relax.{name}")):
            assert not imported.startswith("relax.potentials.") or imported == "relax.potentials.potential"
