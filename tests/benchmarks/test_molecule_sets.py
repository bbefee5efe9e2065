"""The sets of molecules, the optimizers of other packages, and the comparison with ``default``."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.emt import EMT
from commands import call

from benchmarks import readme
from benchmarks.molecules import __main__ as molecules
from benchmarks.molecules.clusters import CLUSTERS, clusters
from benchmarks.molecules.drugs import DEVELOPMENT, DRUGS, drugs
from benchmarks.molecules.published import published
from benchmarks.molecules.results import SCHEMA
from benchmarks.molecules.runs import bonds_of, change, molecules_of, pieces, run
from benchmarks.molecules.sets import REPORTED, SETS, chosen_sets
from benchmarks.molecules.tables import ends, ratio
from relax.analysis.comparison.minimizers import peers
from relax.analysis.comparison.minimizers.names import PEERS
from relax.analysis.comparison.statistics import beside_ours, no_higher

command = partial(call, molecules.main)


def needs(module: str) -> None:
    pytest.importorskip(module, reason=f'{module} is an extra: pip install "relax[molecules]"')


# Sets


def test_sets_are_chosen_by_name_and_development_only_on_request():
    assert chosen_sets([]) == list(REPORTED) == ["baker", "birkholz", "drugs", "clusters", "g2"]
    assert chosen_sets(["dev,g2", "baker"]) == ["dev", "g2", "baker"]
    with pytest.raises(ValueError, match="there is no set 'bakers'"):
        chosen_sets(["bakers"])
    assert len({chosen.stem for chosen in SETS.values()}) == len(SETS)


def test_clusters_are_of_whole_molecules_without_contacts():
    found = clusters()
    assert len(found) >= 12
    for name, atoms in found.items():
        recipe = CLUSTERS[name]
        sizes = [len(molecule(one)) for one in recipe.molecules]
        own = np.repeat(np.arange(len(sizes)), sizes)
        assert 3 <= len(sizes) <= 8
        assert (molecules_of(bonds_of(atoms)) == own).all(), name
        assert atoms.get_all_distances()[own[:, None] != own].min() > 1.8, name
    assert len({recipe.seed for recipe in CLUSTERS.values()}) == len(CLUSTERS)


def test_no_molecule_is_in_both_the_reported_and_the_development_set():
    assert len(DRUGS) >= 40
    assert len(DEVELOPMENT) == 22
    assert not set(DRUGS.values()) & set(DEVELOPMENT.values())
    assert not set(DRUGS) & set(DEVELOPMENT)


@pytest.mark.slow
def test_drugs_have_the_bonds_and_sizes_that_they_should():
    needs("rdkit")
    from rdkit import Chem

    canonical = [{Chem.CanonSmiles(s) for s in some.values()} for some in (DRUGS, DEVELOPMENT)]
    assert not canonical[0] & canonical[1]
    assert len(canonical[0]) == len(DRUGS)
    for name, atoms in drugs().items():
        assert 20 <= len(atoms) <= 60, name
        assert pieces(bonds_of(atoms)) == 1, name
        bonds = Chem.AddHs(Chem.MolFromSmiles(DRUGS[name])).GetNumBonds()
        assert bonds_of(atoms).sum() == 2 * bonds, name


def test_published_sets_have_their_sizes_and_charges():
    needs("berny")
    baker, birkholz = published("baker"), published("birkholz")
    assert (len(baker), len(birkholz)) == (30, 19)
    charged = {n: a.get_initial_charges().sum() for n, a in birkholz.items() if a.get_initial_charges().any()}
    assert charged == {"inosine_cation": 1, "zn_edta": -2}
    for atoms in [*baker.values(), *birkholz.values()]:
        assert pieces(bonds_of(atoms)) == 1


def test_a_missing_package_is_named_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(peers, "find_spec", lambda module: None)
    done = command("--set", "g2", "--calculator", "emt", "--only", "N2", "--optimizers", "lbfgs,sella")
    assert done.exit_code == 2
    assert done.stderr == 'molecules: sella is not installed: pip install "relax[molecules]"\n'
    monkeypatch.setitem(__import__("sys").modules, "berny", None)
    done = command("--set", "baker", "--calculator", "emt", "--optimizers", "lbfgs")
    assert done.stderr == 'molecules: the set baker is part of pyberny 0.7.0: pip install "pyberny==0.7.0"\n'


# Bonds


def test_bonds_between_molecules_do_not_count():
    pair = molecule("H2O") + molecule("H2O")
    pair.positions[3:, 0] += 4
    nearer = pair.copy()
    nearer.positions[3:, 0] -= 3
    assert pieces(bonds_of(nearer)) == 1
    assert change(nearer, pair) == "kept"
    nearer.positions[1, 1] += 3
    assert change(nearer, pair) == "dissociated"


def test_bonds_that_distances_mislead_about_are_as_the_set_says():
    water = molecule("H2O")
    narrow = Atoms("OHH", [[0, 0, 0], [0.37, 0.9, 0], [-0.37, 0.9, 0]])
    assert change(water, narrow) == "rearranged"
    narrow.info["misleading"] = [(1, 2)]
    assert change(water, narrow) == "kept"


# Optimizers of other packages


@pytest.mark.slow
@pytest.mark.parametrize("name", PEERS)
def test_peers_relax_a_molecule_and_stop_at_the_first_call(name):
    needs(PEERS[name])
    geometry = molecule("H2O")
    start = geometry.copy()
    start.rattle(0.05, seed=1)
    end = run(name, start, geometry, EMT(), 0.05, 60, False)
    assert end.status == "converged", end.reason
    assert run(name, start, geometry, EMT(), 0.05, 60, False, first_call=False).calls == end.calls
    assert run(name, start, geometry, EMT(), 1e-6, 2, False).calls == 2


def test_fragments():
    water = molecule("H2O")
    far = water.copy()
    far.positions[:, 0] += 5
    assert not peers.has_fragments(water)
    assert peers.has_fragments(water + far)


# Statistics


def row(name, calls, energy, status=None):
    status = status or ["converged"] * len(calls)
    return {"optimizer": name, "fmax": 0.01, "calls": calls, "energy": energy, "status": status}


def test_the_comparison_with_default_worked_out_by_hand():
    ours = row("default", [10, 20, 30], [-1.0, -2.0, -3.0], ["converged", "converged", "cap"])
    # Of 2, 10 and 2 atoms: 2 meV higher, 0.5 meV lower as a whole, and a failure of ours.
    theirs = row("sella", [20, 20, 60], [-0.999, -2.00005, -1.0])
    assert no_higher(ours, theirs, [2, 10, 2]) == 2
    assert no_higher(theirs, ours, [2, 10, 2]) == 2
    first, second = beside_ours([ours, theirs], "fmax", [2, 10, 2], 100)
    assert "default" not in first
    assert second["default"]["no_higher"] == [2, 2]
    assert second["default"]["calls"][0] == pytest.approx(130 / 100)
    assert ratio("default", second).startswith("1.30 (")
    assert (ratio("default", first), ends("default", first), ends("default", second)) == ("", "", "2 / 2")
    (alone,) = beside_ours([theirs], "fmax", [2, 10, 2], 100)
    assert "default" not in alone


def test_each_of_ours_is_put_beside_all_others_of_its_table():
    rows = [row("default", [10, 20], [-1.0, -2.0]), row("kriging", [5, 10], [-1.0, -1.0])]
    rows += [row("sella", [20, 20], [-1.0, -2.0]), row("sella", [7, 7], [-1.0, -2.0]) | {"fmax": 0.05}]
    default, kriging, sella, elsewhere = beside_ours(rows, "fmax", [2, 2], 100)
    assert (ends("kriging", default), ends("default", kriging)) == ("1 / 2", "2 / 1")
    assert (ends("default", sella), ends("kriging", sella)) == ("2 / 2", "1 / 2")
    assert sella["kriging"]["calls"][0] == pytest.approx(15 / 40, abs=1e-4)
    assert "kriging" not in kriging
    assert not {"default", "kriging"} & set(elsewhere)


# The command


@pytest.mark.slow
def test_sets_have_files_of_their_own(tmp_path, monkeypatch):
    def here(tasks, optimizers, jobs):
        return (molecules.run_task(task) for task in tasks)

    monkeypatch.setattr(molecules, "in_processes", here)
    monkeypatch.setitem(SETS, "g2", SETS["clusters"])
    words = ["--set", "clusters", "--calculator", "emt", "--only", "water-3"]
    words += ["--optimizers", "default,lbfgs", "--fmax", 0.5, "--cap", 20]
    done = command(*words, "--json", tmp_path, "--table", tmp_path)
    assert done.exit_code == 0, done.output
    results = SCHEMA.read(tmp_path / "molecules_clusters.json")
    assert results["stop"] == "first call within fmax"
    assert results["command"].startswith("python -m benchmarks.molecules --set clusters ")
    assert [row["optimizer"] for row in results["rows"]] == ["default", "lbfgs"]
    page = (tmp_path / "molecules_clusters.md").read_text()
    assert "default's calls, of its" in page
    monkeypatch.setattr(readme, "RESULTS", tmp_path)
    lines = readme.molecule_set("clusters").splitlines()
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    for wrong in (["--set", "g2"], ["--set", "g2", "--only", "", "--json", tmp_path / "one.json"]):
        done = command(*words, *wrong)
        assert done.exit_code == 2
        assert "a folder is for more" in done.stderr


def test_every_peer_is_known_to_be_installed_or_not():
    installed = [name for name in PEERS if find_spec(PEERS[name])]
    peers.check_installed(installed)
    assert set(peers.SETTINGS) == set(PEERS)
