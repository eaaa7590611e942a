"""How far something is that Lima does: read from the files that it writes meanwhile, so it costs no process."""

from __future__ import annotations

import json
import os
import re

from agentvm.lima.directory import Directory
from agentvm.progress import amount

_END = 16_000
"""Bytes of the log's end that are read: what a guest does is logged there too."""
_WAITING = re.compile(r"Waiting for the (\w+) requirement (\d+) of (\d+)(?:: [\"`]?(.{1,60}?)[\"`]?)?$")
"""The hostagent's own words (pkg/hostagent/requirements.go); there are "essential", "optional" and "final" ones."""
_DOWNLOADS = (".cache/lima/download/by-url-sha256", "Library/Caches/lima/download/by-url-sha256")


def describe(directory: Directory, home: str) -> str:
    """In a few words, or nothing. `home` is the user's, where Lima keeps what it downloads."""
    if not directory.configured():
        return _downloading(home) or _copied(directory.path)
    return _booting(os.path.join(directory.path, "ha.stderr.log"))


def _booting(log: str) -> str:
    """What the hostagent waits for."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _END))
            lines = file.read(_END).splitlines()
    except OSError:
        return ""
    for line in reversed(lines):
        if found := _WAITING.search(_message(line)):
            kind, number, total, what = found.groups()
            return f"booting, {kind} step {number} of {total}" + (f": {what}" if what else "")
    return "booting" if lines else ""


def _message(line: bytes) -> str:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return ""
    return str(entry.get("msg", "")) if isinstance(entry, dict) else ""


def _copied(directory: str) -> str:
    """What the disks take so far. They are sparse, so their size says nothing."""
    try:
        with os.scandir(directory) as entries:
            blocks = sum(entry.stat(follow_symlinks=False).st_blocks for entry in entries)
    except OSError:
        return ""
    return f"{amount(blocks * 512)} written" if blocks * 512 >= 2**20 else ""


def _downloading(home: str) -> str:
    """The image that Lima loads into its cache, as `data.part`; before 2.2 as `data.tmp.PID.1` (pkg/downloader)."""
    for place in _DOWNLOADS:
        parts = _parts(os.path.join(home, place))
        if parts:
            return f"downloading the image, {amount(max(parts))}"
    return ""


def _parts(cache: str) -> list[int]:
    found = []
    try:
        with os.scandir(cache) as downloads:
            for download in downloads:
                with os.scandir(download.path) as files:
                    found += [file.stat().st_size for file in files if file.name.startswith(("data.part", "data.tmp"))]
    except OSError:
        return []
    return found
