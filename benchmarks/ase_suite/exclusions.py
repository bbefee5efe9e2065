"""Tests of ASE that say nothing about another optimizer, and why.

A test stays in if what it asserts should hold for any optimizer that ASE's user could have named.  That it
fails is no reason to leave it out.
"""

from __future__ import annotations

from collections.abc import Iterable

EXCLUSIONS = {
    "optimize/test_fire.py::test_fire": (
        "compares FIRE with and without its downhill_check, an option of that class alone"
    ),
    "optimize/test_fire2.py::test_fire2": (
        "compares FIRE2 with and without its use_abc, an option of that class alone"
    ),
    "optimize/test_rfo.py::test_rfo_eigh_fallback": (
        "makes the sparse eigenvalue solver inside RFO fail, and counts RFO's steps"
    ),
    "optimize/test_cellawarebfgs.py::test_rattle_supercell_old": (
        "demands of BFGS that a supercell takes another number of steps than its unit cell"
    ),
    "optimize/test_cellawarebfgs.py::test_rattle_supercell": (
        "demands that a supercell takes as many steps as its unit cell, for which the Hessian of "
        "CellAwareBFGS is made; ASE's FIRE and GoodOldQuasiNewton do not pass either"
    ),
    "optimize/test_cellawarebfgs.py::test_cellaware_bfgs": (
        "demands that a supercell takes as many steps as its unit cell, for which the Hessian of "
        "CellAwareBFGS is made; ASE's FIRE and GoodOldQuasiNewton do not pass either"
    ),
    "optimize/test_cellawarebfgs.py::test_two_stage_relaxation": (
        "demands that five steps are not enough, and then as many as in one stage; a method that needs four "
        "has nothing left for a second stage"
    ),
    "optimize/test_maxstep.py::test_mdmin_maxstep": (
        "demands MDMin's default of maxstep, 0.2 A, without giving it; the line searches of ASE, which have "
        "others, go 1.7 A and do not pass either"
    ),
    "optimize/test_cellawarebfgs.py::test_elasticity_tensor": (
        "reads and writes H0, the first Hessian of CellAwareBFGS"
    ),
    "neb/test_neb_tr.py::test_neb_tr": (
        "demands that a band without rotations takes less than three quarters of the steps of FIRE, with the "
        "time steps given; ASE's BFGS and LBFGS do not pass either"
    ),
    "constraints/test_fix_bond_length_mic.py::test_fix_bond_length_mic": (
        "demands to 1e-6 eV the energy at which FIRE stops; the minimum is 1.6e-6 eV lower, "
        "so that ASE's BFGS and LBFGS do not pass either"
    ),
}
"""Reason by test; a test stands for all its parameters."""

ONE_FOR_ALL = {
    "optimize/test_optimizers.py": "BFGS",
    "optimize/test_pure.py": "BFGS",
    "optimize/test_replay.py": "BFGS",
}
"""Modules that repeat their tests for many of ASE's classes: the only one that is run here."""


def reason(test: str) -> str:
    """Return why a test is left out, empty if it is not."""
    whole, _, parameter = test.removesuffix("]").partition("[")
    one = ONE_FOR_ALL.get(test.partition("::")[0])
    if one and parameter != one:
        return f"the same run as {whole.partition('::')[2]}[{one}], since ours is in the place of both"
    return EXCLUSIONS.get(whole, "")


def unknown(tests: Iterable[str]) -> list[str]:
    """Return the entries of the tables above that are none of ``tests``."""
    ids = set(tests)
    wholes = {test.partition("[")[0] for test in ids}
    ones = {(test.partition("::")[0], test.removesuffix("]").partition("[")[2]) for test in ids}
    missing = [name for name in EXCLUSIONS if name not in wholes]
    return missing + [f"{module}[{one}]" for module, one in ONE_FOR_ALL.items() if (module, one) not in ones]
