"""CHGNet and the pretrained models of other packages, each through its own ASE calculator.

The packages cannot all be installed beside each other; each is imported only where its name is given.
Downloads go where the package keeps them, and are shown on standard error.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Collection, Iterator
from typing import Any

from relax.calculators.named.files import path_of
from relax.calculators.named.settings import check_settings, parameters_of
from relax.calculators.optional import extra, silence_output, silence_warnings
from relax.core.errors import CalculatorError, one_line

__all__ = ["LOADERS"]

MATTERSIM = ("mattersim-v1.0.0-1M", "mattersim-v1.0.0-5M")


def chgnet(_: str, device: str, settings: dict[str, Any]) -> Any:
    """Return CHGNet, whose weights are part of its package."""
    with extra("chgnet", "chgnet", "torch"), silence_output():
        from chgnet.model.dynamics import CHGNetCalculator
    check_settings("chgnet", settings, parameters_of(CHGNetCalculator, without=("model", "use_device")))
    with extra("chgnet"), silence_output():
        # Results for isolated atoms have no meaning, so CHGNet's warning is made an error.
        return CHGNetCalculator(use_device=device, **{"on_isolated_atoms": "error"} | settings)


def sevennet(model: str, device: str, settings: dict[str, Any]) -> Any:
    """Return a SevenNet model."""
    with extra("sevennet", "sevenn", "torch"), silence_output():
        from sevenn.calculator import SevenNetCalculator
    check_settings(
        "sevennet", settings, parameters_of(SevenNetCalculator, without=("model", "file_type", "device"))
    )
    hint = "without a network, give the file of a checkpoint: sevennet:PATH"
    with _loading(f"sevennet:{model}", hint):
        return SevenNetCalculator(str(path_of(model) or model), device=device, **settings)


def orb(model: str, device: str, settings: dict[str, Any]) -> Any:
    """Return an Orb model."""
    with extra("orb", "orb_models", "torch"), silence_output():
        from orb_models.forcefield.pretrained import ORB_PRETRAINED_MODELS

        try:
            from orb_models.forcefield.inference.calculator import ORBCalculator
        except ModuleNotFoundError:  # before 0.6
            from orb_models.forcefield.calculator import ORBCalculator
    load = ORB_PRETRAINED_MODELS[_known("orb", model, ORB_PRETRAINED_MODELS)]
    # Before 0.6 the loader returns the model alone, since then also what makes graphs for it.
    own = parameters_of(ORBCalculator, without=("model", "atoms_adapter", "system_config", "device"))
    of_model = parameters_of(load, without=("device", "train", "train_reference_energies", "loss_weights"))
    check_settings("orb", settings, of_model | own)
    hint = "without a network, give the file of weights: --calc-set weights_path=PATH"
    with _loading(f"orb:{model}", hint):
        loaded = load(device=device, **{k: v for k, v in settings.items() if k in of_model})
        parts = loaded if isinstance(loaded, tuple) else (loaded,)
        return ORBCalculator(*parts, device=device, **{k: v for k, v in settings.items() if k in own})


def mattersim(model: str, device: str, settings: dict[str, Any]) -> Any:
    """Return a MatterSim model."""
    from ase.units import GPa

    with extra("mattersim", "mattersim", "torch"), silence_output():
        from mattersim.forcefield import MatterSimCalculator, Potential
    path = path_of(model)
    name = str(path) if path else _known("mattersim", model, MATTERSIM)
    check_settings("mattersim", settings, parameters_of(MatterSimCalculator, without=("potential", "device")))
    folder = "~/.local/mattersim/pretrained_models"
    hint = f"without a network, put {name}.pth into {folder}, or give it: mattersim:PATH"
    with _loading(f"mattersim:{model}", "" if path else hint):
        potential = Potential.from_checkpoint(name, device=device, load_training_state=False)
        return MatterSimCalculator(potential, device=device, **{"stress_weight": GPa} | settings)


def uma(model: str, device: str, settings: dict[str, Any]) -> Any:
    """Return a UMA model, or another one of fairchem."""
    if device not in ("cpu", "cuda"):
        raise CalculatorError(
            f"uma runs on cpu or cuda, not on {device}; choose the GPU with CUDA_VISIBLE_DEVICES"
        )
    with extra("uma", "fairchem", "torch"), silence_output():
        from fairchem.core import FAIRChemCalculator, pretrained_mlip
    path = path_of(model)
    name = str(path) if path else _known("uma", model, pretrained_mlip.available_models)
    make = FAIRChemCalculator.from_model_checkpoint
    check_settings("uma", settings, parameters_of(make, without=("name_or_path", "device")))
    hint = "" if path else (
        "its weights need the licence accepted at huggingface.co/facebook/UMA and `hf auth login`; "
        "or give the file: uma:PATH"
    )  # fmt: skip
    if "task_name" not in settings:
        hint = "name the task, such as --calc-set task_name=omat" + (f"; {hint}" if hint else "")
    with _loading(f"uma:{model}", hint):
        return make(name, device=device, **settings)


def grace(model: str, _: str, settings: dict[str, Any]) -> Any:
    """Return a GRACE model; TensorFlow chooses the device."""
    with extra("grace", "tensorpotential", "tensorflow"), silence_output():
        from tensorpotential.calculator import TPCalculator
        from tensorpotential.calculator.foundation_models import (
            MODELS_ALIASES_DICT,
            MODELS_NAME_LIST,
            grace_fm,
        )
    path = path_of(model)
    known = parameters_of(TPCalculator, without=("model",))
    if path:
        check_settings("grace", settings, known)
        with _loading(f"grace:{model}", ""):
            return TPCalculator(str(path), **settings)
    name = _known("grace", model, (*MODELS_NAME_LIST, *MODELS_ALIASES_DICT))
    name = MODELS_ALIASES_DICT.get(name, name)
    check_settings("grace", settings, known | parameters_of(grace_fm, without=("model",)))
    hint = f"without a network, unpack its folder as ~/.cache/grace/{name}, or give the folder: grace:PATH"
    with _loading(f"grace:{model}", hint):
        return grace_fm(name, **settings)


def _quiet(load: Callable[[str, str, dict[str, Any]], Any]) -> Callable[[str, str, dict[str, Any]], Any]:
    return lambda model, device, settings: silence_warnings(load(model, device, settings))


LOADERS = {each.__name__: _quiet(each) for each in (chgnet, sevennet, orb, mattersim, uma, grace)}
"""Functions of the model, the torch device and the settings that return the ASE calculator.

They raise CalculatorError if the package or the weights are missing, the model or a setting is unknown, or
loading fails.
"""


def _known(kind: str, model: str, names: Collection[str]) -> str:
    """Return the name of a model as its package spells it."""
    spelled = {name.lower(): name for name in names}
    if model.lower() in spelled:
        return spelled[model.lower()]
    near = difflib.get_close_matches(model.lower(), spelled, n=1, cutoff=0.5)
    hint = f"; did you mean {spelled[near[0]]!r}?" if near else ""
    raise CalculatorError(f"{kind}:{model} is not a known model{hint} (there are: {', '.join(names)})")


@contextlib.contextmanager
def _loading(name: str, hint: str) -> Iterator[None]:
    """Say in one line why a model does not load, and what helps."""
    try:
        with silence_output(show=True):
            yield
    except Exception as error:
        end = f"; {hint}" if hint else ""
        raise CalculatorError(f"{name} does not load: {one_line(error)}{end}") from error
