"""What the pages of the documentation consist of: blocks of code, inline code, headings with their anchors, links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.docs.named import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "tests" / "lab" / "README.md"])

_FENCE = re.compile(r"^ *```(\w*)$")
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$")
_CODE = re.compile(r"(`+)(.+?)\1", re.DOTALL)
_LINK = re.compile(r"\[([^\]]*)\]\(\s*<?([^)\s>]*)>?[^)]*\)")
_IMAGE = re.compile("!" + _LINK.pattern)
_DEFINITION = re.compile(r"^ *\[[^\]]+\]: +(\S+)", re.MULTILINE)
_TAG = re.compile(r"<(?:a|img|source)\b[^>]*?\b(?:href|src|srcset)=\"([^\"]*)\"")
_BARE = re.compile(r"https?://[^\s)>\]\"|]+")


class Block(NamedTuple):
    """A fenced block of code, and the heading that it stands under."""

    language: str
    heading: str
    text: str


class Link(NamedTuple):
    target: str
    text: str
    image: bool


class Page(NamedTuple):
    """A page: its blocks of code, and all the rest as lines."""

    path: Path
    blocks: tuple[Block, ...]
    prose: str

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def code(self) -> list[str]:
        """Inline code. In a table a bar is written with a backslash before it."""
        return [" ".join(code.replace("\\|", "|").split()) for _, code in _CODE.findall(self.prose)]

    @property
    def links(self) -> list[Link]:
        plain = _CODE.sub("", self.prose)
        found = [Link(target, text, True) for text, target in _IMAGE.findall(plain)]
        # An image may be what a link shows.
        found += [Link(target, text, False) for text, target in _LINK.findall(_IMAGE.sub(r"\1", plain))]
        return found + [Link(target, "", False) for target in _DEFINITION.findall(plain) + _TAG.findall(plain)]

    @property
    def addresses(self) -> set[str]:
        """Every address in the prose, also one that is no link."""
        return {address.rstrip(".,;:") for address in _BARE.findall(_CODE.sub("", self.prose))}

    @property
    def anchors(self) -> list[str]:
        """What stands behind a # in the address of each heading on GitHub: a heading that comes again is counted."""
        found: list[str] = []
        for line in self.prose.splitlines():
            if heading := _HEADING.match(line):
                slug = base = make_slug(heading[1])
                number = 0
                while slug in found:
                    number += 1
                    slug = f"{base}-{number}"
                found.append(slug)
        return found


def read_page(path: Path) -> Page:
    lines, blocks, prose, heading = iter(path.read_text(encoding="utf-8").splitlines()), [], [], ""
    for line in lines:
        if fence := _FENCE.match(line):
            blocks.append(Block(fence[1], heading, "".join(f"{inside}\n" for inside in _until_fence(lines))))
            continue
        if found := _HEADING.match(line):
            heading = found[1]
        prose.append(line)
    return Page(path, tuple(blocks), "\n".join(prose))


def make_slug(heading: str) -> str:
    """Small letters, digits, hyphens and underscores stay, a space becomes a hyphen, and the rest goes."""
    shown = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", shown.strip().lower()).replace(" ", "-")


def _until_fence(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if _FENCE.match(line):
            return
        yield line
    raise AssertionError("a block of code does not end")
