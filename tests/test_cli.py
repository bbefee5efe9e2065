"""The command ``relax``, as a user meets it."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rich.console
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.io import Trajectory, read, write
from ase.units import GPa

from relax import __version__
from relax.cli.inputs import Record
from relax.cli.listing.rules_command import rule_text
from relax.cli.options import RunOptions
from relax.cli.options.declaration import declarations
from relax.cli.options.rule_settings import RULE_NAMES, common_settings
from relax.cli.running.summary import RunSummary
from relax.cli.running.tables import run_table
from relax.core.errors import InvalidStructure
from relax.core.parameters import parameters
from relax.core.result import STATUSES, Result
from relax.engine.api import relax_many
from relax.optimizers.named import OPTIMIZERS
from relax.rules import DEFAULT_RULE, RULES
from relax.rules.wrappers import for_atoms

ROOT = Path(__file__).parents[1]


def copper(seed: int = 0) -> Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, rng=np.random.default_rng(seed))
    return atoms


@pytest.fixture
def good(tmp_path):
    """Return the name of a file with a structure that EMT relaxes at once."""
    write(tmp_path / "good.extxyz", copper())
    return "good.extxyz"


def shell(*words: str, **options) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, env=environment, timeout=300, **options
    )


def lines(out: str) -> list[dict]:
    """Return what the lines of JSON say."""
    return [json.loads(line) for line in out.splitlines()]


# What is imported


@pytest.mark.parametrize(
    "words",
    [
        *((*command, "--help") for command in [(), ("run",), ("compare",), ("rules",), ("show",)]),
        ("--version",),
        (),
    ],
)
def test_help_imports_nothing_heavy(words):
    code = f"""
import sys
from relax.cli.app import main
try:
    main({list(words)!r})
except SystemExit as end:
    assert not end.code, end.code
heavy = {{"ase", "numpy", "scipy", "torch", "rich", "chgnet", "mace"}} & set(sys.modules)
assert not heavy, heavy
"""
    ended = shell("-c", code)
    assert ended.returncode == 0, ended.stderr
    assert __version__ in ended.stdout if words == ("--version",) else "Usage: relax" in ended.stdout


def test_a_usage_error_needs_no_ase():
    code = """
import sys
from relax.cli.app import main
try:
    main(["run", "x", "--set", "flor=1"])
except SystemExit:
    assert not {"ase", "torch"} & set(sys.modules)
"""
    ended = shell("-c", code)
    assert "did you mean 'floor'" in ended.stderr
    assert ended.returncode == 0, ended.stderr


def test_the_module_is_the_command():
    ended = shell("-m", "relax", "--version")
    assert (ended.returncode, ended.stdout) == (0, f"relax {__version__}\n")


# relax rules


def test_names_are_those_of_the_rules():
    assert (DEFAULT_RULE, *(name for name in RULES if name != DEFAULT_RULE)) == RULE_NAMES
    assert set(OPTIMIZERS) == set(RULE_NAMES)
    assert RunOptions.rule == DEFAULT_RULE
    for name, optimizer in OPTIMIZERS.items():
        assert optimizer.__name__ == f"{RULES[name].__name__}Relax"


def test_common_settings_are_those_of_for_atoms():
    assert set(common_settings()) == set(for_atoms.__kwdefaults__) - {"schedule", "metric"}


def test_rules_are_listed_in_short(relax):
    code, out, err = relax("rules")
    assert (code, err) == (0, [])
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 50
    assert [line.split()[0] for line in lines if line[0:1].strip()][1 : len(RULE_NAMES) + 1] == list(
        RULE_NAMES
    )
    assert lines[1].startswith(DEFAULT_RULE)
    assert out.count("The default.") == 1
    assert "``" not in out
    assert ":class:" not in out
    assert "relax rules RULE" in lines[-1]
    assert "arXiv:2503.02147" in next(line for line in lines if line.startswith("frankenstein"))


def test_every_rule_is_listed_with_everything(relax):
    code, out, err = relax("rules", "--all")
    assert (code, err) == (0, [])
    assert max(map(len, out.splitlines())) <= 80
    assert out.startswith(DEFAULT_RULE)
    flat = " ".join(out.split())
    for name, rule in RULES.items():
        text = rule_text(rule)
        assert text.summary
        assert text.source
        assert text.recurrence
        default = ", the default" if name == DEFAULT_RULE else ""
        head = f"{name} (in Python {rule.__name__}Relax{default})"
        summary = text.summary.replace(":class:", "").replace("`", "")
        assert f"{head} {summary} Defaults: maxstep=" in flat
        assert f"Source: {text.source}." in flat.replace("``", "")
        for parameter, declared in parameters(rule).items():
            assert f"{parameter} " in flat
            assert declared.allowed.split(" | ")[0] in flat


def test_one_rule_is_shown_in_full(relax):
    code, out, _ = relax("rules", "core")
    assert code == 0
    assert "dx     = -(weight_decay |u P s|) x - u P s" in out
    assert "``" not in out
    assert "frankenstein" not in out
    assert max(map(len, out.splitlines())) <= 80
    assert relax("rules", "--all")[0] == 0


def test_rules_as_json(relax):
    rules = json.loads(relax("rules", "--json")[1])
    assert [rule["name"] for rule in rules] == list(RULE_NAMES)
    core = rules[RULE_NAMES.index("core")]
    growth = next(p for p in core["parameters"] if p["name"] == "eta_plus")
    assert growth["allowed"] == "[1, inf)"
    assert set(growth) == {"name", "default", "allowed", "unit", "meaning"}


def test_an_unknown_rule_of_rules(relax):
    assert relax("rules", "adamm") == (2, "", [
        f"relax: unknown rule 'adamm'; did you mean 'adam'? (available: {' '.join(RULE_NAMES)})"
    ])  # fmt: skip


# Completion in a shell


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("rules fr", ["frankenstein"]),
        ("run --rule pair", ["pair-lbfgs"]),
        ("run -c ch", ["chgnet"]),
        ("run -c mac", ["mace:"]),
        ("show --status sadd", ["saddle"]),
        ("show --status converged,time", ["converged,timeout"]),
        ("sh", ["show"]),
    ],
)
def test_names_are_completed(relax, monkeypatch, words, completed):
    monkeypatch.setenv("_RELAX_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"relax {words}")
    monkeypatch.setenv("COMP_CWORD", str(len(words.split())))
    code, out, err = relax()
    assert (code, out.split(), err) == (0, completed, [])


# Options


def test_every_option_is_in_the_help(relax, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    code, out, err = relax("run", "--help")
    assert (code, err) == (0, [])
    assert max(map(len, out.splitlines())) <= 100
    flat = " ".join(out.split())
    for field, declared in declarations(RunOptions):
        # A line may end within a name, after its hyphen.
        assert declared.parameter.help.replace("- ", "-") in flat.replace("- ", "-")
        if field.name not in ("files", "set_words", "as_json"):
            assert f"--{field.name.replace('_', '-')} " in flat


def test_defaults_are_those_of_the_library():
    library = inspect.signature(relax_many).parameters
    defaults = {f.name: f.default for f in dataclasses.fields(RunOptions) if f.name in library}
    assert {"rule", "fmax", "steps", "smax", "timeout", "cell", "symprec", "on_bad", "check"} < set(defaults)
    assert defaults == {name: library[name].default for name in defaults}


# Mistakes on the command line


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--rule", "frankenstien"], "did you mean 'frankenstein'"),
        (["--rule", "Adam"], "did you mean 'adam'"),
        (["--set", "flor=1"], "internal-lbfgs has no parameter 'flor'; did you mean 'floor'?"),
        (["--set", "maxstp=1"], "did you mean 'maxstep'"),
        (["--set", "lr"], "--set lr: write NAME=VALUE"),
        (["--set", "lr="], "--set lr=: write NAME=VALUE"),
        (["--set", "floor=fast"], "floor = 'fast' is not a number"),
        (["--set", "floor=-1"], "floor = -1.0 is not allowed; give a number in (0, inf)"),
        (["--set", "floor=nan"], "floor = nan is not allowed"),
        (["--set", "maxstep=0"], "maxstep = 0.0 is not allowed"),
        (["--set", "clip_norm=row"], "clip_norm = 'row' is not allowed"),
        (["--set", "maximize=maybe"], "maximize = 'maybe' is not allowed"),
        (["--rule", "core", "--set", "s_min=1"], "s_min = 1.0 is above s_max"),
        (["--fmax", "0"], "--fmax must be greater than 0 (got 0)"),
        (["--fmax", "nan"], "--fmax must be greater than 0 (got nan)"),
        (["--steps", "-1"], "--steps must be 0 or more (got -1)"),
        (["--steps", "many"], "--steps"),
        (["--nonsense"], "No such option"),
        (["--symmetry", "kept"], "--symmetry must be keep or free (got 'kept')"),
        (["--on-bad", "raise"], "--on-bad must be stop or backtrack (got 'raise')"),
        (["--check", "maximum"], "--check must be minimum or tight (got 'maximum')"),
        (["--escape"], "--escape needs --check minimum; add it"),
        (
            ["--metric", "--rule", "pair-lbfgs"],
            "--metric is not for pair-lbfgs, which is always preconditioned",
        ),
        (["--symmetry", "keep", "--rattle", "0.1"], "--rattle breaks the symmetry that --symmetry keep"),
        (["--rattle", "-1"], "--rattle must be 0 or more"),
        (["--rattle", "inf"], "--rattle must be 0 or more"),
        (["--seed", "-1"], "--seed must be 0 or more"),
        (["--symprec", "0"], "--symprec must be greater than 0"),
        (["--timeout", "0"], "--timeout must be greater than 0"),
        (["--cell", "--smax", "nan"], "--smax must be greater than 0"),
        (["--cell", "--pressure", "nan"], "--pressure must be a finite number (got nan)"),
        (["--pressure", "1"], "--pressure needs --cell; add it"),
        (["--smax", "1"], "--smax needs --cell; add it"),
        (["--hydrostatic"], "--hydrostatic needs --cell; add it"),
        (["--constant-volume", "--no-cell"], "--constant-volume needs --cell; add it"),
        (["--cell", "--hydrostatic", "--constant-volume"], "together fix the cell"),
        (
            ["--cell", "--pressure", "1", "--constant-volume"],
            "--pressure has no effect with --constant-volume",
        ),
        (
            ["--device", "cuda"],
            "a device can be chosen for chgnet, mace, sevennet, orb, mattersim and uma models, not for emt",
        ),
        (["--dtype", "float32"], "a dtype can be chosen for mace models, not for emt"),
        (["--head", "pbe"], "a head can be chosen for mace models, not for emt"),
        (["--calculator", "chgnet", "--device", "gpu"], "unknown device 'gpu'; give cpu or cuda"),
        (
            ["--calculator", "mace:small", "--dtype", "float16"],
            "unknown dtype 'float16'; give float64, float32 or",
        ),
        (["--calculator", "mace:no/such.model"], "mace:no/such.model: there is no such file"),
        (["--calculator", "emtt"], "did you mean 'emt'"),
        (["--calculator", "nosuch:thing"], "no module 'nosuch'"),
        (["-o", "good.extxyz"], "would overwrite an input"),
        (["-o", "./good.extxyz"], "would overwrite an input"),
        (["--trajectory", "good.extxyz"], "would overwrite an input"),
        (["-o", "a.traj", "--logfile", "a.traj"], "--output and --logfile are the same file"),
        (["-o", "missing/out.extxyz"], "there is no folder"),
        (["-o", "out.nonsense"], "--output out.nonsense: "),
        (["--logfile", "."], "--logfile .: Is a directory"),
        (["--trajectory", "/dev/null"], "--trajectory /dev/null: "),
    ],
)
def test_usage_error_is_one_line_and_writes_nothing(relax, good, words, says):
    options = [] if "--calculator" in words else ["--calculator", "emt"]
    code, out, err = relax("run", good, *options, *words)
    assert (code, out, len(err)) == (2, "", 1), err
    assert err[0].startswith("relax: ")
    assert says in err[0]
    assert os.listdir() == [good]


def test_commands_that_do_not_exist(relax):
    assert relax("runn")[2] == ["relax: No such command 'runn'. Did you mean 'run'? (see relax --help)"]
    code, _, err = relax("run")
    assert (code, len(err)) == (2, 1)


@pytest.mark.parametrize("package", ["chgnet", "torch"])
def test_a_missing_extra_says_how_to_install_it(relax, good, monkeypatch, package):
    for loaded in list(sys.modules):
        if loaded.partition(".")[0] == "chgnet":
            monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, package, None)
    code, out, err = relax("run", good)
    assert (code, out) == (2, "")
    assert err == [f'relax: {package} is not installed, which chgnet needs: pip install "relax[chgnet]"']


# Bad structures: one line, the others relaxed


def bad_file(kind: str) -> str:
    """Write a file with something wrong, and return its name."""
    atoms = copper()
    if kind == "empty":
        Path("bad.cif").write_text("")
        return "bad.cif"
    if kind == "unreadable":
        Path("bad.cif").write_text("no crystal at all")
        return "bad.cif"
    if kind == "missing":
        return "bad.cif"
    if kind == "nan":
        atoms.positions[1] = np.nan
    elif kind == "spot":
        atoms.positions[1] = atoms.positions[0]
    elif kind == "element":
        atoms.symbols[2] = "Og"
    elif kind == "none":
        atoms = Atoms(cell=[3, 3, 3], pbc=True)
    write("bad.traj", atoms)
    return "bad.traj"


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("empty", "the file is empty"),
        ("unreadable", "cannot be read"),
        ("missing", "there is no such file"),
        ("nan", "the position of atom 1 (Cu) is [nan nan nan]"),
        ("spot", "atoms 0 (Cu) and 1 (Cu) overlap"),
        ("element", "EMT does not know the element of atom 2, Og"),
        ("none", "there are no atoms to relax"),
    ],
)
def test_invalid_file_is_one_line_and_the_others_are_relaxed(relax, good, kind, says):
    bad = bad_file(kind)
    code, out, err = relax("run", "-c", "emt", bad, good, "-o", "out.extxyz")
    assert (code, len(err)) == (2, 1), err
    assert err[0].startswith(f"relax: {bad}: ")
    assert says in err[0]
    assert "1 of 1 converged" in out
    assert len(read("out.extxyz", ":")) == 1
    assert not [name for name in os.listdir() if name not in (bad, good, "out.extxyz")]


def test_nothing_to_relax_writes_nothing(relax):
    code, out, err = relax("run", "-c", "emt", bad_file("spot"), "-o", "out.extxyz", "--trajectory", "paths")
    assert (code, out, len(err)) == (2, "", 1)
    assert os.listdir() == ["bad.traj"]


# Runs


def test_results_are_printed_and_written_in_input_order(relax, good):
    slab = fcc111("Cu", (2, 2, 3), vacuum=6)
    slab.info.clear()  # what the builder notes for adsorbates fits no file
    slab.rattle(0.05)
    slab.set_constraint(FixAtoms(mask=slab.get_tags() == 3))
    write("slab.extxyz", slab)
    write("two.traj", [copper(1), copper(2)])
    words = ("run", "-c", "emt", "-o", "out.extxyz", "--set", "floor=0.2", "--set", "maxstep=0.1")
    code, out, err = relax(*words, "slab.extxyz", good, "two.traj")
    assert (code, err) == (0, [])
    assert "4 of 4 converged" in out
    assert all(word in out for word in ("slab.extxyz", "two.traj#0", "two.traj#1", "Cu12", "converged"))
    frames = read("out.extxyz", ":")
    assert [f.info["source"] for f in frames] == ["slab.extxyz", good, "two.traj#0", "two.traj#1"]
    for frame in frames:
        assert frame.info["relax_status"] == "converged"
        assert frame.info["relax_rule"] == "internal-lbfgs floor=0.2 maxstep=0.1"
        assert np.linalg.norm(frame.get_forces(), axis=1).max() <= 0.05
        again = frame.copy()
        again.calc = EMT()
        assert again.get_potential_energy() == pytest.approx(frame.get_potential_energy(), abs=1e-6)
    assert list(frames[0].constraints[0].index) == [0, 1, 2, 3]
    assert np.allclose(frames[0].positions[:4], slab.positions[:4])


def test_json_has_every_field_and_nothing_else_is_printed(relax, good):
    code, out, err = relax(
        "run", "--json", "-c", "emt", "--rule", "core", "--set", "s_0=0.05", good, "nofile"
    )
    assert (code, err[0], len(err)) == (2, "relax: nofile: there is no such file", 2)
    assert err[1].startswith("relax: 1 of 1 converged; ")
    assert err[1].endswith(" structures/s, 1 invalid input was skipped")
    result, invalid = sorted(lines(out), key=lambda line: line["status"])
    reason = "there is no such file"
    assert invalid == {
        "source": "nofile", "file": "nofile", "frame": None, "status": "invalid", "reason": reason
    }  # fmt: skip
    expected = {
        "source": good, "file": good, "frame": 0, "formula": "Cu4", "status": "converged",
        "calculator": "emt", "rule": "core", "settings": {"s_0": 0.05}, "relax": __version__,
    }  # fmt: skip
    assert result.items() >= expected.items()
    assert {field.name for field in dataclasses.fields(Result)} - {"mode"} < set(result)
    assert (result["curvature"], result["escapes"]) == (None, 0)
    assert result["smax"] > 0
    assert result["spacegroup_first"] == "P1 (1)"
    assert result["options"] == "calculator=emt fmax=0.05"
    assert result["force_calls"] == result["steps"] + 1
    assert set(STATUSES) >= {result["status"]}


def test_json_of_nothing_says_so(relax):
    code, out, err = relax("run", "--json", "-c", "emt", "nofile")
    assert code == 2
    assert [line["status"] for line in lines(out)] == ["invalid"]
    assert err[-1] == "relax: no structures were relaxed, 1 invalid input was skipped"


def test_unconverged_structure_is_exit_1_and_written(relax, good):
    code, out, err = relax("run", "-c", "emt", good, "--steps", 1, "-o", "out.extxyz")
    assert (code, err) == (1, [])
    assert f"{good}: max_steps: fmax is " in out
    assert "0 of 1 converged" in out
    assert read("out.extxyz").info["relax_status"] == "max_steps"


def test_no_step_is_one_force_call(relax, good):
    (result,) = lines(relax("run", "--json", "-c", "emt", good, "--steps", 0)[1])
    assert (result["force_calls"], result["steps"]) == (1, 0)


def test_equal_structures_are_each_calculated(relax):
    write("still.traj", [bulk("Cu"), bulk("Cu")])
    results = lines(relax("run", "--json", "-c", "emt", "still.traj")[1])
    assert [r["force_calls"] for r in results] == [1, 1]


def test_results_in_the_file_do_not_matter(relax):
    from ase.calculators.singlepoint import SinglePointCalculator

    atoms = copper()
    atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=np.zeros((4, 3)))
    write("claimed.extxyz", atoms)
    (result,) = lines(relax("run", "--json", "-c", "emt", "claimed.extxyz")[1])
    assert result["force_calls"] > 1


def test_a_calculator_that_fails_is_a_status(relax, good):
    Path("moody.py").write_text(
        "from ase.calculators.emt import EMT\n"
        "class Moody(EMT):\n"
        "    def calculate(self, atoms=None, *args):\n"
        "        if len(atoms) == 2: raise RuntimeError('not\\ntoday')\n"
        "        super().calculate(atoms, *args)\n"
    )
    write("pair.extxyz", molecule("N2"))
    code, out, err = relax(
        "run", "-c", "moody:Moody", "pair.extxyz", good, "-o", "o.xyz", "--trajectory", "t"
    )
    assert (code, err) == (1, [])
    assert "pair.extxyz: calculator_error: RuntimeError: not today" in out
    assert "1 of 2 converged" in out
    assert [frame.calc is None for frame in read("o.xyz", ":")] == [True, False]
    assert os.listdir("t") == ["good.extxyz.traj"]
    code, out, _ = relax("run", "--json", "-c", "moody:Moody", "pair.extxyz")
    assert lines(out)[0]["energy_last"] is None


def test_the_cell_is_relaxed_where_there_is_one(relax):
    wide = bulk("Cu", a=3.75)
    write("wide.traj", wide)
    write("pair.traj", Atoms("Cu2", [[0, 0, 0], [0, 0, 2.4]]))
    code, out, err = relax("run", "-c", "emt", "--cell", "-o", "out.traj", "wide.traj", "pair.traj")
    assert code == 0, out
    assert err == ["relax: pair.traj: not periodic, so its cell is kept"]
    relaxed, pair = read("out.traj", ":")
    assert relaxed.cell.volume < 0.95 * wide.cell.volume
    assert pair.cell.rank == 0
    assert np.abs(relaxed.get_stress()).max() * relaxed.cell.volume < 0.06
    assert relaxed.info["relax_smax"] == pytest.approx(np.abs(relaxed.get_stress()).max() / GPa)
    assert relaxed.info["relax_volume_ratio"] == pytest.approx(relaxed.cell.volume / wide.cell.volume)
    assert relaxed.info["relax_spacegroup_last"] == "Fm-3m (225)"
    assert not {"relax_smax", "relax_volume_ratio", "relax_spacegroup_last"} & set(pair.info)


def planar() -> str:
    """Write a file with a saddle, and return its name."""
    write("planar.extxyz", Atoms("Cu4", 2.3 * np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])))
    return "planar.extxyz"


@pytest.mark.parametrize("batch", [[], ["--batch-size", "2"]])
def test_saddle_has_its_own_status(relax, good, batch):
    words = ("run", "-c", "emt", "--check", "minimum", *batch, planar(), good)
    code, out, err = relax(*words, "-o", "out.extxyz")
    assert (code, err) == (1, [])
    assert "curv." in out
    assert "planar.extxyz: saddle: the lowest curvature is -" in out
    assert "1 of 2 converged" in out
    frames = {frame.info["source"]: frame.info for frame in read("out.extxyz", ":")}
    assert frames["planar.extxyz"]["relax_status"] == "saddle"
    assert frames["planar.extxyz"]["relax_curvature"] < 0 < frames[good]["relax_curvature"]
    assert frames["planar.extxyz"]["relax_escapes"] == 0
    assert frames[good]["relax_options"] == "calculator=emt fmax=0.05 check=minimum"


@pytest.mark.parametrize("batch", [[], ["--batch-size", "2"]])
def test_escape_from_a_saddle(relax, batch):
    words = ("run", "-c", "emt", "--check", "minimum", "--escape", *batch, planar())
    code, out, err = relax(*words)
    assert (code, err) == (0, [])
    assert "planar.extxyz: left 1 saddle point\n" in out
    (result,) = lines(relax(*words, "--json")[1])
    assert (result["status"], result["escapes"]) == ("converged", 1)
    assert result["curvature"] > -0.1
    assert "mode" not in result


def test_no_curvature_without_a_check(relax):
    code, out, _ = relax("run", "-c", "emt", planar(), "-o", "out.extxyz")
    assert code == 0
    assert "curv." not in out
    assert not {"relax_curvature", "relax_escapes"} & set(read("out.extxyz").info)


def test_resume_compares_the_check(relax):
    words = ("run", "-c", "emt", planar(), "-o", "out.extxyz")
    assert relax(*words, "--check", "minimum")[0] == 1
    code, _, (line,) = relax(*words, "--resume")
    assert code == 2
    assert "it was written with the options 'calculator=emt fmax=0.05 check=minimum'" in line
    assert relax(*words, "--check", "minimum", "--resume")[0] == 1


@pytest.mark.parametrize("batch", [[], ["--batch-size", "2"]])
def test_metric_preconditions_a_rule(relax, good, batch):
    words = ("run", "-c", "emt", "-r", "lbfgs", *batch, good)
    code, _, err = relax(*words, "--metric", "-o", "out.extxyz")
    assert (code, err) == (0, [])
    assert read("out.extxyz").info["relax_options"] == "calculator=emt metric=True fmax=0.05"
    relax(*words, "-o", "plain.extxyz")
    assert abs(read("out.extxyz").positions - read("plain.extxyz").positions).max() > 1e-6


def test_a_slab_relaxes_in_its_plane(relax):
    slab = fcc111("Cu", (1, 1, 3), a=3.75, vacuum=6)
    slab.info.clear()
    write("slab.traj", slab)
    code, out, err = relax("run", "-c", "emt", "--cell", "-o", "out.traj", "slab.traj", "--smax", 0.1)
    assert code == 0, out
    assert err == ["relax: slab.traj: periodic only along a and b, so the rest of its cell is kept"]
    relaxed = read("out.traj")
    assert np.allclose(relaxed.cell[2], slab.cell[2], atol=1e-12)
    assert relaxed.cell.lengths()[0] < 0.99 * slab.cell.lengths()[0]
    code, out, err = relax("run", "-c", "emt", "--cell", "--pressure", 1, "slab.traj")
    assert (code, out) == (2, "")
    assert err == ["relax: slab.traj: --pressure needs a structure that is periodic in three directions"]


def test_a_pressure_is_met(relax):
    write("cu.traj", bulk("Cu"))
    words = ("run", "-c", "emt", "--cell", "--pressure", 10, "--smax", 0.01, "cu.traj", "-o", "out.traj")
    code, out, _ = relax(*words)
    assert code == 0, out
    assert "enthalpy" in out
    stress = read("out.traj").get_stress()
    assert np.allclose(stress / GPa, [-10, -10, -10, 0, 0, 0], atol=0.01)
    (result,) = lines(relax(*words[:-2], "--json")[1])
    assert result["smax"] <= 0.01
    assert result["volume_ratio"] < 1
    assert "residual stress" in result["reason"]


@pytest.mark.parametrize(("option", "kept"), [("--hydrostatic", "shape"), ("--constant-volume", "volume")])
def test_hydrostatic_and_constant_volume(relax, option, kept):
    atoms = bulk("Cu", "bct", a=2.7, c=3.4)
    write("cu.traj", atoms)
    code, out, _ = relax("run", "-c", "emt", "--cell", option, "cu.traj", "-o", "out.traj")
    assert code == 0, out
    before, after = atoms.cell, read("out.traj").cell
    grown = (after.volume / before.volume) ** (1 / 3)
    assert not np.allclose(after, before, atol=1e-3)
    if kept == "shape":
        assert np.allclose(after, grown * before.array)
    else:
        assert grown == pytest.approx(1)


def test_symmetry_is_kept_or_free(relax):
    atoms = bulk("Cu", cubic=True, a=3.7)
    atoms[0].symbol = "Au"
    atoms.rattle(1e-4, seed=1)
    write("cu3au.traj", atoms)
    words = ("run", "-c", "emt", "--cell", "cu3au.traj", "--fmax", 0.01, "--json", "--symprec")
    (kept,) = lines(relax(*words, 0.01, "--symmetry", "keep")[1])
    assert kept["spacegroup_first"] == kept["spacegroup_last"] == "Pm-3m (221)"
    assert kept["fmax"] < 1e-10
    (free,) = lines(relax(*words, 1e-6)[1])
    assert free["spacegroup_first"] == "P1 (1)"


def test_rattle_depends_on_the_seed_only(relax):
    write("cu.traj", bulk("Cu", cubic=True))

    def rattled(seed):
        code, out, _ = relax("run", "-c", "emt", "cu.traj", "--rattle", 0.1, "--seed", seed, "-o", "out.traj",
                             "--steps", 0, "--force")  # fmt: skip
        assert code == 1
        assert "cu.traj: space group Fm-3m (225) -> P1 (1)" in out
        return read("out.traj").positions

    first = rattled(1)
    assert np.abs(first - bulk("Cu", cubic=True).positions).max() > 0.05
    assert np.array_equal(first, rattled(1))
    assert not np.allclose(first, rattled(2))


@pytest.mark.parametrize(
    ("options", "atoms", "says"),
    [
        (["--cell"], Atoms("Cu2", [[0, 0, 0], [0, 0, 2.4]], cell=[3, 3, 0], pbc=[1, 1, 0]), "with a volume"),
        (["--symmetry", "keep"], molecule("N2"), "a crystal that is periodic in three directions"),
    ],
)
def test_structure_without_the_cell_or_symmetry_is_invalid(relax, good, options, atoms, says):
    write("bad.traj", atoms)
    words = ["run", "-c", "emt", *options, "bad.traj", good, "-o", "out.extxyz", "--trajectory", "paths"]
    code, out, err = relax(*words)
    assert code == 2
    assert err[-1].startswith("relax: bad.traj: ")
    assert says in err[-1]
    assert "1 of 1 converged" in out
    assert read("out.extxyz").info["source"] == good
    assert os.listdir("paths") == [f"{good}.traj"]


def test_backtracking_after_bad_forces(relax, good):
    Path("fickle.py").write_text(
        "from ase.calculators.emt import EMT\n"
        "class Fickle(EMT):\n"
        "    calls = 0\n"
        "    def calculate(self, *args):\n"
        "        super().calculate(*args)\n"
        "        self.calls += 1\n"
        "        if self.calls == 3: self.results['forces'] *= float('nan')\n"
    )
    code, out, _ = relax("run", "-c", "fickle:Fickle", good)
    assert code == 1
    assert f"{good}: nonfinite: the force on row 0 is nan" in out
    assert relax("run", "-c", "fickle:Fickle", good, "--on-bad", "backtrack")[0] == 0


def test_timeout_per_structure(relax, good):
    Path("sleepy.py").write_text(
        "import time\n"
        "from ase.calculators.emt import EMT\n"
        "class Sleepy(EMT):\n"
        "    def calculate(self, atoms=None, *args):\n"
        "        if len(atoms) == 8: time.sleep(60)\n"
        "        super().calculate(atoms, *args)\n"
    )
    write("slow.traj", copper() * (2, 1, 1))
    start = time.monotonic()
    code, out, _ = relax("run", "-c", "sleepy:Sleepy", "slow.traj", good, "--timeout", 1.5)
    assert time.monotonic() - start < 30
    assert code == 1
    assert "slow.traj: timeout: the time was up" in out
    assert "1 of 2 converged" in out


def test_json_says_which_options_decided(relax, good):
    (said,) = lines(relax("run", "--json", "-c", "emt", "--symprec", 0.02, good)[1])
    assert RunOptions(files=[good], calculator="emt", symprec=0.02).options_text == said["options"]
    assert "symprec=0.02" in said["options"].split()


LONGEST = Result(
    "calculator_error", "RuntimeError: no", 1234, 1233, 12.3456, 123.4567, -321.1, -321.2, 1.1, 0.9,
    "Pm-3m (221)", "", 1234.5,
)  # fmt: skip


def record(result: Result) -> Record:
    """Return a structure with the longest of everything."""
    source = "a-folder/another-folder/structure-number-1234.extxyz"
    made = Record(source, 0, source, Atoms("Sr8Ti8O24"))
    made.result = result
    return made


@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize(("width", "energies"), [(80, 1), (110, 2), (1000, 2)])
def test_the_table_fits_the_screen(width, energies, checked):
    found = {"curvature": -12.3456, "escapes": 2} if checked else {}
    result = dataclasses.replace(LONGEST, **found)
    console = rich.console.Console(width=width)
    longest, summary = record(result), RunSummary()
    summary.add(longest)
    with console.capture() as captured:
        console.print(run_table(summary, None, width))
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= width
    table = "\n".join(lines[: lines.index("")])
    assert "…" not in table
    assert table.count("energy") == energies
    assert ("curv." in table) == ("-12.346" in table) == checked
    words = (
        "fmax",
        "12.3456",
        "stress",
        "GPa",
        "123.457",
        "-8.0300",
        "1234",
        "calculator_error",
        "Sr8Ti8O24",
    )
    assert [word for word in words if word not in table] == []
    flat = " ".join(" ".join(lines).split())
    left = f"{longest.source}: left 2 saddle points " if checked else ""
    assert (
        f"{longest.source}: calculator_error: RuntimeError: no {left}"
        f"{longest.source}: space group Pm-3m (221) -> none"
    ) in flat


def test_trajectories_have_a_file_each(relax, good):
    Path("a").mkdir()
    write("a/good.extxyz", [copper(1), copper(2)])
    assert relax("run", "-c", "emt", good, "a/good.extxyz", "--trajectory", "paths", good)[0] == 0
    names = sorted(os.listdir("paths"))
    assert names == [
        "good.extxyz-0.traj", "good.extxyz-1.traj", "good.extxyz-2.traj", "good.extxyz.traj"
    ]  # fmt: skip
    with Trajectory("paths/good.extxyz.traj") as path:
        energies = [frame.get_potential_energy() for frame in path]
    assert energies[-1] < energies[0]


def test_one_trajectory_may_be_a_file(relax, good):
    assert relax("run", "-c", "emt", good, "--trajectory", "one.traj", "--logfile", "log")[0] == 0
    assert len(read("one.traj", ":")) > 1
    log = Path("log").read_text()
    heads, *steps, end = log.splitlines()
    assert heads.split() == ["step", "calls", "energy", "eV", "fmax", "eV/A", "stress", "GPa", "structure"]
    frames = read("one.traj", ":")
    for number, (line, frame) in enumerate(zip(steps, frames, strict=True)):
        step, calls, energy, fmax, _, name = line.split()
        assert (int(step), int(calls), name) == (number, number + 1, good)
        assert float(energy) == pytest.approx(frame.get_potential_energy(), abs=1e-6)
        assert float(fmax) == pytest.approx(np.linalg.norm(frame.get_forces(), axis=1).max(), abs=1e-6)
    assert end == f"{good}: converged: no force above 0.05 eV/A"
    code, _, err = relax("run", "-c", "emt", good, good, "--trajectory", "one.traj")
    assert code == 2
    assert "one file for several structures; name a folder" in err[0]


def test_unsuitable_format_is_found_before_the_run(relax, good):
    code, out, err = relax("run", "-c", "emt", good, good, "-o", "out.vasp", "--logfile", "log")
    assert (code, out, len(err)) == (2, "", 1)
    assert "--output out.vasp: cannot be written" in err[0]
    assert os.listdir() == [good]


def no_room(path, frames, rehearse=False):
    """Fail to write, where it is meant."""
    if not rehearse:
        raise InvalidStructure("the disk is full")


NO_ROOM = "relax: --output out.traj: the disk is full; the structures are in out.traj.extxyz"


def test_failed_write_still_prints_the_results(relax, good, monkeypatch):
    monkeypatch.setattr("relax.io.outputs.run_output.write_structures", no_room)
    code, out, err = relax("run", "-c", "emt", good, "-o", "out.traj")
    assert (code, err) == (2, [NO_ROOM])
    assert "1 of 1 converged" in out
    assert read("out.traj.extxyz").info["relax_status"] == "converged"


@pytest.mark.parametrize("rule", RULE_NAMES)
def test_every_rule_takes_a_step(relax, good, rule):
    code, out, err = relax("run", "-c", "emt", good, "--rule", rule, "--steps", 2, "--fmax", 1e-9)
    assert (code, err) == (1, []), out


def test_lennard_jones_runs(relax):
    atoms = Atoms("Ar3", [[0, 0, 0], [1.2, 0, 0], [0.5, 1.0, 0]])
    write("three.xyz", atoms)
    (result,) = lines(relax("run", "--json", "-c", "lj", "three.xyz", "--fmax", 0.01)[1])
    assert result["energy_last"] == pytest.approx(-3, abs=1e-3)


@pytest.mark.parametrize("full", [False, True])
def test_ctrl_c_keeps_what_is_finished(relax, good, full, monkeypatch):
    Path("stopped.py").write_text(
        "from ase.calculators.emt import EMT\n"
        "class Stopped(EMT):\n"
        "    calls = 0\n"
        "    def calculate(self, atoms=None, *args):\n"
        "        super().calculate(atoms, *args)\n"
        "        self.calls += len(atoms) == 8\n"
        "        if self.calls == 3: raise KeyboardInterrupt\n"
    )
    write("long.traj", copper() * (2, 1, 1))
    if full:
        monkeypatch.setattr("relax.io.outputs.run_output.write_structures", no_room)
    words = ("run", "-c", "stopped:Stopped", good, "long.traj", good, "-o", "out.traj", "--trajectory", "t")
    code, out, err = relax(*words)
    assert (code, err) == (130, [NO_ROOM] if full else [])
    assert f"not begun: {good}\n" in out
    assert "long.traj: interrupted" in out
    assert "1 of 2 converged, 1 interrupted" in out
    assert sorted(os.listdir("t")) == ["good.extxyz.traj", "long.traj.traj"]
    for file in ["out.traj.extxyz", *([] if full else ["out.traj"])]:
        statuses = [frame.info["relax_status"] for frame in read(file, ":")]
        assert statuses == ["converged", "interrupted"]


@pytest.mark.slow
@pytest.mark.usefixtures("hangup")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_finished_structures_are_written_after_a_signal(tmp_path, good, number):
    (tmp_path / "mine.py").write_text(
        "import time\n"
        "from ase.calculators.emt import EMT\n"
        "class Slow(EMT):\n"
        "    def calculate(self, atoms=None, *args):\n"
        "        if len(atoms) == 8: time.sleep(0.2)\n"
        "        super().calculate(atoms, *args)\n"
    )
    write(tmp_path / "long.traj", copper() * (2, 1, 1))
    words = ["run", "-c", "mine:Slow", good, "long.traj", good, "--fmax", "1e-9", "--steps", "40"]
    words += ["-r", "core", "-o", "out.extxyz", "--trajectory", "paths", "--logfile", "log"]
    process = subprocess.Popen(
        [sys.executable, "-m", "relax", *words],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # A shell has jobs in the background ignore Ctrl-C, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    log = tmp_path / "paths" / ".long.traj.traj.part"
    for _ in range(300):
        if log.exists() and log.stat().st_size > 3000:
            break
        time.sleep(0.1)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    assert "Traceback" not in err
    assert "long.traj: interrupted" in out
    statuses = [frame.info["relax_status"] for frame in read(tmp_path / "out.extxyz", ":")]
    assert statuses == ["max_steps", "interrupted"]
    assert sorted(os.listdir(tmp_path / "paths")) == ["good.extxyz.traj", "long.traj.traj"]


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["--no-cell", "--cell"])
def test_the_examples_converge_on_their_own(tmp_path, cell):
    files = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "data" / "examples").iterdir())
    output = tmp_path / "relaxed.extxyz"
    ended = shell("-m", "relax", "run", "--json", cell, "-o", str(output), *files, cwd=ROOT)
    results = lines(ended.stdout)
    assert {r["file"]: r["status"] for r in results} == dict.fromkeys(files, "converged")
    assert ended.returncode == 0
    assert "Warning" not in ended.stderr
    assert len(read(output, ":")) == len(files) >= 4


def test_example_files_match_their_script():
    from benchmarks.tools.make_examples import EXAMPLES, FOLDER

    assert {path.name for path in FOLDER.iterdir()} == set(EXAMPLES)
    for name, make in EXAMPLES.items():
        made, kept = make(), read(FOLDER / name)
        assert list(made.symbols) == list(kept.symbols)
        # A CIF keeps neither the orientation of the cell nor the image an atom is in.
        assert np.allclose(made.cell.cellpar(), kept.cell.cellpar(), atol=1e-4)
        apart = made.get_scaled_positions() - kept.get_scaled_positions()
        assert np.abs(apart - apart.round()).max() < 1e-5
        assert len(made.constraints) == len(kept.constraints)
