"""Calculators that go wrong: the structure has a status, and the others are relaxed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ase.io import write
from fault_rows import OUTPUT, Row, check, metal, statuses, write_good

pytestmark = pytest.mark.faults

CALCULATOR = """
import os
import sys
import time
import numpy as np
from ase.calculators.emt import EMT

class Faulty(EMT):
    count = 0
    def calculate(self, atoms=None, *args):
        super().calculate(atoms, *args)
        if "Ag" in atoms.symbols:
            self.count += 1
            r = self.results
            {deed}
"""

SILVER = "silver.extxyz"


@pytest.fixture(autouse=True)
def modules_forgotten() -> Iterator[None]:
    yield
    sys.modules.pop("faulty", None)


def write_calculator(deed: str) -> None:
    Path("faulty.py").write_text(CALCULATOR.format(deed=deed))
    write(SILVER, metal("Ag"))


def row(name: str, deed: str, status: str, *words: str) -> Row:
    """Return a row of a calculator that does a deed to silver, and to no copper."""
    return Row(
        name, int(status != "converged"), (), lambda: write_calculator(deed), (SILVER,),
        ("-c", "faulty:Faulty", "--steps", "5", *words), {SILVER: status},
    )  # fmt: skip


SWALLOWS = "try: time.sleep(600)\nexcept Exception: pass\ntime.sleep(600)"
"""Hangs, and takes the first interruption for an error of its own."""

ERROR, FINITE = "calculator_error", "nonfinite"
ENERGIES = "r['energy'] = r['free_energy'] = "

ROWS = [
    row("energy nan", f"{ENERGIES} np.nan", FINITE),
    row("energy inf", f"{ENERGIES} np.inf", FINITE),
    row("energy None", f"{ENERGIES} None", ERROR),
    row("energy in words", f"{ENERGIES} 'low'", ERROR),
    row("energy complex", f"{ENERGIES} 1j", ERROR),
    row("two energies", f"{ENERGIES} np.zeros(2)", ERROR),
    row("force nan", "r['forces'][1, 1] = np.nan", FINITE),
    row("force -inf", "r['forces'][1, 1] = -np.inf", FINITE),
    row("stress nan", "r['stress'][2] = np.nan", FINITE, "--cell"),
    row("stress inf", "r['stress'][2] = np.inf", FINITE, "--cell"),
    row("stress of three", "r['stress'] = r['stress'][:3]", ERROR, "--cell"),
    row("stress None", "r['stress'] = None", ERROR, "--cell"),
    row("forces on their side", "r['forces'] = r['forces'].T", ERROR),
    row("forces in a row", "r['forces'] = r['forces'].ravel()", ERROR),
    row("forces of all but one", "r['forces'] = r['forces'][:-1]", ERROR),
    row("forces None", "r['forces'] = None", ERROR),
    row("forces in words", "r['forces'] = r['forces'].astype(str)", ERROR),
    row("forces complex", "r['forces'] = r['forces'] + 0.1j", ERROR),
    row("forces of objects", "r['forces'] = r['forces'].astype(object)", ERROR),
    row("no forces", "del r['forces']", ERROR),
    row("raises", "raise ArithmeticError('no SCF')", ERROR),
    row("raises once", "if self.count == 2: raise ArithmeticError('no SCF')", ERROR),
    row("raises lines", "raise ArithmeticError('no\\n\\nSCF')", ERROR),
    row("full disk of its own", "raise OSError(28, 'No space left on device')", ERROR),
    row("broken pipe of its own", "raise BrokenPipeError(32, 'Broken pipe')", ERROR),
    row("out of memory", "raise MemoryError", ERROR),
    row("StopIteration", "raise StopIteration", ERROR),
    row("recursion", "(lambda f: f(f))(lambda f: f(f))", ERROR),
    row("ends the program", "sys.exit(0)", ERROR),
    row("ends the generator", "raise GeneratorExit", ERROR),
    row("changes its folder", "os.chdir('/')", "converged"),
    row("prints", "print('hello')", "converged"),
    row("changes the atoms", "atoms.positions[:] = 0", "converged"),
    row("removes an atom", "del atoms[0]", ERROR),
    row("changes what it has returned", "self.last = r['forces'] = r['forces'].copy()", "converged"),
    row("not deterministic", "r['forces'] = np.random.default_rng().normal(size=(4, 3))", "max_steps"),
    row("sleeps", "time.sleep(600)", "timeout", "--timeout", "0.5"),
    row("spins", "while True: pass", "timeout", "--timeout", "0.5"),
    row("swallows", f"exec({SWALLOWS!r}, globals())", "timeout", "--timeout", "0.5"),
]
TOGETHER = {
    *("sleeps", "spins", "swallows", "raises", "force nan", "forces in a row"),
    *("ends the program", "recursion", "changes its folder"),
}


@pytest.mark.parametrize("fault", ROWS, ids=lambda fault: fault.name)
def test_calculators(relax, fault):
    says = ("hello",) if fault.name == "prints" else ()
    check(fault, said(relax) if says else relax)


@pytest.mark.parametrize("fault", [row for row in ROWS if row.name in TOGETHER], ids=lambda fault: fault.name)
def test_calculators_of_a_batch(relax, fault):
    together = Row(**(vars(fault) | {"words": (*fault.words, "--batch-size", "3")}))
    check(together, relax)


def said(relax):
    """Return the command, without the greetings of the calculator on standard error."""

    def run(*words):
        code, out, errors = relax(*words)
        assert "hello" not in out
        return code, out, [line for line in errors if line != "hello"]

    return run


def test_what_a_calculator_prints_is_not_among_the_json(relax):
    write_good()
    write_calculator("print('hello')")
    code, out, errors = relax("run", "one.extxyz", SILVER, "-c", "faulty:Faulty", "--json")
    assert code == 0
    assert [json.loads(line)["status"] for line in out.splitlines()] == ["converged"] * 2
    assert "hello" in errors


def test_a_calculator_that_raises_ctrl_c(relax):
    write_good()
    write_calculator("raise KeyboardInterrupt")
    command = ["run", "one.extxyz", SILVER, "two.extxyz", "-o", OUTPUT]
    code, out, errors = relax(*command, "-c", "faulty:Faulty")
    assert (code, errors) == (130, [])
    assert "not begun: two.extxyz" in out
    assert statuses() == {"one.extxyz": "converged", SILVER: "interrupted"}
    finished = Path(OUTPUT).read_text().split("silver")[0].rpartition("\n4\n")[0]
    sys.modules.pop("faulty")
    write_calculator("pass")
    assert relax(*command, "-c", "faulty:Faulty", "--resume")[::2] == (0, [])
    assert statuses() == dict.fromkeys(("one.extxyz", SILVER, "two.extxyz"), "converged")
    assert Path(OUTPUT).read_text().startswith(finished)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (None, "there is no module 'faulty'"),
        ("def broken(:", "module 'faulty' does not import: SyntaxError"),
        ("raise OSError('no licence')", "module 'faulty' does not import: OSError: no licence"),
        ("import sys; sys.exit(0)", "the calculator would end the program: SystemExit: 0"),
        ("import no_such_module", "ModuleNotFoundError"),
        ("", "has no attribute 'Faulty'"),
        ("Faulty = 3", "faulty:Faulty is int"),
        ("def Faulty():\n    raise ValueError('no key')", "failed: ValueError: no key"),
        ("def Faulty():\n    return None", "returned NoneType"),
    ],
)
def test_a_calculator_that_does_not_load(relax, source, says):
    write_good()
    if source is not None:
        Path("faulty.py").write_text(source)
    code, _, errors = relax("run", "one.extxyz", "-c", "faulty:Faulty", "-o", OUTPUT)
    assert code == 2
    assert len(errors) == 1
    assert says in errors[0]
    assert not Path(OUTPUT).exists()
