"""The features that are compared: a key for the checks, and the words of the table."""

from __future__ import annotations

FEATURES: dict[str, dict[str, str]] = {
    "What it takes": {
        "files": "several files in one command",
        "frames": "all structures of a file",
        "folders": "folders and patterns",
        "stdin": "standard input",
        "named_calculator": "calculators by name",
        "own_calculator": "a calculator of one's own",
        "device": "the device of the model (CPU, GPU)",
        "config": "options in a file",
        "completion": "tab completion",
    },
    "What it relaxes": {
        "cell": "the cell",
        "pressure": "under pressure",
        "mask": "some strains of the cell only",
        "constraints": "constraints of the file are kept",
        "symmetry": "the space group can be kept",
        "batches": "several structures per call of the model",
        "minimizers": "a choice of minimizers",
        "draws": "several starts, the lowest end kept",
        "minimum": "saddle points are recognised",
        "escape": "saddle points are left",
    },
    "When something goes wrong": {
        "kill": "finished structures survive `kill -9`",
        "resume": "a repeated command skips what is finished",
        "restart": "an optimizer continues in the middle of a run",
        "overwrite": "an output that exists is not overwritten",
        "lock": "a second writer of an output is refused",
        "others": "a bad structure does not stop the others",
        "status": "how each structure ended, and why",
        "nan": "a force that is not a number is noticed",
        "exploded": "a structure that flies apart is noticed",
        "hang": "a time limit ends a call that hangs",
        "exit_code": "the exit code tells of failures",
    },
    "What it reports": {
        "json": "JSON lines",
        "trajectory": "trajectories",
        "log": "a log of steps",
        "formats": "formats of ASE",
        "calls": "the number of force calls",
        "progress": "progress with the time left",
        "compare": "minimizers compared by force calls",
    },
    "What is beyond relaxation": {
        "dynamics": "molecular dynamics",
        "phonons": "phonons",
        "eos": "equation of state",
        "elasticity": "elastic constants",
        "neb": "nudged elastic band",
        "training": "training of models",
        "viewer": "graphical viewer",
        "carbon": "carbon accounting",
    },
}
LEGEND = {
    "Python": "not the command, but its package in Python",
    "in a loop": "by one command for each structure",
    "partly": "less than the row says, as the evidence tells",
    "appends": "the file grows by the new structure",
    "no command": "the package is used from Python and has no command",
    "not checked": "no check has run",
}
NOT_CHECKED = "not checked"


def keys() -> list[str]:
    """Return the keys of all features, in the order of the table."""
    return [key for group in FEATURES.values() for key in group]
