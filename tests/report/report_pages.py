"""What is in a page, read without any of the code that wrote it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path


class Page(HTMLParser):
    """The elements of a page whose content is text, and the policy of the page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.blocks: list[tuple[str, dict[str, str | None], str]] = []
        self.tags: list[str] = []
        self.policy = ""
        self._open: tuple[str, dict[str, str | None]] | None = None
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)
        self.close()
        self.meta = json.loads(self.of("meta"))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "meta" and dict(attrs).get("http-equiv") == "Content-Security-Policy":
            self.policy = dict(attrs)["content"]
        if tag in ("script", "style", "title"):
            self._open = tag, dict(attrs)

    def handle_data(self, data):
        if self._open:
            self.blocks.append((*self._open, data))

    def handle_endtag(self, tag):
        self._open = None

    def of(self, name: str) -> str:
        """Return the text of the element with this id."""
        (found,) = [text for _, attributes, text in self.blocks if attributes.get("id") == name]
        return found

    def part(self, name: str):
        """Return what a part holds."""
        return json.loads(zlib.decompress(base64.b64decode(json.loads(self.of(f"part-{name}")))))

    def rows(self) -> list[dict]:
        """Return the rows of the table."""
        return [dict(zip(self.meta["columns"], row, strict=True)) for row in self.part("rows")]

    def unhashed(self) -> list[str]:
        """Return the beginnings of styles and scripts that the policy does not allow."""
        allowed = set(re.findall(r"'sha256-[^']+'", self.policy))
        run = [
            text
            for tag, attributes, text in self.blocks
            if tag in ("script", "style") and "type" not in attributes
        ]
        assert run
        hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in run]
        return [
            text[:40] for text, each in zip(run, hashes, strict=True) if f"'sha256-{each}'" not in allowed
        ]
