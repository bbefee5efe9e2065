"""Fixtures of more than one file of tests."""

from __future__ import annotations

import os

# Read when numpy and torch are loaded.  With more threads, parallel workers slow each other down.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import signal
import sys
import warnings
from pathlib import Path

import pytest

MODEL = Path(__file__).parent.parent / "data" / "mace-mini.model"


@pytest.fixture(scope="session", autouse=True)
def one_thread_for_torch():
    """Limit torch to one thread if something loaded it before the variables above were set."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture
def hangup():
    """Heed SIGHUP, also where the tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def relax(capsys, tmp_path, monkeypatch):
    """Return a function that runs the command in an empty folder: exit code, output, lines of errors."""
    from relax.cli.app import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words: object) -> tuple[int, str, list[str]]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err.splitlines()

    return run


# Models are loaded once for all tests.  Each test gets its calculator without results, so that equal
# structures in two tests count as calls in both.


@pytest.fixture(scope="session")
def models():
    """Return a function that loads calculators by name, each once; torch's default dtype stays as it was."""
    import torch

    from relax.calculators.registry import load

    loaded = {}

    def calculator(name: str):
        if name not in loaded:
            before = torch.get_default_dtype()
            loaded[name] = load(name)
            torch.set_default_dtype(before)
        loaded[name].reset()
        return loaded[name]

    return calculator


@pytest.fixture(scope="session")
def tiny_mace(tmp_path_factory):
    """Return a function that writes a MACE model with random weights, for H, O and Cu, in float32."""
    import numpy as np

    from relax.calculators.optional import environment_restored, silence_output

    def write(name: str, heads: tuple[str, ...] = ("Default",)) -> Path:
        path = tmp_path_factory.mktemp("mace") / name
        n = len(heads)
        with environment_restored(), silence_output(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # there are more warnings than in loading a model
            import mace  # noqa: F401
            import torch
            from e3nn import o3
            from mace import modules

            torch.manual_seed(0)
            interaction = modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
            model = modules.ScaleShiftMACE(
                r_max=3.0, num_bessel=4, num_polynomial_cutoff=5, max_ell=1, num_interactions=2,
                num_elements=3, interaction_cls=interaction, interaction_cls_first=interaction,
                correlation=1, hidden_irreps=o3.Irreps("4x0e"), MLP_irreps=o3.Irreps(f"{4 * n}x0e"),
                heads=list(heads), atomic_energies=np.zeros((n, 3)), avg_num_neighbors=4.0,
                atomic_numbers=[1, 8, 29], gate=torch.nn.functional.silu, radial_MLP=[4],
                atomic_inter_scale=[1.0] * n, atomic_inter_shift=[0.0] * n,
            )  # fmt: skip
            torch.save(model, path)
        return path

    return write


@pytest.fixture(scope="session")
def mace_file(tiny_mace):
    """Return the path of the small random MACE model."""
    return tiny_mace("tiny.model")


@pytest.fixture
def mace(models, mace_file):
    """Return the calculator of the small random MACE model, in float64."""
    return models(f"mace:{mace_file}")


@pytest.fixture
def mini(models):
    """Return the calculator of the trained MACE model in data/, in float64."""
    return models(f"mace:{MODEL}")


@pytest.fixture
def chgnet(models):
    """Return the calculator of CHGNet."""
    return models("chgnet")
