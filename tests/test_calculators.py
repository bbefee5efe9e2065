"""Calculators by name, and one line where there is none."""

from __future__ import annotations

import inspect
import json
import logging
import os
import shutil
import sys
import urllib.error

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.io import write

from relax import CoReRelax
from relax.calculators import registry as calculators
from relax.calculators.named import mace as mace_loading
from relax.cli.app import main
from relax.core.errors import CalculatorError


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Return a function that writes a module of the name ``mine`` into the current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    return (tmp_path / "mine.py").write_text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("chgnett", "did you mean 'chgnet'"),
        ("vasp", "there are: chgnet, emt, lj"),
        ("mace", "mace:NAME or mace:PATH"),
        ("mace:", "mace:NAME or mace:PATH"),
        ("", "unknown calculator"),
        (":x", "unknown calculator"),
    ],
)
def test_an_unknown_name_is_refused_before_any_import(name, words):
    with pytest.raises(CalculatorError, match=words) as caught:
        calculators.load(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("chgnet", "chgnet", "chgnet"), ("mace:small", "mace", "mace"), ("chgnet", "torch", "chgnet")],
)
def test_a_missing_package_says_which_extra_brings_it(monkeypatch, name, package, extra):
    for loaded in list(sys.modules):
        if loaded.partition(".")[0] == name.partition(":")[0]:
            monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(CalculatorError, match=rf'{package} is not installed.*pip install "relax\[{extra}\]"'):
        calculators.load(name)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("chgnet", {"device": "gpu"}, "unknown device 'gpu'; give cpu or cuda"),
        ("chgnet", {"device": "cpu:1"}, "unknown device"),
        ("chgnet", {"device": "cuda:x"}, "unknown device"),
        ("emt", {"device": "cuda"}, "not for emt"),
        ("mine:thing", {"device": "cuda"}, "not for mine:thing"),
        ("chgnet", {"dtype": "float64"}, "a dtype can be chosen for mace models, not for chgnet"),
        ("chgnet", {"head": "pbe"}, "a head can be chosen for mace models, not for chgnet"),
        ("mace:small", {"dtype": "float16"}, "unknown dtype 'float16'; give float64, float32 or mixed"),
        ("mace:small.model", {}, "mace:small.model: there is no such file"),
        ("mace:./small", {}, "mace:./small: there is no such file"),
        ("mace:*.model", {}, r"mace:\*.model: there is no such file"),
        ("mace:.model", {}, "mace:.model is not a file"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_any_import(
    tmp_path, monkeypatch, name, options, words
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.model").write_text("to be found by a pattern")
    (tmp_path / ".model").mkdir()
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(CalculatorError, match=words) as caught:
        calculators.load(name, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("devices", "device", "words"),
    [(0, "cuda", "cuda is not available, no CUDA device found; leave the device out"),
     (2, "cuda:2", "cuda:2 is not available, there are 2 CUDA devices")],
)  # fmt: skip
def test_a_device_that_is_not_there_is_one_line(monkeypatch, devices, device, words):
    monkeypatch.setattr("torch.cuda.is_available", lambda: devices > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: devices)
    for name in ("chgnet", "mace:small"):
        with pytest.raises(CalculatorError, match=words):
            calculators.load(name, device=device)


def test_emt_knows_its_elements():
    emt = calculators.load("emt")
    assert calculators.unsupported(emt, bulk("Cu")) == ""
    assert calculators.unsupported(emt, Atoms("CuTiSnTi")) == (
        "EMT does not know the element of atom 1, Ti, nor Sn (it knows Al Cu Ag Au Ni Pd Pt H C N O)"
    )


def test_lennard_jones_is_exact_in_a_cluster_and_smooth_beyond():
    lj = calculators.load("lj")
    r = 2 ** (1 / 6)
    dimer = Atoms("Ar2", [[0, 0, 0], [0, 0, r]], calculator=lj)
    assert dimer.get_potential_energy() == pytest.approx(-1)
    assert np.abs(dimer.get_forces()).max() < 1e-12
    dimer.positions[1, 2] = 6.5
    assert dimer.get_potential_energy() == pytest.approx(4 * (6.5**-12 - 6.5**-6))
    dimer.positions[1, 2] = 9.9999
    assert abs(dimer.get_forces()).max() < 1e-8
    assert calculators.unsupported(lj, dimer) == ""


def test_a_callable_of_ones_own(module):
    module("from ase.calculators.emt import EMT\nclass Box:\n    make = EMT\n")
    assert type(calculators.load("mine:Box.make")).__name__ == "EMT"


@pytest.mark.parametrize(
    ("name", "source", "words"),
    [
        ("nosuch:thing", "", "no module 'nosuch'"),
        ("maec:small", "", "did you mean 'mace:small'"),
        ("mine:thing", "", "has no attribute 'thing'"),
        ("mine:thing", "import nosuch", "No module named 'nosuch'"),
        ("mine:thing", "1 / 0", "does not import: ZeroDivisionError"),
        ("mine:thing", "def thing(): raise ValueError('a\\nb')", r"thing\(\) failed: ValueError: a b"),
        ("mine:thing", "def thing(): return 3", "returned int, expected an ASE calculator"),
    ],
)
def test_a_callable_that_is_none_is_one_line(module, name, source, words):
    module(source)
    with pytest.raises(CalculatorError, match=words) as caught:
        calculators.load(name)
    assert "\n" not in str(caught.value)


def test_chgnet_is_quiet_and_knows_its_elements(capfd):
    chgnet = calculators.load("chgnet")
    salt = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    salt.calc = chgnet
    assert np.isfinite(salt.get_potential_energy())
    assert capfd.readouterr() == ("", "")
    assert calculators.unsupported(chgnet, salt) == ""
    assert "atom 0, Og" in calculators.unsupported(chgnet, Atoms("Og", cell=[3, 3, 3], pbc=True))
    assert "cell" in calculators.unsupported(chgnet, molecule("H2O"))


# MACE


def slab():
    """Return a rattled slab of copper, periodic along two directions."""
    atoms = fcc111("Cu", (2, 1, 2), a=3.6, vacuum=4)
    atoms.rattle(0.05, seed=0)
    return atoms


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_mace_file_is_converted_and_the_process_left_as_it_was(mace_file, capfd, dtype):
    import torch

    default, handlers = torch.get_default_dtype(), list(logging.getLogger().handlers)
    mace = calculators.load(f"mace:{mace_file}", dtype=dtype)
    water = molecule("H2O")
    water.calc = mace
    assert water.get_forces().dtype == np.dtype(dtype)
    assert {p.dtype for p in mace.models[0].parameters()} == {getattr(torch, dtype)}
    assert calculators.unsupported(mace, water) == ""
    assert capfd.readouterr() == ("", "")
    assert "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD" not in os.environ
    assert torch.get_default_dtype() == default
    assert logging.getLogger().handlers == handlers


def test_mace_knows_its_elements_and_how_far_it_sees(mace):
    brass = bulk("CuZn", "cesiumchloride", a=2.9)
    assert calculators.unsupported(mace, brass) == (
        "this MACE model does not know the element of atom 1, Zn (it knows H O Cu)"
    )
    assert calculators.unsupported(mace, bulk("Cu")) == ""
    assert calculators.unsupported(mace, Atoms("Cu")) == ""
    for sees_no_neighbours in (bulk("Cu", a=9), Atoms("H2", [[0, 0, 0], [0, 0, 5]])):
        assert calculators.unsupported(mace, sees_no_neighbours) == (
            "no atom has a neighbour within the 3 A that this MACE model sees"
        )


def test_a_molecule_has_no_stress_and_the_forces_of_one_in_a_box(mace):
    water = molecule("H2O", vacuum=5)
    water.pbc = True
    water.calc = mace
    energy, forces = water.get_potential_energy(), water.get_forces()
    alone = Atoms(water.symbols, water.positions + 100, calculator=mace)
    assert alone.get_potential_energy() == pytest.approx(energy, abs=1e-9)
    assert np.allclose(alone.get_forces(), forces, atol=1e-9)
    with pytest.raises(PropertyNotImplementedError, match="stress"):
        alone.get_stress()


@pytest.mark.parametrize("turn", [0, 90, 37])
def test_the_stress_of_a_slab_is_that_of_its_own_cell(mace, turn):
    atoms = slab()
    atoms.rotate(turn, "x", rotate_cell=True)
    crystal = atoms.copy()
    crystal.pbc = True
    atoms.calc = crystal.calc = mace
    wanted = crystal.get_potential_energy(), crystal.get_forces(), crystal.get_stress()
    told = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
    assert np.abs(wanted[2]).max() > 1e-5
    for ours, theirs in zip(told, wanted, strict=True):
        assert np.allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def test_one_call_serves_energy_forces_and_stress_of_a_slab(mace):
    atoms = slab()
    atoms.calc = mace
    opt = CoReRelax(atoms, cell=True, logfile=None)
    opt.run(1e-9, 1)
    assert opt.result.force_calls == 2
    flat = slab()
    flat.cell[2] = 0
    flat.calc = mace
    assert np.isfinite(flat.get_potential_energy())
    with pytest.raises(PropertyNotImplementedError, match="stress"):
        flat.get_stress()


def test_models_that_see_beyond_their_cutoff_keep_the_structure_as_it_is(mace_file, monkeypatch):
    monkeypatch.setattr(mace_loading, "LOCAL", ())
    mace = calculators.load(f"mace:{mace_file}")
    atoms = slab()
    atoms.calc = mace
    assert np.isfinite(atoms.get_forces()).all()
    with pytest.raises(PropertyNotImplementedError, match="stress"):
        atoms.get_stress()


def test_a_calculation_that_is_stopped_leaves_the_default_dtype(mace, monkeypatch):
    import torch

    def stopped(*_args, **_kwargs):
        assert torch.get_default_dtype() == torch.float64
        raise KeyboardInterrupt

    monkeypatch.setattr("mace.calculators.mace.mace_data.config_from_atoms", stopped)
    water = molecule("H2O")
    water.calc = mace
    default = torch.get_default_dtype()
    with pytest.raises(KeyboardInterrupt):
        water.get_forces()
    assert torch.get_default_dtype() == default == torch.float32


def test_a_file_that_is_no_mace_model_is_one_line(tmp_path):
    import torch

    (tmp_path / "text.model").write_text("nothing")
    torch.save({"epoch": 3}, tmp_path / "state.pt")
    torch.save(torch.nn.Linear(1, 1), tmp_path / "linear.model")
    dipoles = torch.nn.Linear(1, 1)
    dipoles.register_buffer("atomic_numbers", torch.tensor([1, 8]))
    torch.save(dipoles, tmp_path / "dipoles.model")
    for name, words in {
        "text.model": "does not load: UnpicklingError: ",
        "state.pt": r"is a dict, not a MACE model \(perhaps the checkpoint of a training run\)",
        "linear.model": "is a Linear, not a MACE model$",
        "dipoles.model": "is a MACE model without energies",
    }.items():
        with pytest.raises(CalculatorError, match=f"{name} {words}") as caught:
            calculators.load(f"mace:{tmp_path / name}")
        assert "\n" not in str(caught.value)


def test_a_path_is_a_path_and_a_name_is_a_name(mace_file, monkeypatch):
    monkeypatch.chdir(mace_file.parent)
    monkeypatch.setenv("HOME", str(mace_file.parent))
    shutil.copy(mace_file, "small")
    shutil.copy(mace_file, "mine")
    shutil.copy(mace_file, "[a].model")
    for path in ("tiny.model", "./small", "~/tiny.model", "[a].model"):
        assert calculators.load(f"mace:{path}").r_max == 3
    with pytest.raises(CalculatorError, match=f"for the file of that name, write mace:.{os.sep}mine"):
        calculators.load("mace:mine")
    with pytest.raises(CalculatorError, match="not a foundation model; did you mean 'small'"):
        calculators.load("mace:smal")
    monkeypatch.setattr("mace.calculators.foundations_models.mace_mp", lambda **_: 1 / 0)
    with pytest.raises(CalculatorError, match="mace:small does not load: ZeroDivisionError"):
        calculators.load("mace:small")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "loader", "told"),
    [
        ("medium-mpa-0", "mace_mp", {"model": "medium-mpa-0"}),
        ("small", "mace_mp", {"model": "small"}),
        ("small_off", "mace_off", {"model": "small"}),
        ("mace_omol", "mace_omol", {"model": "extra_large"}),
        ("mace_anicc", "mace_anicc", {}),
        ("polar-1-s", "mace_polar", {"model": "polar-1-s"}),
    ],
)
def test_a_foundation_name_goes_to_its_own_loader(mace_file, monkeypatch, name, loader, told):
    import torch
    from mace.calculators import foundations_models

    calls = []
    real = inspect.signature(getattr(foundations_models, loader))

    def loaded(**words):
        real.bind(**words)
        calls.append(words)
        return torch.load(mace_file, map_location=words["device"], weights_only=False)

    monkeypatch.setattr(foundations_models, loader, loaded)
    mace = calculators.load(f"mace:{name}", dtype="float32")
    assert (type(mace).__name__, mace.default_dtype) == ("MACECalculator", "float32")
    (words,) = calls
    assert words.items() >= (told | {"device": "cpu", "return_raw_model": True}).items()
    assert words.get("default_dtype", "float32") == "float32"


@pytest.mark.slow
def test_a_foundation_model_comes_from_the_cache_of_mace(mace_file, tmp_path, monkeypatch, capsys):
    cached = tmp_path / "mace" / "20231210mace128L0_energy_epoch249model"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def unreachable(*_args, **_kwargs):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    with pytest.raises(
        CalculatorError, match=r"URLError: .*no route.*; without a network, give a model file"
    ):
        calculators.load("mace:small")
    assert list(cached.parent.iterdir()) == []
    cached.write_text("cut off")
    with pytest.raises(CalculatorError, match=f"mace:small does not load: .*; it is kept in {cached.parent}"):
        calculators.load("mace:small")
    shutil.copy(mace_file, cached)
    capsys.readouterr()
    assert calculators.load("mace:small").r_max == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert str(cached) in err


@pytest.mark.slow
def test_heads_are_chosen_never_guessed(mace_file, tiny_mace):
    two = tiny_mace("two.model", heads=("pbe", "r2scan"))
    listed = r"\(it has: pbe, r2scan\)"
    with pytest.raises(CalculatorError, match=f"several heads, name the one to use {listed}"):
        calculators.load(f"mace:{two}")
    with pytest.raises(CalculatorError, match=f"has no head 'pb' {listed}"):
        calculators.load(f"mace:{two}", head="pb")
    assert calculators.load(f"mace:{two}", head="r2scan").head == "r2scan"
    default = tiny_mace("default.model", heads=("pt_head", "default"))
    assert calculators.load(f"mace:{default}").head == "default"
    assert calculators.load(f"mace:{mace_file}").head == "Default"


def test_the_command_relaxes_a_slab_and_a_molecule_with_a_mace_file(mace_file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    atoms = slab()
    atoms.info.clear()
    write("slab.traj", atoms)
    write("both.traj", [molecule("H2O"), bulk("Zn")])
    words = ["run", "--json", "--calculator", f"mace:{mace_file}", "--dtype", "float32", "--cell"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "slab.traj", "both.traj", "--steps", "1"])
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    *lines, summary = err.splitlines()
    assert summary.startswith("relax: 1 of 2 converged, 1 max_steps; 3 force calls")
    assert summary.endswith(", 1 invalid input was skipped")
    assert lines == [
        "relax: slab.traj: periodic only along a and b, so the rest of its cell is kept",
        "relax: both.traj#0: not periodic, so its cell is kept",
        "relax: both.traj#1: this MACE model does not know the element of atom 0, Zn (it knows H O Cu)",
    ]
    told = [json.loads(line) for line in out.splitlines()]
    results = [line for line in told if line["status"] != "invalid"]
    assert sorted((r["file"], r["cell"], r["smax"] is None) for r in results) == [
        ("both.traj", False, True), ("slab.traj", True, False)
    ]  # fmt: skip
