"""Calculators by name, and one line where there is none."""

from __future__ import annotations

import os
import sys
import urllib.error
import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from relax import calculators
from relax.calculators import CalculatorError


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


def test_emt_knows_its_elements():
    emt = calculators.load("emt")
    assert calculators.unsupported(emt, bulk("Cu")) == ""
    assert "atom 1, Ti" in calculators.unsupported(emt, Atoms("CuTi"))


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
        ("mine:thing", "def thing(): return 3", "returned no ASE calculator but int"),
    ],
)
def test_a_callable_that_is_none_is_one_line(module, name, source, words):
    module(source)
    with pytest.raises(CalculatorError, match=words) as caught:
        calculators.load(name)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_chgnet_is_quiet_and_knows_its_elements(capfd):
    chgnet = calculators.load("chgnet")
    salt = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    salt.calc = chgnet
    assert np.isfinite(salt.get_potential_energy())
    assert capfd.readouterr() == ("", "")
    assert calculators.unsupported(chgnet, salt) == ""
    assert "atom 0, Og" in calculators.unsupported(chgnet, Atoms("Og", cell=[3, 3, 3], pbc=True))
    assert "cell" in calculators.unsupported(chgnet, molecule("H2O"))


@pytest.fixture
def mace_file(tmp_path):
    """Return the path of a small MACE model with random weights, for H and O."""
    with calculators._environment_kept(), calculators._hushed(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # building a model says more than loading one
        import mace  # noqa: F401
        import torch
        from e3nn import o3
        from mace import modules

        torch.manual_seed(0)
        interaction = modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
        model = modules.ScaleShiftMACE(
            r_max=3.0, num_bessel=4, num_polynomial_cutoff=5, max_ell=1, num_interactions=2, num_elements=2,
            interaction_cls=interaction, interaction_cls_first=interaction, correlation=1,
            hidden_irreps=o3.Irreps("4x0e"), MLP_irreps=o3.Irreps("4x0e"), atomic_energies=np.zeros(2),
            avg_num_neighbors=4.0, atomic_numbers=[1, 8], gate=torch.nn.functional.silu, radial_MLP=[4],
            atomic_inter_scale=1.0, atomic_inter_shift=0.0,
        )  # fmt: skip
        torch.save(model, tmp_path / "tiny.model")
    return tmp_path / "tiny.model"


@pytest.fixture
def default_dtype():
    """Undo what MACE does to torch's default."""
    import torch

    before = torch.get_default_dtype()
    yield
    torch.set_default_dtype(before)


@pytest.mark.slow
@pytest.mark.usefixtures("default_dtype")
def test_a_mace_file_loads_and_the_environment_is_left_as_it_was(mace_file, monkeypatch, capsys):
    mace = calculators.load(f"mace:{mace_file}")
    water = molecule("H2O")
    water.calc = mace
    assert water.get_forces().dtype == np.float64
    assert capsys.readouterr().out == ""
    assert "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD" not in os.environ
    assert calculators.unsupported(mace, water) == ""
    assert "atom 0, Cu" in calculators.unsupported(mace, bulk("Cu"))

    with pytest.raises(CalculatorError, match="neither a file nor a foundation model; did you mean 'small'"):
        calculators.load("mace:smal")
    (mace_file.parent / "bad.model").write_text("nothing")
    with pytest.raises(CalculatorError, match=r"bad\.model does not load: "):
        calculators.load(f"mace:{mace_file.parent / 'bad.model'}")

    def unreachable(model):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr("mace.calculators.foundations_models.download_mace_mp_checkpoint", unreachable)
    monkeypatch.chdir(mace_file.parent)
    (mace_file.parent / "small").write_text("a file of that name is not what was meant")
    with pytest.raises(CalculatorError, match=r"URLError: .*no route.*give a model file"):
        calculators.load("mace:small")
