"""Landscapes: alignment of paths, planes, energies on a grid, files and pictures."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms
from helpers import cluster, rotation
from scipy.linalg import expm

import relax
from relax.analysis.landscape.alignment import aligned
from relax.analysis.landscape.drawing import SURFACE
from relax.analysis.landscape.grid import energies
from relax.analysis.landscape.modes import soft_modes
from relax.analysis.landscape.planes import plane_through, principal_plane
from relax.analysis.landscape.scale import Scale
from relax.calculators.potentials import as_potential
from relax.core.errors import CalculatorError, InvalidStructure, UnsupportedStructure, UsageError

LJ = {"sigma": 2.2, "epsilon": 0.5, "rc": 5.0}


def crystal():
    """Return 8 atoms of two elements in a skewed cell."""
    atoms = bulk("NiAl", "cesiumchloride", a=2.9).repeat((2, 2, 1))
    atoms.set_cell(
        atoms.cell[:] @ expm(np.array([[0, 0.1, 0], [0.1, 0, 0.05], [0, 0.05, 0]])), scale_atoms=True
    )
    return atoms


def moved(atoms, *steps):
    """Return copies of ``atoms``, displaced by each of ``steps``."""
    found = [atoms.copy() for _ in steps]
    for copy, step in zip(found, steps, strict=True):
        copy.positions += step
    return found


def random_path(atoms, frames=5, size=0.1, seed=0):
    """Return ``atoms`` displaced at random."""
    return moved(atoms, *np.random.default_rng(seed).normal(0, size, (frames, len(atoms), 3)))


def centred(paths):
    """Return positions without their means, a frame after the other."""
    return np.array([atoms.positions - atoms.positions.mean(axis=0) for atoms in paths])


def directions(natoms, seed=0):
    """Return two orthonormal directions (2, N, 3) that move the centre of no structure."""
    drawn = np.random.default_rng(seed).normal(size=(natoms, 3, 2))
    drawn -= drawn.mean(axis=0)
    return np.linalg.qr(drawn.reshape(-1, 2))[0].T.reshape(2, natoms, 3)


def flat_path(atoms, coordinates, seed=0):
    """Return a path in a known plane, and its two directions."""
    u, v = directions(len(atoms), seed)
    return moved(atoms, *(a * u + b * v for a, b in coordinates)), (u, v)


ARC = [(2 * np.cos(t), np.sin(t)) for t in np.linspace(0, 2.5, 9)]


class Quadratic(Calculator):
    """Half of a squared displacement about a structure, with a stiffness (3N, 3N), eV/A^2."""

    implemented_properties = ("energy", "forces")

    def __init__(self, centre, stiffness):
        super().__init__()
        self.centre, self.stiffness = centre.positions.copy(), stiffness

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        d = self.atoms.positions - self.centre
        d = (d - d.mean(axis=0)).ravel()
        self.results = {
            "energy": 0.5 * d @ self.stiffness @ d,
            "forces": -(self.stiffness @ d).reshape(-1, 3),
        }


# Alignment


@pytest.mark.parametrize("atoms", [Atoms("Ar13", cluster(13)), molecule("CH3CH2OH"), molecule("CO2")])
def test_molecules_have_the_same_rows_wherever_they_are_and_however_turned(atoms):
    path, rng = random_path(atoms), np.random.default_rng(1)
    _, (rows,) = aligned({"path": path})
    turned = [frame.copy() for frame in path[:-1]]
    for seed, frame in enumerate(turned):
        frame.positions = frame.positions @ rotation(seed).T + rng.normal(0, 9, 3)
    _, (same,) = aligned({"path": [*turned, path[-1]]})
    np.testing.assert_allclose(same, rows, atol=1e-9)
    np.testing.assert_allclose(rows[-1], centred(path[-1:])[0], atol=1e-9)


def test_a_turned_molecule_is_as_near_to_the_reference_as_it_can_be():
    path = random_path(Atoms("Ar13", cluster(13)), size=0.3)
    _, (rows,) = aligned({"path": path})
    for frame in rows[:-1]:
        # Where the sum of squares is least, the cross covariance with the reference is symmetric.
        covariance = frame.T @ rows[-1]
        np.testing.assert_allclose(covariance, covariance.T, atol=1e-9)
        for axis in (a for vector in 0.01 * np.eye(3) for a in (vector, -vector)):
            turn = expm(np.cross(np.eye(3), axis))
            assert ((frame @ turn - rows[-1]) ** 2).sum() > ((frame - rows[-1]) ** 2).sum()


@pytest.mark.parametrize("pbc", [(True, True, True), (True, True, False)])
def test_crystals_have_the_same_rows_however_they_are_shifted_and_wrapped(pbc):
    atoms = crystal()
    atoms.pbc = pbc
    path, rng = random_path(atoms, size=0.2), np.random.default_rng(1)
    _, (rows,) = aligned({"path": path})
    np.testing.assert_allclose(rows, centred(path), atol=1e-9)
    for frame in path[:-1]:
        frame.positions += rng.normal(0, 3, 3) * pbc
        frame.wrap()
    _, (same,) = aligned({"path": path})
    # The first frame says at which image an atom is.
    np.testing.assert_allclose(same - same[0], rows - rows[0], atol=1e-9)


def test_an_atom_that_goes_through_the_cell_is_followed():
    atoms, way = crystal(), np.zeros((8, 3))
    way[3] = 1.7 * atoms.cell[0]
    path = moved(atoms, *(share * way for share in np.linspace(0, 1, 12)))
    truth = centred(path)
    for frame in path:
        frame.wrap()
    _, (rows,) = aligned({"path": path})
    np.testing.assert_allclose(rows - rows[0], truth - truth[0], atol=1e-9)


def test_a_second_path_begins_at_the_images_of_the_first():
    path = random_path(crystal(), size=0.2)
    other = [frame.copy() for frame in path]
    for frame in other:
        frame.positions[5] += frame.cell[1] - 2 * frame.cell[2]
    _, (one, two) = aligned({"one": path, "two": other})
    np.testing.assert_allclose(two, one, atol=1e-9)


def test_a_cell_that_changes_is_three_more_rows():
    strain = np.array([[0.05, 0.02, 0], [0.02, -0.03, 0.01], [0, 0.01, 0.04]])
    path = random_path(crystal(), size=0.1)
    for share, frame in zip(np.linspace(1, 0, len(path)), path, strict=True):
        frame.set_cell(frame.cell[:] @ expm(share * strain), scale_atoms=True)
    alignment, (rows,) = aligned({"path": path})
    assert alignment.length == pytest.approx(3 * np.sqrt(8))
    np.testing.assert_allclose(rows[0][8:], alignment.length * strain, atol=1e-9)
    np.testing.assert_allclose(rows[-1][8:], 0, atol=1e-9)
    turned = [frame.copy() for frame in path[:-1]]
    for seed, frame in enumerate(turned):
        frame.set_cell(frame.cell[:] @ rotation(seed).T, scale_atoms=True)
    _, (same,) = aligned({"path": [*turned, path[-1]]})
    np.testing.assert_allclose(same, rows, atol=1e-9)
    for frame, row in zip(path, rows, strict=True):
        made = alignment.structure(row)
        np.testing.assert_allclose(
            made.get_all_distances(mic=True), frame.get_all_distances(mic=True), atol=1e-9
        )
        np.testing.assert_allclose(made.cell.cellpar(), frame.cell.cellpar(), atol=1e-9)


def test_structures_of_other_atoms_are_told_by_path_and_frame():
    path, swapped = random_path(crystal()), random_path(crystal())
    swapped[2] = swapped[2][[1, 0, *range(2, 8)]]
    with pytest.raises(InvalidStructure, match=r"two, frame 2 is .* in another order of the atoms"):
        aligned({"one": path, "two": swapped})
    with pytest.raises(InvalidStructure, match=r"two, frame 0 is Al4Ni3, and not Al4Ni4"):
        aligned({"one": path, "two": [path[0][1:]]})
    path[1].pbc = False
    with pytest.raises(InvalidStructure, match="one, frame 1 is not periodic"):
        aligned({"one": path})
    path[1].pbc, path[1].positions[0, 0] = True, np.nan
    with pytest.raises(InvalidStructure, match="one, frame 1 has a position"):
        aligned({"one": path})
    for empty in ({}, {"one": []}):
        with pytest.raises(InvalidStructure, match="without structures"):
            aligned(empty)


# Planes


def test_a_path_in_a_plane_is_wholly_explained():
    path, known = flat_path(crystal(), ARC)
    found = relax.landscape(path, LennardJones(**LJ), points=3)
    assert found.explained.sum() == pytest.approx(1, abs=1e-12)
    assert found.distances[0].max() < 1e-9
    overlap = found.axes.reshape(2, -1) @ np.reshape(known, (2, -1)).T
    np.testing.assert_allclose(np.abs(np.linalg.det(overlap)), 1, atol=1e-9)
    apart = np.linalg.norm(np.diff(found.paths[0], axis=0), axis=1)
    np.testing.assert_allclose(apart, np.linalg.norm(np.diff(ARC, axis=0), axis=1), atol=1e-9)


@pytest.mark.parametrize("frames", [6, 60])  # fewer than coordinates, and more
def test_principal_components_are_those_of_a_singular_value_decomposition(frames):
    path = random_path(crystal(), frames, seed=3)
    found = relax.landscape({"one": path[:2], "two": path[2:]}, LennardJones(**LJ), points=3)
    rows = centred(path).reshape(frames, -1)
    _, sizes, right = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(found.explained, sizes[:2] ** 2 / (sizes**2).sum(), atol=1e-10)
    np.testing.assert_allclose(np.abs(found.axes.reshape(2, -1) @ right[:2].T), np.eye(2), atol=1e-7)
    beyond = (rows - rows.mean(axis=0)) @ right[2:].T
    np.testing.assert_allclose(np.concatenate(found.distances), np.linalg.norm(beyond, axis=1), atol=1e-7)
    for axis in range(2):
        assert found.paths[0][-1, axis] >= found.paths[0][0, axis]


def test_the_plane_may_go_through_the_end_of_the_first_path():
    path = random_path(crystal(), 7)
    for centre, there in (("end", centred(path)[-1]), ("mean", centred(path).mean(axis=0))):
        found = relax.landscape(path, LennardJones(**LJ), centre=centre, points=3)
        np.testing.assert_allclose(found.origin, there, atol=1e-9)
    found = relax.landscape(path, LennardJones(**LJ), centre="end", points=3)
    assert found.distances[0][-1] < 1e-12
    assert found.on_plane[0] == pytest.approx(found.ends[0, 1], abs=1e-9)


def test_a_plane_through_three_structures():
    path = random_path(crystal(), 6)
    found = relax.landscape(path, LennardJones(**LJ), plane=[path[0], path[2], path[5]], points=3)
    assert found.names == ("path", "through")
    assert found.distances[1].max() < 1e-12
    assert found.distances[0][[0, 2, 5]].max() < 1e-12
    rows = centred(path)
    np.testing.assert_allclose(found.paths[1][0], 0, atol=1e-12)
    np.testing.assert_allclose(found.paths[1][2], [np.linalg.norm(rows[5] - rows[0]), 0], atol=1e-9)
    assert np.linalg.norm(found.paths[1][1]) == pytest.approx(np.linalg.norm(rows[2] - rows[0]))
    with pytest.raises(InvalidStructure, match="on one line"):
        plane_through(np.array([rows[0], 0.5 * (rows[0] + rows[5]), rows[5]]))


def test_lines_and_points_span_no_plane():
    rows = centred(random_path(crystal(), 6))
    line = np.array([rows[0] + share * rows[1] for share in (0, 1, 3, 2)])
    for few, words in (
        (rows[:1], "1 structure has no two principal components"),
        (rows[:2], "2 structures have no two"),
        (line, "on one line"),
        (rows[[0, 0, 0]], "are the same"),
    ):
        with pytest.raises(InvalidStructure, match=words):
            principal_plane([few])


# Soft modes


def stiffness_of(soft, curvatures, natoms):
    """Return a stiffness (3N, 3N) of 20 eV/A^2, but for two ``soft`` directions."""
    found = 20.0 * np.eye(3 * natoms)
    for mode, curvature in zip(np.reshape(soft, (2, -1)), curvatures, strict=True):
        found += (curvature - 20.0) * np.outer(mode, mode)
    return found


@pytest.mark.parametrize("curvatures", [(0.5, 2.0), (-1.0, 0.3)])
def test_soft_modes_are_the_lowest_of_the_hessian(curvatures):
    atoms, soft = crystal(), directions(8, seed=5)
    calculator = Quadratic(atoms, stiffness_of(soft, curvatures, 8))
    modes, found = soft_modes(atoms, as_potential(calculator))
    np.testing.assert_allclose(found, curvatures, atol=1e-3)
    np.testing.assert_allclose(np.abs(modes.reshape(2, -1) @ soft.reshape(2, -1).T), np.eye(2), atol=1e-2)
    seen = relax.landscape([atoms], calculator, plane="modes", points=5, reach=0.2)
    assert seen.x[-1] == pytest.approx(0.2)
    truth = 0.5 * (curvatures[0] * seen.x**2 + curvatures[1] * seen.y[:, None] ** 2)
    np.testing.assert_allclose(seen.energies, truth, atol=2e-3)
    assert "eV/Å²" in seen.labels[0]


def test_fixed_atoms_have_no_part_in_soft_modes():
    atoms = bulk("Cu", cubic=True).repeat((2, 1, 1))
    atoms.set_constraint(FixAtoms([0, 1, 2]))
    modes, curvatures = soft_modes(atoms, as_potential(EMT()))
    assert np.abs(modes[:, :3]).max() < 1e-12
    assert 0 < curvatures[0] <= curvatures[1] + 1e-6
    atoms.set_constraint(FixAtoms(range(8)))
    with pytest.raises(UnsupportedStructure, match="fewer than two modes are free"):
        soft_modes(atoms, as_potential(EMT()))


# Energies on the grid


@pytest.mark.parametrize("calculator", [LennardJones(**LJ), EMT()], ids=["many at once", "one by one"])
def test_energies_of_the_grid_are_those_of_the_calculator_one_by_one(calculator):
    atoms = bulk("Cu", cubic=True) if isinstance(calculator, EMT) else crystal()
    path = random_path(atoms, 6)
    found = relax.landscape(path, calculator, points=5, margin=0.3)
    width, height = np.ptp(found.paths[0], axis=0)
    assert found.x[-1] - found.x[0] == pytest.approx(1.6 * width)
    assert found.y[-1] - found.y[0] >= 1.6 * height - 1e-9
    rows = centred(path)
    mean = rows.mean(axis=0)
    for i, y in enumerate(found.y):
        for j, x in enumerate(found.x):
            single = atoms.copy()
            single.positions = mean + x * found.axes[0] + y * found.axes[1]
            single.calc = calculator
            assert found.energies[i, j] == pytest.approx(single.get_potential_energy(), abs=1e-8)
    for frame, energy in zip((path[0], path[-1]), found.ends[0], strict=True):
        frame.calc = calculator
        assert energy == pytest.approx(frame.get_potential_energy(), abs=1e-8)
    made = found.structure(*found.paths[0][-1])
    made.calc = calculator
    assert found.on_plane[0] == pytest.approx(made.get_potential_energy(), abs=1e-8)
    assert found.lowest <= found.energies.min()
    assert found.above.min() >= 0


def test_energies_with_a_cell_that_changes_are_those_of_the_strained_structure():
    path = [crystal() for _ in range(4)]
    for k, frame in enumerate(path):
        frame.rattle(0.05, seed=k)
        frame.set_cell(frame.cell[:] * (1 + 0.02 * k), scale_atoms=True)
    found = relax.landscape(path, LennardJones(**LJ), points=4)
    assert found.origin.shape == (11, 3)
    for i, j in ((0, 0), (2, 1), (3, 3)):
        made = found.structure(found.x[j], found.y[i])
        made.calc = LennardJones(**LJ)
        assert found.energies[i, j] == pytest.approx(made.get_potential_energy(), abs=1e-8)
    assert len({round(found.structure(x, 0).cell.volume, 6) for x in found.x}) == 4


def test_atoms_that_overlap_have_no_energy_and_cost_no_call():
    atoms, u = crystal(), np.zeros((8, 3))
    along = atoms.positions[1] - atoms.positions[0]
    u[0], u[1] = 0.3 * along, -0.3 * along
    _, (v, _) = flat_path(atoms, ARC)
    path = moved(atoms, 0 * u, 0.3 * u, 0.3 * u + 0.2 * v, 0.2 * v)
    calculator = EMT()
    calculator.implemented_properties = ["energy", "forces"]
    asked = []
    calculate = calculator.calculate
    calculator.calculate = lambda *args: asked.append(1) or calculate(*args)
    found = relax.landscape(path, calculator, points=7, margin=5.0)
    overlapping = np.isinf(found.energies)
    assert 0 < overlapping.sum() < 49
    assert len(asked) == 2 + 1 + (~overlapping).sum()
    for i, j in zip(*np.nonzero(overlapping), strict=True):
        assert found.structure(found.x[j], found.y[i]).get_all_distances(mic=True)[0, 1] < 1.5


class Fails(LennardJones):
    """Fails for one atom that is too far to the right."""

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        if atoms.positions[0, 0] - atoms.positions[1, 0] > self.parameters.get("limit", 0):
            raise RuntimeError("the model\nhas no answer")
        super().calculate(atoms, properties, system_changes)


def test_a_calculator_that_fails_leaves_a_hole():
    path, _ = flat_path(crystal(), ARC)
    apart = [frame.positions[0, 0] - frame.positions[1, 0] for frame in path]
    calculator = Fails(**LJ)
    calculator.parameters["limit"] = max(apart)
    found = relax.landscape(path, calculator, points=5, margin=0.5)
    assert 0 < np.isinf(found.energies).sum() < 25
    calculator.parameters["limit"] = min(apart)
    with pytest.raises(
        CalculatorError, match=r"path: .* its (first|last) frame: RuntimeError: the model has"
    ):
        relax.landscape(path, calculator, points=5)


def test_structures_are_forgotten_when_their_energies_are_known():
    potential = as_potential(LennardJones(**LJ))
    structures = random_path(crystal(), 150)
    points = energies(iter(structures), potential)
    first = [next(points) for _ in range(3)]
    list(points)
    assert not potential._lists._lists
    for atoms, (energy, why) in zip(structures, first, strict=False):
        atoms.calc = LennardJones(**LJ)
        assert (energy, why) == (pytest.approx(atoms.get_potential_energy()), "")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"plane": "pcs"}, "plane must be 'pca', 'modes' or three structures"),
        ({"plane": [crystal()] * 2}, r"three structures \(got 2\)"),
        ({"centre": "start"}, "centre must be"),
        ({"points": 1}, "points must be 2 or more"),
        ({"margin": -0.1}, "margin must be 0 or more"),
        ({"reach": float("nan")}, "reach must be 0"),
    ],
)
def test_bad_arguments(options, words):
    with pytest.raises(ValueError, match=words):
        relax.landscape(random_path(crystal()), LennardJones(**LJ), **options)


def test_what_is_no_calculator():
    with pytest.raises(TypeError, match="cannot make a potential from NoneType"):
        relax.landscape(random_path(crystal()), None)
    with pytest.raises(CalculatorError, match="unknown calculator 'etm'"):
        relax.landscape(random_path(crystal()), "etm")
    with pytest.raises(CalculatorError, match="EMT does not know"):
        relax.landscape(random_path(bulk("Fe", cubic=True)), EMT())


# Files and pictures


@pytest.fixture(scope="module")
def found():
    """Return a landscape of two paths, with a hole."""
    paths = {"FIRE & friends": random_path(crystal(), 5), "core": random_path(crystal(), 4, seed=2)}
    made = relax.landscape(paths, LennardJones(**LJ), points=6)
    made.energies[0, 0] = np.inf
    return made


@pytest.mark.slow
def test_a_landscape_is_the_same_after_it_was_saved(found, tmp_path):
    found.save(tmp_path / "l.npz")
    again = relax.Landscape.load(tmp_path / "l.npz")
    for name, value in vars(found).items():
        other = getattr(again, name)
        if name in ("paths", "distances"):
            assert all(np.array_equal(a, b) for a, b in zip(value, other, strict=True))
        else:
            np.testing.assert_equal(other, value)
    assert again.structure(0.1, 0.2) == found.structure(0.1, 0.2)
    for each, name in ((found, "one"), (again, "two")):
        each.draw(tmp_path / f"{name}.svg", title="A title", per_atom=True)
    text = (tmp_path / "one.svg").read_text()
    assert text == (tmp_path / "two.svg").read_text()
    for words in ("FIRE &amp; friends", "core", "start", "atoms overlap", "eV/atom", "A title", "% of the"):
        assert words in text
    far = max(each.max() for each in found.distances)
    assert f"{far:.3g} Å from the plane" in text


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_pictures_do_not_depend_on_when_they_are_drawn(found, tmp_path, kind, magic):
    for name in ("one", "two"):
        found.draw(tmp_path / f"{name}.{kind}")
    one = (tmp_path / f"one.{kind}").read_bytes()
    assert one.startswith(magic)
    assert one == (tmp_path / f"two.{kind}").read_bytes()


def test_the_lines_say_what_is_explained_and_how_far_frames_are(found):
    shares, far = found.lines()
    first, second = 100 * found.explained
    assert shares.endswith(f"9 frames on the plane: {first:.1f} % + {second:.1f} % = {first + second:.1f} %")
    distance, name, frame = found.farthest
    assert distance == max(each.max() for each in found.distances)
    assert found.distances[found.names.index(name)][frame] == distance
    assert far.endswith(f"{name}, frame {frame}")


def test_files_that_cannot_be_read_or_written(found, tmp_path):
    (tmp_path / "notes.npz").write_text("my notes")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    for name in ("notes.npz", "other.npz"):
        with pytest.raises(InvalidStructure, match="holds no landscape"):
            relax.Landscape.load(tmp_path / name)
    with pytest.raises(InvalidStructure, match="there is no such file"):
        relax.Landscape.load(tmp_path / "nowhere.npz")
    with pytest.raises(UsageError, match=r"give a name in \.png, \.svg, \.pdf"):
        found.draw(tmp_path / "l.bmp")
    for write in (found.draw, found.save):
        with pytest.raises(UsageError, match="there is no folder"):
            write(tmp_path / "no" / "l.png")


def test_the_scale_spans_what_the_paths_pass_and_most_of_the_plane():
    above = np.geomspace(1e-3, 1e9, 1000).reshape(20, 50)
    scale = Scale.of(above, np.array([0.5, 30.0]))
    assert scale.high == pytest.approx(np.percentile(above, 60))
    assert scale.high / scale.low == pytest.approx(1e4)
    assert Scale.of(above, np.array([0.5, 1e8])).high == 1e8
    assert Scale.of(above, np.array([np.inf, 1e8]), highest=7.0).high == 7.0
    assert Scale.of(np.full((2, 2), np.inf), np.array([np.inf])).low > 0
    for scale in (Scale(1e-3, 10), Scale(2.0, 3.0), Scale(1e-6, 1e-5)):
        assert scale.levels.min() >= scale.low
        assert scale.levels.max() <= scale.high
        assert len(scale.levels) >= 2


@pytest.mark.slow
def test_a_flat_energy_is_drawn(found, tmp_path):
    flat = vars(found) | {"energies": np.zeros((6, 6)), "ends": np.zeros((2, 2)), "on_plane": np.zeros(2)}
    relax.Landscape(**flat).draw(tmp_path / "flat.png")
    relax.Landscape(**flat | {"energies": np.full((6, 6), np.inf)}).draw(tmp_path / "none.png")
    assert (tmp_path / "none.png").stat().st_size > 1000


def lab(rgb):
    """Return colours (n, 3) of sRGB in CIELAB, for the white of D65."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    f = linear @ to_xyz.T / [0.9505, 1.0, 1.089]
    f = np.where(f > (6 / 29) ** 3, np.cbrt(f), f / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def test_equal_steps_of_the_colours_look_equal():
    from matplotlib.colors import to_rgb

    colours = lab(np.array([to_rgb(each) for each in SURFACE]))
    steps = np.linalg.norm(np.diff(colours, axis=0), axis=1)
    assert steps.max() / steps.min() < 1.15
    assert (np.diff(colours[:, 0]) > 0).all()
