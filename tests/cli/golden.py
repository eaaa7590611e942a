"""Golden files: what a person looked at and found good. What differs from run to run is taken out by equally wide text.

Who changes a word renews them, and looks at the difference: `AGENTVM_RENEW_SCREENS=1 python3 build.py test -k screens`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

RENEW = "AGENTVM_RENEW_SCREENS"
WIDTHS = (80, 40)


def expect(file: Path, text: str) -> None:
    """The text is that of the file; with RENEW set it becomes so, and git shows the change."""
    if os.environ.get(RENEW) == "1":
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def kept(directory: Path) -> set[str]:
    """The golden files below a directory."""
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*.txt")}


def veil(text: str, secret: str) -> str:
    """The text with x for each character of a word that is another one each time, also where a line's end parts it, or where a
    narrow column shows only its beginning or its end."""
    whole = r"(\s*)".join(map(re.escape, secret))
    text = re.sub(whole, lambda found: "x".join(("", *found.groups(), "")), text)
    for length in range(len(secret) - 1, 0, -1):
        begin, end = re.escape(secret[:length]), re.escape(secret[-length:])
        text = re.sub(rf"(?<=-){begin}(?=\.\.)|(?<=\.\.){end}(?=/)", "x" * length, text)
    return text


def timeless(text: str) -> str:
    """Without how long something took, which only is told of what took a second; N stands for it while it goes on."""
    text = re.sub(r"\s+\(\s*\d+\s*s\s*\)", "", text)
    return re.sub(r"\b\d+ s\b", "N s", text)
