"""The page: one HTML file with its styles, scripts and data, which asks for nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any

from relax.analysis.report.packing import script_json

__all__ = ["page"]

LIBRARIES = ("vendor/3Dmol-min.js", "vendor/uPlot.iife.min.js")
LICENCES = ("vendor/3Dmol-LICENSE", "vendor/uPlot-LICENSE")
STYLES = ("vendor/uPlot.min.css", "report.css")
SCRIPTS = (
    "base.js", "geometry.js", "viewer.js", "chart.js", "player.js", "path.js", "table.js", "detail.js",
    "many.js",
)  # fmt: skip


def page(title: str, meta: Mapping[str, Any], parts: Mapping[str, str]) -> str:
    """Return the text of a page.

    Parameters
    ----------
    title
        Its title.
    meta
        What the scripts begin with: its ``kind`` says what they show.
    parts
        What they unpack, see :func:`relax.analysis.report.packing.packed`, by name.
    """
    style = "\n".join(asset(name) for name in STYLES)
    scripts = [*(asset(name) for name in LIBRARIES), "\n".join(asset(name) for name in SCRIPTS)]
    blocks = [
        f'<script type="application/json" id="part-{name}">"{text}"</script>' for name, text in parts.items()
    ]
    return Template(asset("report.html")).substitute(
        policy=policy(style, scripts),
        title=html.escape(title.encode(errors="replace").decode()),
        style=style,
        meta=script_json(meta),
        parts="\n".join(blocks),
        licences=html.escape("\n\n".join(asset(name) for name in LICENCES)),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )


def policy(style: str, scripts: list[str]) -> str:
    """Return what the browser allows: these styles and scripts, known by their hashes, and nothing else."""
    allowed = {
        "default-src": "'none'",
        "script-src": " ".join(map(digest, scripts)),
        "style-src": digest(style),
        "img-src": "data: blob:",
        "connect-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in allowed.items())


def digest(text: str) -> str:
    """Return the hash of a script or a style, as a policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def asset(name: str) -> str:
    """Return the text of a file of the page."""
    text: str = files("relax.analysis.report").joinpath("assets", name).read_text(encoding="utf-8")
    return text
