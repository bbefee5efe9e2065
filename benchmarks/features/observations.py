"""What is looked at in the same way for each command."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from benchmarks.features.tool import Cell, no_name, options, seen
from benchmarks.features.workplace import LIMIT, NotChecked, Workplace
from relax.geometry.symmetry import space_group

OUT = "out.extxyz"
NOISE_FREE = 1e-4
"""Tolerance of space groups, A, far below what noisy forces displace."""
APART = 15.0
"""Distance of atoms of a cluster, A, from which on it counts as exploded."""


def cell_relaxes(place: Workplace, line: str) -> Cell:
    """A command relaxes the cell of ``cu.extxyz`` into ``OUT``."""
    done = place.run(line)
    ratio = place.read(OUT).get_volume() / place.read("cu.extxyz").get_volume()
    return seen(done, abs(ratio - 1) > 0.01, f"the volume changed by a factor of {ratio:.3f}")


def pressure_counts(place: Workplace, line: str, option: str) -> Cell:
    """A command relaxes ``cu.extxyz`` under 20 GPa to a smaller volume than without."""
    place.run(line)
    free = place.read(OUT).get_volume()
    done = place.run(f"{line} {option}")
    pressed = place.read(OUT).get_volume()
    return seen(done, pressed < 0.95 * free, f"volume {pressed:.1f} A^3, without the pressure {free:.1f} A^3")


def mask_holds(place: Workplace, line: str) -> Cell:
    """A command relaxes ``cu.extxyz`` in the plane xy and leaves its height."""
    done = place.run(line)
    change = np.abs(place.read(OUT).cell[:] - place.read("cu.extxyz").cell[:])
    held = bool(change[2].max() < 1e-6 < change[:2].max())
    words = f"the height changed by {change[2].max():.1e} A, the plane by {change[:2].max():.3f} A"
    return seen(done, held, words)


def atom_is_fixed(place: Workplace, line: str) -> Cell:
    """A command relaxes ``fixed.extxyz`` into ``OUT`` and does not move the atom that the file fixes."""
    done = place.run(line)
    moved = np.linalg.norm(place.read(OUT).positions - place.read("fixed.extxyz").positions, axis=1)
    held = bool(moved[0] < 1e-8 < moved[1:].max())
    return seen(done, held, f"the fixed atom moved by {moved[0]:.1e} A, others by up to {moved.max():.3f} A")


def symmetry_holds(place: Workplace, line: str, option: str) -> Cell:
    """A command keeps the space group of ``ordered.extxyz`` under noisy forces with an option only."""
    place.run(line, STAND_IN_FAULT="noise")
    free = space_group(place.read(OUT), NOISE_FREE)
    done = place.run(f"{line} {option}", STAND_IN_FAULT="noise")
    kept, first = (space_group(place.read(name), NOISE_FREE) for name in (OUT, "ordered.extxyz"))
    words = f"noisy forces, space group {first} -> {kept}, without the option -> {free}"
    return seen(done, kept == first != free, words)


def stays_at_the_saddle(place: Workplace, line: str) -> tuple[bool, str]:
    """A command takes ``square.extxyz``, a saddle point, for a minimum; and what was seen."""
    done = place.run(line)
    flat = bool(np.ptp(place.read(OUT).positions[:, 2]) < 1e-3)
    return flat and done.code == 0, f"`{done.line}`: ended at the flat square, a saddle point, {done.ending}"


def ends_one_by_one(place: Workplace, bad: str, good: str) -> Cell:
    """Commands for one structure each: one fails, and the next one works."""
    failed, done = place.run(bad), place.run(good)
    words = f"{failed.ending} for iron, which EMT does not know; the next command: {done.ending}"
    return seen(failed, "in a loop" if failed.code and done.code == 0 else "no", words)


def survives_kill(place: Workplace, first: str, second: str) -> Cell:
    """Commands for one structure each: the first has ended, the second is killed."""
    done = place.run(first)
    place.killed(second, 2)
    words = "its structure is on disk after `kill -9` of the next command"
    return seen(done, "in a loop" if place.count(OUT) == 1 else "no", words)


def second_writer(place: Workplace, line: str) -> Cell:
    """Two processes write to ``OUT`` at the same time, and the second one is refused."""
    with place.started(line, STAND_IN_SLOW="10", STAND_IN_CALLS="calls") as process:
        place.wait_for_calls(process, 1)
        done = place.run(line.replace("cu.extxyz", "ni.extxyz"))
        if process.poll() is not None:
            raise NotChecked(f"`{line}` ended before another process had tried to write")
    return seen(done, bool(done.code), f"{done.ending} while another process writes to {OUT}")


def objects(text: str) -> list[dict[str, Any]]:
    """Return the JSON objects among lines."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def starts_again(place: Workplace, line: str) -> Cell:
    """A command that has ended is repeated, and computes everything again."""
    place.run(line, STAND_IN_CALLS="calls")
    first = place.calls()
    done = place.run(line, STAND_IN_CALLS="calls")
    second = place.calls() - first
    return seen(done, second < first / 2, f"{first} calls, and when it is repeated {second}")


def keeps_output(place: Workplace, first: str, second: str) -> Cell:
    """A second command with the same output leaves the file, appends to it or replaces it."""
    place.run(first)
    before = (place.folder / OUT).read_text()
    done = place.run(second)
    after = (place.folder / OUT).read_text()
    how = "kept" if after == before else "appended to" if after.startswith(before) else "replaced"
    return seen(
        done, {"kept": "yes", "appended to": "appends"}.get(how, "no"), f"{done.ending}, the file is {how}"
    )


def waits(place: Workplace, line: str) -> Cell:
    """A command whose third call does not return is waited for."""
    done = place.run(line, limit=10, STAND_IN_FAULT="hang")
    return seen(done, done.code is not None, f"stopped from outside after 10 s: {done.ending}")


def lacks(place: Workplace, command: str, pattern: str) -> Cell:
    """No option of a command fits a pattern."""
    return no_name(pattern, options(place, command), f"options of `{command}`")


def flies_apart(place: Workplace, line: str, written: str, limit: float = LIMIT) -> Cell:
    """A cluster whose atoms are driven apart is relaxed without a complaint."""
    done = place.run(line, limit=limit, STAND_IN_FAULT="explode")
    size = float(place.read(written).get_all_distances().max())
    if not done.code and size < APART:
        raise NotChecked(f"`{done.line}`: atoms are {size:.0f} A apart only")
    return seen(done, bool(done.code), f"{done.ending}, atoms are {size:.0f} A apart")
