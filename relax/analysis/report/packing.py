"""Data as text that can stand in a page, whatever is in it."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Iterable
from typing import Any

__all__ = ["packed", "rounded", "script_json"]

ESCAPED = {character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}
"""Characters that could end a script, or a line of one."""


def script_json(value: Any) -> str:
    """Return a value as JSON that can stand in a ``script`` element."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return "".join(ESCAPED.get(character, character) for character in text).encode(errors="replace").decode()


def packed(items: Iterable[Any]) -> str:
    """Return a list of values as deflated JSON, in base64; they are taken one after the other."""
    squeeze = zlib.compressobj(9)
    parts, opening = [], "["
    for item in items:
        text = opening + json.dumps(item, separators=(",", ":"), allow_nan=False)
        parts.append(squeeze.compress(text.encode()))
        opening = ","
    parts.append(squeeze.compress(b"[]" if opening == "[" else b"]"))
    parts.append(squeeze.flush())
    return base64.b64encode(b"".join(parts)).decode()


def rounded(value: float, digits: int) -> float | None:
    """Return a number with so many digits after the point; None of what is no finite number."""
    return round(float(value), digits) if math.isfinite(value) else None
