"""Calculators by name: each loads or says in one line what is missing, and takes its settings.

The packages of pretrained models cannot all be installed beside each other.  Small modules stand in for them,
with the entry points of the wheels named at each.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.lj import LennardJones
from ase.calculators.morse import MorsePotential
from ase.io import read, write

import relax
from relax.calculators import as_potential
from relax.calculators.named.settings import read_settings, settings_text
from relax.calculators.registry import NAMES, check_name, load, unsupported
from relax.core.errors import CalculatorError


@pytest.fixture
def command(relax, tmp_path, monkeypatch):
    """Return the command ``relax run``, in a folder with ``ar.extxyz``, three atoms of argon."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    write("ar.extxyz", triangle(1.2))
    return lambda *words: relax("run", "ar.extxyz", *words)


def triangle(side: float) -> Atoms:
    """Return three atoms of argon, not quite equilateral (A)."""
    return Atoms("Ar3", [[0, 0, 0], [side, 0, 0], [0.55 * side, 0.8 * side, 0]])


def refused(name: str, **options) -> str:
    """Return the one line with which a calculator is refused."""
    with pytest.raises(CalculatorError) as caught:
        load(name, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Names


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("gfn3", "did you mean 'gfn"),
        ("gfn2:small", "did you mean 'gfn2'"),
        ("morse", "did you mean 'ase:morse'"),
        ("VASP", "did you mean 'ase:vasp'"),
        ("orb", "calculator 'orb' needs a model: orb:NAME, such as orb:orb-v3-conservative-inf-omat"),
        ("sevennet:", "needs a model: sevennet:NAME or sevennet:PATH, such as sevennet:7net-0"),
        ("ase", "calculator 'ase' needs a name: ase:NAME, such as ase:morse"),
        ("ase:morsee", "ASE has no calculator 'morsee'; did you mean 'ase:morse'"),
        ("sevenet:7net-0", "did you mean 'sevennet:7net-0'"),
        ("sevennet:no/such.pth", "sevennet:no/such.pth: there is no such file"),
        ("mattersim:such.pth", "mattersim:such.pth: there is no such file"),
        ("uma:such.pt", "uma:such.pt: there is no such file"),
        ("grace:no/such", "grace:no/such: there is no such folder"),
    ],
)
def test_a_name_that_is_none_is_one_line(name, says):
    assert says in refused(name)


def test_names_are_checked_without_their_packages(monkeypatch):
    for package in ("torch", "tblite", "pygfnff", "pyscf", "mace", "sevenn", "chgnet"):
        monkeypatch.setitem(sys.modules, package, None)
    examples = {"NAME_OR_PATH": "something", "NAME": "emt", "object": "thing"}
    for form in NAMES:
        kind, _, rest = form.partition(":")
        check_name(f"{kind}:{examples[rest]}" if rest else kind)


@pytest.mark.parametrize(
    ("name", "module", "wheel"),
    [
        ("gfn1", "tblite", "relax[xtb]"),
        ("gfn2", "tblite", "relax[xtb]"),
        ("gfnff", "pygfnff", "pygfnff"),
        ("pyscf", "pyscf", "relax[pyscf]"),
        ("sevennet:7net-0", "sevenn", "sevenn"),
        ("orb:orb-v2", "orb_models", "orb-models"),
        ("mattersim:mattersim-v1.0.0-1M", "mattersim", "mattersim"),
        ("uma:uma-s-1p1", "fairchem", "fairchem-core"),
        ("grace:GRACE-2L-OAM", "tensorpotential", "tensorpotential"),
    ],
)
def test_a_missing_package_says_what_to_install(monkeypatch, name, module, wheel):
    for loaded in [each for each in sys.modules if each.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    kind = name.partition(":")[0]
    assert refused(name) == f'{module} is not installed, which {kind} needs: pip install "{wheel}"'


# Settings


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2", 2), ("-2.5e-3", -2.5e-3), ("true", True), ("False", False), ("none", None), ("PBE", "PBE"),
        ("(2,2,1)", (2, 2, 1)), ("[1, 'a']", [1, "a"]), ("{'alpb': 'water'}", {"alpb": "water"}),
        ("'2'", "2"), ("a b=c\\d\"e", "a b=c\\d\"e"), ("(1,", "(1,"),
    ],
)  # fmt: skip
def test_a_value_is_a_number_a_word_a_literal_or_text(text, value):
    settings = read_settings([f"key={text}"])
    assert settings == {"key": value}
    assert type(settings["key"]) is type(value)
    written = settings_text(settings)
    assert len(written.split()) == 1
    assert not set(written) & set("\"'\\\n")


def test_other_settings_are_other_words_in_the_file():
    values = [
        2,
        2.0,
        "2",
        True,
        "true",
        None,
        "none",
        (1, 2),
        [1, 2],
        (2, 1),
        "(1, 2)",
        "a b",
        "a%20b",
        "b a",
    ]
    assert len({settings_text({"key": value}) for value in values}) == len(values)


@pytest.mark.parametrize("word", ["sigma", "sigma=", "=2", "si gma=2", ""])
def test_a_setting_without_a_key_or_a_value_is_refused(word):
    with pytest.raises(CalculatorError, match="write KEY=VALUE, such as sigma"):
        read_settings([word])


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        (
            "lj",
            {"sigm": 1},
            "lj has no setting 'sigm'; did you mean 'sigma'? (there are: epsilon, sigma, rc,",
        ),
        ("lj", {"sigma": "big"}, "setting sigma of lj must be a number (got 'big')"),
        ("lj", {"rc": True}, "setting rc of lj must be a number (got True)"),
        ("emt", {"cutoff": 1}, "emt has no setting 'cutoff'; did you mean 'asap_cutoff'?"),
        ("ase:morse", {"rho": 1}, "ase:morse has no setting 'rho'; did you mean 'rho0'?"),
        ("ase:tip3p", {"rcut": 3}, "ase:tip3p has no setting 'rcut'"),
        ("ase:tersoff", {}, "ase:tersoff does not load: TypeError: "),
        ("chgnet", {"stress": 1}, "chgnet has no setting 'stress'; did you mean 'stress_weight'?"),
    ],
)
def test_a_setting_that_is_none_is_one_line(name, settings, says):
    assert says in refused(name, settings=settings)


def test_mace_and_chgnet_take_settings(mace_file):
    assert load(f"mace:{mace_file}", settings={"charges_key": "q"}).charges_key == "q"
    assert "did you mean 'charges_key'" in refused(f"mace:{mace_file}", settings={"charge_key": "q"})
    assert "has no setting 'device'" in refused(f"mace:{mace_file}", settings={"device": "cuda"})
    half = load("chgnet", settings={"stress_weight": 0.5}).stress_weight
    assert half == 0.5 != load("chgnet").stress_weight


# Lennard-Jones and ASE's own


def test_lennard_jones_in_other_units_is_the_same_potential():
    ours, scaled = triangle(1.2), triangle(1.2 * 3.4)
    ours.calc, scaled.calc = load("lj"), load("lj", settings={"sigma": 3.4, "epsilon": 0.01})
    assert scaled.get_potential_energy() == pytest.approx(0.01 * ours.get_potential_energy(), rel=1e-12)
    assert np.allclose(scaled.get_forces(), 0.01 / 3.4 * ours.get_forces(), rtol=1e-10)
    assert load("lj", settings={"rc": 5.0}).parameters.ro == pytest.approx(0.66 * 5)


@pytest.mark.parametrize(
    ("name", "make", "settings"),
    [
        ("ase:lj", LennardJones, {"sigma": 1.1, "rc": 4.0}),
        ("ase:LennardJones", LennardJones, {}),
        ("ase:Morse", MorsePotential, {"r0": 1.3}),
        ("ase:MorsePotential", MorsePotential, {"epsilon": 2.0}),
    ],
)
def test_a_calculator_of_ase_is_the_one_that_ase_makes(name, make, settings):
    told, wanted = triangle(1.2), triangle(1.2)
    told.calc, wanted.calc = load(name, settings=settings), make(**settings)
    assert told.get_potential_energy() == wanted.get_potential_energy()
    assert np.array_equal(told.get_forces(), wanted.get_forces())
    batched = as_potential(name, settings=settings)
    assert batched.batched == (make is LennardJones)


def test_a_calculator_of_ase_relaxes():
    atoms = triangle(1.2)
    result = relax.relax(atoms, "ase:morse", fmax=1e-4)
    assert result.converged
    # All three pairs are at the minimum of ASE's default, 1 eV deep each.
    assert atoms.get_potential_energy() == pytest.approx(-3, abs=1e-6)


def test_a_package_that_ase_needs_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gpaw", None)
    assert "ase:gpaw does not import: ModuleNotFoundError" in refused("ase:gpaw")


# The extended tight-binding methods


@pytest.mark.parametrize(("name", "method"), [("gfn1", "GFN1-xTB"), ("gfn2", "GFN2-xTB")])
def test_xtb_is_that_of_tblite_and_quiet(name, method, capfd):
    tblite = pytest.importorskip("tblite.ase", reason='xTB is an extra: pip install "relax[xtb]"')
    told, wanted = molecule("H2O"), molecule("H2O")
    told.calc, wanted.calc = load(name), tblite.TBLite(method=method, verbosity=0)
    assert told.get_potential_energy() == pytest.approx(wanted.get_potential_energy(), abs=1e-9)
    assert np.allclose(told.get_forces(), wanted.get_forces(), atol=1e-8)
    assert capfd.readouterr() == ("", "")
    assert "atom 1, U" in unsupported(told.calc, Atoms("HU"))
    assert unsupported(told.calc, told) == ""
    assert "did you mean 'accuracy'" in refused(name, settings={"acuracy": 1})
    assert "setting charge of" in refused(name, settings={"charge": "one"})


def test_charge_and_spin_are_those_of_the_structure_or_set():
    pytest.importorskip("tblite.ase", reason='xTB is an extra: pip install "relax[xtb]"')
    neutral, ion, told = molecule("O2"), molecule("O2"), molecule("O2")
    ion.set_initial_charges([1.0, 0.0])
    ion.set_initial_magnetic_moments([1.0, 0.0])
    neutral.calc, ion.calc = load("gfn2"), load("gfn2")
    told.calc = load("gfn2", settings={"charge": 1, "multiplicity": 2})
    assert told.get_potential_energy() == pytest.approx(ion.get_potential_energy(), abs=1e-6)
    assert ion.get_potential_energy() > neutral.get_potential_energy() + 5


class Springs(Calculator):
    """Atoms bound to the origin, in place of a model."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        x = self.atoms.positions
        self.results = {"energy": 0.5 * (x**2).sum(), "forces": -x}


def test_gfnff_is_for_molecules_without_a_cell_and_stays_in_its_folder(monkeypatch, tmp_path):
    # The entry point of pygfnff 0.0.3.
    class GFNFF(Springs):
        def calculate(self, *args, **kwargs):
            monkeypatch.chdir(tmp_path)
            super().calculate(*args, **kwargs)

    monkeypatch.setitem(sys.modules, "pygfnff", types.SimpleNamespace(GFNFF=GFNFF))
    here, water = Path.cwd(), molecule("H2O")
    water.calc = load("gfnff")
    assert np.isfinite(water.get_forces()).all()
    assert Path.cwd() == here
    assert unsupported(water.calc, water) == ""
    assert "molecules without a cell" in unsupported(water.calc, molecule("H2O", vacuum=3))
    assert "atom 1, U" in unsupported(water.calc, Atoms("HU"))
    assert refused("gfnff", settings={"solvent": "water"}) == "gfnff has no settings (got 'solvent')"


# Pretrained models


@pytest.fixture
def stand_in(monkeypatch):
    """Return a function that puts modules, by name with their attributes, in place of a package."""

    def put(modules):
        for name, attributes in modules.items():
            parts = name.split(".")
            for i in range(1, len(parts) + 1):
                parent = types.ModuleType(".".join(parts[:i]))
                parent.__path__ = []
                if ".".join(parts[:i]) not in sys.modules or i == len(parts):
                    monkeypatch.setitem(sys.modules, ".".join(parts[:i]), parent)
            vars(sys.modules[name]).update(attributes)

    return put


class Model(Springs):
    """What a stand-in returns; it remembers what it was told."""

    def __init__(self, **told):
        super().__init__()
        self.told = told


def test_sevennet(stand_in, tmp_path):
    # SevenNetCalculator of sevenn 0.13.0, sevenn/calculator.py.
    class SevenNetCalculator(Model):
        def __init__(
            self,
            model="7net-0",
            file_type="checkpoint",
            device="auto",
            modal=None,
            enable_cueq=False,
            **kwargs,
        ):
            if model == "7net-1":
                raise ValueError("Given 7net-1 does not exist.\nValid pretrained model names: 7net-0")
            super().__init__(model=model, device=device, modal=modal)

    stand_in({"sevenn.calculator": {"SevenNetCalculator": SevenNetCalculator}})
    told = load("sevennet:7net-mf-ompa", settings={"modal": "mpa"}).told
    assert told == {"model": "7net-mf-ompa", "device": "cpu", "modal": "mpa"}
    file = tmp_path / "mine.pth"
    file.touch()
    assert load(f"sevennet:{file}").told["model"] == str(file)
    assert refused("sevennet:7net-1").endswith(
        "Given 7net-1 does not exist. Valid pretrained model names: 7net-0; "
        "without a network, give the file of a checkpoint: sevennet:PATH"
    )
    assert "did you mean 'modal'" in refused("sevennet:7net-0", settings={"modl": "mpa"})


@pytest.mark.parametrize("new", [False, True])
def test_orb(stand_in, new):
    # orb-models 0.5.5, where a loader returns the model, and 0.7.0, where it returns a graph maker as well.
    def orb_v2(weights_path="https://", device=None, precision="float32-high", compile=None, train=False):
        if weights_path == "https://":
            raise OSError("no route")
        model = types.SimpleNamespace(weights=weights_path, device=device, precision=precision)
        return (model, "adapter") if new else model

    class Old(Model):
        def __init__(self, model, *, system_config=None, conservative=None, device=None, directory="."):
            super().__init__(model=model, conservative=conservative, device=device)

    class New(Model):
        def __init__(self, model, atoms_adapter, *, max_num_neighbors=None, device=None, directory="."):
            super().__init__(model=model, atoms_adapter=atoms_adapter, device=device)

    place = "orb_models.forcefield.inference.calculator" if new else "orb_models.forcefield.calculator"
    stand_in({
        "orb_models.forcefield.pretrained": {"ORB_PRETRAINED_MODELS": {"orb-v2": orb_v2}},
        place: {"ORBCalculator": New if new else Old},
    })  # fmt: skip
    told = load("orb:orb-v2", settings={"weights_path": "a.ckpt", "precision": "float64"}).told
    assert vars(told["model"]) == {"weights": "a.ckpt", "device": "cpu", "precision": "float64"}
    assert told["device"] == "cpu"
    assert told.get("atoms_adapter") == ("adapter" if new else None)
    assert refused("orb:orb-v2") == (
        "orb:orb-v2 does not load: OSError: no route; "
        "without a network, give the file of weights: --calc-set weights_path=PATH"
    )
    assert "did you mean 'orb-v2'? (there are: orb-v2)" in refused("orb:orb-v22")
    assert "did you mean 'precision'" in refused("orb:orb-v2", settings={"precison": "float64"})


def test_mattersim(stand_in, tmp_path):
    # Potential and MatterSimCalculator of mattersim 1.2.3, mattersim/forcefield/potential.py.
    class Potential:
        @classmethod
        def from_checkpoint(
            cls, load_path=None, *, model_name="m3gnet", device="cpu", load_training_state=True, **kwargs
        ):
            assert not kwargs  # they would go to the network
            if load_path == "mattersim-v1.0.0-5M":
                raise OSError("no route")
            return load_path, device, load_training_state

    class MatterSimCalculator(Model):
        def __init__(
            self, potential=None, args_dict=None, compute_stress=True, stress_weight=1, device="cpu", **kwargs
        ):
            super().__init__(potential=potential, device=device, stress_weight=stress_weight)

    stand_in({
        "mattersim.forcefield": {"Potential": Potential, "MatterSimCalculator": MatterSimCalculator}
    })  # fmt: skip
    told = load("mattersim:mattersim-v1.0.0-1m").told
    assert told["potential"] == ("mattersim-v1.0.0-1M", "cpu", False)
    assert told["stress_weight"] == pytest.approx(1 / 160.21766208)  # GPa in eV/A^3
    file = tmp_path / "mine.pth"
    file.touch()
    assert load(f"mattersim:{file}").told["potential"][0] == str(file)
    assert "put mattersim-v1.0.0-5M.pth into ~/.local/mattersim" in refused("mattersim:mattersim-v1.0.0-5M")
    assert "did you mean 'mattersim-v1.0.0-1M'" in refused("mattersim:mattersim-v1.0.0-1")


def test_uma(stand_in):
    # FAIRChemCalculator and pretrained_mlip of fairchem-core 2.24.0, fairchem/core/calculate/.
    class FAIRChemCalculator(Model):
        @classmethod
        def from_model_checkpoint(
            cls,
            name_or_path,
            task_name=None,
            inference_settings="default",
            overrides=None,
            device=None,
            seed=41,
        ):
            if task_name is None:
                raise RuntimeError("A task name must be provided. Valid options are ['omat', 'omol']")
            return cls(name_or_path=name_or_path, task_name=task_name, device=device)

    listed = types.SimpleNamespace(available_models=("uma-s-1p1", "uma-m-1p1"))
    stand_in({"fairchem.core": {"FAIRChemCalculator": FAIRChemCalculator, "pretrained_mlip": listed}})
    told = load("uma:uma-s-1p1", settings={"task_name": "omat"}).told
    assert told == {"name_or_path": "uma-s-1p1", "task_name": "omat", "device": "cpu"}
    assert (
        "Valid options are ['omat', 'omol']; name the task, such as --calc-set task_name=omat; "
        in refused("uma:uma-s-1p1")
    )
    assert "huggingface.co/facebook/UMA" in refused("uma:uma-s-1p1")
    assert "did you mean 'uma-s-1p1'? (there are: uma-s-1p1, uma-m-1p1)" in refused("uma:uma-s-1p")


def test_grace(stand_in, tmp_path):
    # grace_fm and TPCalculator of tensorpotential 0.6.2.1, tensorpotential/calculator/.
    class TPCalculator(Model):
        def __init__(self, model, pad_neighbors_fraction=0.05, min_dist=None, mode="diverse", **kwargs):
            super().__init__(model=model, min_dist=min_dist)

    def grace_fm(model, pad_neighbors_fraction=0.05, min_dist=None, enable_uq=False, **kwargs):
        if model == "GRACE-1L-OAM":
            raise OSError("no route")
        return TPCalculator(model, min_dist=min_dist)

    models = "tensorpotential.calculator.foundation_models"
    stand_in({
        "tensorpotential.calculator": {"TPCalculator": TPCalculator},
        models: {
            "grace_fm": grace_fm,
            "MODELS_NAME_LIST": ["GRACE-1L-OAM", "GRACE-2L-OMAT-large-ft-AM"],
            "MODELS_ALIASES_DICT": {"GRACE-2L-OAM-L": "GRACE-2L-OMAT-large-ft-AM"},
        },
    })  # fmt: skip
    told = load("grace:GRACE-2L-OAM-L", settings={"min_dist": 0.5}).told
    assert told == {"model": "GRACE-2L-OMAT-large-ft-AM", "min_dist": 0.5}
    folder = tmp_path / "mine"
    folder.mkdir()
    assert load(f"grace:{folder}").told["model"] == str(folder)
    assert "unpack its folder as ~/.cache/grace/GRACE-1L-OAM" in refused("grace:GRACE-1L-OAM")
    assert "did you mean 'GRACE-1L-OAM'" in refused("grace:GRACE-1LOAM")
    assert "a device can be chosen" in refused("grace:GRACE-1L-OAM", device="cuda")


# Modules


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("mine:number", {}, "mine:number is int, expected an ASE calculator or what returns one"),
        ("mine:atoms", {}, "mine:atoms is Atoms, expected an ASE calculator"),
        ("mine:Box.ready", {"sigma": 2}, "is a calculator already and takes no settings (got ['sigma'])"),
        ("mine:make", {"sgima": 2}, "mine:make() failed: TypeError"),
    ],
)
def test_an_object_that_is_no_calculator_is_one_line(command, monkeypatch, name, settings, says):
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    Path("mine.py").write_text(MINE)
    assert says in refused(name, settings=settings)


MINE = """
from ase import Atoms
from ase.calculators.lj import LennardJones

number, atoms = 3, Atoms("Ar")


def make(sigma=1.0):
    return LennardJones(sigma=sigma)


class Box:
    ready = make(1.1)
"""


def test_an_instance_and_a_callable_with_settings(command, monkeypatch):
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    Path("mine.py").write_text(MINE)
    ready = load("mine:Box.ready")
    assert ready is load("mine:Box.ready")
    assert load("mine:make", settings={"sigma": 1.1}).parameters == ready.parameters
    for words in (["-c", "mine:Box.ready"], ["-c", "mine:make", "--calc-set", "sigma=1.1"]):
        code, _, err = command("--fmax", "0.001", "-o", "out.extxyz", "--force", *words)
        assert (code, err) == (0, [])
        assert read("out.extxyz").get_potential_energy() == pytest.approx(LOWEST, abs=1e-5)


LOWEST = 3 * (-1 - 4 * (3.0**-12 - 3.0**-6))
"""Energy of three pairs at the minimum, in units of the depth; ASE shifts it to be zero at 3 sigma."""


# The command


def test_the_settings_are_part_of_what_decides_a_result(command):
    words = ["-c", "ase:lj", "--calc-set", "epsilon=2", "--fmax", "0.001", "-o", "out.extxyz"]
    assert command(*words)[0] == 0
    atoms = read("out.extxyz")
    assert atoms.info["relax_options"] == "calculator=ase:lj fmax=0.001 calc_set.epsilon=2"
    assert atoms.get_potential_energy() == pytest.approx(2 * LOWEST, abs=1e-4)
    assert command(*words, "--resume")[0] == 0
    code, _, (line,) = command(*[w.replace("epsilon=2", "epsilon=3") for w in words], "--resume")
    assert code == 2
    assert "calc_set.epsilon=2" in line
    assert "calc_set.epsilon=3" in line


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-c", "lj", "--calc-set", "sigma"], "--calc-set sigma: write KEY=VALUE"),
        (["-c", "lj", "--calc-set", "sgima=2"], "lj has no setting 'sgima'; did you mean 'sigma'?"),
        (["-c", "ase:nosuch"], "ASE has no calculator 'nosuch'"),
        (["-c", "ase:orca"], "ase:orca does not load: BadConfiguration"),
        (["-c", "sevennet:such.pth"], "sevennet:such.pth: there is no such file"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(command, words, says):
    code, out, err = command(*words)
    assert (code, out, len(err)) == (2, "", 1), err
    assert says in err[0]


def test_gfnff_refuses_a_crystal_in_one_line(command, monkeypatch):
    monkeypatch.setitem(sys.modules, "pygfnff", types.SimpleNamespace(GFNFF=type("GFNFF", (Springs,), {})))
    write("ar.extxyz", bulk("Ar", a=5.3))
    code, _, err = command("-c", "gfnff")
    assert code == 2
    assert "GFN-FF is here for molecules without a cell only" in err[0]
