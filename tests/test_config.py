"""Options of the command in a TOML file."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from pathlib import Path

import pytest
from ase.build import bulk
from ase.io import write

from relax.cli.options import RunOptions
from relax.cli.options.declaration import declarations
from relax.cli.options.declaration.config_file import read_config
from relax.cli.options.declaration.config_text import config_text

FIELDS = [each for each in dataclasses.fields(RunOptions) if each.name != "files"]


@pytest.fixture
def copper(relax) -> str:
    """Return the name of a file with a structure."""
    write("cu.cif", bulk("Cu", cubic=True, a=3.7))
    return "cu.cif"


def options_of(relax, *words: object) -> dict:
    """Return the options of a run, as it prints them."""
    code, out, _ = relax("run", *words, "--print-config")
    assert code == 0
    return tomllib.loads(out)["run"]


def test_what_is_printed_repeats_the_run(relax, copper):
    words = ["-c", "emt", "--cell", "--fmax", "1e-2", "-r", "core", "-s", "s_max=0.1", "-s", "clip_norm=atom"]
    words += ["--no-metric", "--check", "minimum", "--seed", 7]
    code, out, err = relax("run", *words, "--print-config")
    assert (code, err) == (0, [])
    Path("relax.toml").write_text(out)
    given = options_of(relax, copper)
    Path("relax.toml").unlink()
    assert given == options_of(relax, copper, *words)
    Path("other.toml").write_text(out)
    assert relax("run", "--config", "other.toml", "--print-config")[:2] == (0, out)


def test_every_option_is_printed_with_its_help_and_default(relax):
    code, out, _ = relax("run", "--print-config")
    assert code == 0
    flat = " ".join(line.removeprefix("# ") for line in out.splitlines())
    given = tomllib.loads(out)["run"]
    assert max(map(len, out.splitlines())) <= 100
    for field, declared in declarations(RunOptions):
        if field.name == "files":
            continue
        assert declared.parameter.help in flat
        key = {"set_words": "set", "as_json": "json"}.get(field.name, field.name.replace("_", "-"))
        if field.default is None:
            assert f"\n# {key} = " in out
        else:
            assert given.pop(key) == field.default
    assert given == {}


def test_a_text_stays_as_it_is(relax):
    odd = 'a "quoted" \\ path\t\x7f é\nof two lines'
    values = {each.name: each.default for each in FIELDS} | {"output": odd, "set_words": [odd, "b=1"]}
    Path("odd.toml").write_text(config_text(RunOptions, values, "run"), encoding="utf-8")
    found = read_config("odd.toml", "run", RunOptions)
    assert found == {name: value for name, value in values.items() if value is not None}


def test_the_command_line_wins(relax, copper):
    Path("relax.toml").write_text("[run]\ncalculator = 'emt'\nfmax = 0.2\nsteps = 3\ncell = true\n")
    code, out, err = relax("run", copper, "--fmax", 0.3, "--no-cell", "--json")
    assert (code, err[0]) == (0, "relax: options are read from relax.toml")
    assert json.loads(out)["options"] == "calculator=emt fmax=0.3 steps=3"
    options = options_of(relax, copper, "--fmax", 0.3, "--no-cell")
    assert [options[name] for name in ("calculator", "fmax", "steps", "cell")] == ["emt", 0.3, 3, False]
    # The default, too, if it is given.
    assert options_of(relax, copper, "--steps", 500)["steps"] == 500
    Path("other.toml").write_text("[run]\ncalculator = 'emt'\n")
    assert options_of(relax, copper, "--config", "other.toml")["steps"] == 500


def test_settings_are_a_table_or_a_list(relax, copper):
    for text in ("{ s_max = 0.1, maximize = false }", '["s_max=0.1", "maximize=false"]'):
        Path("relax.toml").write_text(f"[run]\ncalculator = 'emt'\nrule = 'core'\nset = {text}\n")
        assert sorted(options_of(relax, copper)["set"]) == ["maximize=false", "s_max=0.1"]
        said = json.loads(relax("run", copper, "--json")[1])
        assert said["settings"] == {"s_max": 0.1, "maximize": False}
    Path("relax.toml").write_text("[run]\ncalculator = 'emt'\nrule = 'core'\n[run.set]\ns_max = 0.1\n")
    assert options_of(relax, copper)["set"] == ["s_max=0.1"]
    assert options_of(relax, copper, "--set", "s_min=1e-9")["set"] == ["s_min=1e-9"]


def test_a_file_for_another_command_says_nothing(relax, copper):
    Path("relax.toml").write_text("[compare]\nanything = 1\n")
    assert relax("run", copper, "-c", "emt")[2] == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[run]\n\nfmx = 1", "c.toml, line 3: there is no option 'fmx'; did you mean 'fmax'?"),
        ("[run]\non_bad = 'stop'", "c.toml, line 2: there is no option 'on_bad'; did you mean 'on-bad'?"),
        ("[run]\nfiles = ['a']", "c.toml, line 2: there is no option 'files'"),
        ("[run]\nfmax = '1'", "c.toml, line 2: fmax must be a number (got '1')"),
        ("[run]\nfmax = true", "c.toml, line 2: fmax must be a number (got True)"),
        ("[run]\nsteps = 1.5", "c.toml, line 2: steps must be a whole number (got 1.5)"),
        ("[run]\ncell = 1", "c.toml, line 2: cell must be true or false (got 1)"),
        ("[run]\nrule = 1", "c.toml, line 2: rule must be a text in quotes (got 1)"),
        ("[run]\nset = 1", "c.toml, line 2: set must be a table such as {name = 1}, or a list such as"),
        ("[run]\nfmax = -1", "--fmax must be greater than 0 (got -1)"),
        ("[runn]\nfmax = 1", "c.toml, line 1: there is no table 'runn'; did you mean 'run'?"),
        ("fmax = 1", "c.toml, line 1: 'fmax' stands in no table; put [run] above it"),
        ("[run]\nfmax = \n", "c.toml: this is no TOML: Invalid value (at line 2, column 8)"),
        (None, "--config c.toml: No such file or directory"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(relax, copper, text, says):
    if text is not None:
        Path("c.toml").write_text(text)
    code, out, (line,) = relax("run", copper, "-c", "emt", "--config", "c.toml")
    assert (code, out) == (2, "")
    assert line.startswith(f"relax: {says}")


def test_without_files_there_is_nothing_to_run(relax):
    assert relax("run", "-c", "emt") == (2, "", ["relax: no FILE is given (see relax run --help)"])
