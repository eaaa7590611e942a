"""Durations, sizes and moments, as people write and read them."""

from __future__ import annotations

import re
import time

from agentvm.errors import UsageError

_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST = 100 * 365 * 86400
_STEP = 1024


def parse_duration(text: str, option: str) -> int:
    """Seconds of a duration like 90m, 2h, 30d or 1w. Raises UsageError that names the option."""
    found = re.fullmatch(r"([0-9]{1,9})([mhdw])", text)
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not 0 < seconds <= _LONGEST:
        raise UsageError(
            f"{option}: {text!r} is no duration.", "Write a whole number and m, h, d or w, like 90m, 2h, 30d or 1w."
        )
    return seconds


def show_duration(seconds: float) -> str:
    """In its largest whole unit: 45s, 12m, 5h, 3d; weeks are told as days, which people count more easily."""
    for unit in ("d", "h", "m"):
        if seconds >= _SECONDS[unit]:
            return f"{int(seconds // _SECONDS[unit])}{unit}"
    return f"{max(0, int(seconds))}s"


def show_age(since: int) -> str:
    """How long ago a moment was (Unix time, seconds); "-" when it is not known."""
    return show_duration(time.time() - since) if since else "-"


def show_size(size: int) -> str:
    """Bytes with three digits at most: 512B, 1.5MiB, 12GiB."""
    amount, units = float(size), ["TiB", "GiB", "MiB", "KiB", "B"]
    while amount >= _STEP and len(units) > 1:
        amount /= _STEP
        units.pop()
    unit = units[-1]
    return f"{amount:.1f}{unit}" if amount < 10 and unit != "B" else f"{amount:.0f}{unit}"
