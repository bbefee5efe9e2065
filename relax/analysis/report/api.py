"""A report of a relaxation, or of many, by one call."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from relax.analysis.report.many import FULL, Watch, many_page
from relax.analysis.report.page import page
from relax.analysis.report.path import path_page
from relax.analysis.report.reading import frames as paths
from relax.analysis.report.reading.sources import CampaignResults, FileResults, Results
from relax.campaign.campaign import Campaign
from relax.campaign.exports.target import new_target
from relax.core.errors import UsageError
from relax.io.named_files import split_slice
from relax.io.progress import tracked

__all__ = ["Written", "report"]

Page: TypeAlias = tuple[dict[str, Any], dict[str, str], str, list[str]]
"""What a page begins with, the parts that it unpacks, what is in it, and what was left out, in words."""


@dataclass(frozen=True)
class Written:
    """What has been written.

    Parameters
    ----------
    path
        The file.
    size
        Its size in bytes.
    words
        What is in it, in one line.
    notes
        What was left out, in words.
    """

    path: Path
    size: int
    words: str
    notes: tuple[str, ...]


def report(
    source: str | Path | Campaign,
    path: str | Path,
    *,
    force: bool = False,
    limit: int = FULL,
    title: str = "",
    progress: bool = False,
) -> Written:
    """Write a page that shows a relaxation, or many: one HTML file that needs no network.

    Parameters
    ----------
    source
        A trajectory of one run, with energies (eV) and forces (eV/A); a file of results that ``relax run``
        has written, or ``relax campaign export``; the folder of a campaign, or a campaign.
    path
        The page.
    force
        Whether a file that is there is replaced.
    limit
        Structures up to which each has a row in the table; of more, the page has a sample.
    title
        Its title; the name of ``source`` if not given.
    progress
        Whether a bar on standard error shows how far it is.

    Raises
    ------
    UsageError
        The source does not exist, cannot be read, is empty, or is of no such kind; a frame of a path has no
        energy or no forces; there is a file at ``path``, or it cannot be written.
    """
    if limit < 2:
        raise UsageError(f"limit must be 2 or more (got {limit})")
    path = Path(path)
    watch = _shown if progress else _plain
    name = str(source.folder.path) if isinstance(source, Campaign) else str(source)
    if os.path.realpath(split_slice(name)[0]) == os.path.realpath(path):
        raise UsageError(f"{path} would overwrite the input; give another name")
    with new_target(path, force) as part:
        if isinstance(source, Campaign):
            found = _many(CampaignResults(source), limit, watch)
        elif os.path.isdir(name) and not os.path.exists(os.path.join(name, "metadata.json")):
            with closing(Campaign(name)) as campaign:
                found = _many(CampaignResults(campaign), limit, watch)
        elif paths.is_path(name):
            found = _path(name, watch)
        else:
            found = _many(FileResults(name), limit, watch)
        meta, parts, words, notes = found
        meta |= {"title": title or os.path.basename(os.path.normpath(name)), "version": _version()}
        part.write_text(page(meta["title"], meta, parts), encoding="utf-8", newline="\n")
        size = part.stat().st_size
    return Written(path, size, words, tuple(notes))


def _path(name: str, watch: Watch) -> Page:
    found = watch(paths.frames(name), paths.length(name), "frames")
    meta, parts, notes = path_page(found, paths.optimizer(name))
    plural = "" if meta["frames"] == 1 else "s"
    return meta, parts, f"{meta['formula']}, {meta['frames']:,} frame{plural}", notes


def _many(results: Results, limit: int, watch: Watch) -> Page:
    meta, parts, notes, totals = many_page(results, limit, watch)
    if not meta["total"]:
        raise UsageError(results.faults[0] if results.faults else "there is no structure in it")
    return meta, parts, totals.line(), notes


def _plain(items: Iterable[Any], total: int | None, unit: str) -> Iterator[Any]:
    yield from items


def _shown(items: Iterable[Any], total: int | None, unit: str) -> Iterator[Any]:
    yield from tracked(items, total, unit=unit)


def _version() -> str:
    from relax import __version__

    return __version__
